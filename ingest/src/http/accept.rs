//! `POST /v1/tenants/{tenant}/audit`: events are checked all together, then published.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use contracts::{Scope, TenantId};
use rand::Rng;
use serde_json::value::RawValue;
use service_kit::Problem;
use service_kit::body::Unread;
use service_kit::trace::TraceContext;
use tokio::time::Instant;

use super::body::{self, Kind};
use super::publish::{Accepted, Receipt, publish};
use super::stamp::{Stamp, is_envelope, stamp};
use super::{Options, Shared};
use crate::destination::Destination;
use crate::event::{Judged, Origin, Reason, Rejection, Ticks, decode, identify};
use crate::query::store::Store;

/// Refused events that one answer names.
const MAX_ERRORS: usize = 100;

/// The reason of an event that names another tenant than the path.
const OTHER_TENANT: &str = "tenant_mismatch";

/// Accepts audit events.
///
/// One event, an array of events, a CloudEvent (structured mode) or an array of them. All are accepted
/// or none. A missing `id`, `event_time` or `tenant_id` is filled in; the answer repeats id and time:
/// send both again to repeat a request whose outcome is unknown, and each event is stored once.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/audit",
    tag = "audit",
    params(("tenant" = String, Path, description = "`[a-z0-9][a-z0-9-]{0,35}` or `_system`")),
    request_body(
        content(
            (super::openapi::Incoming = "application/json"),
            (Object = "application/cloudevents+json"),
            (Vec<Object> = "application/cloudevents-batch+json"),
        ),
        description = "One event or an array of events; unknown fields are kept."
    ),
    responses(
        (status = 202, description = "Every event is in Kafka, acknowledged by all in-sync replicas.",
            body = super::publish::Receipts),
        (status = 400, description = "No event was accepted; `errors` names up to 100 of those refused.",
            body = super::openapi::RefusedEvents, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time.",
            body = super::openapi::Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large, or holds too many events.",
            body = super::openapi::Problem, content_type = "application/problem+json"),
        (status = 415, description = "The content type is none of these.",
            body = super::openapi::Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too much is under way, or the tenant is above its rate. No event was accepted.",
            body = super::openapi::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds to wait."))),
        (status = 503, description = "Not now. With `events` the outcome is unknown: send them again with these ids \
                and times. Without, no event was accepted.",
            body = super::openapi::UnknownOutcome, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds to wait."))),
    ),
    security(("bearer" = ["audit:write"]))
)]
pub(super) async fn accept<I: Destination, S: Store>(
    State(shared): State<Arc<Shared<I, S>>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let options = &shared.api.options;
    let deadline = Instant::now() + options.request_timeout;
    let tenant = shared.authorize(request.headers(), &path?.0, Scope::AuditWrite, 0).await?;
    let kind = Kind::of(request.headers())?;
    let trace = request.extensions().get::<TraceContext>().map(ToString::to_string);
    let body = shared.bodies.read(Unread(request.into_body())).await?;
    let events = {
        let events = body::split(&body, kind, options.max_events)?;
        shared.api.rates.take(&tenant, events.len())?;
        let rules =
            Rules { destination: &shared.api.destination, kind, options, now: super::now() };
        rules.check(&events, &tenant, &mut rand::rng())?
    };
    // Held until the answer: what is being worked on is bounded.
    let _held = body.into_share();
    publish(&shared.api.destination, &tenant, trace, events, deadline).await
}

type Refusal = (&'static str, String);

/// What every event of a request is held to.
struct Rules<'a, I> {
    destination: &'a I,
    kind: Kind,
    options: &'a Options,
    now: Ticks,
}

impl<I: Destination> Rules<'_, I> {
    /// Completes and checks every event.
    ///
    /// # Errors
    /// 400 with every broken rule: then none is accepted.
    fn check(
        &self,
        events: &[&RawValue],
        tenant: &TenantId,
        rng: &mut impl Rng,
    ) -> Result<Vec<Accepted<I::Item>>, Problem> {
        let mut accepted = Vec::with_capacity(events.len());
        let (mut errors, mut refused) = (Vec::new(), 0);
        for (index, raw) in events.iter().enumerate() {
            // A tick apart, so that an array without times keeps its order.
            let time = later(self.now, index as u64);
            let id = uuid::Builder::from_unix_timestamp_millis(
                self.now.millis().unsigned_abs(),
                &rng.random::<[u8; 10]>(),
            );
            let stamp = Stamp { tenant: tenant.as_str(), time, id: id.into_uuid() };
            match self.check_one(raw, &stamp) {
                Ok(event) => accepted.push(event),
                Err((reason, detail)) => {
                    refused += 1;
                    if errors.len() < MAX_ERRORS {
                        let error =
                            serde_json::json!({"index": index, "reason": reason, "detail": detail});
                        errors.push(error);
                    }
                }
            }
        }
        if refused == 0 {
            return Ok(accepted);
        }
        let detail = format!("{refused} of {} events are refused; none was accepted", events.len());
        Err(Problem::bad_request(detail).with("errors", errors))
    }

    fn check_one(&self, raw: &RawValue, missing: &Stamp<'_>) -> Result<Accepted<I::Item>, Refusal> {
        let refuse = |rejection: Rejection| (rejection.reason.code(), rejection.detail);
        let limits = &self.options.decoder;
        if raw.get().len() > limits.max_record_bytes {
            let detail = format!("{} bytes; at most {}", raw.get().len(), limits.max_record_bytes);
            return Err((Reason::TooLarge.code(), detail));
        }
        if self.kind.is_cloud_event() && !is_envelope(raw) {
            let detail = "a CloudEvent has specversion 1.x and data".to_owned();
            return Err((Reason::MissingField.code(), detail));
        }
        let text = stamp(raw, missing);
        let event = decode(text.as_bytes(), limits).map_err(refuse)?;
        if event.tenant != missing.tenant {
            return Err((OTHER_TENANT, format!("tenant_id is not {}", missing.tenant)));
        }
        let (Some(given), Some(time)) = (&event.id, event.time) else {
            // Only a value that the decoder reads as absent and the stamp does not; there is none.
            return Err((Reason::MissingField.code(), "id or event_time is missing".to_owned()));
        };
        self.in_time(time)?;
        let id = identify(&event, time, &nowhere());
        let receipt = Receipt {
            id: given.clone().into_owned(),
            event_time: time.to_rfc3339(),
            event_id: id.0,
        };
        let item = self.destination.keep(&text, &Judged { event, time, id }, self.now);
        Ok(Accepted { item, receipt })
    }

    fn in_time(&self, time: Ticks) -> Result<(), Refusal> {
        let earliest = Ticks::from_millis(self.now.millis() - self.options.past);
        let latest = Ticks::from_millis(self.now.millis() + self.options.future);
        if (earliest..=latest).contains(&time) {
            return Ok(());
        }
        let detail = format!(
            "event_time {} is not within {} to {}",
            time.to_rfc3339(),
            earliest.to_rfc3339(),
            latest.to_rfc3339()
        );
        Err((Reason::TimeOutOfWindow.code(), detail))
    }
}

/// An event with an id and a time does not depend on its origin.
fn nowhere() -> Origin {
    Origin { topic: "".into(), partition: 0, offset: 0, timestamp: 0 }
}

fn later(time: Ticks, ticks: u64) -> Ticks {
    Ticks::from_gregorian(time.gregorian() + ticks)
}

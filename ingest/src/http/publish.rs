//! From accepted events to the answer: acknowledged, refused, or not known.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use contracts::TenantId;
use metrics::counter;
use serde::Serialize;
use service_kit::Problem;
use service_kit::bus::{Ack, PublishError};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::destination::Destination;

/// What clients are told to wait, in seconds: for the buffer to drain, for the cluster to recover,
/// for an operator to look.
const FULL_RETRY_SECONDS: u64 = 1;
const UNKNOWN_RETRY_SECONDS: u64 = 5;
const REFUSED_RETRY_SECONDS: u64 = 30;

/// An event that passed every rule.
pub(super) struct Accepted<T> {
    /// What its destination keeps of it.
    pub(super) item: T,
    /// What the client is told.
    pub(super) receipt: Receipt,
}

/// An accepted event: what it is known by.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = EventReceipt)]
pub(super) struct Receipt {
    /// The producer's id, or the one that was made for it.
    #[schema(example = "req-7f3a-1")]
    pub(super) id: String,
    /// When it happened, RFC 3339.
    #[schema(example = "2026-11-22T14:03:07.123Z")]
    pub(super) event_time: String,
    /// The id under which it will be found.
    #[schema(value_type = String, format = "uuid")]
    pub(super) event_id: Uuid,
}

/// The accepted events, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventReceipts)]
pub(super) struct Receipts {
    /// One entry an event.
    pub(super) events: Vec<Receipt>,
}

/// Hands all events over at once, and answers once the fate of all is known.
///
/// # Errors
/// 429 or 413 when no event left this process; 503 with `events` when any may have.
pub(super) async fn publish<I: Destination>(
    destination: &I,
    tenant: &TenantId,
    trace: Option<String>,
    events: Vec<Accepted<I::Item>>,
    deadline: Instant,
) -> Result<Response, Problem> {
    let (items, receipts): (Vec<_>, Vec<_>) =
        events.into_iter().map(|event| (event.item, event.receipt)).unzip();
    let fate = match timeout_at(deadline, destination.take(tenant, trace, items)).await {
        Ok(outcomes) => Fate::of(&outcomes),
        Err(_) => Fate::Unknown("no acknowledgement in time".to_owned()),
    };
    counter!("triad_ingest_http_events_total", "outcome" => fate.label())
        .increment(receipts.len() as u64);
    fate.answer(receipts)
}

/// What became of a request's events, taken together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// All are replicated.
    Acknowledged,
    /// None left: the buffer is full.
    Full,
    /// None left: this one is too large for the client.
    TooLarge { bytes: usize, limit: usize },
    /// None was stored: the topic is missing or not permitted.
    Refused(String),
    /// Some may have been stored.
    Unknown(String),
}

impl Fate {
    /// One of each kind, for whoever counts them by kind.
    pub(crate) const ALL: [Self; 5] = [
        Self::Acknowledged,
        Self::Full,
        Self::TooLarge { bytes: 0, limit: 0 },
        Self::Refused(String::new()),
        Self::Unknown(String::new()),
    ];

    fn of(outcomes: &[Result<Ack, PublishError>]) -> Self {
        let Some(error) = outcomes.iter().find_map(|outcome| outcome.as_ref().err()) else {
            return Self::Acknowledged;
        };
        let stored = outcomes
            .iter()
            .any(|outcome| matches!(outcome, Ok(_) | Err(PublishError::UnknownOutcome(_))));
        match error {
            _ if stored => Self::Unknown(error.to_string()),
            PublishError::QueueFull => Self::Full,
            PublishError::TooLarge { bytes, limit } => {
                Self::TooLarge { bytes: *bytes, limit: *limit }
            }
            PublishError::Refused(why) | PublishError::UnknownOutcome(why) => {
                Self::Refused(why.clone())
            }
        }
    }

    /// Its name in metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Full => "buffer_full",
            Self::TooLarge { .. } => "too_large",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
        }
    }

    fn answer(self, events: Vec<Receipt>) -> Result<Response, Problem> {
        match self {
            Self::Acknowledged => {
                Ok((StatusCode::ACCEPTED, Json(Receipts { events })).into_response())
            }
            Self::Full => Err(Problem::too_many_requests(
                "too much waits to be stored; no event was accepted",
                FULL_RETRY_SECONDS,
            )),
            Self::TooLarge { bytes, limit } => Err(Problem::payload_too_large(format!(
                "an event makes a record of {bytes} bytes; at most {limit}"
            ))),
            Self::Refused(why) => {
                tracing::error!(why, "accepted events are refused");
                let detail = "events cannot be stored at present; no event was accepted";
                Err(Problem::unavailable(detail, REFUSED_RETRY_SECONDS))
            }
            Self::Unknown(why) => {
                tracing::warn!(why, "the outcome of accepted events is unknown");
                let detail = "the outcome is unknown: repeat the request with the ids and times of \
                              `events`, and each is stored once";
                let events = serde_json::to_value(events).unwrap_or_default();
                Err(Problem::unavailable(detail, UNKNOWN_RETRY_SECONDS).with("events", events))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_never_left_is_said_to_have_been_refused() {
        let ack = || Ok(Ack { partition: 0, offset: 0 });
        let full = || Err(PublishError::QueueFull);
        let unknown = || Err(PublishError::UnknownOutcome("lost".to_owned()));
        let refused = || Err(PublishError::Refused("no".to_owned()));
        let large = || Err(PublishError::TooLarge { bytes: 2, limit: 1 });
        let cases = [
            (vec![ack(), ack()], "acknowledged"),
            (vec![full(), full()], "buffer_full"),
            (vec![ack(), full()], "unknown"),
            (vec![full(), unknown()], "unknown"),
            (vec![unknown()], "unknown"),
            (vec![refused(), full()], "refused"),
            (vec![large()], "too_large"),
            (vec![ack(), large()], "unknown"),
        ];
        for (outcomes, label) in cases {
            assert_eq!(Fate::of(&outcomes).label(), label, "{outcomes:?}");
        }
    }
}

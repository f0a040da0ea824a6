//! The API's own description, `GET /openapi/ingest.json`.
//!
//! The public surface is a reviewed file: `ingest/openapi.json`, which a test compares.

use serde_json::{Map, Value};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

/// An error, RFC 9457.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `service_kit::Problem` writes")]
pub(super) struct Problem {
    /// `urn:triad:problem:…`; clients match on it.
    #[schema(example = "urn:triad:problem:bad-request")]
    r#type: String,
    /// The same for every problem of the type.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What was wrong with this request.
    detail: Option<String>,
}

/// Refused events: no event was accepted.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `accept` writes")]
pub(super) struct RefusedEvents {
    #[schema(inline)]
    #[serde(flatten)]
    problem: Problem,
    /// Up to 100 of the refused events.
    errors: Option<Vec<RefusedEvent>>,
    /// The rule, when the body as a whole broke one.
    reason: Option<String>,
}

/// One refused event.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `accept` writes")]
pub(super) struct RefusedEvent {
    /// Its place in the request, from 0.
    index: usize,
    /// The rule that it broke, one code a rule.
    #[schema(example = "time_out_of_window")]
    reason: String,
    /// What happened, for people.
    detail: String,
}

/// An outcome that is not known.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `publish` writes")]
pub(super) struct UnknownOutcome {
    #[schema(inline)]
    #[serde(flatten)]
    problem: Problem,
    /// The events with their ids and times: send both again, and each is stored once. Absent when
    /// surely none was accepted.
    events: Option<Vec<super::publish::Receipt>>,
}

/// One event, or an array of events.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes what the decoder reads")]
pub(super) enum Incoming {
    /// One event.
    One(Box<IncomingEvent>),
    /// Several.
    Several(Vec<IncomingEvent>),
}

/// An audit event as producers write it. Further fields are kept under `details._extra`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what the decoder reads")]
pub(super) struct IncomingEvent {
    /// The producer's id, unique within the tenant; made when absent.
    #[schema(max_length = 128)]
    id: Option<String>,
    /// The path's tenant, or absent.
    tenant_id: Option<String>,
    /// RFC 3339, kept to 100 ns; now when absent.
    #[schema(example = "2026-11-22T14:03:07.123Z")]
    event_time: Option<String>,
    /// Who acted.
    #[schema(max_length = 128)]
    actor_id: Option<String>,
    /// `user`, `service_account` or `system`.
    actor_type: Option<String>,
    /// What was done.
    #[schema(max_length = 128, example = "document.read")]
    action: String,
    /// To what kind of thing.
    #[schema(max_length = 128)]
    resource_type: Option<String>,
    /// To which thing.
    #[schema(max_length = 128)]
    resource_id: Option<String>,
    /// `SUCCESS`, `FAILURE` or `DENIED`.
    status: Option<String>,
    /// IPv4 or IPv6.
    source_ip: Option<String>,
    /// Anything else; what is no text is stored as JSON text.
    details: Option<Map<String, Value>>,
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// What every route answers alike, so that no route has to repeat it.
struct Common;

impl Modify for Common {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
        let answers = [
            ("401", "No bearer token, or one that does not hold."),
            ("403", "The token lacks the scope."),
            ("404", "No such tenant for this caller, or no such thing."),
            ("500", "A fault of the service."),
        ];
        let items = openapi.paths.paths.values_mut();
        let operations = items.flat_map(|item| [item.get.as_mut(), item.post.as_mut()]).flatten();
        for operation in operations.filter(|operation| operation.security.is_some()) {
            for (status, description) in answers {
                let schema = Ref::from_schema_name("Problem");
                let content = ContentBuilder::new().schema(Some(schema)).build();
                let answer = ResponseBuilder::new()
                    .description(description)
                    .content("application/problem+json", content)
                    .build();
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_owned()).or_insert_with(|| answer.into());
            }
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Triad ingest",
        description = "Audit events: in by POST or Kafka, back by time range."
    ),
    paths(super::accept::accept, super::read::list, super::read::one, super::export::export),
    components(schemas(Problem)),
    modifiers(&Bearer, &Common)
)]
struct Document;

/// The document, as JSON.
#[must_use]
pub fn json() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_public_surface_is_the_reviewed_file() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let now = super::json();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let reviewed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(now == reviewed, "the API changed: review, then run with UPDATE_GOLDEN=1");
    }
}

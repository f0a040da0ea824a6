//! Answers and problems.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::{CONSISTENCY_TOKEN_HEADER, ConsistencyToken, TenantId};
use serde::Serialize;
use serde_json::json;
use service_kit::Problem;

use super::RETRY_SECONDS;
use super::incoming::condition;
use crate::change::{Done, FieldFault, Refused, tag};
use crate::db::DbError;

const TOKEN: HeaderName = HeaderName::from_static(CONSISTENCY_TOKEN_HEADER);
/// Says that an earlier request with the same key was answered so.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The outcome of a mutation.
pub(super) fn done(done: Done, tenant: &TenantId) -> Response {
    let Done { answer, seq, repeated } = done;
    let mut headers = HeaderMap::new();
    let mut put = |name, text: &str| {
        // What is made here is ASCII; a location holds ids, which are.
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    put(TOKEN, &ConsistencyToken::Identity { seq }.text(tenant));
    if let Some(version) = answer.version {
        put(header::ETAG, &tag(version));
    }
    if let Some(location) = &answer.location {
        put(header::LOCATION, location);
    }
    if repeated {
        put(REPLAYED, "true");
    }
    let body = match &answer.body {
        Some(body) => {
            put(header::CONTENT_TYPE, "application/json");
            Body::from(body.get().to_owned())
        }
        None => Body::empty(),
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    (status, headers, body).into_response()
}

/// Something as it is now; 304 to a client that has it.
pub(crate) fn shown(headers: &HeaderMap, version: i64, view: &impl Serialize) -> Response {
    let etag = [(header::ETAG, tag(version))];
    if condition(headers, &header::IF_NONE_MATCH).knows(version) {
        return (StatusCode::NOT_MODIFIED, etag).into_response();
    }
    (etag, axum::Json(view)).into_response()
}

pub(crate) fn not_found(what: &'static str) -> Problem {
    Problem::not_found(format!("no such {what}"))
}

/// 400 with every fault of every field.
pub(super) fn invalid(faults: Vec<FieldFault>) -> Problem {
    Problem::bad_request("the request breaks rules of its fields").with("errors", errors(faults))
}

fn errors(faults: Vec<FieldFault>) -> Vec<serde_json::Value> {
    let shape = |FieldFault { field, reason }| json!({"field": field, "reason": reason});
    faults.into_iter().map(shape).collect()
}

/// Why a mutation or a read was not done.
pub(crate) fn problem(refused: Refused) -> Problem {
    let status = |code, slug, title, detail: &str| Problem::new(code, slug, title).detail(detail);
    match refused {
        Refused::Invalid(faults) => invalid(faults),
        Refused::Missing(what) => not_found(what),
        Refused::Taken { field } => Problem::conflict(format!("{field} is taken"))
            .with("errors", errors(vec![FieldFault::new(field, "is taken")])),
        Refused::Conflict(why) => Problem::conflict(why),
        Refused::Unmatched(why) => status(StatusCode::BAD_REQUEST, "no-target", "No target", why),
        Refused::Outdated => status(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            "Precondition failed",
            "it has changed since: read it again",
        ),
        Refused::Unconditional => status(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition-required",
            "Precondition required",
            "send the ETag of what is to be replaced in If-Match",
        ),
        Refused::KeyReused => status(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "Idempotency-Key reused",
            "the Idempotency-Key was used for another request",
        ),
        Refused::KeyInUse => status(
            StatusCode::CONFLICT,
            "idempotency-key-in-use",
            "Idempotency-Key in use",
            "a request of this tenant, perhaps the one that is repeated here, is still under way",
        )
        .retry_after(RETRY_SECONDS),
        Refused::Db(error) => database(&error),
    }
}

/// What the database says stays here: clients get the kind of trouble only.
fn database(error: &DbError) -> Problem {
    let detail = match error {
        DbError::Saturated => "too many requests wait for the database",
        DbError::LockTimeout | DbError::Contended => "the tenant is busy",
        DbError::Lost(_) | DbError::Deadline => "the database does not answer",
        DbError::Unknown(_) => "the outcome is unknown: repeat the request with an Idempotency-Key",
        DbError::Storage(_) => {
            tracing::error!(%error, "database");
            return Problem::unavailable("the database's disk does not work", RETRY_SECONDS);
        }
        DbError::Duplicate { .. } | DbError::MissingReference | DbError::Refused(_) => {
            tracing::error!(%error, "database");
            return Problem::internal();
        }
    };
    tracing::warn!(%error, "database");
    Problem::unavailable(detail, RETRY_SECONDS)
}

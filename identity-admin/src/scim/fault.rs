//! Errors as SCIM has them (RFC 7644 section 3.12).

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use service_kit::Problem;

/// What everything here is.
pub(super) const MEDIA_TYPE: &str = "application/scim+json";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
/// The member of a problem that says which kind of error it is.
const KIND: &str = "scimType";
/// Problems are short.
const LONGEST_PROBLEM: usize = 64 << 10;

/// Kinds of errors that clients tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    InvalidFilter,
    TooMany,
    Mutability,
    InvalidSyntax,
    InvalidPath,
    NoTarget,
    InvalidValue,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
        }
    }
}

/// Why a request is refused with 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) detail: String,
}

impl Fault {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// A value that its attribute may not have.
    pub(super) fn value(attribute: &str, why: &str) -> Self {
        Self::new(Kind::InvalidValue, format!("{attribute} {why}"))
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::bad_request(fault.detail).with(KIND, fault.kind.as_str())
    }
}

/// What leaves here speaks SCIM: problems become its errors, tags are weak (what is shown depends on the query, and
/// on teams), and JSON is its own.
pub(crate) async fn speak(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_problem = kind == Some("application/problem+json");
    if is_problem || kind == Some("application/json") {
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    }
    let tag = parts.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let weak = tag.map(weak).and_then(|tag| HeaderValue::from_str(&tag).ok());
    if let Some(weak) = weak {
        parts.headers.insert(header::ETAG, weak);
    }
    if !is_problem {
        return Response::from_parts(parts, body);
    }
    let problem = to_bytes(body, LONGEST_PROBLEM).await.unwrap_or_default();
    let problem = serde_json::from_slice(&problem).unwrap_or(Value::Null);
    let error = error(parts.status, &problem).to_string();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(error))
}

/// The weak form of a tag.
pub(super) fn weak(tag: &str) -> String {
    if tag.starts_with("W/") { tag.to_owned() } else { format!("W/{tag}") }
}

/// A problem as an error.
pub(super) fn error(status: StatusCode, problem: &Value) -> Value {
    let faults: Vec<_> = problem["errors"].as_array().into_iter().flatten().map(told).collect();
    let detail = problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or_default();
    let detail = if faults.is_empty() { detail.to_owned() } else { faults.join("; ") };
    let mut error =
        json!({"schemas": [ERROR], "status": status.as_u16().to_string(), "detail": detail});
    let kind = match (problem[KIND].as_str(), status) {
        (Some(kind), _) => Some(kind),
        (None, _) if problem["type"] == "urn:triad:problem:no-target" => Some("noTarget"),
        (None, StatusCode::CONFLICT) if !faults.is_empty() => Some("uniqueness"),
        (None, StatusCode::BAD_REQUEST) if !faults.is_empty() => Some("invalidValue"),
        _ => None,
    };
    if let Some(kind) = kind {
        error[KIND] = kind.into();
    }
    error
}

/// What is wrong with a field, by the name that it has here.
fn told(fault: &Value) -> String {
    let name = match fault["field"].as_str().unwrap_or_default() {
        "user_name" => "userName",
        "email" => "emails",
        "display_name" | "name" => "displayName",
        name => name,
    };
    format!("{name} {}", fault["reason"].as_str().unwrap_or_default())
}

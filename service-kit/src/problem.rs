//! Errors as the API shows them: RFC 9457 `application/problem+json`.

use axum::{
    Router,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contracts::Scope;
use serde_json::{Map, Value};

/// An error answer. Whatever it holds is shown to the client: causes belong in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// The slug that follows `urn:triad:problem:`; clients match on it.
    pub type_: &'static str,
    /// A short summary, the same for every problem of the type.
    pub title: &'static str,
    /// What was wrong with this request.
    pub detail: Option<String>,
    /// Further members. They cannot replace `type`, `title`, `status` and `detail`.
    pub extensions: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    is_held_back: bool,
}

/// Among the extensions of an answer that is to be given a moment later ([`Problem::held_back`]).
#[derive(Clone, Copy, Debug)]
pub struct HeldBack;

impl Problem {
    /// A problem without detail.
    #[must_use]
    pub fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        let (extensions, headers) = (Map::new(), Vec::new());
        Self { status, type_: slug, title, detail: None, extensions, headers, is_held_back: false }
    }

    /// Says what was wrong with this request.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, member: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extensions.insert(member.into(), value.into());
        self
    }

    /// Adds `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header.
    #[must_use]
    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Has [`crate::http`] give the answer a moment later: for who asks on and on without heeding it.
    #[must_use]
    pub fn held_back(mut self) -> Self {
        self.is_held_back = true;
        self
    }

    fn challenge(self, challenge: &str) -> Self {
        let value =
            HeaderValue::from_str(challenge).expect("challenges are made of ASCII constants");
        self.header(header::WWW_AUTHENTICATE, value)
    }

    /// 400: the request is malformed.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request").detail(detail)
    }

    /// 401: the bearer token does not hold (RFC 6750, `invalid_token`).
    #[must_use]
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid-token", "Invalid token")
            .detail(detail)
            .challenge("Bearer error=\"invalid_token\"")
    }

    /// 401: no bearer token came; RFC 6750 section 3.1 allows no error code then.
    #[must_use]
    pub fn missing_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "missing-token", "Authentication required")
            .detail("send a bearer token in the Authorization header")
            .challenge("Bearer")
    }

    /// 403: not allowed, for a reason other than a scope.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden").detail(detail)
    }

    /// 403: the token lacks a scope (RFC 6750, `insufficient_scope`).
    #[must_use]
    pub fn insufficient_scope(scope: Scope) -> Self {
        let scope = scope.as_str();
        Self::new(StatusCode::FORBIDDEN, "insufficient-scope", "Insufficient scope")
            .detail(format!("the token lacks the scope {scope}"))
            .challenge(&format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""))
    }

    /// 404: not there, or not for this caller to know.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found").detail(detail)
    }

    /// 409: the request does not fit the current state.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Conflict").detail(detail)
    }

    /// 413: the body is larger than is accepted.
    #[must_use]
    pub fn payload_too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", "Payload too large")
            .detail(detail)
    }

    /// 429, to be retried after that many seconds.
    #[must_use]
    pub fn too_many_requests(detail: impl Into<String>, retry_after_seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests")
            .detail(detail)
            .retry_after(retry_after_seconds)
    }

    /// 503, to be retried after that many seconds.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>, retry_after_seconds: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service unavailable")
            .detail(detail)
            .retry_after(retry_after_seconds)
    }

    /// 500. The cause belongs in the log, not in the answer, so there is no detail.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error")
    }

    fn from_rejection(status: StatusCode, text: String) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Self::payload_too_large(text),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(status, "unsupported-media-type", "Unsupported media type").detail(text)
            }
            status if status.is_server_error() => Self::internal(),
            // axum's 422 for well-formed JSON of another shape is a bad request in this API.
            _ => Self::bad_request(text),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = self.extensions;
        body.insert("type".to_owned(), format!("urn:triad:problem:{}", self.type_).into());
        body.insert("title".to_owned(), self.title.into());
        body.insert("status".to_owned(), self.status.as_u16().into());
        if let Some(detail) = self.detail {
            body.insert("detail".to_owned(), detail.into());
        }
        let json = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, json, Value::Object(body).to_string()).into_response();
        response.headers_mut().extend(self.headers);
        if self.is_held_back {
            response.extensions_mut().insert(HeldBack);
        }
        response
    }
}

macro_rules! from_rejection {
    ($($rejection:ty),+) => {$(
        impl From<$rejection> for Problem {
            fn from(rejection: $rejection) -> Self {
                Self::from_rejection(rejection.status(), rejection.body_text())
            }
        }
    )+};
}

from_rejection!(JsonRejection, PathRejection, QueryRejection);

/// The answer for a path that no route has.
pub async fn no_route() -> Problem {
    Problem::not_found("no such route")
}

/// The answer for a method that the route does not have; axum adds `Allow`.
pub async fn no_method() -> Problem {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Problem::new(status, "method-not-allowed", "Method not allowed")
}

/// Answers 404 and 405 as problems, for the routes added so far: call it last.
pub fn with_fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.fallback(no_route).method_not_allowed_fallback(no_method)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json, body::Body, body::to_bytes, extract::Query, http::Request, routing::post};
    use serde::Deserialize;
    use tower::ServiceExt;

    async fn shape(response: Response) -> (StatusCode, Value) {
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let status = response.status();
        let body = to_bytes(response.into_body(), 65_536).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_problem_has_the_members_of_rfc_9457_and_its_own() {
        let problem = Problem::too_many_requests("slow down", 7)
            .with("errors", vec![1, 2])
            .with("status", "cannot be replaced");
        let response = problem.into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
        let (status, body) = shape(response).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        let expected = serde_json::json!({
            "type": "urn:triad:problem:too-many-requests", "title": "Too many requests",
            "status": 429, "detail": "slow down", "errors": [1, 2],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn challenges_follow_rfc_6750() {
        let challenge = |problem: Problem| {
            problem.into_response().headers()[header::WWW_AUTHENTICATE].to_str().unwrap().to_owned()
        };
        assert_eq!(challenge(Problem::missing_token()), "Bearer");
        assert_eq!(challenge(Problem::unauthorized("expired")), "Bearer error=\"invalid_token\"");
        let scope = challenge(Problem::insufficient_scope(Scope::AuditRead));
        assert_eq!(scope, "Bearer error=\"insufficient_scope\", scope=\"audit:read\"");
    }

    #[derive(Deserialize)]
    struct Body_ {
        #[allow(dead_code)]
        count: u8,
    }

    async fn handler(
        query: Result<Query<Body_>, QueryRejection>,
        json: Result<Json<Body_>, JsonRejection>,
    ) -> Result<(), Problem> {
        let _ = query?;
        let _ = json?;
        Ok(())
    }

    #[tokio::test]
    async fn rejections_and_missing_routes_are_problems_too() {
        let router = with_fallbacks(Router::new().route("/", post(handler)));
        let call = async |method: &str, path: &str, kind: &str, body: String| {
            let request = Request::builder().method(method).uri(path).header("content-type", kind);
            let request = request.body(Body::from(body)).unwrap();
            let (status, body) = shape(router.clone().oneshot(request).await.unwrap()).await;
            (status.as_u16(), body["type"].as_str().unwrap().to_owned())
        };
        let urn = |slug: &str| format!("urn:triad:problem:{slug}");
        let json = "application/json";
        let large = "1".repeat(3 << 20);
        for (method, path, kind, body, status, slug) in [
            ("POST", "/?count=x", json, "{}", 400, "bad-request"),
            ("POST", "/?count=1", json, "{\"count\":", 400, "bad-request"),
            ("POST", "/?count=1", json, "{\"count\":\"x\"}", 400, "bad-request"),
            ("POST", "/?count=1", "text/plain", "{}", 415, "unsupported-media-type"),
            ("POST", "/?count=1", json, &large, 413, "payload-too-large"),
            ("PUT", "/", json, "", 405, "method-not-allowed"),
            ("GET", "/none", json, "", 404, "not-found"),
        ] {
            let answer = call(method, path, kind, body.to_owned()).await;
            assert_eq!(answer, (status, urn(slug)), "{method} {path}");
        }
    }
}

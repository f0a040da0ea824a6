//! One call: from Envoy's request to a verdict, and back.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::IntoResponse as _;
use envoy_types::ext_authz::v3::pb::{
    Authorization, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction,
    HeaderValue as EnvoyHeader, HeaderValueOption, HttpResponse, HttpStatus, OkHttpResponse,
};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use envoy_types::pb::google::rpc;
use service_kit::Problem;
use tonic::{Code, Request, Response, Status};

use crate::ext_authz::{self, ExtAuthz, Verdict};
use crate::graph::Graph;
use crate::http::TOKEN;

/// The largest body of a denial, in bytes; a problem has some hundred.
const MAX_BODY_BYTES: usize = 64 << 10;

/// Envoy's `Authorization` service.
pub struct Service<G>(Arc<ExtAuthz<G>>);

impl<G> Service<G> {
    /// Asks `ext_authz`.
    #[must_use]
    pub fn new(ext_authz: Arc<ExtAuthz<G>>) -> Self {
        Self(ext_authz)
    }
}

#[tonic::async_trait]
impl<G: Graph> Authorization for Service<G> {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let attributes = request.into_inner().attributes;
        let http = attributes.and_then(|all| all.request).and_then(|request| request.http);
        let verdict = match http {
            Some(http) => decide(&self.0, &http).await,
            // A network filter asks about a connection, which no route maps.
            None => Verdict::unmapped(),
        };
        Ok(Response::new(reply(verdict).await))
    }
}

async fn decide<G: Graph>(ext_authz: &ExtAuthz<G>, http: &HttpRequest) -> Verdict {
    let Some(headers) = headers(http) else {
        return Problem::bad_request("a header is malformed").into();
    };
    let request = ext_authz::Request {
        method: &http.method,
        host: &http.host,
        path: &http.path,
        headers: &headers,
    };
    ext_authz.decide(&request).await
}

/// The request's headers, without HTTP/2's pseudo ones. Envoy sends a map, or with
/// `encode_raw_headers` a list.
fn headers(http: &HttpRequest) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &[u8]| {
        if !name.starts_with(':') {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let value = HeaderValue::from_bytes(value).ok()?;
            headers.try_append(name, value).ok()?;
        }
        Some(())
    };
    for (name, value) in &http.headers {
        add(name, value.as_bytes())?;
    }
    for header in http.header_map.iter().flat_map(|map| &map.headers) {
        let raw = &header.raw_value;
        add(&header.key, if raw.is_empty() { header.value.as_bytes() } else { raw })?;
    }
    Some(headers)
}

async fn reply(verdict: Verdict) -> CheckResponse {
    let (code, response) = match verdict {
        Verdict::Allow { token } => (Code::Ok, HttpResponse::OkResponse(allowed(&token))),
        Verdict::Deny { problem, token } => {
            let code = match problem.status.as_u16() {
                401 => Code::Unauthenticated,
                403 => Code::PermissionDenied,
                429 => Code::ResourceExhausted,
                _ => Code::InvalidArgument,
            };
            (code, HttpResponse::DeniedResponse(denied(problem, token).await))
        }
        // A denial that says 503, not an error of this call nor an `error_response`: those two Envoy
        // would turn into an allow where it is set up with `failure_mode_allow`.
        Verdict::Unavailable { problem } => {
            (Code::Unavailable, HttpResponse::DeniedResponse(denied(problem, None).await))
        }
    };
    CheckResponse {
        status: Some(rpc::Status { code: code as i32, ..rpc::Status::default() }),
        http_response: Some(response),
        ..CheckResponse::default()
    }
}

/// The token goes to the server behind, which may ask no less fresh, and back to the client.
fn allowed(token: &HeaderValue) -> OkHttpResponse {
    OkHttpResponse {
        headers: vec![header(&TOKEN, token)],
        response_headers_to_add: vec![header(&TOKEN, token)],
        ..OkHttpResponse::default()
    }
}

async fn denied(problem: Problem, token: Option<HeaderValue>) -> DeniedHttpResponse {
    let mut response = problem.into_response();
    if let Some(token) = token {
        response.headers_mut().insert(TOKEN, token);
    }
    let (parts, body) = response.into_parts();
    // The body is in memory: nothing can fail, and a denial without one is a denial still.
    let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await.unwrap_or_default();
    DeniedHttpResponse {
        status: Some(HttpStatus { code: parts.status.as_u16().into() }),
        headers: parts.headers.iter().map(|(name, value)| header(name, value)).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

fn header(name: &HeaderName, value: &HeaderValue) -> HeaderValueOption {
    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
    HeaderValueOption {
        header: Some(EnvoyHeader { key: name.to_string(), value, ..EnvoyHeader::default() }),
        // Whatever a client or a server behind has sent under this name does not stay beside it.
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

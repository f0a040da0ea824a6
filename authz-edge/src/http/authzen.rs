//! OpenID AuthZEN Authorization API 1.0, answered by the one evaluator.
//!
//! | module | what it holds |
//! |---|---|
//! | `form` | the four entities as they are sent, defaults, what is required |
//! | `evaluate` | `evaluation`, `evaluations` |
//! | `search` | `search/{subject,resource,action}` |
//! | `cursor` | where a search goes on |
//! | `metadata` | `/.well-known/authzen-configuration` |
//! | [`fixture`] | what the certification scenario wants to find |
//!
//! Every route stands twice: with the tenant of the caller's token, and below `/tenants/{tenant}`.
//! Errors have a text for a body, as the specification wants. A refusal to answer is never a denial.

mod cursor;
mod evaluate;
pub mod fixture;
mod form;
mod metadata;
mod search;

#[cfg(test)]
mod certification;
#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

use axum::RequestPartsExt as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, Path, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use contracts::{Revision, Scope, TenantId};
use serde::Serialize;
use service_kit::Problem;
use service_kit::auth::Principal;
use service_kit::problem::no_method;
use service_kit::track::{REQUEST_ID, track};

use super::{Api, TOKEN, problem};
use crate::audit::{Asker, Route};
use crate::check::{AtLeast, CheckError};
use crate::model::Invalid;
use service_kit::body::{Received, Unread};

/// The routes, whole: with request metrics, and the echo of request ids.
pub(super) fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for prefix in ["", "/tenants/{tenant}"] {
        let at = |path: &str| format!("{prefix}/access/v1/{path}");
        router = router
            .route(&at("evaluation"), post(evaluate::evaluation))
            .route(&at("evaluations"), post(evaluate::evaluations))
            .route(&at("search/subject"), post(search::subjects))
            .route(&at("search/resource"), post(search::resources))
            .route(&at("search/action"), post(search::actions))
            .route(&format!("{}{prefix}", metadata::WELL_KNOWN), get(metadata::configuration));
    }
    router
        .method_not_allowed_fallback(no_method)
        .with_state(api)
        .layer(track("triad_authz"))
        .layer(axum::middleware::from_fn(echo_request_id))
}

/// Gives back whatever id the client sent. The request's own tracking, which lies within, replaces what
/// is not fit for a log; the specification calls it an arbitrary string.
async fn echo_request_id(request: Request, next: Next) -> Response {
    let id = request.headers().get(&REQUEST_ID).cloned();
    let mut response = next.run(request).await;
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Why a request is not answered; its body is a text.
#[derive(Debug)]
pub(super) struct Refusal(Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::bad(invalid.to_string())
    }
}

impl From<CheckError> for Refusal {
    fn from(error: CheckError) -> Self {
        Self(problem(&error))
    }
}

impl Refusal {
    fn bad(detail: impl Into<String>) -> Self {
        Self(Problem::bad_request(detail))
    }
}

/// What was wrong, for people.
fn message(problem: &Problem) -> String {
    problem.detail.clone().unwrap_or_else(|| problem.title.to_owned())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = message(&self.0);
        // With the problem's own headers: challenges and Retry-After.
        let mut response = self.0.into_response();
        response.headers_mut().remove(header::CONTENT_LENGTH);
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        *response.body_mut() = Body::from(text);
        response
    }
}

/// A request by somebody who may ask.
struct Call {
    api: Arc<Api>,
    principal: Arc<Principal>,
    tenant: TenantId,
    headers: HeaderMap,
    at_least: AtLeast,
    body: Received,
}

impl FromRequest<Arc<Api>> for Call {
    type Rejection = Refusal;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let path = parts.extract::<Option<Path<String>>>().await.map_err(Problem::from)?;
        let path = path.map(|Path(tenant)| tenant);
        let (principal, tenant) = authorize(api, path, &parts.headers).await?;
        let at_least = api.at_least(&parts.headers, None, &tenant)?;
        check_content_type(&parts.headers)?;
        let body = api.bodies.read(Unread(body)).await?;
        let headers = parts.headers;
        Ok(Self { api: Arc::clone(api), principal, tenant, headers, at_least, body })
    }
}

/// The caller, and the tenant of the path, else of the caller, to whose rate something is left.
async fn authorize(
    api: &Api,
    path: Option<String>,
    headers: &HeaderMap,
) -> Result<(Arc<Principal>, TenantId), Refusal> {
    if let Some(path) = path {
        return Ok(api.authorize_for(headers, &path, Scope::AuthzCheck, 0).await?);
    }
    let principal = api.verifier.verify(headers.get(header::AUTHORIZATION)).await?;
    let Some(tenant) = principal.tenant.clone() else {
        return Err(Refusal::bad("the caller has no tenant; ask at /tenants/{tenant}/access/v1"));
    };
    principal.authorize(&tenant, Scope::AuthzCheck)?;
    api.rates.take(&tenant, 0)?;
    Ok((principal, tenant))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::bad("send Content-Type: application/json"))
}

impl Call {
    /// The body as a form, naming the member that is wrong.
    fn read<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| Refusal::bad(error.to_string()))
    }

    /// Takes what is asked of the tenant's rate.
    fn take(&self, questions: usize) -> Result<(), Refusal> {
        Ok(self.api.rates.take(&self.tenant, questions)?)
    }

    /// An evaluation was answered.
    fn audit(&self, asked: &form::Asked<'_>, decided: (bool, Revision)) {
        let (caller, headers) = (Some(&*self.principal.subject), &self.headers);
        let asker = Asker { caller, headers, route: Route::AuthZen };
        self.api.audit.answered(asked.attempt(&self.tenant), decided, &asker);
    }

    /// What is answered without the graph holds as of now.
    fn watermark(&self) -> Revision {
        self.api.checker.shared().freshness.watermark()
    }

    /// An answer with its token.
    fn answer(&self, body: &impl Serialize, revision: Revision) -> Response {
        let token = [(TOKEN, self.api.token(revision, &self.tenant))];
        (token, axum::Json(body)).into_response()
    }
}

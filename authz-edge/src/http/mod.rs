//! The public API.
//!
//! | module | what it holds |
//! |---|---|
//! | [`check`] | `…/check`, `…/check/batch` |
//! | [`explain`] | `…/explain` |
//! | [`authzen`] | AuthZEN 1.0 |
//! | [`relationships`], [`roles`], [`entities`] | writes, and what was written |
//! | [`openapi`] | the document of all of them |
//! | [`lists`] | pages of what was written |
//! | `cursor` | where pages end |
//! | `body` | reading bodies |
//! | `hot` | checks before any routing |

pub mod authzen;
pub mod check;
mod cursor;
pub mod entities;
pub mod explain;
pub mod ext_authz;
mod extract;
mod hot;
pub mod lists;
pub mod openapi;
pub mod relationships;
pub mod roles;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler as _;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use contracts::audit::ActorType;
use contracts::{CONSISTENCY_TOKEN_HEADER, Revision, Scope, TenantId};
use service_kit::Problem;
use service_kit::auth::{Principal, Verifier};
use service_kit::body::Bodies;
use service_kit::problem::{no_method, no_route};
use service_kit::rate::Rates;
use service_kit::track::{given_id, track};
use tokio::sync::Notify;

pub use hot::Hot;

use crate::audit::DecisionAudit;
use crate::check::{AtLeast, CheckError, Checker};
use crate::graph::read::Reader;
use crate::graph::write::{Author, Ownership, WriteError, Writer, Written};
use crate::graph::{GraphDb, GraphError};

/// The header that every answer carries and every question may.
pub const TOKEN: HeaderName = HeaderName::from_static(CONSISTENCY_TOKEN_HEADER);

/// How the names of request metrics begin.
const METRICS: &str = "triad_authz";

/// What callers are told to wait after a 503, in seconds.
pub const RETRY_SECONDS: u64 = 1;

/// Bounds of the API.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who writes identities.
    pub ownership: Ownership,
    /// Where clients reach the API, for what it publishes about itself; else what they asked for.
    pub public_url: Option<String>,
}

/// What all handlers work with.
pub struct Api {
    /// Answers questions.
    pub checker: Arc<Checker<Reader>>,
    /// Takes writes.
    pub graph: Arc<GraphDb>,
    /// Knows callers.
    pub verifier: Verifier,
    /// The bounds.
    pub options: Options,
    /// The bounds of bodies.
    pub bodies: Bodies,
    /// What tenants may ask.
    pub rates: Arc<Rates>,
    /// Takes the answers that are audited.
    pub audit: DecisionAudit,
    /// Begins a round of the relay.
    pub wake: Arc<Notify>,
}

impl Api {
    /// A caller who may use `scope` in the tenant of a path, and that tenant, of whose rate one request is taken.
    ///
    /// # Errors
    /// 401, 403 and 404; a malformed tenant is 404. 429 above the tenant's rate.
    pub async fn authorize(
        &self,
        headers: &HeaderMap,
        tenant: &str,
        scope: Scope,
    ) -> Result<(Arc<Principal>, TenantId), Problem> {
        self.authorize_for(headers, tenant, scope, 1).await
    }

    /// The same for what costs more, or 0 while that is not known.
    ///
    /// # Errors
    /// As [`Api::authorize`].
    pub async fn authorize_for(
        &self,
        headers: &HeaderMap,
        tenant: &str,
        scope: Scope,
        cost: usize,
    ) -> Result<(Arc<Principal>, TenantId), Problem> {
        let principal = self.verifier.verify(headers.get(header::AUTHORIZATION)).await?;
        let tenant = TenantId::parse(tenant).map_err(|_| Problem::not_found("no such tenant"))?;
        principal.authorize(&tenant, scope)?;
        self.rates.take(&tenant, cost)?;
        Ok((principal, tenant))
    }

    /// How fresh the answer must be: by the body's token, else by the header's.
    ///
    /// # Errors
    /// 400 for a token of another tenant or graph.
    pub fn at_least(
        &self,
        headers: &HeaderMap,
        body: Option<&str>,
        tenant: &TenantId,
    ) -> Result<AtLeast, Problem> {
        let header = || headers.get(TOKEN).map(|value| value.to_str().unwrap_or("?"));
        match body.or_else(header) {
            Some(token) => self.checker.at_least(token, tenant).map_err(|error| problem(&error)),
            None => Ok(AtLeast::Bound),
        }
    }

    /// The header's value for a revision.
    #[must_use]
    pub fn token(&self, revision: Revision, tenant: &TenantId) -> HeaderValue {
        let text = self.checker.token(revision).text(tenant);
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Who takes writes.
    #[must_use]
    pub fn writer(&self) -> Writer<'_> {
        Writer { graph: &self.graph, ownership: self.options.ownership }
    }

    /// Raises the fences of what was written, and returns its token.
    pub fn wrote(&self, tenant: &TenantId, written: &Written) -> HeaderValue {
        self.checker.wrote(tenant, written);
        if !written.changed.is_empty() {
            self.wake.notify_one();
        }
        self.token(written.revision, tenant)
    }
}

/// Who writes, for the audit trail.
#[must_use]
pub fn author(principal: &Principal, headers: &HeaderMap) -> Author {
    let (actor_type, actor) = match principal.subject.split_once(':') {
        Some(("user", id)) => (ActorType::User, Some(id.to_owned())),
        Some(("service_account", id)) => (ActorType::ServiceAccount, Some(id.to_owned())),
        _ => (ActorType::System, None),
    };
    // A client chooses it: what is not fit for a log is not fit for the trail either.
    let request_id = given_id(headers).map(str::to_owned);
    Author { actor, actor_type, at: chrono::Utc::now(), request_id }
}

/// How a question without an answer is told. Never 200.
#[must_use]
pub fn problem(error: &CheckError) -> Problem {
    match error {
        CheckError::Invalid(invalid) => Problem::bad_request(invalid.to_string()),
        CheckError::Graph(error) => graph_problem(error),
        CheckError::Busy | CheckError::Behind(_) | CheckError::Lag(_) => {
            Problem::unavailable(error.to_string(), RETRY_SECONDS)
        }
    }
}

fn graph_problem(error: &GraphError) -> Problem {
    match error {
        // What the graph says stays here: clients get the kind of trouble only.
        GraphError::Unavailable(_) => {
            tracing::warn!(%error, "graph");
            Problem::unavailable("the graph does not answer", RETRY_SECONDS)
        }
        GraphError::Unknown(_) => {
            tracing::warn!(%error, "graph");
            let detail =
                "the outcome is unknown: repeat the request; touch and delete are idempotent";
            Problem::unavailable(detail, RETRY_SECONDS)
        }
        GraphError::Contended => Problem::unavailable(error.to_string(), RETRY_SECONDS),
        GraphError::Limit(_) => {
            Problem::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, "limit", "Limit reached")
                .detail(error.to_string())
        }
        GraphError::Refused(_) => {
            tracing::error!(%error, "graph");
            Problem::internal()
        }
    }
}

/// How a write that was not done is told.
#[must_use]
pub fn write_problem(error: &WriteError) -> Problem {
    match error {
        WriteError::Invalid(invalid) => Problem::bad_request(invalid.to_string()),
        WriteError::Exists { .. }
        | WriteError::Precondition { .. }
        | WriteError::Missing { .. }
        | WriteError::Managed { .. } => Problem::conflict(error.to_string()),
        WriteError::Graph(error) => graph_problem(error),
    }
}

/// The routes, with request metrics; 405 is a problem too. They stand below prefixes of their own and
/// have no fallback, so that they can be merged with other services' routes.
pub fn router(api: Arc<Api>) -> Router {
    routes(Arc::clone(&api))
        .method_not_allowed_fallback(no_method)
        .layer(track(METRICS))
        .merge(authzen::router(api))
}

/// `routes`, [`router`]'s among them, behind the hot path; what no route has is a problem.
pub fn service(api: Arc<Api>, routes: Router) -> Hot {
    Hot::new(api, routes.fallback(no_route.layer(track(METRICS))))
}

fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .merge(check::routes())
        .merge(explain::routes())
        .merge(relationships::routes())
        .merge(roles::routes())
        .merge(entities::routes())
        .merge(openapi::routes())
        .merge(lists::routes())
        .with_state(api)
}

#[cfg(test)]
mod bodies_tests;
#[cfg(test)]
mod tests;

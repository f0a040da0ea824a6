//! Envoy's external authorization: a request's method, host, path and token are the question.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | the section `ext_authz` |
//! | [`table`] | routes: which request is which question |
//! | [`path`], [`host`], [`template`] | what routes are made of |
//!
//! [`crate::grpc`] and [`crate::http::ext_authz`] put it on the wire. Who asks comes from a verified
//! token or from the route, never from a header that a client could set.

pub mod config;
pub mod host;
pub mod path;
pub mod table;
pub mod template;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use contracts::TenantId;
use serde_json::Value;
use service_kit::Problem;
use service_kit::auth::{Principal, Verifier};
use service_kit::config::ConfigError;
use service_kit::rate::Rates;

use self::config::ExtAuthzConfig;
use self::table::{Mapped, Route, Table};
use crate::audit::{self, Asker, DecisionAudit};
use crate::check::{AtLeast, CheckError, Checker, Given, Question};
use crate::graph::Graph;
use crate::http::{RETRY_SECONDS, TOKEN};
use crate::metrics::{self, Answered};
use crate::model::{Properties, SubjectRef, SubjectType};

/// A request as the proxy received it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its host, perhaps with a port.
    pub host: &'a str,
    /// Its path as sent, perhaps with a query.
    pub path: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It goes on; the answer's token is to be added to it and to its response.
    Allow {
        /// The consistency token.
        token: HeaderValue,
    },
    /// It is answered with this.
    Deny {
        /// 400, 401, 403 or 429.
        problem: Problem,
        /// The consistency token, when the graph was asked.
        token: Option<HeaderValue>,
    },
    /// It cannot be told. Never an allow.
    Unavailable {
        /// 503.
        problem: Problem,
    },
}

impl Verdict {
    /// The denial of what no route maps; it tells no more than any other.
    #[must_use]
    pub fn unmapped() -> Self {
        denied().into()
    }

    fn label(&self) -> Answered {
        match self {
            Self::Allow { .. } => Answered::Allow,
            Self::Deny { .. } => Answered::Deny,
            Self::Unavailable { .. } => Answered::Error,
        }
    }
}

impl From<Problem> for Verdict {
    fn from(problem: Problem) -> Self {
        if problem.status == StatusCode::SERVICE_UNAVAILABLE {
            return Self::Unavailable { problem };
        }
        if problem.status.is_client_error() {
            return Self::Deny { problem, token: None };
        }
        Self::Unavailable { problem: unanswered() }
    }
}

fn denied() -> Problem {
    Problem::forbidden("the request is not allowed")
}

fn unanswered() -> Problem {
    Problem::unavailable("whether the request is allowed cannot be told now", RETRY_SECONDS)
}

/// Decides requests.
pub struct ExtAuthz<G> {
    table: Table,
    checker: Arc<Checker<G>>,
    verifier: Verifier,
    audit: DecisionAudit,
    rates: Arc<Rates>,
    deadline: Duration,
}

impl<G: Graph> ExtAuthz<G> {
    /// With the routes of `config`.
    ///
    /// # Errors
    /// The key of `config` that is refused.
    pub fn new(
        config: &ExtAuthzConfig,
        checker: Arc<Checker<G>>,
        verifier: Verifier,
        audit: DecisionAudit,
        rates: Arc<Rates>,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let (table, deadline) = (Table::new(config)?, config.deadline());
        Ok(Self { table, checker, verifier, audit, rates, deadline })
    }

    /// Decides one request within the deadline.
    pub async fn decide(&self, request: &Request<'_>) -> Verdict {
        let begun = Instant::now();
        let verdict = match tokio::time::timeout(self.deadline, self.answer(request)).await {
            Ok(verdict) => verdict.unwrap_or_else(Verdict::from),
            Err(_) => unanswered().into(),
        };
        metrics::ext_authz(verdict.label(), begun);
        verdict
    }

    async fn answer(&self, request: &Request<'_>) -> Result<Verdict, Problem> {
        let Request { method, host, path, headers } = *request;
        let Some(mapped) = self.table.find(method, host, path) else {
            tracing::debug!(method, host, path, "no route of ext_authz");
            return Ok(Verdict::unmapped());
        };
        let (question, principal) = self.question(&mapped, headers).await?;
        let tenant = &question.tenant;
        // Who asks without a token is nobody's: strangers use nothing of a tenant's rate up.
        if principal.is_some() {
            self.rates.take(tenant, 1)?;
        }
        let caller = principal.as_ref().map(|principal| &*principal.subject);
        let asker = Asker { caller, headers, route: audit::Route::ExtAuthz };
        // Ids that are no ids have no permissions: a denial, and no load on the graph.
        if question.check().is_err() {
            let watermark = self.checker.shared().freshness.watermark();
            self.audit.answered(&question.words(), (false, watermark), &asker);
            return Err(denied());
        }
        let at_least = self.at_least(headers, tenant)?;
        let given = given(mapped.route, headers)?;
        let answer = self.checker.check(&question, &given, at_least).await;
        let answer = answer.map_err(|error| failed(&error))?;
        self.audit.answered(&question.words(), (answer.allowed, answer.revision), &asker);
        let text = self.checker.token(answer.revision).text(tenant);
        let token = HeaderValue::from_str(&text).map_err(|_| Problem::internal())?;
        if answer.allowed {
            return Ok(Verdict::Allow { token });
        }
        Ok(Verdict::Deny { problem: denied(), token: Some(token) })
    }

    /// The question, and the verified caller if the route wants one.
    async fn question(
        &self,
        mapped: &Mapped<'_>,
        headers: &HeaderMap,
    ) -> Result<(Question, Option<Arc<Principal>>), Problem> {
        let route = mapped.route;
        let principal = match route.needs_token() {
            true => Some(self.principal(headers).await?),
            false => None,
        };
        let question = Question {
            tenant: tenant(route, principal.as_deref()).ok_or_else(denied)?,
            subject: subject(route, principal.as_deref()).ok_or_else(denied)?,
            action: mapped.action.to_owned(),
            resource: mapped.resource.clone(),
        };
        Ok((question, principal))
    }

    async fn principal(&self, headers: &HeaderMap) -> Result<Arc<Principal>, Problem> {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let first = all.next();
        if all.next().is_some() {
            // The server behind might believe the other one.
            return Err(Problem::unauthorized("more than one Authorization header came"));
        }
        self.verifier.verify(first).await
    }

    fn at_least(&self, headers: &HeaderMap, tenant: &TenantId) -> Result<AtLeast, Problem> {
        let Some(token) = headers.get(TOKEN) else { return Ok(AtLeast::Bound) };
        let token = token.to_str().unwrap_or("?");
        self.checker.at_least(token, tenant).map_err(|error| crate::http::problem(&error))
    }
}

fn tenant(route: &Route, principal: Option<&Principal>) -> Option<TenantId> {
    let of_token = principal.and_then(|principal| principal.tenant.as_ref());
    match &route.tenant {
        None => of_token.cloned(),
        // A subject is one of its own tenant: the same id elsewhere is somebody else.
        Some(fixed) if route.subject.is_none() && of_token != Some(fixed) => None,
        Some(fixed) => Some(fixed.clone()),
    }
}

fn subject(route: &Route, principal: Option<&Principal>) -> Option<SubjectRef> {
    if let Some(fixed) = &route.subject {
        return Some(fixed.clone());
    }
    let (type_, id) = principal?.subject.split_once(':')?;
    let type_ = SubjectType::parse(type_).filter(|type_| *type_ != SubjectType::Team)?;
    Some(SubjectRef::new(type_, id))
}

fn given(route: &Route, headers: &HeaderMap) -> Result<Given, Problem> {
    if route.context.is_empty() {
        return Ok(Given::default());
    }
    let mut listed = Properties::new();
    for name in &route.context {
        let values: Result<Vec<_>, _> =
            headers.get_all(name).iter().map(HeaderValue::to_str).collect();
        let values = values.map_err(|_| Problem::bad_request(format!("{name} is not ASCII")))?;
        if !values.is_empty() {
            // One field of several lines is their list (RFC 9110 section 5.3).
            listed.insert(name.as_str().to_owned(), Value::String(values.join(",")));
        }
    }
    let context = Properties::from_iter([("headers".to_owned(), Value::Object(listed))]);
    Ok(Given { context: Some(context), ..Given::default() })
}

/// No answer: the request's own fault, or 503. Nothing else, as a proxy takes some statuses for a
/// decision.
fn failed(error: &CheckError) -> Problem {
    let problem = crate::http::problem(error);
    let is_callers = matches!(error, CheckError::Invalid(_));
    if is_callers || problem.status == StatusCode::SERVICE_UNAVAILABLE {
        return problem;
    }
    tracing::warn!(%error, "a check of ext_authz has no answer");
    unanswered()
}

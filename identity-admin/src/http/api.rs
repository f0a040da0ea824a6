//! Who calls, and the way of a mutation from a request to its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum::response::Response;
use contracts::{Scope, TenantId};
use ipnet::IpNet;
use service_kit::Problem;
use service_kit::auth::{Principal, Verifier};
use service_kit::rate::{RateConfig, Rates};
use service_kit::slots::Slots;
use service_kit::track::REQUEST_ID;

use super::RETRY_SECONDS;
use super::answer::{self, problem};
use super::incoming::Incoming;
use crate::change::{Author, Core, Key, Mutation, Opening, Request};
use crate::credentials::Credentials;
use crate::db::{Db, params};
use crate::metrics;
use crate::oauth::{Fault, OAuth};

/// The header that tells a repeat.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Bounds of the API.
#[derive(Debug, Clone)]
pub struct Options {
    /// The largest body, bytes.
    pub max_body_bytes: usize,
    /// For one request.
    pub request_timeout: Duration,
    /// Proxies that are believed who asked them.
    pub trusted_proxies: Vec<IpNet>,
    /// Entries in a page when nobody says.
    pub default_limit: usize,
    /// Entries in a page at most.
    pub max_limit: usize,
    /// Snapshots at once.
    pub snapshots: usize,
    /// Until a snapshot is cut.
    pub snapshot_timeout: Duration,
    /// What a tenant may ask.
    pub rate: RateConfig,
    /// Of SCIM.
    pub scim: crate::scim::Options,
}

/// What all handlers work with.
pub struct Api {
    /// Makes mutations.
    pub core: Arc<Core>,
    /// Knows callers.
    pub verifier: Verifier,
    /// The bounds.
    pub options: Options,
    /// What tenants may ask.
    pub(crate) rates: Arc<Rates>,
    /// What issues tokens; none without `secrets_file`.
    pub(crate) oauth: Option<OAuth>,
    /// One for each snapshot that may be read.
    pub(crate) snapshots: Slots,
}

/// A caller who may do what it asks for in a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Where.
    pub(crate) tenant: TenantId,
}

impl Caller {
    /// Once a request that needs `scope` was taken of its tenant's rate. What only the system's administrators may do is
    /// not the tenant's: one that floods can be suspended.
    ///
    /// # Errors
    /// 429 above that rate.
    pub(super) fn within(self, scope: Scope, rates: &Rates) -> Result<Self, Problem> {
        if scope != Scope::SystemAdmin {
            rates.take(&self.tenant, 1)?;
        }
        Ok(self)
    }

    /// That the principal may use `scope` in the tenant of a path.
    ///
    /// # Errors
    /// 403 and 404 as [`Principal::authorize`]; a malformed tenant is 404.
    pub(super) fn new(principal: &Principal, tenant: &str, scope: Scope) -> Result<Self, Problem> {
        let tenant = TenantId::parse(tenant).map_err(|_| Problem::not_found("no such tenant"))?;
        principal.authorize(&tenant, scope)?;
        Ok(Self { tenant })
    }

    /// That the principal may use `scope` in the tenant that it comes from.
    ///
    /// # Errors
    /// 403 without the scope, and without a tenant.
    pub(super) fn at_home(principal: &Principal, scope: Scope) -> Result<Self, Problem> {
        let tenant = principal.tenant.clone();
        let tenant = tenant.ok_or_else(|| Problem::forbidden("the token is of no tenant"))?;
        principal.authorize(&tenant, scope)?;
        Ok(Self { tenant })
    }
}

/// That the principal administers the platform.
///
/// # Errors
/// 403 without `system:admin`.
pub(super) fn administers(principal: &Principal) -> Result<(), Problem> {
    if principal.has(Scope::SystemAdmin) {
        Ok(())
    } else {
        Err(Problem::insufficient_scope(Scope::SystemAdmin))
    }
}

impl Api {
    /// The handlers' world.
    #[must_use]
    pub(crate) fn new(
        core: Arc<Core>,
        verifier: Verifier,
        options: Options,
        oauth: Option<OAuth>,
    ) -> Self {
        let snapshots = Slots::new(options.snapshots, "snapshots", RETRY_SECONDS);
        let rates = Arc::new(Rates::new(options.rate, metrics::rate_limited()));
        Self { core, verifier, options, rates, oauth, snapshots }
    }

    /// What issues tokens.
    ///
    /// # Errors
    /// 503 without `secrets_file`.
    pub(crate) fn oauth(&self) -> Result<&OAuth, Fault> {
        self.oauth.as_ref().ok_or_else(Fault::unconfigured)
    }

    /// What makes and checks credentials.
    ///
    /// # Errors
    /// 503 without `secrets_file`.
    pub(crate) fn credentials(&self) -> Result<&Credentials, Problem> {
        let detail = "no secrets_file is configured: identity-admin bootstrap";
        let oauth = self.oauth.as_ref();
        oauth.map(|oauth| &oauth.credentials).ok_or_else(|| Problem::unavailable(detail, 60))
    }

    /// Where rows are read.
    #[must_use]
    pub(crate) fn db(&self) -> &Db {
        &self.core.db
    }

    /// Who asks.
    ///
    /// # Errors
    /// 401, and 503 while tokens cannot be verified.
    pub(crate) async fn principal(&self, headers: &HeaderMap) -> Result<Arc<Principal>, Problem> {
        self.verifier.verify(headers.get(header::AUTHORIZATION)).await
    }

    /// A caller who may use `scope` in the tenant of a path, for reads.
    ///
    /// # Errors
    /// As [`Api::principal`], 403, 404 for another tenant, and 429 above the tenant's rate.
    pub(crate) async fn caller(
        &self,
        headers: &HeaderMap,
        tenant: &str,
        scope: Scope,
    ) -> Result<Caller, Problem> {
        let principal = self.principal(headers).await?;
        Caller::new(&principal, tenant, scope)?.within(scope, &self.rates)
    }

    /// A caller who may use `scope` in the tenant that it comes from, for reads.
    ///
    /// # Errors
    /// As [`Api::principal`], 403, and 429 above the tenant's rate.
    pub(crate) async fn caller_at_home(
        &self,
        headers: &HeaderMap,
        scope: Scope,
    ) -> Result<Caller, Problem> {
        let principal = self.principal(headers).await?;
        Caller::at_home(&principal, scope)?.within(scope, &self.rates)
    }

    /// That the caller administers the platform, for reads.
    ///
    /// # Errors
    /// As [`Api::principal`], and 403 without `system:admin`.
    pub(crate) async fn system(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let principal = self.principal(headers).await?;
        administers(&principal)
    }

    /// Makes a mutation in the caller's tenant and answers with its outcome.
    ///
    /// # Errors
    /// Why it was not made, as a problem.
    pub(crate) async fn change(
        &self,
        caller: &Caller,
        incoming: &Incoming,
        mutation: impl Mutation,
    ) -> Result<Response, Problem> {
        let key = key(&caller.tenant, incoming)?;
        let (tenant, author) = (caller.tenant.clone(), author(incoming));
        self.run(Request { tenant, opening: Opening::Existing, author, key }, mutation).await
    }

    /// Makes a tenant. A key counts where the caller comes from: the tenant is not there yet, and a body that
    /// names another is another request.
    ///
    /// # Errors
    /// As [`Api::change`].
    pub(crate) async fn create_tenant(
        &self,
        tenant: TenantId,
        incoming: &Incoming,
        mutation: impl Mutation,
    ) -> Result<Response, Problem> {
        let home = incoming.principal.tenant.clone();
        let home = home.or_else(|| TenantId::parse(TenantId::SYSTEM).ok());
        let key = home.map_or(Ok(None), |home| key(&home, incoming))?;
        let author = author(incoming);
        self.run(Request { tenant, opening: Opening::New, author, key }, mutation).await
    }

    /// In a task of its own: a client that leaves cancels nothing, so that no connection is lost with it.
    async fn run(&self, request: Request, mutation: impl Mutation) -> Result<Response, Problem> {
        let (core, tenant) = (Arc::clone(&self.core), request.tenant.clone());
        match unbroken(async move { core.run(&request, &mutation).await }).await {
            Some(Ok(done)) => Ok(answer::done(done, &tenant)),
            Some(Err(refused)) => Err(problem(refused)),
            None => Err(Problem::internal()),
        }
    }

    /// That a tenant is there, for lists that are empty.
    ///
    /// # Errors
    /// 404 for no such tenant, and what the database brings.
    pub(crate) async fn known(&self, tenant: &TenantId) -> Result<(), Problem> {
        let found = self.db().row("SELECT id FROM tenants WHERE id = ?", params![tenant]).await;
        match found.map_err(|error| problem(error.into()))? {
            Some(_) => Ok(()),
            None => Err(Problem::not_found("no such tenant")),
        }
    }
}

/// Does something in a task of its own: a client that leaves cancels nothing. `None` when it broke off.
pub(crate) async fn unbroken<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let span = tracing::Span::current();
    let done = tokio::spawn(tracing::Instrument::instrument(work, span)).await;
    done.map_err(|error| tracing::error!(%error, "a request broke off")).ok()
}

fn key(tenant: &TenantId, incoming: &Incoming) -> Result<Option<Key>, Problem> {
    let Some(header) = incoming.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let request = (incoming.method.as_str(), incoming.path.as_str(), incoming.body.as_ref());
    let text = header.to_str().unwrap_or_default();
    let key = Key::new(text, tenant, &incoming.principal.subject, request);
    let refused =
        || Problem::bad_request("an Idempotency-Key is 1 to 255 printable ASCII characters");
    key.map(Some).ok_or_else(refused)
}

fn author(incoming: &Incoming) -> Author {
    let (headers, subject) = (&incoming.headers, incoming.principal.subject.clone());
    made_by(subject, headers, incoming.source)
}

/// Who asks, for the audit trail.
pub(super) fn made_by(subject: String, headers: &HeaderMap, source: Option<IpAddr>) -> Author {
    let request_id = headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok());
    let source_ip = source.map(|source| source.to_string());
    Author { subject, source_ip, request_id: request_id.map(str::to_owned) }
}

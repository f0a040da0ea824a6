//! A verified caller.

use crate::problem::Problem;
use contracts::{Scope, TenantId};
use std::sync::Arc;

/// A verified caller. Shared by all requests with its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's `sub`: `user:ID` or `service_account:ID`; `anonymous` with mode off.
    pub subject: String,
    /// The tenant that the token is bound to; `None` only with mode off.
    pub tenant: Option<TenantId>,
    scopes: Arc<[Scope]>,
}

impl Principal {
    /// A caller as some verification found it.
    pub fn new(
        subject: impl Into<String>,
        tenant: Option<TenantId>,
        scopes: impl IntoIterator<Item = Scope>,
    ) -> Self {
        Self { subject: subject.into(), tenant, scopes: scopes.into_iter().collect() }
    }

    /// Whether the caller holds the scope itself; none implies another.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether the caller may use `scope` in `tenant`. Only `system:admin` crosses tenants.
    ///
    /// # Errors
    /// 404 for another tenant, whether it exists or not; 403 for a missing scope.
    pub fn authorize(&self, tenant: &TenantId, scope: Scope) -> Result<(), Problem> {
        if self.tenant.as_ref() != Some(tenant) && !self.has(Scope::SystemAdmin) {
            return Err(Problem::not_found("no such tenant"));
        }
        if !self.has(scope) {
            return Err(Problem::insufficient_scope(scope));
        }
        Ok(())
    }
}

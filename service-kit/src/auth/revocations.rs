//! Which tokens are void before their time: what `identity.changes` tells, kept for as long as a token can hold.

use super::MAX_TOKEN_LIFE;
use chrono::{DateTime, Utc};
use contracts::{
    TenantId,
    identity::{Change, ChangeKind, Revocation, TenantStatus},
};
use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

/// What a token says of itself, as far as a revocation may name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) subject: &'a str,
    pub(super) jti: Option<&'a str>,
    /// Seconds since 1970; one without is as old as can be.
    pub(super) issued: Option<u64>,
}

/// All revocations that still matter. Reading costs an atomic load while nothing new was told.
#[derive(Debug)]
pub struct Revocations {
    void: RwLock<Void>,
    /// Counts what was told, from 1: a token that was looked up at the present count need not be again.
    told: AtomicU64,
}

impl Default for Revocations {
    fn default() -> Self {
        Self { void: RwLock::default(), told: AtomicU64::new(1) }
    }
}

#[derive(Debug, Default)]
struct Void {
    /// By tenant and `jti`, or the id of an API key.
    tokens: HashMap<(TenantId, String), DateTime<Utc>>,
    /// By tenant and `sub`: tokens that were issued before are void.
    subjects: HashMap<(TenantId, String), DateTime<Utc>>,
    /// Tenants that are not served, since when.
    tenants: HashMap<TenantId, DateTime<Utc>>,
}

impl Revocations {
    /// Takes what a change says. Changes may come again, and out of order between tenants.
    pub fn hear(&self, change: &Change) {
        let (tenant, at) = (&change.tenant_id, change.occurred_at);
        let subject = |kind: &str, id: &str| (tenant.clone(), format!("{kind}:{id}"));
        let mut void = self.write();
        match &change.kind {
            ChangeKind::CredentialsRevoked(Revocation::Token { jti }) => {
                void.tokens.insert((tenant.clone(), jti.to_string()), at);
            }
            ChangeKind::CredentialsRevoked(Revocation::Subject { subject, not_before }) => {
                void.before((tenant.clone(), subject.to_string()), *not_before);
            }
            ChangeKind::CredentialsRevoked(Revocation::Key { key_id }) => {
                void.tokens.insert((tenant.clone(), key_id.to_string()), at);
            }
            ChangeKind::ApiKeyRevoked(key) => {
                void.tokens.insert((tenant.clone(), key.id.to_string()), at);
            }
            ChangeKind::UserDeactivated(user) => void.before(subject("user", user.id.as_str()), at),
            ChangeKind::UserDeleted(gone) => void.before(subject("user", gone.id.as_str()), at),
            ChangeKind::ServiceAccountDeactivated(account) => {
                void.before(subject("service_account", account.id.as_str()), at);
            }
            ChangeKind::ServiceAccountDeleted(gone) => {
                void.before(subject("service_account", gone.id.as_str()), at);
            }
            ChangeKind::TenantSuspended(_) | ChangeKind::TenantDeleted(_) => {
                void.tenants.insert(tenant.clone(), at);
            }
            ChangeKind::TenantUpdated(updated) if updated.status == TenantStatus::Active => {
                void.tenants.remove(tenant);
            }
            _ => return,
        }
        drop(void);
        self.told.fetch_add(1, Ordering::Release);
    }

    /// What was told so far; [`Revocations::voids`] says the same again while it stays.
    pub(super) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// Whether a token is void.
    pub(super) fn voids(&self, token: Token<'_>) -> bool {
        let void = self.read();
        if void.tenants.contains_key(token.tenant) {
            return true;
        }
        // Owned keys cost an allocation, once a token and revocation: what is told is rare.
        let by = |text: &str| (token.tenant.clone(), text.to_owned());
        if token.jti.is_some_and(|jti| void.tokens.contains_key(&by(jti))) {
            return true;
        }
        let issued = token.issued.and_then(|seconds| i64::try_from(seconds).ok());
        let issued = issued.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        void.subjects
            .get(&by(token.subject))
            .is_some_and(|not_before| issued.is_none_or(|issued| issued < *not_before))
    }

    /// Forgets what no token can be about any more, and counts what is left.
    pub fn forget(&self, now: DateTime<Utc>) -> usize {
        let mut void = self.write();
        let matters = |at: &DateTime<Utc>| now - *at < MAX_TOKEN_LIFE;
        void.tokens.retain(|_, at| matters(at));
        void.subjects.retain(|_, at| matters(at));
        // A tenant that is not served gets no tokens meanwhile.
        void.tenants.retain(|_, at| matters(at));
        void.tokens.len() + void.subjects.len() + void.tenants.len()
    }

    fn read(&self) -> RwLockReadGuard<'_, Void> {
        self.void.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Void> {
        self.void.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Void {
    fn before(&mut self, subject: (TenantId, String), time: DateTime<Utc>) {
        let known = self.subjects.entry(subject).or_insert(time);
        *known = (*known).max(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[expect(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
    fn change(tenant: &str, at: i64, kind: &str, data: Value) -> Change {
        let time = DateTime::from_timestamp(at, 0).unwrap();
        let event_id = "00000000-0000-4000-8000-000000000000";
        let value = json!({"event_id": event_id, "tenant_id": tenant, "seq": 1, "type": kind,
            "occurred_at": time, "data": data});
        Change::parse(value.to_string().as_bytes()).unwrap()
    }

    fn void(revocations: &Revocations, tenant: &str, sub: &str, jti: &str, iat: u64) -> bool {
        let tenant = TenantId::parse(tenant).unwrap();
        let (jti, issued) = (Some(jti), Some(iat));
        revocations.voids(Token { tenant: &tenant, subject: sub, jti, issued })
    }

    #[test]
    fn a_token_is_void_by_its_id_its_subject_or_its_tenant_and_no_other_is() {
        let revocations = Revocations::default();
        let before = revocations.told();
        revocations.hear(&change("acme", 100, "credentials.revoked", json!({"jti": "j"})));
        assert!(revocations.told() > before);
        assert!(void(&revocations, "acme", "user:u", "j", 100));
        assert!(!void(&revocations, "other", "user:u", "j", 100));
        assert!(!void(&revocations, "acme", "user:u", "k", 100));

        let user = json!({"id": "u", "active": false});
        revocations.hear(&change("acme", 200, "user.deactivated", user));
        assert!(void(&revocations, "acme", "user:u", "k", 199));
        assert!(!void(&revocations, "acme", "user:u", "k", 200), "issued since");
        assert!(!void(&revocations, "acme", "service_account:u", "k", 199));
        let earlier = json!({"subject": "user:u", "not_before": "1970-01-01T00:00:10Z"});
        revocations.hear(&change("acme", 300, "credentials.revoked", earlier));
        assert!(void(&revocations, "acme", "user:u", "k", 199), "the latest counts");

        let tenant = |status: &str| json!({"id": "acme", "name": "Acme", "status": status});
        revocations.hear(&change("acme", 300, "tenant.suspended", tenant("suspended")));
        assert!(void(&revocations, "acme", "user:v", "k", 400));
        revocations.hear(&change("acme", 400, "tenant.updated", tenant("active")));
        assert!(!void(&revocations, "acme", "user:v", "k", 300));
    }

    #[test]
    fn a_token_that_says_nothing_of_its_age_is_as_old_as_can_be() {
        let revocations = Revocations::default();
        let deleted = json!({"id": "s"});
        revocations.hear(&change("acme", 100, "service_account.deleted", deleted));
        let tenant = TenantId::parse("acme").unwrap();
        let subject = "service_account:s";
        assert!(revocations.voids(Token { tenant: &tenant, subject, jti: None, issued: None }));
    }

    #[test]
    fn what_no_token_can_be_about_is_forgotten() {
        let revocations = Revocations::default();
        revocations.hear(&change("acme", 100, "credentials.revoked", json!({"jti": "j"})));
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let life = MAX_TOKEN_LIFE.num_seconds();
        assert_eq!(revocations.forget(at(99 + life)), 1);
        assert_eq!(revocations.forget(at(100 + life)), 0);
    }
}

//! Who made a change, and the audit event of it.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use contracts::TenantId;
use contracts::audit::{ActorType, AuditEvent, Status};
use contracts::identity::{ChangeKind, MemberKind, Revocation};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Who asks for a mutation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The caller's `sub`, or `anonymous` without authentication.
    pub subject: String,
    /// The address that the request came from.
    pub source_ip: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
}

impl Author {
    /// Somebody at the command line.
    #[must_use]
    pub fn operator() -> Self {
        Self { subject: "operator".to_owned(), source_ip: None, request_id: None }
    }

    /// The kind of the caller, and its id.
    fn actor(&self) -> (ActorType, Option<String>) {
        match self.subject.split_once(':') {
            Some(("user", id)) => (ActorType::User, Some(id.to_owned())),
            Some(("service_account", id)) => (ActorType::ServiceAccount, Some(id.to_owned())),
            _ => (ActorType::System, None),
        }
    }
}

/// The audit event of a change: its type is the action, and what it is about the resource.
pub(super) fn event(
    tenant: &TenantId,
    author: &Author,
    at: DateTime<Utc>,
    seq: u64,
    kind: &ChangeKind,
    details: Map<String, Value>,
) -> (Uuid, AuditEvent) {
    let (resource_type, resource_id, more) = resource(kind);
    let mut details: BTreeMap<String, Value> = details.into_iter().collect();
    details.insert("seq".to_owned(), seq.into());
    details.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
    let what = (kind.name(), Status::Success);
    said(tenant, author, at, what, (resource_type, resource_id), details)
}

/// The audit event of something that somebody did, or was denied, and its id.
pub(crate) fn said(
    tenant: &TenantId,
    author: &Author,
    at: DateTime<Utc>,
    (action, status): (&str, Status),
    (resource_type, resource_id): (&str, String),
    mut details: BTreeMap<String, Value>,
) -> (Uuid, AuditEvent) {
    let id = Uuid::now_v7();
    let (actor_type, actor_id) = author.actor();
    if let Some(request_id) = &author.request_id {
        details.insert("request_id".to_owned(), request_id.as_str().into());
    }
    let event = AuditEvent {
        id: Some(id.to_string()),
        tenant_id: tenant.clone(),
        event_time: Some(at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        actor_id,
        actor_type: Some(actor_type),
        action: action.to_owned(),
        resource_type: Some(resource_type.to_owned()),
        resource_id: Some(resource_id),
        status: Some(status),
        source_ip: author.source_ip.clone(),
        details,
    };
    (id, event)
}

type About = (&'static str, String, Vec<(&'static str, String)>);

/// What a change is about: kind, id, and what else tells it from others.
fn resource(kind: &ChangeKind) -> About {
    use ChangeKind as K;
    let about = |type_, id: &str| (type_, id.to_owned(), Vec::new());
    match kind {
        K::TenantCreated(t) | K::TenantUpdated(t) | K::TenantSuspended(t) => {
            about("tenant", t.id.as_str())
        }
        K::TenantDeleted(t) => about("tenant", t.id.as_str()),
        K::UserCreated(u) | K::UserUpdated(u) | K::UserDeactivated(u) | K::UserReactivated(u) => {
            about("user", u.id.as_str())
        }
        K::UserDeleted(u) => about("user", u.id.as_str()),
        K::ServiceAccountCreated(s)
        | K::ServiceAccountUpdated(s)
        | K::ServiceAccountDeactivated(s)
        | K::ServiceAccountReactivated(s) => about("service_account", s.id.as_str()),
        K::ServiceAccountDeleted(s) => about("service_account", s.id.as_str()),
        K::TeamCreated(t) | K::TeamUpdated(t) => about("team", t.id.as_str()),
        K::TeamDeleted(t) => about("team", t.id.as_str()),
        K::TeamMemberAdded(m) | K::TeamMemberRemoved(m) => {
            let member = vec![
                ("member_type", member_kind(m.member.kind).to_owned()),
                ("member_id", m.member.id.to_string()),
            ];
            ("team", m.team_id.to_string(), member)
        }
        K::ApiKeyCreated(k) | K::ApiKeyRotated(k) | K::ApiKeyRevoked(k) => {
            let owner = vec![("service_account_id", k.service_account_id.to_string())];
            ("api_key", k.id.to_string(), owner)
        }
        K::CredentialsRevoked(revocation) => match revocation {
            Revocation::Token { jti } => about("token", jti.as_str()),
            Revocation::Key { key_id } => about("api_key", key_id.as_str()),
            Revocation::Subject { subject, .. } => about("subject", subject.as_str()),
        },
        K::ChangeSkipped(_) => about("change", ""),
    }
}

fn member_kind(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::User => "user",
        MemberKind::ServiceAccount => "service_account",
        MemberKind::Team => "team",
    }
}

#[cfg(test)]
mod tests {
    use contracts::identity::Change;

    use super::*;

    /// The golden changes, one of each type.
    fn golden() -> impl Iterator<Item = Change> {
        let lines = include_str!("../../../contracts/golden/identity_changes.ndjson").lines();
        lines.map(|line| Change::parse(line.as_bytes()).unwrap())
    }

    #[test]
    fn every_type_of_change_says_what_it_is_about() {
        let author = Author {
            subject: "user:u-9".to_owned(),
            source_ip: None,
            request_id: Some("r-1".to_owned()),
        };
        for change in golden() {
            let Change { tenant_id, seq, occurred_at, kind, .. } = change;
            let (id, event) = event(&tenant_id, &author, occurred_at, seq, &kind, Map::new());
            assert_eq!(event.action, kind.name());
            assert_eq!(event.id, Some(id.to_string()));
            assert_eq!(event.event_time.as_deref(), Some("2026-11-22T14:03:07.123456Z"));
            assert_eq!(
                (event.actor_type, event.actor_id.as_deref()),
                (Some(ActorType::User), Some("u-9"))
            );
            assert_eq!(event.details["request_id"], "r-1");
            let type_ = event.resource_type.unwrap();
            // The type of a change begins with what it is about; members are told of their team.
            assert!(
                kind.name().starts_with(&type_) || kind.name() == "credentials.revoked",
                "{type_}"
            );
        }
    }
}

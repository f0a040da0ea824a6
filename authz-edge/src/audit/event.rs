//! A decision as it waits, and the event that it becomes.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use contracts::audit::{ActorType, AuditEvent, Status};
use contracts::{Revision, TenantId};
use serde_json::Value;
use service_kit::track::given_id;
use uuid::Uuid;

use super::{Asker, Attempt, Route};
use crate::model::key::check_id;

/// What was attempted, as an action in the audit trail.
pub const ACTION: &str = "authz.check";

/// The longest caller that is kept, in bytes.
const MAX_CALLER: usize = 256;

/// An answered check: what the event is made of. A question's own properties are not.
#[derive(Debug)]
pub struct Decided {
    at: DateTime<Utc>,
    tenant: TenantId,
    subject_type: String,
    subject: Option<String>,
    action: Option<String>,
    resource_type: Option<String>,
    resource: Option<String>,
    allowed: bool,
    revision: Revision,
    caller: Option<String>,
    request_id: Option<String>,
    route: Route,
    one_in: Option<u64>,
}

impl Decided {
    pub(super) fn new(
        attempt: &Attempt<'_>,
        allowed: bool,
        revision: Revision,
        asker: &Asker<'_>,
        one_in: Option<u64>,
    ) -> Self {
        let caller = asker.caller.filter(|caller| caller.len() <= MAX_CALLER);
        Self {
            at: Utc::now(),
            tenant: attempt.tenant.clone(),
            subject_type: attempt.subject_type.to_owned(),
            subject: id(attempt.subject),
            action: id(attempt.action),
            resource_type: id(attempt.resource_type),
            resource: id(attempt.resource),
            allowed,
            revision,
            caller: caller.map(str::to_owned),
            request_id: given_id(asker.headers).map(str::to_owned),
            route: asker.route,
            one_in,
        }
    }

    /// In whose trail it belongs.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The event, with an id of its own: publishing it again makes no second one. The actor is who
    /// attempted the action, not who asked whether it is allowed.
    #[must_use]
    pub fn event(self) -> AuditEvent {
        let actor_type = ActorType::parse(&self.subject_type);
        // A team is no actor type; AuthZEN may ask about anything.
        let subject_type = actor_type.is_none().then_some(self.subject_type);
        let details = [
            ("action", self.action),
            ("subject_type", subject_type),
            ("caller", self.caller),
            ("request_id", self.request_id),
            ("revision", Some(self.revision.0.to_string())),
            ("route", Some(self.route.as_str().to_owned())),
            ("sampled_one_in", self.one_in.map(|one_in| one_in.to_string())),
        ];
        let details = details.into_iter();
        AuditEvent {
            id: Some(Uuid::new_v4().to_string()),
            tenant_id: self.tenant,
            event_time: Some(self.at.to_rfc3339_opts(SecondsFormat::Micros, true)),
            actor_id: self.subject,
            actor_type,
            action: ACTION.to_owned(),
            resource_type: self.resource_type,
            resource_id: self.resource,
            status: Some(if self.allowed { Status::Success } else { Status::Denied }),
            source_ip: None,
            details: details
                .filter_map(|(name, text)| Some((name.to_owned(), Value::String(text?))))
                .collect::<BTreeMap<_, _>>(),
        }
    }
}

/// What is no id would make the event a dead letter: AuthZEN denies unknown subjects whatever they ask for.
fn id(text: &str) -> Option<String> {
    check_id("id", text).is_ok().then(|| text.to_owned())
}

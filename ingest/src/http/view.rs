//! An event as the API shows it: the wire form that it came in, with the id that it is stored under.

use std::net::IpAddr;

use contracts::TenantId;
use serde::ser::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::query::StoredEvent;

/// A stored audit event. Absent fields were absent.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub(super) struct EventView<'a> {
    /// Whose event it is.
    #[schema(example = "acme")]
    tenant_id: &'a str,
    /// The id under which it is stored: a version-1 UUID of its time and content.
    #[schema(value_type = String, format = "uuid")]
    event_id: Uuid,
    /// The producer's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// When it happened, RFC 3339, to 100 ns.
    #[schema(example = "2026-11-22T14:03:07.123Z")]
    event_time: String,
    /// Who acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<&'a str>,
    /// `user`, `service_account` or `system`.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_type: Option<&'a str>,
    /// What was done.
    #[schema(example = "document.read")]
    action: &'a str,
    /// To what kind of thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_type: Option<&'a str>,
    /// To which thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<&'a str>,
    /// `SUCCESS`, `FAILURE` or `DENIED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    /// From which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    source_ip: Option<IpAddr>,
    /// Anything else, as text; what was no text is JSON text, and `_extra` holds unknown fields.
    #[serde(skip_serializing_if = "Details::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>, required = false)]
    details: Details<'a>,
}

impl<'a> EventView<'a> {
    pub(super) fn new(tenant: &'a TenantId, event: &'a StoredEvent) -> Self {
        Self {
            tenant_id: tenant.as_str(),
            event_id: event.position.id.0,
            id: event.source_id.as_deref(),
            event_time: event.time().to_rfc3339(),
            actor_id: event.actor_id.as_deref(),
            actor_type: event.actor_type.as_deref(),
            action: &event.action,
            resource_type: event.resource_type.as_deref(),
            resource_id: event.resource_id.as_deref(),
            status: event.status.as_deref(),
            source_ip: event.source_ip,
            details: Details(&event.details),
        }
    }
}

/// `details` as a JSON object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Details<'a>(pub(super) &'a [(String, String)]);

impl Details<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON text; `None` when there are none.
    pub(super) fn to_json(self) -> Option<String> {
        if self.is_empty() { None } else { serde_json::to_string(&self).ok() }
    }
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// One page of events.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(as = AuditEventPage)]
pub(super) struct PageView<'a> {
    /// In the order asked for. May be empty although more follow.
    pub(super) events: Vec<EventView<'a>>,
    /// Send it with the same parameters for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

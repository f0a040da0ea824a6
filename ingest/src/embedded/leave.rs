//! Leaving for another store: every row, and the record that makes the same row wherever it is read.

use std::ops::Bound;
use std::str;

use bytes::Bytes;
use contracts::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use service_kit::bus::Record;
use service_kit::embedded::{DiskError, Space};

use super::read::event;
use super::{AuditStore, key};
use crate::event::body::{encode_body, event_time};
use crate::event::{EXTRA_KEY, Judge, Origin};
use crate::query::StoredEvent;

/// Where a row is among all rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    table: usize,
    key: Vec<u8>,
}

/// A row as it is stored.
#[derive(Debug, Clone)]
pub struct Leaving {
    /// Where it is.
    pub place: Place,
    /// Whose it is.
    pub tenant: TenantId,
    /// When it happened, milliseconds since the epoch.
    pub time: i64,
    body: Vec<u8>,
}

/// Why a row has no record that makes the same row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event of {tenant}, of {time} ms: {reason}")]
pub struct Stays {
    /// Whose it is.
    pub tenant: String,
    /// When it happened, milliseconds since the epoch.
    pub time: i64,
    /// What its record would be instead.
    pub reason: String,
}

impl AuditStore {
    /// Every row behind a place, tenant by tenant and in the order of time, also those whose life is over. Reads the
    /// disk as it is walked.
    pub fn leaving(
        &self,
        after: Option<&Place>,
    ) -> impl Iterator<Item = Result<Leaving, DiskError>> + Send + use<> {
        let first = after.map_or(0, |place| place.table);
        let tables: Vec<_> = self.0.tables.iter().cloned().enumerate().skip(first).collect();
        let after = after.cloned();
        tables.into_iter().flat_map(move |(table, space)| {
            let from = after.as_ref().filter(|place| place.table == table);
            let low = from.map_or(Bound::Unbounded, |place| Bound::Excluded(place.key.clone()));
            rows(table, &space, low)
        })
    }

    /// Whose rows there are, each with the times of the first and the last one in milliseconds. Costs three reads
    /// for each tenant and table.
    ///
    /// # Errors
    /// The disk's.
    pub fn tenants(&self) -> Result<Vec<(TenantId, i64, i64)>, DiskError> {
        let mut found: Vec<(TenantId, i64, i64)> = Vec::new();
        for (table, space) in self.0.tables.iter().enumerate() {
            let mut low = Bound::Unbounded;
            while let Some(first) = rows(table, space, low).next().transpose()? {
                let name = first.tenant.as_str().as_bytes();
                let behind = key::behind(name);
                let own = (Bound::Included(first.place.key), Bound::Excluded(behind.clone()));
                let last = space.range(own).next_back().transpose()?;
                let last = last.map_or(first.time, |(_, body)| event_time(&body));
                match found.iter_mut().find(|(tenant, ..)| *tenant == first.tenant) {
                    Some((_, from, to)) => (*from, *to) = (first.time.min(*from), last.max(*to)),
                    None => found.push((first.tenant, first.time, last)),
                }
                low = Bound::Included(behind);
            }
        }
        found.sort_by(|(a, ..), (b, ..)| a.as_str().cmp(b.as_str()));
        Ok(found)
    }
}

fn rows(
    table: usize,
    space: &Space,
    low: Bound<Vec<u8>>,
) -> impl Iterator<Item = Result<Leaving, DiskError>> + Send + use<> {
    space.range((low, Bound::Unbounded)).map(move |pair| {
        let (key, body) = pair?;
        let tenant = str::from_utf8(key::tenant(&key)).ok().and_then(|t| TenantId::parse(t).ok());
        let tenant = tenant.ok_or_else(|| DiskError::Unusable("a row is nobody's".to_owned()))?;
        let place = Place { table, key: key.to_vec() };
        Ok(Leaving { place, tenant, time: event_time(&body), body: body.to_vec() })
    })
}

impl Leaving {
    /// What it occupies, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len() + self.place.key.len()
    }

    /// What the row says.
    ///
    /// # Errors
    /// A row of another shape.
    pub fn event(&self) -> Result<StoredEvent, crate::query::QueryError> {
        event(&self.body)
    }

    /// The record that makes this very row, byte for byte, when it is published to `topic`: judged here by the rules
    /// that it will be judged by there. Its origin is of the event's own time, so that old events are in time.
    ///
    /// # Errors
    /// The rule that it breaks, or that it would be another row: an event without an id, of another origin.
    pub fn record(&self, judge: &Judge, topic: &str) -> Result<Record, Stays> {
        let stays = |reason: String| {
            let tenant = self.tenant.as_str().to_owned();
            Stays { tenant, time: self.time, reason }
        };
        let event = self.event().map_err(|error| stays(error.to_string()))?;
        let origin = Origin { topic: topic.into(), partition: 0, offset: 0, timestamp: self.time };
        let mut reason = String::new();
        // As it came, which is shorter; else as it is stored.
        for form in [Form::Came, Form::Stored] {
            let payload = self.text(&event, form).map_err(|error| stays(error.to_string()))?;
            match self.is_made_of(&payload, judge, &origin) {
                Ok(()) => {
                    let headers = origin.to_headers();
                    let headers = headers.map(|(name, value)| (name.to_owned(), value.into()));
                    let key = Some(Bytes::from(self.tenant.as_str().to_owned()));
                    let (payload, headers) = (payload.into(), headers.into());
                    return Ok(Record { key, partition: None, payload, headers });
                }
                Err(why) => reason = why,
            }
        }
        Err(stays(reason))
    }

    fn is_made_of(&self, payload: &[u8], judge: &Judge, origin: &Origin) -> Result<(), String> {
        let judged = judge
            .judge(payload, origin)
            .map_err(|refused| format!("{}: {}", refused.reason.code(), refused.detail))?;
        let mut body = Vec::with_capacity(self.body.len());
        encode_body(&judged.event, judged.time, judged.id, &mut body);
        match body == self.body && *judged.event.tenant == *self.tenant.as_str() {
            true => Ok(()),
            false => Err("its record would be another row".to_owned()),
        }
    }

    fn text(&self, event: &StoredEvent, form: Form) -> serde_json::Result<Vec<u8>> {
        let mut details = Vec::with_capacity(event.details.len());
        let mut fields: Vec<(String, Box<RawValue>)> = Vec::new();
        for (name, text) in &event.details {
            let is_json = form == Form::Came && text.starts_with(['{', '[']);
            let json = || RawValue::from_string(text.clone()).ok();
            match is_json.then(json).flatten() {
                Some(json) if name == EXTRA_KEY && text.starts_with('{') => {
                    let members: Members = serde_json::from_str(json.get())?;
                    fields.extend(members.0);
                }
                Some(json) => details.push((name.clone(), json)),
                None => details.push((name.clone(), to_raw_value(text)?)),
            }
        }
        let time = event.time().to_rfc3339();
        let address = event.source_ip.map(|ip| ip.to_string());
        let known = [
            ("id", event.source_id.as_deref()),
            ("tenant_id", Some(self.tenant.as_str())),
            ("event_time", Some(&time)),
            ("actor_id", event.actor_id.as_deref()),
            ("actor_type", event.actor_type.as_deref()),
            ("action", Some(&event.action)),
            ("resource_type", event.resource_type.as_deref()),
            ("resource_id", event.resource_id.as_deref()),
            ("status", event.status.as_deref()),
            ("source_ip", address.as_deref()),
        ];
        for (name, value) in known {
            if let Some(value) = value {
                fields.push((name.to_owned(), to_raw_value(value)?));
            }
        }
        if !details.is_empty() {
            fields.push(("details".to_owned(), to_raw_value(&Members(details))?));
        }
        serde_json::to_vec(&Members(fields))
    }
}

/// How details are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// What is JSON as JSON, unknown fields beside the others.
    Came,
    /// As texts.
    Stored,
}

/// Members of an object, in their order.
struct Members(Vec<(String, Box<RawValue>)>);

impl Serialize for Members {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
#[path = "leave_tests.rs"]
mod tests;

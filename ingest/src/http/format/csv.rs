//! CSV as RFC 4180 has it.

use std::io;

use contracts::TenantId;
use csv::{Terminator, Writer, WriterBuilder};

use crate::http::view::Details;
use crate::query::StoredEvent;

const HEADER: [&str; 12] = [
    "tenant_id",
    "event_id",
    "id",
    "event_time",
    "actor_id",
    "actor_type",
    "action",
    "resource_type",
    "resource_id",
    "status",
    "source_ip",
    "details",
];

pub(in crate::http) struct Csv {
    tenant: TenantId,
    /// The header line, before the first page.
    head: Vec<u8>,
}

impl Csv {
    pub(super) fn new(tenant: TenantId) -> io::Result<Self> {
        let mut writer = writer(Vec::new());
        writer.write_record(HEADER)?;
        Ok(Self { tenant, head: taken(writer)? })
    }

    pub(super) fn push(&mut self, events: &[StoredEvent]) -> io::Result<Vec<u8>> {
        let mut writer = writer(std::mem::take(&mut self.head));
        for event in events {
            let own = |text: &Option<String>| text.clone().unwrap_or_default();
            writer.write_record([
                self.tenant.to_string(),
                event.position.id.to_string(),
                own(&event.source_id),
                event.time().to_rfc3339(),
                own(&event.actor_id),
                own(&event.actor_type),
                event.action.clone(),
                own(&event.resource_type),
                own(&event.resource_id),
                own(&event.status),
                event.source_ip.map(|ip| ip.to_string()).unwrap_or_default(),
                Details(&event.details).to_json().unwrap_or_default(),
            ])?;
        }
        taken(writer)
    }

    /// An export of nothing is a header line.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        Ok(self.head)
    }
}

fn writer(to: Vec<u8>) -> Writer<Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(to)
}

fn taken(writer: Writer<Vec<u8>>) -> io::Result<Vec<u8>> {
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

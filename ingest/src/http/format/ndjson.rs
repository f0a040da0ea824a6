//! Newline-delimited JSON: every line is what a page shows of the event.

use std::io;

use contracts::TenantId;

use crate::http::view::EventView;
use crate::query::StoredEvent;

pub(in crate::http) struct Ndjson {
    tenant: TenantId,
}

impl Ndjson {
    pub(super) fn new(tenant: TenantId) -> Self {
        Self { tenant }
    }

    pub(super) fn push(&self, events: &[StoredEvent]) -> io::Result<Vec<u8>> {
        let mut lines = Vec::with_capacity(events.len() * 512);
        for event in events {
            serde_json::to_writer(&mut lines, &EventView::new(&self.tenant, event))?;
            lines.push(b'\n');
        }
        Ok(lines)
    }
}

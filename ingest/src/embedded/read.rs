//! Rows, for the query engine.

use std::net::IpAddr;
use std::ops::Bound;

use chrono::Utc;
use contracts::EventId;
use service_kit::embedded::{DiskError, Space};
use uuid::Uuid;

use super::{AuditStore, key};
use crate::event::body::{HEAD, cells, event_time};
use crate::layout::{Bucket, ClassId};
use crate::query::store::{Slice, Store};
use crate::query::{Filter, Order, Position, QueryError, StoredEvent};

/// Rows that one fetch looks at for its filter. Behind them it returns what it meets: the engine filters again,
/// and its bounds hold.
const SOUGHT: usize = 50_000;

impl Store for AuditStore {
    /// Some microseconds a row; reading beside the runtime, as the disk may be slow.
    async fn fetch(&self, slice: Slice<'_>) -> Result<Vec<StoredEvent>, QueryError> {
        let fetch = Fetch {
            table: self.0.tables[slice.class.index()].clone(),
            bounds: key::bounds(&slice, oldest(slice.class)),
            order: slice.order,
            filter: slice.filter.clone(),
            limit: slice.limit,
        };
        if empty(&fetch.bounds) {
            return Ok(Vec::new());
        }
        let fetched = tokio::task::spawn_blocking(move || fetch.run()).await;
        fetched.map_err(|error| QueryError::Internal(error.to_string()))?
    }

    async fn get(
        &self,
        class: ClassId,
        tenant: &str,
        _: Bucket,
        at: Position,
    ) -> Result<Option<StoredEvent>, QueryError> {
        if at.time < oldest(class) {
            return Ok(None);
        }
        let (table, key) = (self.0.tables[class.index()].clone(), key::of(tenant, at));
        let read = move || {
            table.get(&key).map_err(|error| failed(&error))?.as_deref().map(event).transpose()
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| QueryError::Internal(error.to_string()))?
    }
}

/// Rows before that time (milliseconds) are over.
fn oldest(class: ClassId) -> i64 {
    Utc::now().timestamp_millis() - i64::from(class.class().days) * 86_400_000
}

fn empty(bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> bool {
    match bounds {
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
        _ => false,
    }
}

fn failed(error: &DiskError) -> QueryError {
    QueryError::Unavailable(error.to_string())
}

struct Fetch {
    table: Space,
    bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    order: Order,
    filter: Filter,
    limit: usize,
}

impl Fetch {
    fn run(self) -> Result<Vec<StoredEvent>, QueryError> {
        let mut pairs = self.table.range(self.bounds);
        let (mut found, mut examined) = (Vec::new(), 0);
        let sought = (!self.filter.is_empty()).then(|| self.filter.fields());
        while found.len() < self.limit {
            let next = match self.order {
                Order::Newest => pairs.next_back(),
                Order::Oldest => pairs.next(),
            };
            let Some(pair) = next else { break };
            let (_, body) = pair.map_err(|error| failed(&error))?;
            examined += 1;
            match &sought {
                Some(fields) if examined <= SOUGHT && !admits(fields, &body) => {}
                _ => found.push(event(&body)?),
            }
        }
        Ok(found)
    }
}

/// [`Filter::admits`], of a row as it is stored.
fn admits(fields: &[Option<&str>; 5], body: &[u8]) -> bool {
    let mut cells = cells(body);
    let mut next = || cells.next().flatten();
    let (actor, _, action, resource, type_, status) =
        (next(), next(), next(), next(), next(), next());
    let values = [actor, action, type_, resource, status];
    fields
        .iter()
        .zip(values)
        .all(|(asked, value)| asked.is_none() || asked.map(str::as_bytes) == value)
}

/// A row as it is stored.
pub(super) fn event(body: &[u8]) -> Result<StoredEvent, QueryError> {
    read(body).ok_or_else(|| QueryError::Internal("a row has another shape".to_owned()))
}

fn read(body: &[u8]) -> Option<StoredEvent> {
    let id = Uuid::from_slice(body.get(16..HEAD)?).ok()?;
    let position = Position { time: event_time(body), id: EventId(id) };
    let mut cells = cells(body);
    let text = |cell: Option<&[u8]>| -> Option<Option<String>> {
        cell.map(|bytes| std::str::from_utf8(bytes).map(str::to_owned)).transpose().ok()
    };
    let actor_id = text(cells.next()?)?;
    let actor_type = text(cells.next()?)?;
    let action = text(cells.next()?)?.unwrap_or_default();
    let resource_id = text(cells.next()?)?;
    let resource_type = text(cells.next()?)?;
    let status = text(cells.next()?)?;
    let source_ip = match cells.next()? {
        None => None,
        Some(bytes) => Some(address(bytes)?),
    };
    let details = cells.next()?.map_or(Some(Vec::new()), details)?;
    let source_id = text(cells.next()?)?;
    Some(StoredEvent {
        position,
        source_id,
        actor_id,
        actor_type,
        action,
        resource_id,
        resource_type,
        status,
        source_ip,
        details,
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    }
}

/// CQL's `map<text, text>`, as `encode_body` writes it.
fn details(cell: &[u8]) -> Option<Vec<(String, String)>> {
    let (count, mut rest) = cell.split_first_chunk::<4>()?;
    let mut text = || -> Option<String> {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (text, behind) = behind.split_at_checked(length)?;
        rest = behind;
        String::from_utf8(text.to_vec()).ok()
    };
    (0..u32::from_be_bytes(*count)).map(|_| Some((text()?, text()?))).collect()
}

//! An in-memory store: what the page algorithm is tested against.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use contracts::EventId;
use uuid::Uuid;

use super::store::{Slice, Store};
use super::{Order, Position, QueryError, StoredEvent};
use crate::event::Ticks;
use crate::layout::{Bucket, ClassId, Layouts};

pub(crate) type Key = (usize, String, String);

/// Partitions of rows, sorted.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) partitions: BTreeMap<Key, BTreeMap<Position, StoredEvent>>,
    /// Whether it leaves out rows that the filter does not admit, as an index would.
    pub(crate) pushes: bool,
    /// Fetches so far.
    pub(crate) fetches: AtomicUsize,
    /// After so many fetches everything fails.
    pub(crate) fails_after: Option<usize>,
}

impl Model {
    /// Places an event as the sink would.
    pub(crate) fn insert(&mut self, layouts: &Layouts, tenant: &str, event: StoredEvent) {
        let Position { time, id } = event.position;
        let layout = layouts.governing(tenant, time);
        let bucket = Bucket::new(layout.granularity, time, layout.shard_of(id));
        let key = key(layout.class, tenant, bucket);
        self.partitions.entry(key).or_default().insert(event.position, event);
    }
}

fn key(class: ClassId, tenant: &str, bucket: Bucket) -> Key {
    (class.index(), tenant.to_owned(), bucket.as_str().to_owned())
}

impl Store for Model {
    async fn fetch(&self, slice: Slice<'_>) -> Result<Vec<StoredEvent>, QueryError> {
        let before = self.fetches.fetch_add(1, Ordering::Relaxed);
        if self.fails_after.is_some_and(|after| before >= after) {
            return Err(QueryError::Unavailable("as the test says".to_owned()));
        }
        tokio::task::yield_now().await;
        let key = key(slice.class, slice.tenant, slice.bucket);
        let Some(rows) = self.partitions.get(&key) else { return Ok(Vec::new()) };
        let wanted = |event: &&StoredEvent| {
            (slice.from..slice.to).contains(&event.position.time)
                && (!self.pushes || slice.filter.admits(event))
        };
        let beyond = |event: &&StoredEvent| match (slice.after, slice.order) {
            (None, _) => true,
            (Some(after), Order::Newest) => event.position < after,
            (Some(after), Order::Oldest) => event.position > after,
        };
        let rows = rows.values().filter(wanted).filter(beyond);
        Ok(match slice.order {
            Order::Newest => rows.rev().take(slice.limit).cloned().collect(),
            Order::Oldest => rows.take(slice.limit).cloned().collect(),
        })
    }

    async fn get(
        &self,
        class: ClassId,
        tenant: &str,
        bucket: Bucket,
        at: Position,
    ) -> Result<Option<StoredEvent>, QueryError> {
        let rows = self.partitions.get(&key(class, tenant, bucket));
        Ok(rows.and_then(|rows| rows.get(&at)).cloned())
    }
}

/// The id of an event at `time` whose content hashes to `content`.
pub(crate) fn id_at(time: Ticks, content: u64) -> EventId {
    let stamp = time.gregorian();
    let high = (stamp << 32) | ((stamp >> 16) & 0xFFFF_0000) | 0x1000 | (stamp >> 48);
    EventId(Uuid::from_u64_pair(high, 0x8000_0000_0000_0000 | (content >> 2)))
}

/// A bare event.
pub(crate) fn event(position: Position) -> StoredEvent {
    StoredEvent {
        position,
        source_id: None,
        actor_id: None,
        actor_type: None,
        action: "x".to_owned(),
        resource_id: None,
        resource_type: None,
        status: None,
        source_ip: None,
        details: Vec::new(),
    }
}

//! The partitions of one bucket, merged into one order.

use std::collections::VecDeque;

use futures::future::try_join_all;

use super::plan::Stretch;
use super::store::{Slice, Store};
use super::{Order, Position, QueryError, RangeQuery, StoredEvent};
use crate::layout::Bucket;

/// What of one partition has been fetched and not yet merged.
struct Lane {
    bucket: Bucket,
    rows: VecDeque<StoredEvent>,
    /// The last row fetched, or where the page resumes.
    after: Option<Position>,
    exhausted: bool,
}

impl Lane {
    fn is_dry(&self) -> bool {
        self.rows.is_empty() && !self.exhausted
    }
}

/// What a fetch brought, for the bounds of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Fetched {
    pub(super) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

/// A bucket's partitions, one lane each.
pub(super) struct Lanes {
    pub(super) stretch: Stretch,
    lanes: Vec<Lane>,
}

impl Lanes {
    /// Nothing is fetched yet. `after` holds where it lies within the stretch, and excludes nothing
    /// where it lies before it.
    pub(super) fn new(stretch: Stretch, after: Option<Position>) -> Self {
        let after = after.filter(|after| (stretch.from..stretch.to).contains(&after.time));
        let lanes = stretch.buckets();
        let lanes =
            lanes.map(|bucket| Lane { bucket, rows: VecDeque::new(), after, exhausted: false });
        Self { stretch, lanes: lanes.collect() }
    }

    /// Lanes that must be fetched before the next row is known.
    pub(super) fn dry(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.is_dry()).count()
    }

    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.lanes.iter().all(|lane| lane.exhausted && lane.rows.is_empty())
    }

    /// Whether everything that is left has been fetched.
    pub(super) fn is_exhausted(&self) -> bool {
        self.lanes.iter().all(|lane| lane.exhausted)
    }

    /// Fetches up to `limit` rows into every dry lane, at once.
    pub(super) async fn fill<S: Store>(
        &mut self,
        store: &S,
        query: &RangeQuery,
        limit: usize,
    ) -> Result<Fetched, QueryError> {
        let stretch = self.stretch;
        let dry = self.lanes.iter_mut().filter(|lane| lane.is_dry());
        let fetches = dry.map(|lane| async move {
            let slice = Slice {
                class: stretch.class,
                tenant: query.tenant.as_str(),
                bucket: lane.bucket,
                from: stretch.from,
                to: stretch.to,
                order: query.order,
                after: lane.after,
                filter: &query.filter,
                limit,
            };
            let rows = store.fetch(slice).await?;
            let fetched =
                Fetched { rows: rows.len(), bytes: rows.iter().map(StoredEvent::bytes).sum() };
            lane.exhausted = rows.len() < limit;
            lane.after = rows.last().map(|row| row.position).or(lane.after);
            lane.rows = rows.into();
            Ok::<_, QueryError>(fetched)
        });
        let mut sum = Fetched::default();
        for fetched in try_join_all(fetches).await? {
            sum.add(fetched);
        }
        Ok(sum)
    }

    /// The next row in `order`; only meaningful while no lane is dry.
    pub(super) fn pop(&mut self, order: Order) -> Option<StoredEvent> {
        let heads = self.lanes.iter().enumerate();
        let heads = heads.filter_map(|(i, lane)| lane.rows.front().map(|row| (row.position, i)));
        // Sixteen heads at most: a scan is as fast as a heap.
        let (_, lane) = match order {
            Order::Newest => heads.max_by_key(|(position, _)| *position)?,
            Order::Oldest => heads.min_by_key(|(position, _)| *position)?,
        };
        self.lanes[lane].rows.pop_front()
    }
}

//! What a store of events must answer.

use std::future::Future;

use super::{Filter, Order, Position, QueryError, StoredEvent};
use crate::layout::{Bucket, ClassId};

/// A stretch of one partition.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a> {
    /// The table.
    pub class: ClassId,
    /// The tenant.
    pub tenant: &'a str,
    /// The bucket, with its shard.
    pub bucket: Bucket,
    /// First `event_time`, milliseconds, inclusive.
    pub from: i64,
    /// Last `event_time`, milliseconds, exclusive.
    pub to: i64,
    /// In which order rows are returned.
    pub order: Order,
    /// Only rows beyond this one, in that order.
    pub after: Option<Position>,
    /// What the caller will keep. A hint: a store may leave out rows that it does not admit.
    pub filter: &'a Filter,
    /// Rows at most, at least 1.
    pub limit: usize,
}

/// A store of events: Cassandra, and an embedded one later.
pub trait Store: Send + Sync + 'static {
    /// The first rows of a slice, in its order. Fewer than `limit` say that the slice ends there.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout` or `Internal`.
    fn fetch(
        &self,
        slice: Slice<'_>,
    ) -> impl Future<Output = Result<Vec<StoredEvent>, QueryError>> + Send;

    /// One row, if it is there.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout` or `Internal`.
    fn get(
        &self,
        class: ClassId,
        tenant: &str,
        bucket: Bucket,
        at: Position,
    ) -> impl Future<Output = Result<Option<StoredEvent>, QueryError>> + Send;
}

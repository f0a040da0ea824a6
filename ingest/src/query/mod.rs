//! Audit events back by time range: pages over buckets and shards, with cursors that resume exactly.
//!
//! | module | what it holds |
//! |---|---|
//! | [`store`] | what a store must answer: one slice of one partition, one row |
//! | [`cassandra`] | that, by prepared CQL |
//! | `plan` | which buckets a range touches, in order |
//! | `lane`, `page` | the merge of a bucket's shards, and one page of bounded work |
//! | [`cursor`] | where a page ended, authenticated |
//! | [`engine`], `pool` | pages under a deadline, in a bounded pool of their own |
//!
//! Order is Cassandra's: `event_time`, then `event_id` as a timeuuid compares ([`Position`]). Layouts
//! cut time into segments, so a bucket whose name two segments share is read once for each, between
//! other bounds: no row comes twice.

#[cfg(feature = "engines")]
pub mod cassandra;
pub mod cursor;
pub mod engine;
mod event;
mod lane;
mod page;
mod plan;
mod pool;
pub mod store;

#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
mod page_tests;

pub use engine::{Engine, LayoutSource, Options};
pub use event::{Position, StoredEvent};
pub use page::Page;

use contracts::TenantId;

use crate::event::Ticks;

/// In which order events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Latest first, as the tables are clustered.
    #[default]
    Newest,
    /// Earliest first.
    Oldest,
}

/// A stretch of time, `[from, to)`, to the tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// Inclusive.
    pub from: Ticks,
    /// Exclusive.
    pub to: Ticks,
}

impl TimeRange {
    /// The bounds in milliseconds, `[from, to)`, widened to whole ones: the clustering column knows no
    /// finer time, so the service drops what the widening let in.
    fn millis(self) -> (i64, i64) {
        let to = self.to.millis();
        let cut = Ticks::from_millis(to) != self.to;
        (self.from.millis(), to + i64::from(cut))
    }
}

/// What an event must equal; absent fields admit everything. All given ones must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Who acted.
    pub actor_id: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// To what kind of thing.
    pub resource_type: Option<String>,
    /// To which thing.
    pub resource_id: Option<String>,
    /// How it ended.
    pub status: Option<String>,
}

impl Filter {
    /// The fields in one fixed order.
    #[must_use]
    pub fn fields(&self) -> [Option<&str>; 5] {
        [&self.actor_id, &self.action, &self.resource_type, &self.resource_id, &self.status]
            .map(Option::as_deref)
    }

    /// Whether it admits everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields().iter().all(Option::is_none)
    }

    /// Whether `event` has every value that is asked for.
    #[must_use]
    pub fn admits(&self, event: &StoredEvent) -> bool {
        let values = [
            event.actor_id.as_deref(),
            Some(event.action.as_str()),
            event.resource_type.as_deref(),
            event.resource_id.as_deref(),
            event.status.as_deref(),
        ];
        self.fields().iter().zip(values).all(|(asked, value)| asked.is_none() || *asked == value)
    }
}

/// A question: a tenant's events of a time range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeQuery {
    /// Whose events.
    pub tenant: TenantId,
    /// When they happened.
    pub range: TimeRange,
    /// Which of them.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
}

/// Up to where a query has been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Up to and with this row.
    After(Position),
    /// Every event at or beyond that time (newest first), or before it (oldest first); milliseconds.
    Boundary(i64),
}

/// Why there is no answer. All but `Internal` are worth another try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Too many requests wait already.
    #[error("too many reads are waiting")]
    Busy,
    /// The layouts were last read too long ago to know where events are.
    #[error("the layout registry was last read too long ago")]
    Stale,
    /// Not enough replicas are there, or nobody answers.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The deadline passed.
    #[error("the store did not answer in time")]
    Timeout,
    /// Anything else: a missing table, a revoked grant, a row of another shape.
    #[error("the store failed: {0}")]
    Internal(String),
}

impl QueryError {
    /// One of each kind, for whoever counts them by kind.
    pub const ALL: [Self; 5] = [
        Self::Busy,
        Self::Stale,
        Self::Unavailable(String::new()),
        Self::Timeout,
        Self::Internal(String::new()),
    ];

    /// A short name, for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Stale => "stale",
            Self::Unavailable(_) => "unavailable",
            Self::Timeout => "timeout",
            Self::Internal(_) => "internal",
        }
    }
}

//! Reads as the service offers them: in a bounded pool, each under a deadline.

use std::sync::Arc;
use std::time::Duration;

use contracts::{EventId, TenantId};
use metrics::{counter, histogram};
use tokio::time::{Instant, timeout_at};

use super::page::{Budget, read};
use super::pool::Pool;
use super::store::Store;
use super::{Page, Position, QueryError, RangeQuery, Resume, StoredEvent};
use crate::config::{LimitsConfig, QueryConfig};
use crate::event::{Ticks, time_of};
use crate::layout::{Bucket, Layouts};

/// Where events are; `None` while that is not known: `Registry::current`.
pub type LayoutSource = Box<dyn Fn() -> Option<Arc<Layouts>> + Send + Sync>;

/// The bounds of reads.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Pages read at once.
    pub concurrency: usize,
    /// Requests that may wait for a slot.
    pub queue: usize,
    /// Partitions read for one page.
    pub page_partitions: usize,
    /// Rows examined for one page.
    pub page_rows: usize,
    /// Time for one page, waiting included.
    pub timeout: Duration,
    /// How far ahead of now an event can be, milliseconds.
    pub future: i64,
}

impl Options {
    /// As configured.
    #[must_use]
    pub fn new(query: &QueryConfig, limits: &LimitsConfig) -> Self {
        Self {
            concurrency: query.concurrency,
            queue: query.queue,
            page_partitions: query.page_partitions,
            page_rows: query.page_rows,
            timeout: Duration::from_millis(query.timeout_ms),
            future: limits.future_millis(),
        }
    }
}

/// Answers range queries and looks up events.
pub struct Engine<S> {
    store: S,
    layouts: LayoutSource,
    pool: Pool,
    options: Options,
}

impl<S: Store> Engine<S> {
    /// An engine that reads `store` as `layouts` say.
    pub fn new(
        store: S,
        layouts: impl Fn() -> Option<Arc<Layouts>> + Send + Sync + 'static,
        options: Options,
    ) -> Self {
        let pool = Pool::new(options.concurrency, options.queue);
        Self { store, layouts: Box::new(layouts), pool, options }
    }

    /// One page of `query` from `resume` on, of at most `limit` events; `now` in milliseconds.
    ///
    /// It ends early, perhaps empty, when its work is done or half its time is over. Dropping the
    /// future frees its slot.
    ///
    /// # Errors
    /// [`QueryError`]; nothing is half answered.
    pub async fn page(
        &self,
        query: &RangeQuery,
        resume: Option<Resume>,
        limit: usize,
        now: i64,
    ) -> Result<Page, QueryError> {
        let begun = Instant::now();
        let budget = Budget {
            partitions: self.options.page_partitions,
            rows: self.options.page_rows,
            until: begun + self.options.timeout / 2,
        };
        let exists = (now, self.options.future);
        let page = self.within(begun, async {
            let layouts = (self.layouts)().ok_or(QueryError::Stale)?;
            read(&self.store, &layouts, query, resume, limit, budget, exists).await
        });
        let page = page.await?;
        histogram!("triad_ingest_query_page_seconds").record(begun.elapsed());
        counter!("triad_ingest_query_partitions_total").increment(page.partitions as u64);
        counter!("triad_ingest_query_examined_rows_total").increment(page.examined as u64);
        counter!("triad_ingest_query_returned_rows_total").increment(page.events.len() as u64);
        Ok(page)
    }

    /// The event of that id: one point read of the partition that the id itself names.
    ///
    /// # Errors
    /// [`QueryError`]. An id that no event can have is `None`.
    pub async fn get(
        &self,
        tenant: &TenantId,
        id: EventId,
    ) -> Result<Option<StoredEvent>, QueryError> {
        let Some(time) = time_of(id).map(Ticks::millis).filter(|time| *time >= 0) else {
            return Ok(None);
        };
        self.within(Instant::now(), async {
            let layouts = (self.layouts)().ok_or(QueryError::Stale)?;
            let layout = layouts.governing(tenant.as_str(), time);
            let bucket = Bucket::new(layout.granularity, time, layout.shard_of(id));
            let at = Position { time, id };
            self.store.get(layout.class, tenant.as_str(), bucket, at).await
        })
        .await
    }

    /// `read` in a slot, ended by the deadline.
    async fn within<T>(
        &self,
        begun: Instant,
        read: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        let work = async {
            let _slot = self.pool.enter().await?;
            read.await
        };
        let outcome = timeout_at(begun + self.options.timeout, work).await;
        let outcome = outcome.unwrap_or(Err(QueryError::Timeout));
        if let Err(error) = &outcome {
            counter!("triad_ingest_query_errors_total", "error" => error.label()).increment(1);
        }
        outcome
    }
}

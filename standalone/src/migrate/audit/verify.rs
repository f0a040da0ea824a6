//! Both sides read back through the query engine, page by page in the order of time, and compared event by event.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use chrono::Utc;
use contracts::TenantId;
use ingest::Config;
use ingest::embedded::AuditStore;
use ingest::event::Ticks;
use ingest::layout::ClassId;
use ingest::layout::registry::Registry;
use ingest::query::cassandra::CassandraStore;
use ingest::query::store::Store;
use ingest::query::{
    Engine, Filter, Options, Order, QueryError, RangeQuery, Resume, StoredEvent, TimeRange,
};

use crate::migrate::MigrateError;

/// Events of one page.
const PAGE: usize = 500;
/// A read that did not succeed is tried so often, with growing waits in between.
const ATTEMPTS: u32 = 8;
/// Who will be over within this may be over before it is read there, milliseconds.
const SOON: i64 = 3_600_000;

/// What was compared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Verified {
    /// Events that are the same on both sides.
    pub(super) same: u64,
    /// Events whose life is over, or all but.
    pub(super) over: u64,
}

/// Compares every tenant's events. What is there beside them was written there: rebuilds and imports tell of
/// themselves.
pub(super) async fn all(
    from: &AuditStore,
    to: CassandraStore,
    registry: Registry,
    config: &Config,
) -> Result<Verified, MigrateError> {
    let mut options = Options::new(&config.query, &config.limits);
    options.timeout = options.timeout.max(Duration::from_secs(30));
    let layouts = from.layouts();
    let here = Engine::new(from.clone(), move || Some(std::sync::Arc::clone(&layouts)), options);
    let there = {
        let registry = registry.clone();
        Engine::new(to, move || registry.current(), options)
    };
    let mut verified = Verified::default();
    for (tenant, first, last) in from.tenants()? {
        registry.refresh().await?;
        let range = TimeRange { from: Ticks::from_millis(first), to: Ticks::from_millis(last + 1) };
        let query = RangeQuery { tenant, range, filter: Filter::default(), order: Order::Oldest };
        let sides = Sides {
            here: Reader::new(&here, &query),
            there: Reader::new(&there, &query),
            registry: &registry,
            tenant: &query.tenant,
        };
        sides.compare(&mut verified).await?;
    }
    Ok(verified)
}

struct Sides<'a> {
    here: Reader<'a, AuditStore>,
    there: Reader<'a, CassandraStore>,
    registry: &'a Registry,
    tenant: &'a TenantId,
}

impl Sides<'_> {
    async fn compare(mut self, verified: &mut Verified) -> Result<(), MigrateError> {
        let mut found = self.there.next(self.registry).await?;
        while let Some(own) = self.here.next(self.registry).await? {
            let now = Utc::now().timestamp_millis();
            if ClassId::ONE_YEAR.remaining_seconds(own.position.time, now + SOON).is_none() {
                verified.over += 1;
                continue;
            }
            // Others there are nothing of ours.
            while found.as_ref().is_some_and(|found| before(found, &own)) {
                found = self.there.next(self.registry).await?;
            }
            if found.as_ref() != Some(&own) {
                return Err(self.differs(&own, found.is_some_and(|f| f.position == own.position)));
            }
            verified.same += 1;
            found = self.there.next(self.registry).await?;
        }
        Ok(())
    }

    fn differs(&self, own: &StoredEvent, has_other_content: bool) -> MigrateError {
        let (tenant, id, at) = (self.tenant, own.position.id, own.time().to_rfc3339());
        let how = if has_other_content { "has other content" } else { "is missing" };
        let why = format!("the event {id} of {tenant}, of {at}, {how} in Cassandra");
        MigrateError::Differs(format!(
            "{why}; look at the dead letters, and call again once that is mended"
        ))
    }
}

fn before(found: &StoredEvent, own: &StoredEvent) -> bool {
    found.position.cmp(&own.position) == Ordering::Less
}

/// The events of a query, one after the other.
struct Reader<'a, S> {
    engine: &'a Engine<S>,
    query: &'a RangeQuery,
    read: VecDeque<StoredEvent>,
    resume: Option<Resume>,
    is_last: bool,
}

impl<'a, S: Store> Reader<'a, S> {
    fn new(engine: &'a Engine<S>, query: &'a RangeQuery) -> Self {
        Self { engine, query, read: VecDeque::new(), resume: None, is_last: false }
    }

    async fn next(&mut self, registry: &Registry) -> Result<Option<StoredEvent>, MigrateError> {
        while self.read.is_empty() && !self.is_last {
            let page = self.page(registry).await?;
            self.read = page.events.into();
            (self.resume, self.is_last) = (page.next, page.next.is_none());
        }
        Ok(self.read.pop_front())
    }

    async fn page(&self, registry: &Registry) -> Result<ingest::query::Page, MigrateError> {
        let mut wait = Duration::from_millis(100);
        for _ in 1..ATTEMPTS {
            let now = Utc::now().timestamp_millis();
            match self.engine.page(self.query, self.resume, PAGE, now).await {
                Err(error @ QueryError::Internal(_)) => return Err(error.into()),
                Err(QueryError::Stale) => registry.refresh().await?,
                Err(_) => tokio::time::sleep(wait).await,
                Ok(page) => return Ok(page),
            }
            wait *= 2;
        }
        let now = Utc::now().timestamp_millis();
        Ok(self.engine.page(self.query, self.resume, PAGE, now).await?)
    }
}

//! Tenants that outgrow their layout are promoted on their measured rate in event time, summed over
//! all replicas. What counts is when events happened, not when they were read: a backlog that is
//! caught up with promotes nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use metrics::counter;
use scylla::errors::{ExecutionError, PrepareError};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use service_kit::shutdown::Shutdown;
use tracing::{info, warn};
use uuid::Uuid;

use super::registry::{Registry, RegistryError};
use super::{Granularity, Layout, Layouts, MAX_SHARDS};
use crate::config::LayoutConfig;
use crate::sink::session::Cassandra;

/// The stretch of event time over which a rate is measured.
pub const SLOT_MILLIS: i64 = 600_000;
/// Slots of the past that are still counted.
const KEPT_SLOTS: i64 = 6;
/// Tenants counted in a slot; a tenant that is first seen beyond it is small.
const MAX_TENANTS: usize = 65_536;

/// Rows by tenant and slot of event time, as this process wrote them.
#[derive(Debug, Default)]
pub struct RowCounts(Mutex<Slots>);

/// Rows by tenant, by slot.
type Slots = HashMap<i64, HashMap<Box<[u8]>, u64>>;

impl RowCounts {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts rows of `tenant`; rows of long ago are not counted. Called once a batch.
    pub fn note(&self, tenant: &[u8], event_time: i64, rows: u64) {
        self.note_at(tenant, event_time, rows, Utc::now().timestamp_millis());
    }

    /// The same at `now`, milliseconds since the epoch.
    pub fn note_at(&self, tenant: &[u8], event_time: i64, rows: u64, now: i64) {
        let (slot, oldest) = (slot_of(event_time), oldest_of(now));
        if slot < oldest {
            return;
        }
        let mut slots = self.lock();
        // Also where nobody promotes, and so nobody asks.
        if !slots.contains_key(&slot) {
            slots.retain(|slot, _| *slot >= oldest);
        }
        let tenants = slots.entry(slot).or_default();
        if let Some(count) = tenants.get_mut(tenant) {
            *count += rows;
        } else if tenants.len() < MAX_TENANTS {
            tenants.insert(tenant.into(), rows);
        }
    }

    /// Slots with tenants and their counts of at least `floor`, after forgetting slots that are too old at
    /// `now`, milliseconds since the epoch.
    pub fn above(&self, floor: u64, now: i64) -> Vec<(i64, String, u64)> {
        let (mut slots, oldest) = (self.lock(), oldest_of(now));
        slots.retain(|slot, _| *slot >= oldest);
        let text = |tenant: &[u8]| String::from_utf8_lossy(tenant).into_owned();
        let all = slots.iter().flat_map(|(slot, tenants)| {
            tenants.iter().map(|(tenant, count)| (*slot, text(tenant), *count))
        });
        all.filter(|(.., count)| *count >= floor).collect()
    }
}

fn slot_of(time: i64) -> i64 {
    time.div_euclid(SLOT_MILLIS)
}

/// The oldest slot that is counted at `now`.
fn oldest_of(now: i64) -> i64 {
    slot_of(now) - KEPT_SLOTS
}

/// What a replica shares with the others: of as many as 64 one at least sees so many rows of a tenant that
/// is too large.
#[must_use]
pub fn shared_floor(partition_rows: u64) -> u64 {
    (partition_rows / 144 / 64).max(1)
}

/// What becomes of a tenant that has `rows` in `slot` over all replicas, at `now` (milliseconds since the
/// epoch): the layout that was judged and the one that follows it, or nothing.
#[must_use]
pub fn consider(
    layouts: &Layouts,
    tenant: &str,
    (slot, rows): (i64, u64),
    now: i64,
    partition_rows: u64,
) -> Option<(Layout, Layout)> {
    let over = (slot + 1) * SLOT_MILLIS <= now;
    // The latest row, also when it is not yet in effect: nobody is promoted twice for one rate.
    let layout = layouts.governing(tenant, i64::MAX);
    let better = judge(layout, rows, over, partition_rows)?;
    Some((layout, Layout { effective_from: 0, ..better }))
}

/// The coarsest layout whose partitions stay below `partition_rows` at `rows_a_day`, with a factor of
/// two to grow: the fewest partitions a day, so that reads stay cheap.
#[must_use]
pub fn fitting(current: Layout, rows_a_day: u64, partition_rows: u64) -> Layout {
    let wanted = rows_a_day.saturating_mul(2);
    for granularity in Granularity::ALL {
        let buckets = (Granularity::Day.millis() / granularity.millis()).unsigned_abs();
        let shards = wanted.div_ceil(buckets.saturating_mul(partition_rows).max(1)).max(1);
        if shards <= u64::from(MAX_SHARDS) {
            // At most MAX_SHARDS.
            return Layout { granularity, shards: shards as u8, ..current };
        }
    }
    Layout { granularity: Granularity::Minute, shards: MAX_SHARDS, ..current }
}

/// How many rows a partition of `layout` takes at `rows_a_day`.
fn rows_a_partition(layout: &Layout, rows_a_day: u64) -> u64 {
    let buckets = (Granularity::Day.millis() / layout.granularity.millis()).unsigned_abs();
    rows_a_day / (buckets * u64::from(layout.shards.max(1))).max(1)
}

/// Whether a slot with `rows` promotes a tenant under `layout`, and to what. A slot that is over
/// counts by its rate; one that is not over counts only once it alone overfills a partition.
#[must_use]
pub fn judge(layout: Layout, rows: u64, over: bool, partition_rows: u64) -> Option<Layout> {
    let slots_a_day = (Granularity::Day.millis() / SLOT_MILLIS).unsigned_abs();
    let rows_a_day = rows.saturating_mul(slots_a_day);
    let too_many = rows_a_partition(&layout, rows_a_day) > partition_rows;
    let overfull = rows / u64::from(layout.shards.max(1)) > partition_rows;
    if !too_many || !(over || overfull) {
        return None;
    }
    let better = fitting(layout, rows_a_day, partition_rows);
    let finer = rows_a_partition(&better, rows_a_day) < rows_a_partition(&layout, rows_a_day);
    finer.then_some(better)
}

/// Shares this process's rates with the others and promotes whom their sum shows to be too large.
/// Every replica does so; the registry's lightweight transaction decides.
pub struct Promoter {
    db: Cassandra,
    registry: Registry,
    counts: Arc<RowCounts>,
    replica: Uuid,
    partition_rows: u64,
    publish: PreparedStatement,
    select: PreparedStatement,
}

impl Promoter {
    /// Prepares the promoter's statements.
    ///
    /// # Errors
    /// When the schema is not there, or nobody answers.
    pub async fn open(
        db: &Cassandra,
        registry: Registry,
        counts: Arc<RowCounts>,
        config: &LayoutConfig,
    ) -> Result<Self, PrepareError> {
        let table = format!("{}.audit_rates", db.keyspace);
        let publish = format!(
            "INSERT INTO {table} (slot, tenant_id, replica, row_count) VALUES (?, ?, ?, ?)"
        );
        let select = format!("SELECT tenant_id, row_count FROM {table} WHERE slot = ?");
        let mut publish = db.session.prepare(publish).await?;
        let mut select = db.session.prepare(select).await?;
        for statement in [&mut publish, &mut select] {
            statement.set_is_idempotent(true);
            statement.set_consistency(db.consistency);
        }
        Ok(Self {
            db: db.clone(),
            registry,
            counts,
            replica: Uuid::new_v4(),
            partition_rows: config.partition_rows.max(1),
            publish,
            select,
        })
    }

    /// Looks at the rates every `interval` until the drain begins.
    pub async fn run(self, interval: Duration, shutdown: Shutdown) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.draining() => return,
            }
            if let Err(error) = self.look().await {
                warn!(%error, "promotion");
            }
        }
    }

    /// Publishes, sums and promotes once.
    ///
    /// # Errors
    /// When Cassandra does not answer; the next look goes on from there.
    pub async fn look(&self) -> Result<(), ExecutionError> {
        let now = Utc::now().timestamp_millis();
        let own = self.counts.above(shared_floor(self.partition_rows), now);
        for (slot, tenant, count) in &own {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            let row = (CqlTimestamp(slot * SLOT_MILLIS), tenant, self.replica, count);
            self.db.session.execute_unpaged(&self.publish, row).await?;
        }
        let mut slots: Vec<_> = own.iter().map(|(slot, ..)| *slot).collect();
        slots.sort_unstable();
        slots.dedup();
        for slot in slots {
            for (tenant, rows) in self.sums(slot).await? {
                self.consider(&tenant, (slot, rows), now).await;
            }
        }
        Ok(())
    }

    async fn sums(&self, slot: i64) -> Result<HashMap<String, u64>, ExecutionError> {
        let key = (CqlTimestamp(slot * SLOT_MILLIS),);
        let result = self.db.session.execute_unpaged(&self.select, key).await?;
        let mut sums = HashMap::new();
        let Ok(rows) = result.into_rows_result() else { return Ok(sums) };
        let Ok(rows) = rows.rows::<(String, i64)>() else { return Ok(sums) };
        for (tenant, count) in rows.flatten() {
            *sums.entry(tenant).or_default() += u64::try_from(count).unwrap_or(0);
        }
        Ok(sums)
    }

    async fn consider(&self, tenant: &str, counted: (i64, u64), now: i64) {
        let Some(layouts) = self.registry.current() else { return };
        let Some((layout, better)) = consider(&layouts, tenant, counted, now, self.partition_rows)
        else {
            return;
        };
        match self.registry.append_over(tenant, layout, better, "promotion").await {
            Ok(layout) => {
                counter!("triad_ingest_promotions_total").increment(1);
                info!(tenant, ?layout, rows = counted.1, "promoted");
            }
            // Another replica or an operator was first.
            Err(RegistryError::Conflict | RegistryError::TooEarly { .. }) => {}
            Err(error) => warn!(tenant, %error, "promotion"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROWS: u64 = 100_000;

    #[test]
    fn a_small_tenant_keeps_its_layout() {
        // 600 rows in ten minutes are 86 400 a day.
        assert_eq!(judge(Layout::DEFAULT, 600, true, ROWS), None);
    }

    #[test]
    fn a_rate_counts_once_its_slot_is_over() {
        let rows = 10_000; // 1.44 million a day
        assert_eq!(judge(Layout::DEFAULT, rows, false, ROWS), None);
        let better = judge(Layout::DEFAULT, rows, true, ROWS).unwrap();
        assert_eq!((better.granularity, better.shards), (Granularity::Hour, 2));
        assert_eq!(judge(better, rows, true, ROWS), None, "one promotion is enough");
    }

    #[test]
    fn a_slot_that_overfills_a_partition_counts_at_once() {
        assert!(judge(Layout::DEFAULT, ROWS + 1, false, ROWS).is_some());
    }

    #[test]
    fn rows_of_long_ago_promote_nobody() {
        let counts = RowCounts::default();
        let now = 1_795_356_187_123;
        counts.note_at(b"t", now - 2 * 3_600_000, 1_000_000, now);
        assert!(counts.above(1, now).is_empty());
        counts.note_at(b"t", now, 5, now);
        counts.note_at(b"t", now, 6, now);
        assert_eq!(counts.above(1, now), [(slot_of(now), "t".to_owned(), 11)]);
        assert!(counts.above(12, now).is_empty());
        assert!(counts.above(1, now + 2 * 3_600_000).is_empty(), "and are forgotten");
    }

    #[test]
    fn nobody_is_promoted_twice_for_one_rate() {
        let default = ("*".to_owned(), Layout::DEFAULT);
        let layouts = Layouts::from_rows([default.clone()]).unwrap();
        let (slot, rows) = (2_992_260, 10_000);
        let (during, after) = (slot * SLOT_MILLIS + 1, (slot + 1) * SLOT_MILLIS);
        assert_eq!(consider(&layouts, "t", (slot, rows), during, ROWS), None, "not over yet");
        let (judged, better) = consider(&layouts, "t", (slot, rows), after, ROWS).unwrap();
        assert_eq!((judged, better.effective_from), (Layout::DEFAULT, 0));
        // Not in effect for a while yet.
        let better = Layout { effective_from: after + 3_600_000, ..better };
        let layouts = Layouts::from_rows([default, ("t".to_owned(), better)]).unwrap();
        assert_eq!(consider(&layouts, "t", (slot, rows), after, ROWS), None);
    }

    proptest! {
        #[test]
        fn a_fitting_layout_fits_until_the_finest(rows_a_day in 0_u64..4_000_000_000) {
            let layout = fitting(Layout::DEFAULT, rows_a_day, ROWS);
            let finest = layout.granularity == Granularity::Minute && layout.shards == MAX_SHARDS;
            prop_assert!(finest || rows_a_partition(&layout, rows_a_day * 2) <= ROWS);
            prop_assert!((1..=MAX_SHARDS).contains(&layout.shards));
        }
    }
}

//! Replicas of `ingest` on a clock of their own: they count rates, promote, and place rows, by the very
//! functions that the service does it with. Layouts are known to all at once, and take effect when the
//! registry would let them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, ensure};
use ingest::config::{LayoutConfig, LimitsConfig};
use ingest::layout::promotion::{RowCounts, SLOT_MILLIS, consider, shared_floor};
use ingest::layout::registry::notice;
use ingest::layout::{EVERYONE, Granularity, Layout, Layouts};

use super::super::sizes::Sizes;
use super::Month;
use super::draw::part;
use super::tenants::{Tenant, Traffic, time};
use crate::generate::Mix;

/// A partition of Cassandra.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    tenant: u32,
    /// When its bucket begins, and how much time that spans, in milliseconds.
    from: i64,
    span: i64,
    shard: u8,
    /// Whether a promotion made its layout.
    is_promoted: bool,
}

/// See the module.
pub(super) struct Simulation {
    traffic: Traffic,
    tenants: Vec<Tenant>,
    partition_rows: u64,
    /// From a promotion to its taking effect, and between two looks at the rates, in milliseconds.
    notice: i64,
    look: i64,
    replicas: Vec<RowCounts>,
    rows_of_registry: Vec<(String, Layout)>,
    layouts: Layouts,
    /// Slots whose counts or tenants' layouts changed since the last look. All others are decided.
    open: BTreeSet<i64>,
    promotions: BTreeMap<String, u64>,
    partitions: HashMap<Place, u64>,
    /// Rows by tenant and day.
    daily: HashMap<(u32, i64), u64>,
    backfilled: u64,
}

impl Simulation {
    pub(super) fn new(
        traffic: &Traffic,
        layout: &LayoutConfig,
        limits: &LimitsConfig,
        replicas: usize,
    ) -> anyhow::Result<Self> {
        let notice = notice(layout, limits).num_milliseconds();
        let look = (layout.promote_interval_seconds * 1000).cast_signed();
        // Rows of a slot are placed before its rates are judged.
        ensure!(notice >= SLOT_MILLIS, "layouts take effect within {notice} ms, below a slot");
        ensure!(layout.promote, "layout.promote is off: there is nothing to simulate");
        let rows_of_registry = vec![(EVERYONE.to_owned(), Layout::DEFAULT)];
        let layouts = Layouts::from_rows(rows_of_registry.clone()).context("no default layout")?;
        Ok(Self {
            traffic: traffic.clone(),
            tenants: traffic.tenants(),
            partition_rows: layout.partition_rows.max(1),
            notice,
            look: look.clamp(1, SLOT_MILLIS),
            replicas: (0..replicas.max(1)).map(|_| RowCounts::default()).collect(),
            rows_of_registry,
            layouts,
            open: BTreeSet::new(),
            promotions: BTreeMap::new(),
            partitions: HashMap::new(),
            daily: HashMap::new(),
            backfilled: 0,
        })
    }

    pub(super) fn slots(&self) -> u64 {
        self.traffic.slots()
    }

    /// What happens in one slot of the month.
    pub(super) fn step(&mut self, slot: u64) -> anyhow::Result<()> {
        let tenants = std::mem::take(&mut self.tenants);
        let mut counts = Vec::with_capacity(tenants.len());
        for (number, tenant) in (0_u32..).zip(&tenants) {
            let mut mix = tenant.placing(slot);
            let rows = tenant.rows(slot);
            self.place(number, tenant, slot, rows, &mut mix);
            counts.push(rows);
            for (then, rows) in tenant.backfill(slot) {
                self.place(number, tenant, then, rows, &mut mix);
                self.backfilled += rows;
                self.note(tenant, time(then), rows, time(slot));
            }
        }
        let looked = self.rates(&tenants, slot, &counts);
        self.tenants = tenants;
        looked
    }

    /// Has replicas count the rows of a slot and look at them as often as they do. A slot that is not over
    /// promotes only whom it alone overfills: all others are noted once.
    fn rates(&mut self, tenants: &[Tenant], slot: u64, counts: &[u64]) -> anyhow::Result<()> {
        let (begin, looks) = (time(slot), SLOT_MILLIS.div_euclid(self.look).max(1));
        let is_large = |rows: &u64| *rows > self.partition_rows;
        let large: Vec<bool> = counts.iter().map(is_large).collect();
        let any = large.contains(&true);
        for look in 1..=looks {
            let now = if look == looks { begin + SLOT_MILLIS } else { begin + look * self.look };
            for ((tenant, rows), is_large) in tenants.iter().zip(counts).zip(&large) {
                let share = if *is_large {
                    share_of(*rows, look, looks)
                } else if look == looks {
                    *rows
                } else {
                    0
                };
                if share > 0 {
                    self.note(tenant, begin, share, now - 1);
                }
            }
            if any || look == looks {
                self.promote(now)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, tenant: &Tenant, event_time: i64, rows: u64, now: i64) {
        let count = self.replicas.len();
        if tenant.is_spread {
            for (at, rates) in (1_i64..).zip(&self.replicas) {
                let share = share_of(rows, at, i64::try_from(count).unwrap_or(1));
                rates.note_at(tenant.name.as_bytes(), event_time, share, now);
            }
        } else {
            let rates = &self.replicas[tenant.replica(count)];
            rates.note_at(tenant.name.as_bytes(), event_time, rows, now);
        }
        self.open.insert(event_time.div_euclid(SLOT_MILLIS));
    }

    /// One look of every replica; the registry lets the first promotion of a tenant through.
    fn promote(&mut self, now: i64) -> anyhow::Result<()> {
        let is_over = |slot: &i64| (slot + 1) * SLOT_MILLIS <= now;
        let floor = if self.open.iter().any(is_over) {
            shared_floor(self.partition_rows)
        } else {
            // What counts before a slot is over is far above what is shared.
            self.partition_rows / self.replicas.len() as u64
        };
        let mut sums = BTreeMap::<(i64, String), u64>::new();
        for rates in &self.replicas {
            for (slot, tenant, rows) in rates.above(floor, now) {
                if self.open.contains(&slot) {
                    *sums.entry((slot, tenant)).or_default() += rows;
                }
            }
        }
        let (mut promoted, mut again) = (BTreeSet::new(), BTreeSet::new());
        for ((slot, tenant), rows) in sums {
            let counted = (slot, rows);
            let better = consider(&self.layouts, &tenant, counted, now, self.partition_rows);
            let better = better.filter(|_| !promoted.contains(&tenant));
            let Some((_, better)) = better else { continue };
            let layout = Layout { effective_from: now + self.notice + 1, ..better };
            self.rows_of_registry.push((tenant.clone(), layout));
            *self.promotions.entry(tenant.clone()).or_default() += 1;
            promoted.insert(tenant);
            again.insert(slot);
        }
        self.open.retain(|slot| !is_over(slot) || again.contains(slot));
        if !promoted.is_empty() {
            let rows = self.rows_of_registry.clone();
            self.layouts = Layouts::from_rows(rows).context("no default layout")?;
        }
        Ok(())
    }

    /// Puts rows, which happened evenly over a slot, where the layouts say.
    fn place(&mut self, number: u32, tenant: &Tenant, slot: u64, rows: u64, mix: &mut Mix) {
        if rows == 0 {
            return;
        }
        let (from, to) = (time(slot), time(slot) + SLOT_MILLIS);
        let day = Granularity::Day.floor(from);
        *self.daily.entry((number, day)).or_default() += rows;
        let mut left = rows;
        for segment in self.layouts.segments(&tenant.name, from, to) {
            let Layout { granularity, shards, effective_from, .. } = segment.layout;
            let (span, mut at) = (granularity.millis(), segment.from);
            while at < segment.to {
                let bucket = granularity.floor(at);
                let end = (bucket + span).min(segment.to);
                let here = part(left, (end - at) as f64 / (to - at) as f64, mix);
                left -= here;
                let is_promoted = effective_from > 0;
                let place = Place { tenant: number, from: bucket, span, shard: 0, is_promoted };
                spread(&mut self.partitions, place, here, shards.max(1), mix);
                at = end;
            }
        }
    }

    /// What is there in the end.
    pub(super) fn month(self) -> Month {
        let bound = self.partition_rows;
        let bytes = |tenant: u32, rows: u64| self.tenants[tenant as usize].row_bytes * rows as f64;
        let sizes = |of: fn(&Place) -> bool| {
            let those = self.partitions.iter().filter(|(place, _)| of(place));
            Sizes::of(those.map(|(place, rows)| (*rows, bytes(place.tenant, *rows))), bound)
        };
        let all = sizes(|_| true);
        let daily = self.daily.iter().map(|((tenant, _), rows)| (*rows, bytes(*tenant, *rows)));
        Month {
            exponent: self.traffic.exponent,
            rows: all.rows,
            backfilled: self.backfilled,
            promotions: self.promotions.values().sum(),
            promoted_tenants: self.promotions.len() as u64,
            partitions_a_day: all.partitions as f64 / f64::from(self.traffic.days.max(1)),
            promoted: sizes(|place| place.is_promoted),
            default: sizes(|place| !place.is_promoted),
            without_promotion: Sizes::of(daily, bound),
            all,
        }
    }
}

/// Part `at` of `parts`, counted from 1, of `rows`: they differ by one at most.
fn share_of(rows: u64, at: i64, parts: i64) -> u64 {
    let (at, parts) = (at.unsigned_abs(), parts.unsigned_abs().max(1));
    rows * at / parts - rows * (at - 1) / parts
}

/// Rows over the shards of a bucket: a shard is the rest of a hash, so that each row is in each with the same
/// probability.
fn spread(all: &mut HashMap<Place, u64>, place: Place, rows: u64, shards: u8, mix: &mut Mix) {
    let mut left = rows;
    for shard in 0..shards {
        let here = part(left, 1.0 / f64::from(shards - shard), mix);
        left -= here;
        if here > 0 {
            *all.entry(Place { shard, ..place }).or_default() += here;
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::EventId;

    use super::super::tenants::{BEGIN, SLOTS};
    use super::*;

    #[test]
    fn rows_are_spread_over_shards_as_ingest_spreads_them() {
        let (rows, shards) = (160_000_u64, 16_u8);
        let layout = Layout { shards, ..Layout::DEFAULT };
        let mut real = vec![0_u64; usize::from(shards)];
        for row in 0..rows {
            let bits = Mix::new(5, row).bits();
            let id = EventId(uuid::Uuid::from_u64_pair(0x1000, 1 << 63 | bits >> 2));
            real[usize::from(layout.shard_of(id).unwrap())] += 1;
        }
        let mut partitions = HashMap::new();
        let place = Place { tenant: 0, from: 0, span: 1, shard: 0, is_promoted: true };
        spread(&mut partitions, place, rows, shards, &mut Mix::new(1, 1));
        assert_eq!(partitions.values().sum::<u64>(), rows);
        // 10 000 a shard with a deviation of 97: five of them either way.
        let near = |count: &u64| (9_500..10_500).contains(count);
        assert!(real.iter().all(near) && partitions.values().all(near), "{real:?} {partitions:?}");
    }

    #[test]
    fn parts_are_even_and_nothing_is_lost() {
        let parts: Vec<u64> = (1..=7).map(|at| share_of(100, at, 7)).collect();
        assert_eq!(parts.iter().sum::<u64>(), 100);
        assert!(parts.iter().all(|part| (14..=15).contains(part)));
    }

    /// A tenant alone, with a million rows a day and more.
    #[test]
    fn a_promotion_takes_effect_when_everybody_knows_it() {
        let config = super::super::config(&[]).unwrap();
        let traffic = Traffic {
            tenants: 1,
            rows_per_day: 10_000_000,
            days: 1,
            exponent: 1.0,
            row_bytes: 450,
            seed: 3,
        };
        let mut simulation = Simulation::new(&traffic, &config.layout, &config.limits, 2).unwrap();
        for slot in 0..SLOTS {
            simulation.step(slot).unwrap();
        }
        let (tenant, first) = &simulation.rows_of_registry[1];
        assert_eq!(tenant, "t-00000");
        assert!(first.effective_from > BEGIN + simulation.notice, "{first:?}");
        let before = simulation.partitions.keys().filter(|place| !place.is_promoted);
        assert!(before.count() >= 1, "what was written until then stays where it is");
        let after = simulation.partitions.keys().filter(|place| place.is_promoted);
        assert!(after.clone().count() > 20);
        let bucket = first.granularity.floor(first.effective_from);
        assert!(after.clone().all(|place| place.from >= bucket));
    }
}

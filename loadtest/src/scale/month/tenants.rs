//! Who writes how much when: few tenants have most of the rows, days have noons and weeks have ends, and some
//! tenants burst, grow, begin late, or write what they had not written before.

use std::ops::Range;

use ingest::layout::promotion::SLOT_MILLIS;

use super::draw::{between, normal, poisson, unit};
use crate::generate::Mix;

/// 2026-11-01T00:00:00Z, milliseconds since the epoch: the month begins there.
pub(super) const BEGIN: i64 = 1_793_491_200_000;
/// Slots of a day.
pub(super) const SLOTS: u64 = 144;
const HOUR: f64 = 6.0;

/// Share of days on which a tenant bursts, how much more it writes then, and for how many slots at most.
const BURSTS: f64 = 0.02;
const BURST: f64 = 50.0;
const BURST_SLOTS: u32 = 12;
/// Share of tenants that grow, and how much by the end.
const GROWERS: f64 = 0.05;
const GROWTH: f64 = 20.0;
/// Share of tenants that begin within the month.
const LATE: f64 = 0.05;
/// Share of tenants that once write a week again, and in how many slots.
const BACKFILLERS: f64 = 0.02;
const BACKFILL_DAYS: u64 = 7;
const BACKFILL_SLOTS: u64 = 12;
/// Of the normal distribution of the logarithm of a tenant's mean row.
const ROW_SPREAD: f64 = 0.5;

/// What determines a month.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Tenants.
    pub tenants: u32,
    /// Rows a day of all of them, without bursts, growth and backfills.
    pub rows_per_day: u64,
    /// Days.
    pub days: u32,
    /// Zipf's, over tenants.
    pub exponent: f64,
    /// Bytes of a row before compression; of half of the tenants they are more.
    pub row_bytes: u32,
    /// Another seed makes another month.
    pub seed: u64,
}

/// A tenant.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) name: String,
    /// Bytes of its rows, on average.
    pub(super) row_bytes: f64,
    /// Whether its records have random Kafka keys, and so go to all replicas.
    pub(super) is_spread: bool,
    key: u64,
    /// Rows of a slot on an average weekday.
    rate: f64,
    /// Slots by which its noon is later than UTC's.
    zone: f64,
    /// From a flat day, 0, to one with a still night, 1.
    swing: f64,
    /// Of a weekday's rows.
    weekend: f64,
    /// How much more it writes in the end than in the beginning.
    growth: f64,
    /// Slots in which it writes.
    life: Range<u64>,
    bursts: Vec<Range<u64>>,
    /// The slot in which it begins to write a week again.
    backfill: Option<u64>,
}

impl Traffic {
    /// Slots of the month.
    pub(super) fn slots(&self) -> u64 {
        u64::from(self.days) * SLOTS
    }

    /// All tenants, the largest first.
    pub(super) fn tenants(&self) -> Vec<Tenant> {
        let weight = |rank: u32| f64::from(rank + 1).powf(-self.exponent);
        let total: f64 = (0..self.tenants).map(weight).sum();
        let daily = self.rows_per_day as f64 / total;
        (0..self.tenants).map(|rank| self.tenant(rank, daily * weight(rank))).collect()
    }

    fn tenant(&self, rank: u32, rows_a_day: f64) -> Tenant {
        let key = Mix::key(self.seed, &format!("tenant {rank}"));
        let (mut mix, slots) = (Mix::new(key, u64::MAX), self.slots());
        let chance = |share: f64, mix: &mut Mix| unit(mix) < share;
        let swing = between(0.3, 0.95, &mut mix);
        let weekend = if chance(0.7, &mut mix) { 0.3 } else { 1.0 };
        let growth = if chance(GROWERS, &mut mix) { GROWTH } else { 1.0 };
        let begin = if chance(LATE, &mut mix) { below(slots, &mut mix) } else { 0 };
        let mut bursts = Vec::new();
        for day in 0..u64::from(self.days) {
            if chance(BURSTS, &mut mix) {
                let from = day * SLOTS + below(SLOTS, &mut mix);
                bursts.push(from..from + 1 + u64::from(mix.below(BURST_SLOTS)));
            }
        }
        let week = BACKFILL_DAYS * SLOTS;
        let backfills = chance(BACKFILLERS, &mut mix) && slots > week + BACKFILL_SLOTS;
        let backfill = backfills.then(|| week + below(slots - week - BACKFILL_SLOTS, &mut mix));
        Tenant {
            name: format!("t-{rank:05}"),
            row_bytes: f64::from(self.row_bytes) * (ROW_SPREAD * normal(&mut mix)).exp(),
            is_spread: chance(0.1, &mut mix),
            key,
            rate: rows_a_day / SLOTS as f64,
            zone: between(0.0, SLOTS as f64, &mut mix),
            swing,
            weekend,
            growth,
            life: begin..slots,
            bursts,
            backfill,
        }
    }
}

fn below(limit: u64, mix: &mut Mix) -> u64 {
    u64::from(mix.below(u32::try_from(limit).unwrap_or(u32::MAX)))
}

/// When a slot of the month begins, milliseconds since the epoch.
pub(super) fn time(slot: u64) -> i64 {
    BEGIN + slot.cast_signed() * SLOT_MILLIS
}

impl Tenant {
    /// Rows that happen in that slot and are written at once.
    pub(super) fn rows(&self, slot: u64) -> u64 {
        poisson(self.expected(slot), &mut Mix::new(self.key, slot))
    }

    fn expected(&self, slot: u64) -> f64 {
        if !self.life.contains(&slot) {
            return 0.0;
        }
        let local = slot as f64 - self.zone;
        // Most is done at 14 hours.
        let angle = std::f64::consts::TAU * (local - 14.0 * HOUR) / SLOTS as f64;
        let week = if is_weekend(slot) { self.weekend } else { 1.0 };
        let day = (1.0 + self.swing * angle.cos()) * week;
        let grown = self.growth.powf(slot as f64 / self.life.end as f64);
        let burst = if self.bursts.iter().any(|burst| burst.contains(&slot)) { BURST } else { 1.0 };
        self.rate * day * grown * burst
    }

    /// Rows that are written in that slot and happened in an earlier one, by that one.
    pub(super) fn backfill(&self, slot: u64) -> impl Iterator<Item = (u64, u64)> {
        let each = BACKFILL_DAYS * SLOTS / BACKFILL_SLOTS;
        let begun = self.backfill.filter(|begun| (*begun..begun + BACKFILL_SLOTS).contains(&slot));
        let happened = begun.map_or(0..0, |begun| {
            let from = begun - BACKFILL_DAYS * SLOTS + (slot - begun) * each;
            from..from + each
        });
        // Other rows than the first time, from a stream of their own.
        let rows = move |then| poisson(self.expected(then), &mut Mix::new(!self.key, then));
        happened.map(move |then| (then, rows(then))).filter(|(_, rows)| *rows > 0)
    }

    /// Which of so many replicas reads its Kafka partition.
    pub(super) fn replica(&self, replicas: usize) -> usize {
        // Below the number of replicas.
        (self.key % replicas.max(1) as u64) as usize
    }

    /// The random numbers by which rows of a slot are placed.
    pub(super) fn placing(&self, slot: u64) -> Mix {
        Mix::new(self.key.rotate_left(32), slot)
    }
}

fn is_weekend(slot: u64) -> bool {
    // 1970-01-01 was a Thursday.
    let day = time(slot).div_euclid(86_400_000) + 3;
    day.rem_euclid(7) >= 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic() -> Traffic {
        Traffic {
            tenants: 1000,
            rows_per_day: 10_000_000,
            days: 28,
            exponent: 1.0,
            row_bytes: 450,
            seed: 1,
        }
    }

    #[test]
    fn the_first_tenant_has_zipf_s_share_and_days_have_noons() {
        let tenants = traffic().tenants();
        let harmonic: f64 = (1..=1000).map(|rank| 1.0 / f64::from(rank)).sum();
        let plain = Tenant {
            growth: 1.0,
            weekend: 1.0,
            life: 0..traffic().slots(),
            bursts: Vec::new(),
            ..tenants[0].clone()
        };
        let day: Vec<u64> = (0..SLOTS).map(|slot| plain.rows(slot)).collect();
        let (rows, expected) = (day.iter().sum::<u64>() as f64, 10_000_000.0 / harmonic);
        assert!((rows - expected).abs() < 0.02 * expected, "{rows} {expected}");
        let (most, least) = (day.iter().max().unwrap(), day.iter().min().unwrap());
        assert!(most > &(least + least / 2), "{most} {least}");
    }

    #[test]
    fn some_burst_some_grow_and_some_write_a_week_again() {
        let tenants = traffic().tenants();
        let count = |of: fn(&Tenant) -> bool| tenants.iter().filter(|tenant| of(tenant)).count();
        assert!((20..90).contains(&count(|t| t.growth > 1.0)));
        assert!((20..90).contains(&count(|t| t.life.start > 0)));
        assert!((300..600).contains(&count(|t| !t.bursts.is_empty())));
        let again = tenants.iter().find(|t| t.backfill.is_some() && t.life.start == 0).unwrap();
        let begun = again.backfill.unwrap();
        let all: Vec<_> = (0..BACKFILL_SLOTS).flat_map(|at| again.backfill(begun + at)).collect();
        let week = begun - BACKFILL_DAYS * SLOTS..begun;
        assert!(all.iter().all(|(then, _)| week.contains(then)));
        assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "each slot once");
        assert_eq!(again.backfill(begun + BACKFILL_SLOTS).count(), 0);
    }

    #[test]
    fn the_month_begins_on_a_sunday() {
        assert!(is_weekend(0) && !is_weekend(SLOTS) && is_weekend(6 * SLOTS));
        assert_eq!(time(0) % SLOT_MILLIS, 0);
        let begin = chrono::DateTime::from_timestamp_millis(BEGIN).unwrap();
        assert_eq!(begin.to_rfc3339(), "2026-11-01T00:00:00+00:00");
    }
}

//! Where an event is stored: which table, which partition, which shard.
//!
//! Placement is a function of the event and of the layout that governs its `event_time`, never of
//! when or by whom it is written. Layouts are append-only rows (`registry`); every process knows a
//! new one before any event that it governs can be accepted.

mod bucket;
mod class;
#[cfg(feature = "engines")]
pub mod promotion;
#[cfg(feature = "engines")]
pub mod registry;

use std::collections::HashMap;

pub use bucket::{Bucket, Granularity, MAX_SHARDS};
pub use class::{CLASSES, Class, ClassId};

/// One row of the registry: how events are placed from `effective_from` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Layout {
    /// The first `event_time` that it governs, milliseconds since the epoch, inclusive.
    pub effective_from: i64,
    /// How much time one partition spans.
    pub granularity: Granularity,
    /// Over how many partitions that time is spread, 1 to [`MAX_SHARDS`].
    pub shards: u8,
    /// How long rows live, and in which table.
    pub class: ClassId,
}

impl Layout {
    /// What governs everything until somebody says otherwise: a partition a day, kept a year.
    pub const DEFAULT: Self = Self {
        effective_from: 0,
        granularity: Granularity::Day,
        shards: 1,
        class: ClassId::ONE_YEAR,
    };

    /// The shard of an event: spread by the content part of its id.
    #[must_use]
    pub fn shard_of(&self, id: contracts::EventId) -> Option<u8> {
        let shards = u64::from(self.shards.max(1));
        // Below `shards`, which is a u8.
        (shards > 1).then(|| (crate::event::content_bits(id) % shards) as u8)
    }
}

/// A stretch of time that one layout governs: `[from, to)`, milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Inclusive.
    pub from: i64,
    /// Exclusive.
    pub to: i64,
    /// The layout.
    pub layout: Layout,
}

/// The scope of the rows that govern tenants without rows of their own.
pub const EVERYONE: &str = "*";

/// Every layout there is, as one read of the registry saw them.
///
/// A tenant is governed by the rows of [`EVERYONE`] until its own first row takes effect, and by its
/// own from then on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layouts {
    everyone: Vec<Layout>,
    tenants: HashMap<String, Vec<Layout>, foldhash::fast::RandomState>,
}

impl Layouts {
    /// Collects rows of any order; without a row that governs from the epoch on there is nothing to
    /// place by, hence `None`.
    pub fn from_rows(rows: impl IntoIterator<Item = (String, Layout)>) -> Option<Self> {
        let mut layouts = Self::default();
        for (scope, layout) in rows {
            match scope.as_str() {
                EVERYONE => layouts.everyone.push(layout),
                _ => layouts.tenants.entry(scope).or_default().push(layout),
            }
        }
        layouts.everyone.sort_unstable_by_key(|layout| layout.effective_from);
        for rows in layouts.tenants.values_mut() {
            rows.sort_unstable_by_key(|layout| layout.effective_from);
        }
        (layouts.everyone.first()?.effective_from <= 0).then_some(layouts)
    }

    /// The layout that governs `tenant` at `time` (milliseconds since the epoch, not negative).
    #[must_use]
    pub fn governing(&self, tenant: &str, time: i64) -> Layout {
        let own = self.tenants.get(tenant).and_then(|rows| at(rows, time));
        own.or_else(|| at(&self.everyone, time)).unwrap_or(Layout::DEFAULT)
    }

    /// The layouts that govern `[from, to)`, oldest first, without gap or overlap.
    #[must_use]
    pub fn segments(&self, tenant: &str, from: i64, to: i64) -> Vec<Segment> {
        let own = self.tenants.get(tenant).map_or(&[][..], Vec::as_slice);
        let own_from = own.first().map_or(i64::MAX, |layout| layout.effective_from);
        let everyone = self.everyone.iter().filter(|layout| layout.effective_from < own_from);
        let mut segments = Vec::new();
        let mut rows = everyone.chain(own).peekable();
        while let Some(layout) = rows.next() {
            let until = rows.peek().map_or(i64::MAX, |next| next.effective_from);
            let segment = Segment {
                from: from.max(layout.effective_from),
                to: to.min(until),
                layout: *layout,
            };
            if segment.from < segment.to {
                segments.push(segment);
            }
        }
        segments
    }

    /// All rows, those of [`EVERYONE`] first, each scope oldest first.
    pub fn rows(&self) -> impl Iterator<Item = (&str, Layout)> {
        let own = self.tenants.iter();
        let own = own.flat_map(|(scope, rows)| rows.iter().map(|layout| (scope.as_str(), *layout)));
        self.everyone.iter().map(|layout| (EVERYONE, *layout)).chain(own)
    }
}

fn at(rows: &[Layout], time: i64) -> Option<Layout> {
    let after = rows.partition_point(|layout| layout.effective_from <= time);
    rows[..after].last().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(effective_from: i64, shards: u8) -> Layout {
        Layout { effective_from, shards, ..Layout::DEFAULT }
    }

    #[test]
    fn a_tenant_s_own_rows_govern_from_the_first_of_them_on() {
        let rows =
            [("*", layout(0, 1)), ("*", layout(50, 2)), ("t", layout(30, 3)), ("t", layout(70, 4))];
        let rows = rows.map(|(scope, layout)| (scope.to_owned(), layout));
        let layouts = Layouts::from_rows(rows).unwrap();
        let shards = |tenant, time| layouts.governing(tenant, time).shards;
        assert_eq!([0, 29, 30, 69, 70].map(|t| shards("t", t)), [1, 1, 3, 3, 4]);
        assert_eq!([0, 49, 50, 99].map(|t| shards("other", t)), [1, 1, 2, 2]);
    }

    #[test]
    fn a_registry_without_a_default_places_nothing() {
        assert_eq!(Layouts::from_rows([]), None);
        assert_eq!(Layouts::from_rows([("t".to_owned(), layout(0, 1))]), None);
        assert_eq!(Layouts::from_rows([("*".to_owned(), layout(1, 1))]), None);
    }

    proptest! {
        #[test]
        fn segments_agree_with_the_governing_layout_at_every_instant(
            everyone in proptest::collection::btree_set(1_i64..100, 0..4),
            own in proptest::collection::btree_set(0_i64..100, 0..4),
            from in 0_i64..100, length in 0_i64..100,
        ) {
            let shards = |(i, at): (usize, i64)| layout(at, u8::try_from(i).unwrap() + 1);
            let everyone = std::iter::once(0).chain(everyone).enumerate().map(shards);
            let own = own.into_iter().enumerate().map(|(i, at)| shards((i + 8, at)));
            let rows = everyone.map(|l| ("*".to_owned(), l)).chain(own.map(|l| ("t".to_owned(), l)));
            let layouts = Layouts::from_rows(rows).unwrap();
            let mut expected = from;
            for segment in layouts.segments("t", from, from + length) {
                prop_assert_eq!(segment.from, expected);
                for time in segment.from..segment.to {
                    prop_assert_eq!(layouts.governing("t", time), segment.layout);
                }
                expected = segment.to;
            }
            prop_assert_eq!(expected, from + length);
        }
    }
}

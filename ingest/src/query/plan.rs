//! Which buckets a range touches, in the order in which they are read.

use super::{Order, Resume};
use crate::layout::{Bucket, ClassId, Granularity, Layouts, Segment};

/// How far clocks may differ before a row counts as gone or as impossible, milliseconds.
const SLACK: i64 = 3_600_000;

/// A bucket, and what of it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) class: ClassId,
    granularity: Granularity,
    shards: u8,
    /// Milliseconds, inclusive.
    pub(super) from: i64,
    /// Milliseconds, exclusive; within one bucket of `granularity` with `from`.
    pub(super) to: i64,
}

impl Stretch {
    /// Over how many partitions it is spread.
    pub(super) fn partitions(&self) -> usize {
        usize::from(self.shards.max(1))
    }

    /// The names of those partitions.
    pub(super) fn buckets(&self) -> impl Iterator<Item = Bucket> + use<> {
        let Self { granularity, shards, from, .. } = *self;
        let shards = (shards > 1).then_some(0..shards).into_iter().flatten().map(Some);
        let whole = (self.shards <= 1).then_some(None);
        whole.into_iter().chain(shards).map(move |shard| Bucket::new(granularity, from, shard))
    }

    /// Where the next bucket begins, seen in `order`.
    pub(super) fn edge(&self, order: Order) -> Resume {
        Resume::Boundary(match order {
            Order::Newest => self.from,
            Order::Oldest => self.to,
        })
    }
}

/// The buckets of a range, one after the other; nothing is materialised but the segments.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// What is left, the next one last.
    segments: Vec<Segment>,
    order: Order,
}

impl Plan {
    /// The buckets of `[from, to)` that can hold rows at `now` (all in milliseconds): none that has
    /// expired, and none that is further ahead than `future`, what is accepted. So a range without
    /// sensible bounds costs no more than the retention does.
    pub(super) fn new(
        layouts: &Layouts,
        tenant: &str,
        (from, to): (i64, i64),
        order: Order,
        (now, future): (i64, i64),
    ) -> Self {
        let (from, to) = (from.max(0), to.min(now.saturating_add(future).saturating_add(SLACK)));
        let mut segments = layouts.segments(tenant, from, to);
        for segment in &mut segments {
            let life = i64::from(segment.layout.class.class().days) * 86_400_000;
            segment.from = segment.from.max(now - life - SLACK);
        }
        segments.retain(|segment| segment.from < segment.to);
        if order == Order::Oldest {
            segments.reverse();
        }
        Self { segments, order }
    }
}

impl Iterator for Plan {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        let segment = self.segments.last_mut()?;
        let layout = segment.layout;
        let granularity = layout.granularity;
        let (from, to) = match self.order {
            Order::Newest => (segment.from.max(granularity.floor(segment.to - 1)), segment.to),
            Order::Oldest => {
                let end = granularity.floor(segment.from) + granularity.millis();
                (segment.from, segment.to.min(end))
            }
        };
        match self.order {
            Order::Newest => segment.to = from,
            Order::Oldest => segment.from = to,
        }
        if segment.from >= segment.to {
            self.segments.pop();
        }
        Some(Stretch { class: layout.class, granularity, shards: layout.shards, from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    const DAY: i64 = 86_400_000;
    const NOW: i64 = 400 * DAY;

    fn plan(rows: &[Layout], range: (i64, i64), order: Order) -> Vec<Stretch> {
        let rows = rows.iter().map(|layout| ("*".to_owned(), *layout));
        let layouts = Layouts::from_rows(rows).unwrap();
        Plan::new(&layouts, "t", range, order, (NOW, 600_000)).collect()
    }

    fn names(stretches: &[Stretch]) -> Vec<String> {
        let names = stretches.iter().flat_map(Stretch::buckets);
        names.map(|bucket| bucket.as_str().to_owned()).collect()
    }

    #[test]
    fn a_layout_change_within_a_day_cuts_that_day() {
        let noon = NOW - DAY / 2;
        let halves =
            [Layout::DEFAULT, Layout { effective_from: noon, shards: 2, ..Layout::DEFAULT }];
        let newest = plan(&halves, (NOW - DAY, NOW), Order::Newest);
        assert_eq!(names(&newest), ["1971-02-04#00", "1971-02-04#01", "1971-02-04"]);
        assert_eq!(
            [(newest[0].from, newest[0].to), (newest[1].from, newest[1].to)],
            [(noon, NOW), (NOW - DAY, noon)]
        );
        let mut oldest = plan(&halves, (NOW - DAY, NOW), Order::Oldest);
        oldest.reverse();
        assert_eq!(oldest, newest);
    }

    #[test]
    fn what_has_expired_and_what_cannot_be_yet_is_not_read() {
        let all = plan(&[Layout::DEFAULT], (0, i64::MAX), Order::Newest);
        assert_eq!(
            all.len(),
            365 + 2,
            "a year, the hour of slack before, the next day's first hour"
        );
        assert_eq!(all[0].to, NOW + 600_000 + SLACK);
        assert_eq!(plan(&[Layout::DEFAULT], (0, 5 * DAY), Order::Oldest), []);
    }
}

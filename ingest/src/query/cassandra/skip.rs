//! Filtered slices by the skip index: the times of matching granules first, then the rows of those.

use futures::{StreamExt, TryStreamExt, stream};
use scylla::serialize::value::SerializeValue;
use scylla::value::CqlTimestamp;

use super::super::store::Slice;
use super::super::{Filter, Order, StoredEvent};
use super::{CassandraStore, Failure};
use crate::skip::{Field, hash};

/// Spans of a slice that are read at once.
const SPANS_AT_ONCE: usize = 8;

/// What granules are asked for: one value or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashes(i32, Option<i32>);

/// What of a filter the index knows; `None` when that is nothing.
pub(super) fn asked(filter: &Filter) -> Option<Hashes> {
    let actor = filter.actor_id.as_deref().map(|id| hash(Field::Actor, id.as_bytes()));
    let resource = filter.resource_id.as_deref().map(|id| hash(Field::Resource, id.as_bytes()));
    match (resource, actor) {
        (Some(resource), actor) => Some(Hashes(resource, actor)),
        (None, Some(actor)) => Some(Hashes(actor, None)),
        (None, None) => None,
    }
}

impl CassandraStore {
    /// The slice, without rows that are not near a match. `indexed` is the time, `[from, to)` in
    /// milliseconds, whose rows are all in the index; the rest of the slice is read as it is.
    pub(super) async fn fetch_skipping(
        &self,
        slice: &Slice<'_>,
        hashes: Hashes,
        indexed: (i64, i64),
    ) -> Result<Vec<StoredEvent>, Failure> {
        let asked = remaining(slice);
        let granules = if overlap(asked, indexed).is_some() {
            self.granules(slice, hashes, asked).await?
        } else {
            Vec::new()
        };
        let mut spans = spans(asked, indexed, granules);
        if slice.order == Order::Newest {
            spans.reverse();
        }
        // Where events are rare, so that a granule is a row or two, there may be a span for each row of
        // the limit: some are read at once, or the page would run out of time.
        let mut parts = stream::iter(spans)
            .map(|(from, to)| {
                // A row that bounds the slice takes the place of one bound, so only where it lies.
                let after = slice.after.filter(|after| (from..to).contains(&after.time));
                let part = Slice { from, to, after, ..*slice };
                async move { self.fetch_pushed(&part, None).await }
            })
            .buffered(SPANS_AT_ONCE);
        let mut rows = Vec::new();
        while let Some(part) = parts.try_next().await? {
            rows.extend(part);
            if rows.len() >= slice.limit {
                rows.truncate(slice.limit);
                break;
            }
        }
        Ok(rows)
    }

    /// First and last time of every granule that may hold a match within `from..to`.
    async fn granules(
        &self,
        slice: &Slice<'_>,
        Hashes(one, two): Hashes,
        (from, to): (i64, i64),
    ) -> Result<Vec<(i64, i64)>, Failure> {
        let session = &self.db.session;
        let statement = self.statements.granules(session, slice.class, two.is_some()).await?;
        let bucket = slice.bucket.as_str();
        let (from, to) = (CqlTimestamp(from), CqlTimestamp(to - 1));
        let mut values: Vec<&(dyn SerializeValue + Sync)> =
            vec![&slice.tenant, &bucket, &from, &to, &one];
        if let Some(two) = &two {
            values.push(two);
        }
        let result = session.execute_unpaged(&statement, values).await?;
        let result = result.into_rows_result().map_err(|error| Failure::shape(&error))?;
        let rows = result.rows::<(CqlTimestamp, CqlTimestamp)>();
        let rows = rows.map_err(|error| Failure::shape(&error))?;
        rows.map(|row| row.map(|(first, last)| (first.0, last.0)).map_err(|e| Failure::shape(&e)))
            .collect()
    }
}

/// The slice's time behind the row where it goes on, `[from, to)`.
fn remaining(slice: &Slice<'_>) -> (i64, i64) {
    match (slice.after, slice.order) {
        (None, _) => (slice.from, slice.to),
        (Some(row), Order::Newest) => (slice.from, slice.to.min(row.time + 1)),
        (Some(row), Order::Oldest) => (slice.from.max(row.time), slice.to),
    }
}

fn overlap(one: (i64, i64), two: (i64, i64)) -> Option<(i64, i64)> {
    let both = (one.0.max(two.0), one.1.min(two.1));
    (both.0 < both.1).then_some(both)
}

/// What of `asked` has to be read: the times of granules (first and last), and what is not indexed.
/// In order, disjoint, each `[from, to)`.
fn spans(asked: (i64, i64), indexed: (i64, i64), granules: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    let plain = match overlap(asked, indexed) {
        Some((from, to)) => [(asked.0, from), (to, asked.1)],
        None => [asked, (0, 0)],
    };
    let granules = granules.into_iter().map(|(first, last)| (first, last + 1));
    let mut all: Vec<_> = granules.chain(plain).filter_map(|span| overlap(span, asked)).collect();
    all.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::with_capacity(all.len());
    for (from, to) in all {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_filter_is_asked_by_what_the_index_knows() {
        let actor = Filter { actor_id: Some("a".into()), ..Filter::default() };
        let action = Filter { action: Some("a".into()), ..Filter::default() };
        let both = Filter { resource_id: Some("r".into()), ..actor.clone() };
        assert_eq!(asked(&action), None);
        assert_eq!(asked(&actor), Some(Hashes(hash(Field::Actor, b"a"), None)));
        let (resource, actor) = (hash(Field::Resource, b"r"), hash(Field::Actor, b"a"));
        assert_eq!(asked(&both), Some(Hashes(resource, Some(actor))));
    }

    proptest! {
        #[test]
        fn spans_are_the_times_that_may_hold_a_match(
            asked in (0_i64..60, 1_i64..40), indexed in (0_i64..60, -10_i64..40),
            granules in proptest::collection::vec((0_i64..100, 0_i64..10), 0..8),
        ) {
            let asked = (asked.0, asked.0 + asked.1);
            let indexed = (indexed.0, indexed.0 + indexed.1);
            let granules: Vec<_> = granules.into_iter().map(|(a, n)| (a, a + n)).collect();
            let spans = spans(asked, indexed, granules.clone());
            for time in asked.0 - 5..asked.1 + 5 {
                let within = (asked.0..asked.1).contains(&time);
                let named = granules.iter().any(|(first, last)| (*first..=*last).contains(&time));
                let read = spans.iter().filter(|(from, to)| (*from..*to).contains(&time)).count();
                let plain = !(indexed.0..indexed.1).contains(&time);
                prop_assert_eq!(read, usize::from(within && (named || plain)));
            }
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}

//! Events as ready batches, by ingest's own code.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::{Context, anyhow};
use ingest::event::{Limits, Origin, Ticks, decode, identify};
use ingest::layout::Layouts;
use ingest::sink::row::{PartitionKey, Row, encode_body, encode_key};
use ingest::sink::skip::{GRANULE_ROWS, Granule};

use crate::generate::Generator;
use crate::generate::poison::Kind;
use crate::stop::Stop;

/// Rows of one Cassandra partition, encoded one behind the other.
#[derive(Debug, Clone)]
pub struct RowsBatch {
    /// The partition.
    pub key: PartitionKey,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    granule: Option<Granule>,
}

impl RowsBatch {
    fn open(key: PartitionKey) -> Self {
        Self { key, bytes: Vec::new(), ends: Vec::new(), granule: None }
    }

    /// What the skip index has of this batch and those before, if a granule ends here.
    #[must_use]
    pub fn granule(&self) -> Option<&Granule> {
        self.granule.as_ref()
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bodies, in order.
    pub fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    /// The rows, to be bound at `now` (milliseconds since 1970).
    #[must_use]
    pub fn rows(&self, now: i64) -> Vec<Row<'_>> {
        self.bodies().map(|body| Row { key: &self.key, body, now }).collect()
    }
}

/// Ready batches, in the order in which they became full.
#[derive(Debug, Default)]
pub struct Rows {
    /// The batches.
    pub batches: Vec<RowsBatch>,
    /// How many rows they hold.
    pub rows: u64,
    /// Bytes of all bodies.
    pub bytes: u64,
}

impl Rows {
    /// Prepares the good events of `range`, `batch` rows at most in each batch. About 4 µs and 350
    /// bytes an event.
    ///
    /// # Errors
    /// When ingest refuses an event, or `stop` says so.
    pub fn prepare(
        generator: &Generator,
        range: Range<u64>,
        layouts: &Layouts,
        limits: &Limits,
        batch: usize,
        stop: &Stop,
    ) -> anyhow::Result<Self> {
        let mut gather =
            Gather { open: HashMap::new(), done: Self::default(), limit: batch.max(1) };
        let (mut value, mut key) = (Vec::new(), Vec::new());
        for index in range {
            if index % 4096 == 0 {
                stop.check()?;
            }
            if generator.run().kind(index) != Kind::Good {
                continue;
            }
            value.clear();
            generator.event(index, &mut value);
            gather
                .push(&value, layouts, limits, &mut key)
                .with_context(|| format!("event {index}"))?;
        }
        let mut rest: Vec<RowsBatch> = gather.open.into_values().filter_map(Open::last).collect();
        // A map's order is random; the load must not be.
        rest.sort_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
        gather.done.batches.extend(rest);
        Ok(gather.done)
    }
}

struct Gather {
    open: HashMap<PartitionKey, Open>,
    done: Rows,
    limit: usize,
}

/// The batch and the granule of a partition that are being filled.
struct Open {
    batch: RowsBatch,
    granule: Granule,
    rows: usize,
}

impl Open {
    fn new(key: PartitionKey) -> Self {
        Self { batch: RowsBatch::open(key), granule: Granule::default(), rows: 0 }
    }

    /// Hands out the batch; with it the granule, if that is full.
    fn cut(&mut self) -> RowsBatch {
        let fresh = RowsBatch::open(self.batch.key.clone());
        let mut done = std::mem::replace(&mut self.batch, fresh);
        done.bodies().for_each(|body| self.granule.take(body));
        self.rows += done.len();
        if self.rows >= GRANULE_ROWS {
            done.granule = Some(std::mem::take(&mut self.granule));
            self.rows = 0;
        }
        done
    }

    /// What is left; a rest of a granule goes with a rest of a batch.
    fn last(mut self) -> Option<RowsBatch> {
        let mut last = (!self.batch.is_empty()).then(|| self.cut())?;
        last.granule = last.granule.or(Some(self.granule));
        Some(last)
    }
}

impl Gather {
    fn push(
        &mut self,
        value: &[u8],
        layouts: &Layouts,
        limits: &Limits,
        key: &mut Vec<u8>,
    ) -> anyhow::Result<()> {
        let event = decode(value, limits).map_err(|rejection| anyhow!("{rejection}"))?;
        let time = event.time.context("generated events have a time")?;
        let id = identify(&event, time, &nowhere());
        key.clear();
        encode_key(&event.tenant, time, id, &layouts.governing(&event.tenant, time.millis()), key);
        let open = match self.open.get_mut(key.as_slice()) {
            Some(open) => open,
            None => {
                let partition = PartitionKey::from_bytes(key);
                self.open.entry(partition.clone()).or_insert_with(|| Open::new(partition))
            }
        };
        let batch = &mut open.batch;
        let before = batch.bytes.len();
        encode_body(&event, time, id, &mut batch.bytes);
        batch.ends.push(batch.bytes.len());
        self.done.rows += 1;
        self.done.bytes += (batch.bytes.len() - before) as u64;
        if batch.len() >= self.limit {
            self.done.batches.push(open.cut());
        }
        Ok(())
    }
}

/// Events with an id of their own are identified without regard to where they came from.
pub(crate) fn nowhere() -> Origin {
    Origin { topic: "".into(), partition: 0, offset: 0, timestamp: Ticks::EPOCH.millis() }
}

#[cfg(test)]
mod tests {
    use ingest::layout::{EVERYONE, Layout};
    use ingest::sink::row::cells;

    use super::*;
    use crate::run::Run;

    const LIMITS: Limits = Limits { max_record_bytes: 65_536, max_fields: 64, max_depth: 16 };

    #[test]
    fn every_good_event_is_in_one_batch_of_its_partition() {
        let run = Run { poison_every: 10, ..Run::example(2000) };
        let layouts = Layouts::from_rows([(EVERYONE.to_owned(), Layout::DEFAULT)]).unwrap();
        let stop = Stop::after(std::time::Duration::from_secs(60));
        let rows =
            Rows::prepare(&Generator::new(&run), 0..2000, &layouts, &LIMITS, 16, &stop).unwrap();
        assert_eq!(rows.rows, 1800);
        assert_eq!(rows.batches.iter().map(RowsBatch::len).sum::<usize>(), 1800);
        assert!(rows.batches.iter().all(|batch| (1..=16).contains(&batch.len())));
        let granules: Vec<_> = rows.batches.iter().filter_map(RowsBatch::granule).collect();
        let hashes: usize = granules.iter().map(|granule| granule.hashes.len()).sum();
        assert!(hashes > 1800 && granules.len() < rows.batches.len(), "{hashes} hashes");
        let mut ids = std::collections::HashSet::new();
        for batch in &rows.batches {
            assert_eq!(batch.key.bucket(), b"2026-11-22");
            for body in batch.bodies() {
                let cells: Vec<_> = cells(body).collect();
                assert_eq!(cells.len(), 9, "actor_id to source_id");
                assert!(ids.insert(cells[8].unwrap().to_vec()), "each event once");
            }
        }
    }
}

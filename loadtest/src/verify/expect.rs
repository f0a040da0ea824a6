//! The row that an event must be, made again from the run's parameters.

use anyhow::{Context, anyhow};
use ingest::event::{Limits, decode, identify};
use ingest::layout::Layouts;
use ingest::sink::row::{encode_body, encode_key};

use crate::ceiling::nowhere;
use crate::generate::{Draft, Generator};
use crate::run::Run;

/// Makes expected rows.
#[derive(Debug)]
pub(super) struct Expecter {
    pub(super) generator: Generator,
    layouts: Layouts,
    limits: Limits,
}

/// An expected row: its partition (class, tenant, bucket) and its cells, as ingest encodes them.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) key: Vec<u8>,
    pub(super) body: Vec<u8>,
    value: Vec<u8>,
}

impl Expecter {
    pub(super) fn new(run: &Run, layouts: Layouts, limits: Limits) -> Self {
        Self { generator: Generator::new(run), layouts, limits }
    }

    pub(super) fn run(&self) -> &Run {
        self.generator.run()
    }

    /// Replaces `expected` by the row of the good event `index`.
    pub(super) fn row(&self, index: u64, expected: &mut Expected) -> anyhow::Result<()> {
        expected.value.clear();
        expected.key.clear();
        expected.body.clear();
        self.generator.event(index, &mut expected.value);
        let event =
            decode(&expected.value, &self.limits).map_err(|rejection| anyhow!("{rejection}"))?;
        let time = event.time.context("generated events have a time")?;
        let id = identify(&event, time, &nowhere());
        let layout = self.layouts.governing(&event.tenant, time.millis());
        encode_key(&event.tenant, time, id, &layout, &mut expected.key);
        encode_body(&event, time, id, &mut expected.body);
        Ok(())
    }

    /// Replaces `draft` by record `index`, good or not.
    pub(super) fn record(&self, index: u64, draft: &mut Draft) {
        self.generator.record(index, draft);
    }

    /// Whether the life of the good event `index` is over at `now`, milliseconds since 1970.
    pub(super) fn expired(&self, index: u64, now: i64) -> bool {
        let mut value = Vec::new();
        self.generator.event(index, &mut value);
        let millis = (self.run().time(index) / 10_000).cast_signed();
        let Ok(event) = decode(&value, &self.limits) else { return false };
        let layout = self.layouts.governing(&event.tenant, millis);
        layout.class.remaining_seconds(millis, now).is_none()
    }
}

//! One run: the parameters that determine every record of it, and where it goes.

use std::path::Path;

use anyhow::Context;
use ingest::event::Reason;
use serde::{Deserialize, Serialize};

use crate::generate::poison::{Kind, Rule};

/// 100-ns ticks in a second.
pub const TICKS_PER_SECOND: u64 = 10_000_000;

/// Everything that another process needs to make the same records again: `verify` reads it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Names the run: the first part of every event's id.
    pub id: String,
    /// Another seed makes other events.
    pub seed: u64,
    /// Records, poisonous ones among them.
    pub events: u64,
    /// How many tenants share the traffic.
    pub tenants: u32,
    /// Of the Zipf distribution over tenants.
    pub exponent: f64,
    /// Share of the traffic of one hot tenant; 0 for none.
    pub hot: f64,
    /// `event_time` of the first event, 100-ns ticks since 1970.
    pub base: u64,
    /// From one event to the next, 100-ns ticks.
    pub step: u64,
    /// Every so many records one breaks a rule; 0 for none.
    pub poison_every: u64,
    /// Every so many records one is oversized; 0 for none.
    pub oversized_every: u64,
    /// The size of those, in bytes.
    pub oversized_bytes: usize,
    /// Whether ingest is configured to take records of that size, so that the database refuses them.
    pub oversized_decodes: bool,
    /// Random Kafka keys instead of the tenant.
    pub random_keys: bool,
    /// Where it goes.
    pub names: Names,
}

/// The names that isolate a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Source topic.
    pub topic: String,
    /// Dead-letter topic.
    pub dead_letter_topic: String,
    /// Consumer group.
    pub group: String,
    /// Keyspace.
    pub keyspace: String,
}

impl Names {
    /// The names of the run `id`, which no other run has.
    #[must_use]
    pub fn of(id: &str) -> Self {
        Self {
            topic: format!("lt.{id}.events"),
            dead_letter_topic: format!("lt.{id}.dlq"),
            group: format!("lt-{id}"),
            keyspace: format!("lt_{}", id.replace('-', "_")),
        }
    }
}

impl Run {
    /// A run of that name like a platform's traffic: good events of 200 tenants, within the last hour.
    #[must_use]
    pub fn recent(id: &str, events: u64) -> Self {
        let now = chrono::Utc::now().timestamp_millis().unsigned_abs() * 10_000;
        Self {
            seed: 1,
            events,
            tenants: 200,
            exponent: 1.0,
            hot: 0.0,
            base: now - 50 * 60 * TICKS_PER_SECOND,
            step: (45 * 60 * TICKS_PER_SECOND / events.max(1)).max(1),
            poison_every: 0,
            oversized_every: 0,
            oversized_bytes: 0,
            oversized_decodes: false,
            random_keys: false,
            names: Names::of(id),
            id: id.to_owned(),
        }
    }

    /// `event_time` of event `index`, 100-ns ticks since 1970.
    #[must_use]
    pub fn time(&self, index: u64) -> u64 {
        self.base + index * self.step
    }

    /// What record `index` is.
    #[must_use]
    pub fn kind(&self, index: u64) -> Kind {
        let turn = |every: u64| every > 0 && index % every == every - 1;
        if turn(self.oversized_every) {
            Kind::Oversized
        } else if turn(self.poison_every) {
            Kind::Poison(Rule::of_turn(index / self.poison_every))
        } else {
            Kind::Good
        }
    }

    /// Why its oversized records are not stored.
    #[must_use]
    pub fn oversized_reason(&self) -> Reason {
        if self.oversized_decodes { Reason::DatabaseRejected } else { Reason::TooLarge }
    }

    /// How many records are to be stored.
    #[must_use]
    pub fn good(&self) -> u64 {
        let every = |n: u64| self.events.checked_div(n).unwrap_or(0);
        if self.poison_every > 0 && self.oversized_every > 0 {
            return (0..self.events).filter(|i| self.kind(*i) == Kind::Good).count() as u64;
        }
        self.events - every(self.poison_every) - every(self.oversized_every)
    }

    /// The same events elsewhere: another consumer group and keyspace on the same backlog.
    #[must_use]
    pub fn replayed_as(&self, name: &str) -> Self {
        let mut run = self.clone();
        let fresh = Names::of(name);
        run.names.group = fresh.group;
        run.names.keyspace = fresh.keyspace;
        run
    }

    /// Writes the parameters to `path` as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Reads what [`Run::save`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read or is no run.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no saved run", path.display()))
    }

    /// A small run for tests.
    #[cfg(test)]
    pub(crate) fn example(events: u64) -> Self {
        Self {
            id: "test-1".to_owned(),
            seed: 1,
            events,
            tenants: 200,
            exponent: 1.0,
            hot: 0.0,
            base: 17_953_561_871_234_567,
            step: 12_345,
            poison_every: 0,
            oversized_every: 0,
            oversized_bytes: 0,
            oversized_decodes: false,
            random_keys: false,
            names: Names::of("test-1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_records_are_counted_as_they_are_made() {
        for (poison_every, oversized_every) in [(0, 0), (7, 0), (0, 5), (3, 4), (1, 0)] {
            let run = Run { poison_every, oversized_every, ..Run::example(1000) };
            let counted = (0..run.events).filter(|i| run.kind(*i) == Kind::Good).count();
            assert_eq!(run.good(), counted as u64, "{poison_every} {oversized_every}");
        }
    }

    #[test]
    fn a_saved_run_is_read_back() {
        let path = std::env::temp_dir().join(format!("loadtest-run-{}.json", std::process::id()));
        let run = Run::example(3);
        run.save(&path).unwrap();
        assert_eq!(Run::load(&path).unwrap(), run);
        std::fs::remove_file(path).unwrap();
    }
}

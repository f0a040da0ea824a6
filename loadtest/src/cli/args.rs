//! What scenarios have in common on the command line.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use ingest::event::Ticks;

use crate::child::Launch;
use crate::engines::{Engines, IndexKind, require_loopback};
use crate::run::{Names, Run, TICKS_PER_SECOND};
use crate::scenario::Stage;
use crate::stop::Stop;

/// Events of a run without times of its own lie within the last 50 minutes.
const BEFORE: u64 = 50 * 60 * TICKS_PER_SECOND;
/// …and span 45 of them.
const SPAN: u64 = 45 * 60 * TICKS_PER_SECOND;

/// Common to all scenarios.
#[derive(Debug, Clone, Args)]
pub struct Common {
    #[command(flatten)]
    /// The engines.
    pub engines: EngineArgs,
    #[command(flatten)]
    /// The events.
    pub run: RunArgs,
    #[command(flatten)]
    /// `ingest`.
    pub ingest: IngestArgs,
    #[command(flatten)]
    /// The result.
    pub output: OutputArgs,
}

/// Where the engines are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Engines")]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct EngineArgs {
    /// Kafka brokers, host:port, comma-separated.
    #[arg(long, env = "TRIAD_KAFKA", value_delimiter = ',')]
    pub kafka: Vec<String>,
    /// Cassandra contact points, host:port, comma-separated.
    #[arg(long, env = "TRIAD_CASSANDRA", value_delimiter = ',')]
    pub cassandra: Vec<String>,
    #[arg(long, env = "TRIAD_CASSANDRA_USER")]
    pub cassandra_user: Option<String>,
    #[arg(long, env = "TRIAD_CASSANDRA_PASSWORD", hide_env_values = true)]
    pub cassandra_password: Option<String>,
    /// State folder of deploy/local/engines, for faults and for settling.
    #[arg(long, env = "TRIAD_STATE")]
    pub state: Option<PathBuf>,
    /// Replicas of the keyspace that is created.
    #[arg(long, default_value_t = 1)]
    pub rf: u8,
    /// Partitions of the topics that are created.
    #[arg(long, default_value_t = 12)]
    pub partitions: i32,
    /// Consistency of writes and reads; ingest's default without.
    #[arg(long)]
    pub consistency: Option<String>,
    /// How filters are served; as ingest is configured without. `table` and `entries` are for `ceiling` alone.
    #[arg(long)]
    pub index: Option<IndexKind>,
    /// A setting of ingest, as in `pipeline.batch_rows=64`; may repeat.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
}

pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("wants KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl EngineArgs {
    /// The engines.
    ///
    /// # Errors
    /// When one is not named or not on this machine.
    pub fn engines(&self) -> anyhow::Result<Engines> {
        ensure!(
            !self.kafka.is_empty(),
            "no Kafka: --kafka, or eval \"$(deploy/local/engines env)\""
        );
        ensure!(!self.cassandra.is_empty(), "no Cassandra: --cassandra, or TRIAD_CASSANDRA");
        require_loopback(&self.kafka)?;
        require_loopback(&self.cassandra)?;
        Ok(Engines {
            kafka: self.kafka.clone(),
            cassandra: self.cassandra.clone(),
            login: self.cassandra_user.clone().zip(self.cassandra_password.clone()),
            replication: self.rf,
            partitions: self.partitions,
            consistency: self.consistency.clone(),
            index: self.index,
            settings: self.settings.clone(),
        })
    }
}

/// Which events.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Events")]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct RunArgs {
    /// A run that was saved with --save: its events, and its backlog if the scenario reads one.
    #[arg(long = "run", value_name = "FILE", conflicts_with_all = ["events", "run_id", "base", "hot"])]
    pub file: Option<PathBuf>,
    /// Records, poisonous ones among them.
    #[arg(long)]
    pub events: Option<u64>,
    #[arg(long, default_value_t = 200)]
    pub tenants: u32,
    /// Zipf exponent over tenants.
    #[arg(long, default_value_t = 1.0)]
    pub exponent: f64,
    /// Share of the traffic of one hot tenant, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    pub hot: f64,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Name of the run: [a-z0-9-]{1,24}. Random without.
    #[arg(long)]
    pub run_id: Option<String>,
    /// event_time of the first event, RFC 3339; 50 minutes ago without.
    #[arg(long)]
    pub base: Option<String>,
    /// From one event to the next, in 100-ns ticks; spans 45 minutes without.
    #[arg(long)]
    pub step: Option<u64>,
    /// Every so many records one breaks a rule, all rules in turn.
    #[arg(long, default_value_t = 0)]
    pub poison_every: u64,
    /// Every so many records one is oversized.
    #[arg(long, default_value_t = 0)]
    pub oversized_every: u64,
    #[arg(long, default_value_t = 200_000)]
    pub oversized_bytes: usize,
    /// ingest is set to decode records of that size: the database is what refuses them.
    #[arg(long)]
    pub oversized_decodes: bool,
    /// Random Kafka keys instead of the tenant.
    #[arg(long)]
    pub random_keys: bool,
    /// Names other than those of the run id.
    #[arg(long)]
    pub topic: Option<String>,
    #[arg(long)]
    pub dead_letter_topic: Option<String>,
    #[arg(long)]
    pub group: Option<String>,
    #[arg(long)]
    pub keyspace: Option<String>,
}

impl RunArgs {
    /// The run: loaded, or made of the arguments, with `events` records if they do not say.
    ///
    /// # Errors
    /// When the file is no run or an argument is out of range.
    pub fn run(&self, events: u64) -> anyhow::Result<Run> {
        if let Some(file) = &self.file {
            return Run::load(file);
        }
        let events = self.events.unwrap_or(events).max(1);
        ensure!((0.0..1.0).contains(&self.hot), "--hot is a share from 0 to below 1");
        ensure!((1..=10_000).contains(&self.tenants), "--tenants is 1 to 10000");
        let id = self.run_id.clone().unwrap_or_else(random_id);
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        ensure!(
            (1..=24).contains(&id.len()) && id.bytes().all(plain),
            "--run-id is [a-z0-9-]{{1,24}}"
        );
        let base = match &self.base {
            Some(text) => Ticks::parse(text).context("--base is no RFC 3339 time")?,
            None => Ticks::from_millis(
                chrono::Utc::now().timestamp_millis() - (BEFORE / 10_000).cast_signed(),
            ),
        };
        let own = Names::of(&id);
        let or = |given: &Option<String>, own: String| given.clone().unwrap_or(own);
        Ok(Run {
            seed: self.seed,
            events,
            tenants: self.tenants,
            exponent: self.exponent,
            hot: self.hot,
            base: base.raw().cast_unsigned(),
            step: self.step.unwrap_or((SPAN / events).max(1)),
            poison_every: self.poison_every,
            oversized_every: self.oversized_every,
            oversized_bytes: self.oversized_bytes,
            oversized_decodes: self.oversized_decodes,
            random_keys: self.random_keys,
            names: Names {
                topic: or(&self.topic, own.topic),
                dead_letter_topic: or(&self.dead_letter_topic, own.dead_letter_topic),
                group: or(&self.group, own.group),
                keyspace: or(&self.keyspace, own.keyspace),
            },
            id,
        })
    }
}

/// A name that no other run has.
pub(crate) fn random_id() -> String {
    format!("r{:08x}", rand::random::<u32>())
}

/// How `ingest` is started.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "ingest")]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct IngestArgs {
    /// The binary; the one beside this program without.
    #[arg(long = "ingest", value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// CPUs that it may use, as in `taskset -c`.
    #[arg(long)]
    pub cpus: Option<String>,
}

impl IngestArgs {
    /// How it is started.
    #[must_use]
    pub fn launch(&self) -> Launch {
        Launch {
            binary: self.binary.clone().unwrap_or_else(|| Launch::sibling("ingest")),
            cpus: self.cpus.clone(),
        }
    }
}

/// What becomes of the result.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Result")]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct OutputArgs {
    #[command(flatten)]
    pub result: ResultArgs,
    /// Write the run's parameters, for verify; implies --keep.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Leave topics and keyspace.
    #[arg(long)]
    pub keep: bool,
}

/// Where the result goes, and until when there must be one.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Result")]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct ResultArgs {
    /// End standard output with one JSON object of what was measured.
    #[arg(long)]
    pub json: bool,
    /// Write a self-contained HTML report.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Give up after this long; every child is ended.
    #[arg(long, default_value_t = 900)]
    pub timeout_seconds: u64,
}

impl Common {
    /// What scenarios work with.
    ///
    /// # Errors
    /// When an engine is not named or not on this machine.
    pub fn stage(&self, stop: &Stop) -> anyhow::Result<Stage> {
        Ok(Stage {
            engines: self.engines.engines()?,
            launch: self.ingest.launch(),
            state: self.engines.state.clone(),
            stop: stop.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        run: RunArgs,
    }

    fn run(arguments: &[&str]) -> anyhow::Result<Run> {
        let all = std::iter::once("x").chain(arguments.iter().copied());
        Only::try_parse_from(all)?.run.run(1000)
    }

    #[test]
    fn a_run_lies_within_the_last_hour_and_has_names_of_its_own() {
        let now = Ticks::from_millis(chrono::Utc::now().timestamp_millis()).raw().cast_unsigned();
        let one = run(&[]).unwrap();
        assert!(one.time(999) < now && one.base > now - 3600 * TICKS_PER_SECOND);
        assert_ne!(one.names, run(&[]).unwrap().names);
        assert_eq!(run(&["--run-id", "a-1", "--topic", "t"]).unwrap().names.topic, "t");
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for bad in [["--hot", "1.0"], ["--tenants", "0"], ["--run-id", "A"], ["--base", "now"]] {
            assert!(run(&bad).is_err(), "{bad:?}");
        }
    }
}

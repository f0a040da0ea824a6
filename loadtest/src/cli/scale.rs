//! What `scale` takes on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::args::{IngestArgs, setting};
use crate::child::Launch;
use crate::scale;
use crate::stop::Stop;

#[derive(Debug, Subcommand)]
pub(super) enum ScaleCommand {
    /// Rows into one Cassandra, a day after the other: write rate, pages, partitions and disk against rows
    /// stored.
    Audit(AuditScaleArgs),
    /// A small and a large graph, each in a Dgraph of its own: cold and hot checks, memory, disk.
    Graph(GraphScaleArgs),
    /// A month of skewed tenants through the layouts of ingest, simulated: how large partitions become.
    Month(MonthArgs),
}

/// What becomes of the result.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Result")]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct ScaleOutput {
    /// The result, written whenever something is known; target/scale-WHAT.json of the workspace without. The
    /// figures go into bench.json beside it.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write a self-contained HTML report.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// `scale audit`.
#[derive(Debug, Clone, Args)]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct AuditScaleArgs {
    /// Rows to store, if disk and time allow.
    #[arg(long, default_value_t = 100_000_000)]
    pub rows: u64,
    /// Rows of a step, which are those of a day.
    #[arg(long, default_value_t = 10_000_000)]
    pub step: u64,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub tenants: u32,
    /// Zipf exponent over tenants.
    #[arg(long, default_value_t = 1.0)]
    pub exponent: f64,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Pages of each kind after each step.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub probes: u64,
    /// Pairs of runs into the full table and an empty one.
    #[arg(long, default_value_t = 5)]
    pub pairs: usize,
    /// Events of each run of a pair.
    #[arg(long, default_value_t = 1_500_000)]
    pub pair_events: u64,
    /// No step begins with less free disk than so many GiB.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub free_gib: u64,
    /// All of it ends within so many minutes; there are fewer steps if they do not fit.
    #[arg(long, default_value_t = 120)]
    pub minutes: u64,
    #[command(flatten)]
    pub ingest: IngestArgs,
    /// A setting of ingest, as in `pipeline.batch_rows=64`; may repeat.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    #[command(flatten)]
    pub output: ScaleOutput,
}

/// How the graphs come into Dgraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// As files that `dgraph bulk` makes a data folder of, before any alpha runs.
    Bulk,
    /// By `authz-edge graph import`, which takes half an hour for ten million relationships.
    Import,
}

/// `scale graph`.
#[derive(Debug, Clone, Args)]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct GraphScaleArgs {
    /// Users of the large graph.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..=9_000_000))]
    pub users: u32,
    /// Relationships of the large graph: at least four for each user.
    #[arg(long, default_value_t = 10_000_000)]
    pub relationships: u64,
    /// Relationships of the small graph, whose tenants are like those of the large one.
    #[arg(long, default_value_t = 100_000)]
    pub small: u64,
    /// How they are loaded.
    #[arg(long, value_enum, default_value_t = By::Bulk)]
    pub by: By,
    /// Alternating pairs.
    #[arg(long, default_value_t = 15)]
    pub pairs: usize,
    /// Seconds of each run of a pair.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Checks at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub connections: u16,
    /// All of it ends within so many minutes; there are fewer pairs if they do not fit.
    #[arg(long, default_value_t = 90)]
    pub minutes: u64,
    /// The binary; the one beside this program without.
    #[arg(long = "authz-edge", value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// A setting of authz-edge, as in `cache.life_ms=60000`; may repeat.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    #[command(flatten)]
    pub output: ScaleOutput,
}

impl GraphScaleArgs {
    /// How `authz-edge` is started.
    #[must_use]
    pub fn launch(&self) -> Launch {
        Launch::of(self.binary.clone(), "authz-edge")
    }

    /// Of each run.
    #[must_use]
    pub fn span(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.clamp(0.1, 600.0))
    }
}

/// `scale month`.
#[derive(Debug, Clone, Args)]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct MonthArgs {
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=99_999))]
    pub tenants: u32,
    /// Rows a day of all tenants, without bursts, growth and backfills.
    #[arg(long, default_value_t = 1_000_000_000)]
    pub rows_per_day: u64,
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub days: u32,
    /// Zipf exponents over tenants, comma-separated: a month each.
    #[arg(long, value_delimiter = ',', default_value = "0.8,0.9,1.0,1.1,1.2,1.3")]
    pub exponents: Vec<f64>,
    /// Replicas of ingest, which count rates each for itself.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub replicas: u16,
    /// Bytes of a tenant's rows before compression, in the middle of all tenants.
    #[arg(long, default_value_t = 500)]
    pub row_bytes: u32,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A setting of ingest, as in `layout.partition_rows=50000`; may repeat.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// All of it ends within so many minutes.
    #[arg(long, default_value_t = 60)]
    pub minutes: u64,
    #[command(flatten)]
    pub output: ScaleOutput,
}

impl ScaleCommand {
    /// When it must have ended.
    pub(super) fn limit(&self) -> Duration {
        let minutes = match self {
            Self::Audit(args) => args.minutes,
            Self::Graph(args) => args.minutes,
            Self::Month(args) => args.minutes,
        };
        Duration::from_secs(minutes * 60)
    }

    pub(super) async fn run(self, stop: &Stop) -> anyhow::Result<bool> {
        match self {
            Self::Audit(args) => Box::pin(scale::audit::audit(&args, stop)).await,
            Self::Graph(args) => Box::pin(scale::graph::graph(&args, stop)).await,
            Self::Month(args) => Box::pin(scale::month::month(&args, stop)).await,
        }
    }
}

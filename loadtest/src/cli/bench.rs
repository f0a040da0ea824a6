//! What `bench` takes on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::args::{IngestArgs, setting};
use crate::child::Launch;

/// `bench audit`.
#[derive(Debug, Clone, Args)]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct AuditBenchArgs {
    /// Only these figures, comma-separated, with or without `audit.`.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Alternating pairs.
    #[arg(long, default_value_t = 7)]
    pub pairs: usize,
    /// Events of each run of a pair.
    #[arg(long, default_value_t = 1_500_000)]
    pub events: u64,
    /// Rows stored for the figures about stored rows.
    #[arg(long, default_value_t = 20_000_000)]
    pub rows: u64,
    /// All of it ends within so many minutes; later runs are shortened to fit.
    #[arg(long, default_value_t = 43)]
    pub minutes: u64,
    /// The file of figures; target/bench.json of the workspace without.
    #[arg(long)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub ingest: IngestArgs,
    /// A setting of ingest, as in `pipeline.batch_rows=64`; may repeat.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
}

/// `bench authz`.
#[derive(Debug, Clone, Args)]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct AuthzBenchArgs {
    /// Only these figures or parts (openfga, spicedb), comma-separated, with or without `authz.`. Peers
    /// that are asked for are built, which takes minutes; without, they are measured if they are there.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Alternating pairs.
    #[arg(long, default_value_t = 7)]
    pub pairs: usize,
    /// Seconds of each run of a pair.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Checks at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub connections: u16,
    /// All of it ends within so many minutes; there are fewer pairs if they do not fit.
    #[arg(long, default_value_t = 35)]
    pub minutes: u64,
    /// The file of figures; target/bench.json of the workspace without.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// The binary; the one beside this program without.
    #[arg(long = "authz-edge", value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// A setting of authz-edge, as in `cache.life_ms=60000`; may repeat.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Tiny graphs and short runs: to try the bench itself. Its figures mean nothing.
    #[arg(long, hide = true)]
    pub quick: bool,
}

impl AuthzBenchArgs {
    /// How `authz-edge` is started.
    #[must_use]
    pub fn launch(&self) -> Launch {
        Launch::of(self.binary.clone(), "authz-edge")
    }
}

/// `bench standalone`.
#[derive(Debug, Clone, Args)]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct StandaloneBenchArgs {
    /// Only these figures or parts, comma-separated, with or without `standalone.`.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Alternating pairs.
    #[arg(long, default_value_t = 7)]
    pub pairs: usize,
    /// Seconds of each run of a pair.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Requests at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: u16,
    /// Events that are stored for the figures about stored ones.
    #[arg(long, default_value_t = 10_000_000)]
    pub events: u64,
    /// All of it ends within so many minutes.
    #[arg(long, default_value_t = 20)]
    pub minutes: u64,
    /// The file of figures; target/bench.json of the workspace without.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// The binary; the one beside this program without.
    #[arg(long = "triad", value_name = "PATH")]
    pub binary: Option<PathBuf>,
}

impl StandaloneBenchArgs {
    /// How `triad` is started.
    #[must_use]
    pub fn launch(&self) -> Launch {
        Launch::of(self.binary.clone(), "triad")
    }
}

/// `bench identity`.
#[derive(Debug, Clone, Args)]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct IdentityBenchArgs {
    /// Only these figures or parts, comma-separated, with or without `identity.`.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Alternating pairs.
    #[arg(long, default_value_t = 7)]
    pub pairs: usize,
    /// Seconds of each run of a pair.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Requests at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub connections: u16,
    /// All of it ends within so many minutes; there are fewer pairs if they do not fit.
    #[arg(long, default_value_t = 20)]
    pub minutes: u64,
    /// The file of figures; target/bench.json of the workspace without.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// The binary; the one beside this program without.
    #[arg(long = "identity-admin", value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// A setting of identity-admin, as in `relay.poll_ms=20`; may repeat.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
}

impl IdentityBenchArgs {
    /// How `identity-admin` is started.
    #[must_use]
    pub fn launch(&self) -> Launch {
        Launch::of(self.binary.clone(), "identity-admin")
    }

    /// Of each run.
    #[must_use]
    pub fn span(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.clamp(0.1, 600.0))
    }
}

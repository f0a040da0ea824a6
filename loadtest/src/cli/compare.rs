//! What `compare` takes on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::args::IngestArgs;
use super::{AuthzBenchArgs, IdentityBenchArgs};
use crate::compare::What;

/// `compare`.
#[derive(Debug, Clone, Args)]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct CompareArgs {
    #[arg(value_enum, default_value_t = What::All)]
    pub what: What,
    /// Print a Markdown table of the figures that are there, and measure nothing.
    #[arg(long)]
    pub table: bool,
    /// The file of figures; target/compare.json of the workspace without. Those of other parts stay.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The HTML report; target/compare.html of the workspace without.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Give up after this long; all that was started is ended.
    #[arg(long, default_value_t = 10_800)]
    pub timeout_seconds: u64,
    /// Rounds in which all sides have their turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub rounds: u16,
    /// Seconds of each turn of checks, creations and grants.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Events of the topic that ingest and Bento drain.
    #[arg(long, default_value_t = 2_000_000)]
    pub events: u64,
    /// Bento's pipelines, of loadtest/peers/bento, comma-separated.
    #[arg(long, value_delimiter = ',', default_values_t = ["plain".to_owned(), "grouped".to_owned()])]
    pub bento: Vec<String>,
    /// OpenFGA, SpiceDB or both, comma-separated.
    #[arg(long, value_delimiter = ',', default_values_t = ["openfga".to_owned(), "spicedb".to_owned()])]
    pub peers: Vec<String>,
    /// Rows stored at which the monolith's audit table and Triad's are measured, ascending,
    /// comma-separated; as many as there is time for.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1_000_000, 5_000_000, 10_000_000])]
    pub levels: Vec<u64>,
    /// Rows of a window of writes at each level.
    #[arg(long, default_value_t = 100_000)]
    pub window: u64,
    /// First pages that are read at each level.
    #[arg(long, default_value_t = 300)]
    pub probes: u64,
    #[command(flatten)]
    pub ingest: IngestArgs,
    /// The binary; the one beside this program without.
    #[arg(long, value_name = "PATH")]
    pub authz_edge: Option<PathBuf>,
    /// The binary; the one beside this program without.
    #[arg(long, value_name = "PATH")]
    pub identity_admin: Option<PathBuf>,
    /// Tiny graphs: to try the comparison itself. Its figures mean nothing.
    #[arg(long, hide = true)]
    pub quick: bool,
}

impl CompareArgs {
    /// Of each turn.
    #[must_use]
    pub fn span(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.clamp(0.1, 600.0))
    }

    /// For what `bench authz` lends.
    #[must_use]
    pub fn authz(&self, connections: u16) -> AuthzBenchArgs {
        AuthzBenchArgs {
            only: Vec::new(),
            pairs: usize::from(self.rounds),
            seconds: self.seconds,
            connections,
            minutes: self.timeout_seconds.div_ceil(60),
            out: None,
            binary: self.authz_edge.clone(),
            settings: Vec::new(),
            quick: self.quick,
        }
    }

    /// For what `bench identity` lends.
    #[must_use]
    pub fn identity(&self, connections: u16) -> IdentityBenchArgs {
        IdentityBenchArgs {
            only: Vec::new(),
            pairs: usize::from(self.rounds),
            seconds: self.seconds,
            connections,
            minutes: self.timeout_seconds.div_ceil(60),
            out: None,
            binary: self.identity_admin.clone(),
            settings: Vec::new(),
        }
    }

    /// What is parsed of these words, for tests.
    #[cfg(test)]
    pub(crate) fn example(words: &[&str]) -> Self {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            args: CompareArgs,
        }
        let all = std::iter::once("x").chain(words.iter().copied());
        <Only as clap::Parser>::try_parse_from(all).unwrap().args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_compared_unless_somebody_says_what() {
        let args = CompareArgs::example(&[]);
        assert_eq!((args.what, args.rounds), (What::All, 3));
        assert_eq!(args.levels, [0, 1_000_000, 5_000_000, 10_000_000]);
        assert_eq!(args.bento, ["plain", "grouped"]);
        let args = CompareArgs::example(&["monolith", "--levels", "0,1000", "--seconds", "0"]);
        assert_eq!((args.what, args.levels.len()), (What::Monolith, 2));
        assert_eq!(args.span(), Duration::from_millis(100));
    }
}

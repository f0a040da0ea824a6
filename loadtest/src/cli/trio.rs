//! What `chaos` and `soak` take on the command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use crate::chaos::plan::Plan;
use crate::chaos::seed::Told;
use crate::deploy::target;
use crate::trio::Binaries;
use crate::trio::work::Rates;

/// What a seed takes beside its plan: to begin, to heal and to verify, at most.
const BESIDE_SEED: u64 = 600;
/// What engines and services take to start and to end, at most.
const BESIDE_ALL: u64 = 900;

/// The services.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Services")]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct BinaryArgs {
    /// The binary; the one beside this program without.
    #[arg(long = "ingest", value_name = "PATH")]
    pub ingest: Option<PathBuf>,
    /// The binary; the one beside this program without.
    #[arg(long = "authz-edge", value_name = "PATH")]
    pub edge: Option<PathBuf>,
    /// The binary; the one beside this program without.
    #[arg(long = "identity-admin", value_name = "PATH")]
    pub identity: Option<PathBuf>,
}

impl BinaryArgs {
    /// The binaries.
    #[must_use]
    pub fn binaries(&self) -> Binaries {
        let (ingest, edge) = (self.ingest.clone(), self.edge.clone());
        Binaries { ingest, edge, identity: self.identity.clone() }
    }
}

/// How much is asked of the trio, a second, over all replicas.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Work, each a second")]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct RateArgs {
    /// Events published to Kafka.
    #[arg(long, default_value_t = Rates::default().events, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub events: u32,
    /// Events posted over HTTP.
    #[arg(long, default_value_t = Rates::default().posts, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub posts: u32,
    /// Checks.
    #[arg(long, default_value_t = Rates::default().checks, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub checks: u32,
    /// Grants and revocations of roles.
    #[arg(long, default_value_t = Rates::default().grants, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub grants: u32,
    /// Writes of users, teams and memberships.
    #[arg(long, default_value_t = Rates::default().identities, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub identities: u32,
}

impl RateArgs {
    /// The rates.
    #[must_use]
    pub fn rates(&self) -> Rates {
        let Self { events, posts, checks, grants, identities } = *self;
        Rates { events, posts, checks, grants, identities }
    }
}

/// `chaos`.
#[derive(Debug, Clone, Args)]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct ChaosArgs {
    /// The first seed. Faults, names and data are made from it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many seeds in a row; 20 have every fault.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub seeds: u64,
    /// How long faults come, for each seed; the last 20 s are without.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(30..=86_400))]
    pub seconds: u64,
    /// Faults as they are in this file, with the seed and the seconds that it names.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds", "seconds"])]
    pub plan: Option<PathBuf>,
    /// Print the plans, and do nothing.
    #[arg(long)]
    pub print_plan: bool,
    #[command(flatten)]
    pub rates: RateArgs,
    #[command(flatten)]
    pub binaries: BinaryArgs,
    /// Where each seed becomes a line; target/chaos.jsonl of the workspace without.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Keep the logs of every seed in target/chaos, and not only of those that found something.
    #[arg(long)]
    pub keep: bool,
    /// End standard output with one JSON object of all seeds.
    #[arg(long)]
    pub json: bool,
    /// Write a self-contained HTML report.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Give up after this long; every child is ended. What the seeds take at most without.
    #[arg(long)]
    pub timeout_seconds: Option<u64>,
}

impl ChaosArgs {
    /// The plans, in their order.
    ///
    /// # Errors
    /// When the file is no plan.
    pub fn plans(&self) -> anyhow::Result<Vec<Plan>> {
        if let Some(file) = &self.plan {
            let named = || file.display().to_string();
            let text = std::fs::read_to_string(file).with_context(named)?;
            return Ok(vec![Plan::parse(&text).with_context(named)?]);
        }
        let seeds = self.seed..self.seed.saturating_add(self.seeds);
        Ok(seeds.map(|seed| Plan::new(seed, self.seconds)).collect())
    }

    /// How long all of it may take.
    ///
    /// # Errors
    /// When the file is no plan.
    pub fn limit(&self) -> anyhow::Result<Duration> {
        let seeds = self.plans()?.iter().map(|plan| plan.seconds + BESIDE_SEED).sum::<u64>();
        Ok(Duration::from_secs(self.timeout_seconds.unwrap_or(seeds + BESIDE_ALL)))
    }

    /// Where each seed becomes a line.
    ///
    /// # Errors
    /// When there is no workspace.
    pub fn out(&self) -> anyhow::Result<PathBuf> {
        self.out.clone().map_or_else(|| Ok(target()?.join("chaos.jsonl")), Ok)
    }

    /// Where logs are kept.
    ///
    /// # Errors
    /// When there is no workspace.
    pub fn logs(&self) -> anyhow::Result<PathBuf> {
        Ok(target()?.join("chaos"))
    }

    /// What does a seed again. Rates are named where they are not the usual ones.
    #[must_use]
    pub fn replay(&self, told: &Told) -> String {
        let mut words = match &self.plan {
            Some(file) => format!("loadtest chaos --plan {}", file.display()),
            None => format!("loadtest chaos --seed {} --seconds {}", told.seed, self.seconds),
        };
        let (asked, usual) = (self.rates.rates(), Rates::default());
        for (name, rate, usual) in [
            ("events", asked.events, usual.events),
            ("posts", asked.posts, usual.posts),
            ("checks", asked.checks, usual.checks),
            ("grants", asked.grants, usual.grants),
            ("identities", asked.identities, usual.identities),
        ] {
            if rate != usual {
                words.push_str(&format!(" --{name} {rate}"));
            }
        }
        words
    }
}

/// `soak`.
#[derive(Debug, Clone, Args)]
#[allow(missing_docs, reason = "the help texts document them")]
pub struct SoakArgs {
    /// How long it works, the warm-up included.
    #[arg(long, default_value_t = 1800, value_parser = clap::value_parser!(u64).range(60..=604_800))]
    pub seconds: u64,
    /// What is not judged: pools grow, and what is kept for ten minutes (cached entries, marks of what was deleted) is
    /// more every minute.
    #[arg(long, default_value_t = 720)]
    pub warm_up_seconds: u64,
    /// Nodes of Cassandra: 1 or 3.
    #[arg(long, default_value_t = 1, value_parser = PossibleValuesParser::new(["1", "3"])
        .map(|nodes| if nodes == "3" { 3_u8 } else { 1 }))]
    pub cassandra_nodes: u8,
    /// Names and data are made from it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub rates: RateArgs,
    #[command(flatten)]
    pub binaries: BinaryArgs,
    /// End standard output with one JSON object of what was found.
    #[arg(long)]
    pub json: bool,
    /// Write a self-contained HTML report.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Give up after this long; every child is ended. What it takes at most without.
    #[arg(long)]
    pub timeout_seconds: Option<u64>,
}

impl SoakArgs {
    /// How long all of it may take.
    #[must_use]
    pub fn limit(&self) -> Duration {
        let most = self.seconds + BESIDE_SEED + BESIDE_ALL;
        Duration::from_secs(self.timeout_seconds.unwrap_or(most))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    enum Only {
        Chaos(ChaosArgs),
        Soak(SoakArgs),
    }

    fn chaos(arguments: &[&str]) -> Option<ChaosArgs> {
        let all = ["x", "chaos"].into_iter().chain(arguments.iter().copied());
        match Only::try_parse_from(all).ok()? {
            Only::Chaos(args) => Some(args),
            Only::Soak(_) => None,
        }
    }

    #[test]
    fn seeds_follow_each_other() {
        let args = chaos(&["--seed", "7", "--seeds", "3", "--seconds", "60"]).unwrap();
        let plans = args.plans().unwrap();
        assert_eq!(plans.iter().map(|plan| plan.seed).collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(args.limit().unwrap().as_secs(), 3 * (60 + BESIDE_SEED) + BESIDE_ALL);
        assert_eq!(chaos(&["--timeout-seconds", "5"]).unwrap().limit().unwrap().as_secs(), 5);
    }

    #[test]
    fn a_plan_of_a_file_is_taken_as_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let plan = Plan::new(3, 120);
        std::fs::write(file.path(), serde_json::to_string(&plan).unwrap()).unwrap();
        let path = file.path().display().to_string();
        let args = chaos(&["--plan", &path]).unwrap();
        assert_eq!(args.plans().unwrap(), [plan]);
        for beside in [["--seed", "1"], ["--seeds", "2"], ["--seconds", "90"]] {
            assert!(chaos(&[&["--plan", &path][..], &beside].concat()).is_none(), "{beside:?}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for bad in [["--seeds", "0"], ["--seconds", "29"], ["--checks", "0"]] {
            assert!(chaos(&bad).is_none(), "{bad:?}");
        }
        let soak = |nodes| Only::try_parse_from(["x", "soak", "--cassandra-nodes", nodes]);
        let Ok(Only::Soak(args)) = soak("3") else { panic!("no soak") };
        assert_eq!((args.cassandra_nodes, args.seconds), (3, 1800));
        assert!(soak("2").is_err());
    }
}

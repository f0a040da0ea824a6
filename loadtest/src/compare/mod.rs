//! `loadtest compare`: Triad beside what else one could take, on this machine, with the same events, graph and load.
//!
//! | module | what it does |
//! |---|---|
//! | `figure` | one quantity of Triad and its peers, round by round, and their ratios |
//! | `section`, `words` | what belongs to a comparison: figures, curves, commands, settings, what a peer does that Triad does not |
//! | `page`, `table` | the report, and the table for the README |
//! | `peer` | installing peers, and running one |
//! | `audit` | Bento from Kafka to Cassandra |
//! | `authz` | OpenFGA and SpiceDB |
//! | `identity` | Keycloak |
//! | `monolith` | what was decided against: audit log and checks in MySQL |

mod audit;
mod authz;
mod figure;
mod identity;
mod monolith;
mod page;
mod peer;
mod section;
mod table;
mod words;

use std::path::{Path, PathBuf};

use anyhow::ensure;
use serde_json::to_value;

use crate::cli::CompareArgs;
use crate::deploy;
use crate::progress::say;
use crate::stop::Stop;
use crate::system::Machine;
use section::Section;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// Kafka to Cassandra, with Bento.
    Audit,
    /// Checks, with OpenFGA and SpiceDB.
    Authz,
    /// Users and tokens, with Keycloak.
    Identity,
    /// All of it in MySQL.
    Monolith,
    /// One after the other.
    All,
}

impl What {
    fn parts(self) -> &'static [Self] {
        static ALL: [What; 4] = [What::Audit, What::Authz, What::Identity, What::Monolith];
        match self {
            Self::Audit => &ALL[..1],
            Self::Authz => &ALL[1..2],
            Self::Identity => &ALL[2..3],
            Self::Monolith => &ALL[3..],
            Self::All => &ALL,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Authz => "authz",
            Self::Identity => "identity",
            Self::Monolith => "monolith",
            Self::All => "all",
        }
    }
}

/// Compares what `args` ask for, and writes figures and report after each part, so that an end by time
/// loses nothing. With `--table`, only prints what is there. Returns whether all of it was measured.
///
/// # Errors
/// A file that cannot be read or written. A part that fails is told, and the others go on.
pub async fn compare(args: &CompareArgs, stop: &Stop) -> anyhow::Result<bool> {
    let out = args.out.clone().map_or_else(|| target("compare.json"), Ok)?;
    if args.table {
        return print(&out);
    }
    let report = args.report.clone().map_or_else(|| target("compare.html"), Ok)?;
    let mut failed = Vec::new();
    for part in args.what.parts() {
        say(&format!("comparing {}", part.name()));
        let machine = Machine::here();
        match Box::pin(measure(*part, args, stop)).await {
            Ok(section) => {
                // As it was before, with the load that was on it.
                let section = Section { machine: to_value(machine)?, ..section };
                let sections = section::merge(&out, part.name(), section)?;
                page::write(&report, &sections)?;
            }
            Err(error) => {
                say(&format!("{} failed: {error:#}", part.name()));
                failed.push(part.name());
            }
        }
    }
    say(&format!("written to {} and {}", out.display(), report.display()));
    if !failed.is_empty() {
        say(&format!("failed: {}", failed.join(", ")));
    }
    Ok(failed.is_empty())
}

async fn measure(part: What, args: &CompareArgs, stop: &Stop) -> anyhow::Result<Section> {
    match part {
        What::Audit => Box::pin(audit::audit(args, stop)).await,
        What::Authz => Box::pin(authz::authz(args, stop)).await,
        What::Identity => Box::pin(identity::identity(args, stop)).await,
        What::Monolith | What::All => Box::pin(monolith::monolith(args, stop)).await,
    }
}

/// The table of what was measured before.
#[allow(clippy::print_stdout, reason = "the table is the command's result")]
fn print(out: &Path) -> anyhow::Result<bool> {
    let sections = section::read(out)?;
    ensure!(!sections.is_empty(), "{} holds no figures: compare first", out.display());
    print!("{}", table::markdown(&sections));
    Ok(true)
}

fn target(name: &str) -> anyhow::Result<PathBuf> {
    Ok(deploy::workspace()?.join("target").join(name))
}

/// A folder for engines of our own, which nobody else has.
fn state(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("triad-compare-{}-{name}", std::process::id()))
}

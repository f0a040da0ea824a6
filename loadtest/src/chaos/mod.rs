//! `loadtest chaos`: faults that a seed decides on, done to a trio under work, every answer of which is held to what it
//! must be.
//!
//! | module | what it holds |
//! |---|---|
//! | [`fault`] | what can be done to whom |
//! | [`plan`] | faults over time, made from a seed |
//! | `inflict` | doing them |
//! | [`seed`] | a seed: work, faults, healing, the verdict |
//! | [`namespace`] | a network of our own, for cuts |
//! | `table` | the summary |

pub mod fault;
mod inflict;
pub mod namespace;
pub mod plan;
pub mod seed;
mod table;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::ChaosArgs;
use crate::deploy;
use crate::progress::say;
use crate::stop::Stop;
use crate::trio::stage::{self, Options, Stage};
use plan::Plan;
use seed::Told;

pub use table::table;

/// Nodes of Cassandra: writes and reads at QUORUM go on without any one of them.
const NODES: u8 = 3;

/// All seeds, one after the other; each is a line of `--out`. Outside of a network of our own it becomes this program inside
/// of one, where that can be.
///
/// # Errors
/// What kept it from being done; the logs of the seed that it happened in are kept. A violation is no error.
pub async fn chaos(args: &ChaosArgs, stop: &Stop) -> anyhow::Result<Vec<Told>> {
    args.binaries.binaries().check()?;
    if !namespace::is_inside() {
        // Inside nothing can be fetched.
        let state = std::env::temp_dir().join(format!("triad-install-{}", std::process::id()));
        deploy::install(&state, stage::ENGINES).await?;
        if namespace::can_enter() {
            namespace::enter()?;
        }
    }
    let cuts = namespace::is_inside();
    let options = Options { nodes: NODES, cuts, binaries: args.binaries.binaries() };
    let mut all = Vec::new();
    let mut stage = None;
    for plan in args.plans()? {
        stop.check()?;
        let (plan, without) = if cuts { (plan, Vec::new()) } else { plan.without_cuts() };
        let on = match stage.take() {
            Some(stage) => stage,
            None => Box::pin(Stage::start(options.clone())).await?,
        };
        say(&format!("seed {}: {} faults in {} s", plan.seed, plan.faults.len(), plan.seconds));
        let mut told = one(&on, plan, args).await?;
        // The plan is the seed's, wherever it is done.
        told.plan.faults.extend(without.iter().cloned());
        told.plan.faults.sort_by_key(|fault| fault.at_ms);
        told.left_out.extend(without);
        let is_well = told.violations.is_empty();
        if args.keep || !is_well {
            told.logs = Some(folder(args, told.seed)?);
        }
        // What was found is written before anything else can fail.
        append(&args.out()?, &told)?;
        if let Some(logs) = &told.logs {
            seed::keep(&on, &told.plan, logs)?;
        }
        tell(&told, args);
        all.push(told);
        // What is wrong might go on to be.
        if is_well { stage = Some(on) } else { on.down().await? }
    }
    if let Some(stage) = stage {
        stage.down().await?;
    }
    Ok(all)
}

/// A seed; when it cannot be done to its end, its logs tell why.
async fn one(stage: &Stage, plan: Plan, args: &ChaosArgs) -> anyhow::Result<Told> {
    let (kept, number) = (plan.clone(), plan.seed);
    match Box::pin(seed::run(stage, plan, args.rates.rates())).await {
        Ok(told) => Ok(told),
        Err(error) => {
            let folder = folder(args, number)?;
            seed::keep(stage, &kept, &folder)?;
            Err(error.context(format!("seed {number}; its logs are in {}", folder.display())))
        }
    }
}

/// Where the logs of a seed are kept.
fn folder(args: &ChaosArgs, seed: u64) -> anyhow::Result<PathBuf> {
    Ok(args.logs()?.join(format!("seed-{seed}")))
}

fn tell(told: &Told, args: &ChaosArgs) {
    let count = told.violations.len();
    say(&format!("seed {}: {count} violations in {:.0} s", told.seed, told.seconds));
    if let Some(folder) = &told.logs {
        say(&format!("its logs: {}", folder.display()));
    }
    if count > 0 {
        say(&format!("replay: {}", args.replay(told)));
    }
}

/// Adds a line to a file.
fn append(path: &Path, told: &Told) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.with_context(|| path.display().to_string())?;
    Ok(writeln!(file, "{}", serde_json::to_string(told)?)?)
}

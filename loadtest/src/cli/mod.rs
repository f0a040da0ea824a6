//! The command line: which scenario, on which engines, and what becomes of the result.

mod args;
mod bench;
mod check;
mod compare;
mod output;
mod queries;
mod scale;
mod scenarios;
mod trio;

use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::{json, to_value};
use tokio::signal::unix::{SignalKind, signal};

pub use args::{Common, EngineArgs, IngestArgs, RunArgs};
pub use bench::{AuditBenchArgs, AuthzBenchArgs, IdentityBenchArgs, StandaloneBenchArgs};
use check::CheckCommand;
pub use compare::CompareArgs;
use output::Outcome;
use scale::ScaleCommand;
pub use scale::{AuditScaleArgs, By, GraphScaleArgs, MonthArgs, ScaleOutput};
use scenarios::Scenario;
pub use trio::{BinaryArgs, ChaosArgs, RateArgs, SoakArgs};

use crate::report;
use crate::stop::Stop;

/// Loads, ceilings and proofs for Triad: produce, measure, verify. Loopback only.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One scenario on engines that run already (deploy/local/engines env).
    #[command(subcommand)]
    Audit(Scenario),
    /// Permission checks, against a target that runs already.
    #[command(subcommand)]
    Check(CheckCommand),
    /// Triad beside its peers, on engines of its own; writes target/compare.json and target/compare.html.
    Compare(CompareArgs),
    /// Measures the goals on engines of its own and writes target/bench.json.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Measures what grows with what, on engines of its own, as far as this machine goes.
    #[command(subcommand)]
    Scale(ScaleCommand),
    /// Faults that a seed decides on, on engines and services of its own. Exit code 1 if something is wrong.
    Chaos(ChaosArgs),
    /// Hours of work on engines and services of its own: nothing may drift. Exit code 1 if something does.
    Soak(SoakArgs),
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Audit events.
    Audit(AuditBenchArgs),
    /// Permission checks.
    Authz(AuthzBenchArgs),
    /// Identities.
    Identity(IdentityBenchArgs),
    /// The one process.
    Standalone(StandaloneBenchArgs),
}

impl Cli {
    /// What is logged. Where engines are ended on purpose, their clients have nothing to tell.
    #[must_use]
    pub fn log_filter(&self) -> &'static str {
        match self.command {
            Command::Chaos(_) => "error,librdkafka=off,rdkafka=off,scylla=off",
            _ => "warn,librdkafka=error,scylla=error",
        }
    }

    /// Runs the command; returns whether what was to be proved holds.
    ///
    /// # Errors
    /// Whatever kept it from measuring, an interruption and the time limit among it. Children are
    /// ended by then.
    pub async fn run(self) -> anyhow::Result<bool> {
        match self.command {
            Command::Audit(scenario) => audit(scenario).await,
            Command::Check(command) => check(command).await,
            Command::Scale(command) => {
                let stop = Stop::after(command.limit());
                let _guard = stop.guard();
                bounded(&stop, Box::pin(command.run(&stop))).await
            }
            Command::Compare(args) => {
                let stop = Stop::after(Duration::from_secs(args.timeout_seconds));
                let _guard = stop.guard();
                bounded(&stop, Box::pin(crate::compare::compare(&args, &stop))).await
            }
            Command::Chaos(args) => chaos(&args).await,
            Command::Soak(args) => soak(&args).await,
            Command::Bench(BenchCommand::Audit(args)) => {
                let stop = Stop::after(Duration::from_secs(args.minutes * 60));
                let _guard = stop.guard();
                bounded(&stop, Box::pin(crate::bench::audit(&args, &stop))).await
            }
            Command::Bench(BenchCommand::Authz(args)) => {
                let stop = Stop::after(Duration::from_secs(args.minutes * 60));
                let _guard = stop.guard();
                bounded(&stop, Box::pin(crate::bench::authz(&args, &stop))).await
            }
            Command::Bench(BenchCommand::Identity(args)) => {
                let stop = Stop::after(Duration::from_secs(args.minutes * 60));
                let _guard = stop.guard();
                bounded(&stop, Box::pin(crate::bench::identity(&args, &stop))).await
            }
            Command::Bench(BenchCommand::Standalone(args)) => {
                let stop = Stop::after(Duration::from_secs(args.minutes * 60));
                let _guard = stop.guard();
                bounded(&stop, Box::pin(crate::bench::standalone(&args, &stop))).await
            }
        }
    }
}

async fn audit(scenario: Scenario) -> anyhow::Result<bool> {
    let output = scenario.common().output.result.clone();
    let stop = Stop::after(Duration::from_secs(output.timeout_seconds));
    let _guard = stop.guard();
    let title = scenario.title();
    let outcome: Outcome = bounded(&stop, Box::pin(scenario.run(&stop))).await?;
    output::deliver(&output, title, &outcome)?;
    Ok(outcome.ok)
}

async fn check(command: CheckCommand) -> anyhow::Result<bool> {
    let stop = Stop::after(command.limit());
    let _guard = stop.guard();
    let (result, title) = (command.result().cloned(), command.title());
    let outcome = bounded(&stop, Box::pin(command.run(&stop))).await?;
    if let (Some(outcome), Some(result)) = (&outcome, &result) {
        output::deliver(result, title, outcome)?;
    }
    Ok(outcome.is_none_or(|outcome| outcome.ok))
}

async fn chaos(args: &ChaosArgs) -> anyhow::Result<bool> {
    if args.print_plan {
        for plan in args.plans()? {
            output::say(&serde_json::to_string(&plan)?);
        }
        return Ok(true);
    }
    let stop = Stop::after(args.limit()?);
    let _guard = stop.guard();
    let all = bounded(&stop, Box::pin(crate::chaos::chaos(args, &stop))).await?;
    let figures = json!({ "seeds": to_value(&all)? });
    if args.json {
        output::say(&figures.to_string());
    } else {
        crate::chaos::table(&all).iter().for_each(|line| output::say(line));
    }
    if let Some(path) = &args.report {
        let charts: Vec<_> = all.iter().flat_map(|told| told.charts.clone()).collect();
        report::write(path, "Triad loadtest: chaos", &charts, &figures)?;
    }
    Ok(all.iter().all(|told| told.violations.is_empty()))
}

async fn soak(args: &SoakArgs) -> anyhow::Result<bool> {
    let stop = Stop::after(args.limit());
    let _guard = stop.guard();
    let told = bounded(&stop, Box::pin(crate::soak::soak(args, &stop))).await?;
    let figures = to_value(&told)?;
    if args.json {
        output::say(&figures.to_string());
    } else {
        told.lines().iter().for_each(|line| output::say(line));
    }
    if let Some(path) = &args.report {
        report::write(path, "Triad loadtest: soak", &told.charts, &figures)?;
    }
    Ok(told.is_well())
}

/// Whether it was started by `nohup`, which a handler would undo.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

/// Gives up at the deadline and on SIGINT, SIGTERM and, unless it is ignored, SIGHUP: dropping the work ends every child.
async fn bounded<T>(
    stop: &Stop,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let hung_up = async {
        if ignores_hangup() {
            std::future::pending::<()>().await;
        }
        signal(SignalKind::hangup())?.recv().await;
        anyhow::Ok(())
    };
    tokio::select! {
        result = work => result,
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
        lost = hung_up => lost.and_then(|()| anyhow::bail!("the terminal is gone")),
        () = tokio::time::sleep_until(stop.deadline().into()) => anyhow::bail!("the time is up"),
    }
}

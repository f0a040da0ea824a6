//! `loadtest check`: its subcommands with what is particular to each.

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json, to_value};

use super::args::ResultArgs;
use super::output::{self, Outcome};
use super::queries::QueriesArgs;
use crate::check::bare::{self, Bare};
use crate::check::change::Changes;
use crate::check::graph::Shape;
use crate::check::link::Endpoint;
use crate::check::load::load;
use crate::check::measure::{Measured, Plan, charts, measure};
use crate::check::pace::Pace;
use crate::check::space::{Draw, Keys, Space};
use crate::check::target::{Kind, Target};
use crate::progress::say;
use crate::stop::Stop;
use crate::system::Machine;

/// A subcommand.
#[derive(Debug, Subcommand)]
pub(super) enum CheckCommand {
    /// Ask a target that holds the graph. Exit code 1 if an answer is wrong.
    Run(RunArgs),
    /// Write the graph through the target's own API.
    Load(LoadArgs),
    /// Ask Dgraph one question in three ways, over depths of teams and numbers of bindings (ADR 0009).
    Queries(QueriesArgs),
    /// Answer like Triad without a thought, until told to end.
    Bare(BareArgs),
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target")]
struct TargetArgs {
    #[arg(long)]
    target: Kind,
    /// http://HOST:PORT; 8102 here for triad, a server of our own for bare.
    #[arg(long)]
    url: Option<String>,
    /// Sent as a bearer token: Triad's access token, SpiceDB's preshared key.
    #[arg(long, env = "LOADTEST_BEARER", hide_env_values = true)]
    bearer: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Graph")]
struct GraphArgs {
    /// Tenants that are checked, or loaded; each has a graph of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tenants: u32,
    /// Users of each tenant.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    users: u32,
    /// Documents of each tenant.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    resources: u32,
    /// Levels of teams within teams.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    depth: u32,
    /// Roles of each tenant, in Triad.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(3..=1000))]
    roles: u32,
    /// Another seed makes another graph and asks other questions.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    graph: GraphArgs,
    #[command(flatten)]
    load: CheckArgs,
    #[command(flatten)]
    writes: WriteArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Checks")]
struct CheckArgs {
    #[arg(long, value_enum, default_value_t = Keys::Hot)]
    keys: Keys,
    /// Checks at once.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Checks a second, latency counted from the intended start; without, each connection asks one
    /// after the other.
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, default_value_t = 10.0)]
    duration_seconds: f64,
    /// Before anything counts, at most: it ends when all was shown that is to be seen before. 120
    /// without, and 1 for cold keys and for an endless pool.
    #[arg(long)]
    warm_up_seconds: Option<f64>,
    /// Hot questions that are drawn and then asked over and over; 0 to draw for ever.
    #[arg(long, default_value_t = 2000)]
    pool: u64,
    /// Share of questions to be allowed, 0 to 1, as far as there are any.
    #[arg(long, default_value_t = 0.5)]
    allow_share: f64,
    /// Zipf exponent over hot keys.
    #[arg(long, default_value_t = 1.0)]
    exponent: f64,
    /// The target's process, to know its CPU and memory.
    #[arg(long)]
    server_pid: Option<u32>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Writes")]
struct WriteArgs {
    /// Writes beside the checks, a second: 60 % memberships, 30 % bindings, 10 % roles. No answer
    /// changes by them.
    #[arg(long)]
    writes_per_second: Option<f64>,
    /// Tenants that are written to; 100 without, or as many as there are.
    #[arg(long)]
    write_tenants: Option<u32>,
    /// Write to the tenants behind the checked ones, which nobody checks; they must be loaded, too.
    #[arg(long)]
    writes_elsewhere: bool,
}

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    graph: GraphArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Debug, Args)]
pub(super) struct BareArgs {
    /// Where, on loopback; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8192")]
    listen: String,
    /// End after this long.
    #[arg(long, default_value_t = 900)]
    timeout_seconds: u64,
}

impl GraphArgs {
    fn shape(&self) -> Shape {
        let Self { tenants: _, users, resources, depth, roles, seed } = *self;
        Shape { seed, users, resources, depth, roles }
    }
}

impl TargetArgs {
    fn endpoint(&self, bare: Option<&Bare>) -> anyhow::Result<Endpoint> {
        let own = bare.map(|bare| format!("http://{}", bare.address));
        let url = self.url.as_deref().or(own.as_deref()).or(self.target.default_url());
        let url = url.with_context(|| format!("--url: where is {:?}?", self.target))?;
        Endpoint::new(url, self.bearer.as_deref(), self.target.speaks_grpc())
    }
}

impl CheckCommand {
    /// Where the result goes, if there will be one.
    pub(super) fn result(&self) -> Option<&ResultArgs> {
        match self {
            Self::Run(args) => Some(&args.result),
            Self::Load(args) => Some(&args.result),
            Self::Queries(args) => Some(&args.result),
            Self::Bare(_) => None,
        }
    }

    pub(super) fn limit(&self) -> Duration {
        let seconds = match self {
            Self::Bare(args) => args.timeout_seconds,
            Self::Run(RunArgs { result, .. })
            | Self::Load(LoadArgs { result, .. })
            | Self::Queries(QueriesArgs { result, .. }) => result.timeout_seconds,
        };
        Duration::from_secs(seconds)
    }

    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Run(_) => "check run",
            Self::Load(_) => "check load",
            Self::Queries(_) => "check queries",
            Self::Bare(_) => "check bare",
        }
    }

    /// The outcome, if the command is one that has any.
    pub(super) async fn run(self, stop: &Stop) -> anyhow::Result<Option<Outcome>> {
        match self {
            Self::Run(args) => args.run(stop).await.map(Some),
            Self::Load(args) => args.run(stop).await.map(Some),
            Self::Queries(args) => args.run(stop).await.map(Some),
            Self::Bare(args) => {
                let listener = bare::bind(&args.listen).await?;
                output::say(&bare::greeting(&listener)?);
                bare::serve(listener, bare::always_yes).await.map(|()| None)
            }
        }
    }
}

impl LoadArgs {
    async fn run(self, stop: &Stop) -> anyhow::Result<Outcome> {
        ensure!(self.target.target.knows(), "--target bare has nothing to be told");
        let (shape, tenants) = (self.graph.shape(), self.graph.tenants);
        let endpoint = self.target.endpoint(None)?;
        let target = Target::prepare(self.target.target, endpoint, &shape, tenants).await?;
        let loaded = load(&target, &shape, tenants, stop).await?;
        let parts = [
            ("", to_value(&loaded)?),
            ("target", to_value(self.target.target)?),
            ("graph", to_value(&shape)?),
        ];
        Ok(Outcome::of("check load", &parts, Vec::new()))
    }
}

impl RunArgs {
    async fn run(self, stop: &Stop) -> anyhow::Result<Outcome> {
        let kind = self.target.target;
        let own = if kind == Kind::Bare && self.target.url.is_none() {
            Some(Bare::start(Duration::from_secs(self.result.timeout_seconds)).await?)
        } else {
            None
        };
        let (shape, draw) = (self.graph.shape(), self.draw()?);
        let written = self.written()?;
        let space = Space::new(&shape, draw);
        let plan = self.plan(&space, written.clone(), own.as_ref())?;
        let endpoint = self.target.endpoint(own.as_ref())?;
        let tenants = self.graph.tenants.max(written.map_or(0, |tenants| tenants.end));
        let machine = Machine::here();
        let target = Target::open(kind, endpoint, &shape, tenants).await?;
        let measured = Box::pin(measure(target, space, &plan, stop)).await?;
        if let Some(own) = own {
            own.stop().await?;
        }
        for remark in &measured.remarks {
            say(remark);
        }
        let asked = json!({
            "target": kind, "loop": if self.load.rate.is_some() { "open" } else { "closed" },
            "rate": self.load.rate, "connections": self.load.connections,
        });
        let parts = [
            ("", asked),
            ("", to_value(draw)?),
            ("", to_value(&measured)?),
            ("graph", to_value(&shape)?),
            ("machine", to_value(machine)?),
        ];
        Ok(outcome(&parts, &measured))
    }

    fn draw(&self) -> anyhow::Result<Draw> {
        let CheckArgs { keys, allow_share, exponent, pool, .. } = self.load;
        ensure!((0.0..=1.0).contains(&allow_share), "--allow-share is a share from 0 to 1");
        ensure!((0.0..10.0).contains(&exponent), "--exponent is from 0 to below 10");
        let GraphArgs { tenants, seed, .. } = self.graph;
        Ok(Draw { keys, tenants, allow_share, exponent, pool, seed })
    }

    /// The numbers of the tenants that are written to, if any are.
    fn written(&self) -> anyhow::Result<Option<std::ops::Range<u32>>> {
        let WriteArgs { writes_per_second, write_tenants, writes_elsewhere } = self.writes;
        let Some(rate) = writes_per_second else {
            ensure!(
                write_tenants.is_none() && !writes_elsewhere,
                "--write-tenants and --writes-elsewhere want --writes-per-second"
            );
            return Ok(None);
        };
        ensure!(rate > 0.0, "--writes-per-second is above 0");
        ensure!(write_tenants != Some(0), "--write-tenants is at least 1");
        let checked = self.graph.tenants;
        if writes_elsewhere {
            return Ok(Some(checked..checked + write_tenants.unwrap_or(100)));
        }
        let count = write_tenants.unwrap_or(checked.min(100));
        ensure!(
            count <= checked,
            "--write-tenants {count}: only {checked} are checked (--tenants)"
        );
        Ok(Some(0..count))
    }

    fn plan(
        &self,
        space: &Space,
        written: Option<std::ops::Range<u32>>,
        own: Option<&Bare>,
    ) -> anyhow::Result<Plan> {
        let CheckArgs { connections, rate, duration_seconds, warm_up_seconds, .. } = self.load;
        ensure!((1..=4096).contains(&connections), "--connections is 1 to 4096");
        ensure!(rate.is_none_or(|rate| rate > 0.0), "--rate is above 0");
        let seconds = |name, value: f64| {
            Duration::try_from_secs_f64(value).with_context(|| format!("{name} is no duration"))
        };
        let warm_up =
            warm_up_seconds.unwrap_or(if space.to_show().is_some() { 120.0 } else { 1.0 });
        let changes = |tenants| Changes::new(&self.graph.shape(), space.users(), tenants);
        Ok(Plan {
            kind: self.target.target,
            connections,
            pace: rate.map_or(Pace::Closed, Pace::Open),
            warm_up: seconds("--warm-up-seconds", warm_up)?,
            span: seconds("--duration-seconds", duration_seconds)?,
            writes: self.writes.writes_per_second.zip(written.map(changes)),
            server: self.load.server_pid.or_else(|| own.and_then(Bare::pid)),
        })
    }
}

fn outcome(parts: &[(&str, Value)], measured: &Measured) -> Outcome {
    let outcome = Outcome::of("check run", parts, charts(measured));
    Outcome { ok: measured.wrong == 0, ..outcome }
}

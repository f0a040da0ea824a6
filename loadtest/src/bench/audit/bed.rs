//! The test bed: engines of our own, backlogs that are published once and read often, and one run of
//! the ceiling or the pipeline on a fresh keyspace.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::child::Launch;
use crate::cli::AuditBenchArgs;
use crate::deploy::{self, Local};
use crate::latency::median;
use crate::progress::say;
use crate::run::{Names, Run};
use crate::scenario::{Stage, pipeline};
use crate::stop::Stop;
use crate::system::{self, settle};

/// What one run left to compact is waited for, at most.
const SETTLE: Duration = Duration::from_secs(15);

/// How the engines are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pinning {
    /// Cassandra on CPU 1, all else on CPU 0, this process too.
    Pinned,
    /// Not at all.
    Unpinned,
}

/// The traffic of a backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Traffic {
    /// 200 tenants, keyed by tenant.
    Even,
    /// The same with random keys.
    RandomKeys,
    /// One tenant has 90 %.
    Hot,
}

/// See the module.
pub(super) struct Bed {
    pub(super) args: AuditBenchArgs,
    pub(super) stop: Stop,
    local: Option<Local>,
    pinning: Option<Pinning>,
    stage: Option<Stage>,
    backlogs: HashMap<Traffic, Run>,
    runs: u32,
    /// Rows a second of every ceiling that was measured.
    ceilings: HashMap<Pinning, Vec<f64>>,
    /// The CPUs that this process may use unpinned.
    cpus: String,
}

impl Bed {
    pub(super) fn new(args: &AuditBenchArgs, stop: &Stop) -> anyhow::Result<Self> {
        let binary = args.ingest.launch().binary;
        ensure!(binary.is_file(), "{} is no file: build ingest or give --ingest", binary.display());
        let state = std::env::temp_dir().join(format!("triad-bench-{}", std::process::id()));
        Ok(Self {
            args: args.clone(),
            stop: stop.clone(),
            local: Some(Local::new(state)),
            pinning: None,
            stage: None,
            backlogs: HashMap::new(),
            runs: 0,
            ceilings: HashMap::new(),
            cpus: system::cpus()?,
        })
    }

    /// The engines, pinned like that, warm, and a stage on them.
    pub(super) async fn stage(&mut self, pinning: Pinning) -> anyhow::Result<Stage> {
        if self.pinning == Some(pinning)
            && let Some(stage) = &self.stage
        {
            return Ok(stage.clone());
        }
        let local = self.local.as_mut().context("the engines are down")?;
        let pins = match pinning {
            Pinning::Pinned => ["cassandra=1", "kafka=0"],
            Pinning::Unpinned => ["cassandra=all", "kafka=all"],
        };
        self.pinning = None;
        system::pin(&self.cpus).await?;
        local.start("kafka,cassandra", &pins).await?;
        let mut engines = local.engines().await?;
        engines.settings = self.args.settings.clone();
        let state: PathBuf = local.state().to_owned();
        let cpus = (pinning == Pinning::Pinned).then(|| "0".to_owned());
        if let Some(cpus) = &cpus {
            system::pin(cpus).await?;
        }
        let launch = Launch { cpus, ..self.args.ingest.launch() };
        let stage = Stage { engines, launch, state: Some(state), stop: self.stop.clone() };
        (self.pinning, self.stage) = (Some(pinning), Some(stage.clone()));
        say("warming up");
        let run = self.fresh(pipeline::WARM_UP);
        self.drive(&stage, &run).await?;
        Ok(stage)
    }

    /// A run that nothing was made for yet, its events within the last hour.
    pub(super) fn fresh(&mut self, events: u64) -> Run {
        self.runs += 1;
        Run::recent(&format!("b{}-{}", std::process::id(), self.runs), events)
    }

    /// The backlog of that traffic, published when it is first asked for.
    pub(super) async fn backlog(&mut self, stage: &Stage, traffic: Traffic) -> anyhow::Result<Run> {
        if let Some(run) = self.backlogs.get(&traffic) {
            return Ok(run.clone());
        }
        let mut run = self.fresh(self.args.events);
        run.random_keys = traffic == Traffic::RandomKeys;
        run.hot = if traffic == Traffic::Hot { 0.9 } else { 0.0 };
        let produced = stage.backlog(&run).await?;
        say(&format!("{traffic:?} backlog: {:.0} records/s", produced.per_second));
        self.backlogs.insert(traffic, run.clone());
        Ok(run)
    }

    /// The ceiling's rows/s on `events` of that traffic; the driver is a process of its own.
    pub(super) async fn ceiling(
        &mut self,
        stage: &Stage,
        run: &Run,
        events: u64,
    ) -> anyhow::Result<Value> {
        let mut run = self.elsewhere(run);
        run.events = events;
        let measured = self.drive(stage, &run).await?;
        if let Some(pinning) = self.pinning {
            let all = self.ceilings.entry(pinning).or_default();
            all.extend(measured["rows_per_second"].as_f64());
        }
        Ok(measured)
    }

    /// The median ceiling with the engines as they are now, in rows/s; measured now if it was not before.
    pub(super) async fn ceiling_rate(&mut self, stage: &Stage) -> anyhow::Result<f64> {
        let pinning = self.pinning.context("the engines are down")?;
        if !self.ceilings.contains_key(&pinning) {
            let run = self.fresh(self.args.events);
            self.ceiling(stage, &run, run.events).await?;
        }
        Ok(median(self.ceilings.get(&pinning).cloned().unwrap_or_default()).max(1.0))
    }

    /// The pipeline on the first `records` of a backlog.
    pub(super) async fn pipeline(
        &mut self,
        stage: &Stage,
        run: &Run,
        records: u64,
    ) -> anyhow::Result<pipeline::Measured> {
        let run = self.elsewhere(run);
        let measured = pipeline::measure(stage, &run, records).await?;
        self.forget(stage, &run.names).await?;
        Ok(measured)
    }

    /// Drops the keyspace and waits until Cassandra has nothing left to do.
    pub(super) async fn forget(&self, stage: &Stage, names: &Names) -> anyhow::Result<()> {
        stage.engines.drop_keyspace(names).await?;
        if let Some(pid) =
            stage.state.as_deref().and_then(|state| deploy::pid(state, "cassandra-1"))
        {
            settle(pid, SETTLE).await;
        }
        Ok(())
    }

    fn elsewhere(&mut self, run: &Run) -> Run {
        self.runs += 1;
        run.replayed_as(&format!("b{}-{}", std::process::id(), self.runs))
    }

    /// Runs `loadtest audit ceiling`, on the CPUs that ingest would have.
    async fn drive(&self, stage: &Stage, run: &Run) -> anyhow::Result<Value> {
        let file = std::env::temp_dir().join(format!("{}.json", run.names.keyspace));
        run.save(&file)?;
        let own = std::env::current_exe()?;
        let mut command = match &stage.launch.cpus {
            Some(cpus) => {
                let mut taskset = Command::new("taskset");
                taskset.args(["-c", cpus]).arg(own);
                taskset
            }
            None => Command::new(own),
        };
        command.args(["audit", "ceiling", "--json"]).arg("--run").arg(&file);
        command.args(["--kafka", &stage.engines.kafka.join(",")]);
        command.args(["--cassandra", &stage.engines.cassandra.join(",")]);
        for (key, value) in &stage.engines.settings {
            command.args(["--set", &format!("{key}={value}")]);
        }
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .output()
            .await
            .context("starting the ceiling's driver")?;
        let _ = std::fs::remove_file(&file);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "the ceiling's driver ended with {}: {errors}",
            output.status
        );
        self.forget(stage, &run.names).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().last().unwrap_or_default();
        serde_json::from_str(line).context("the ceiling's driver printed no figures")
    }

    /// Stops the engines and deletes their data.
    pub(super) async fn down(mut self) -> anyhow::Result<()> {
        match self.local.take() {
            Some(local) => local.reset().await,
            None => Ok(()),
        }
    }
}

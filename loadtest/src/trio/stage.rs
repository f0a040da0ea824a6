//! A trio of our own on engines of its own, every member of which can be killed, paused, restarted and cut off, and put
//! right again.
//!
//! Engines and services are ours alone and end with the stage, whatever happens: services are killed when it is dropped,
//! engines are stopped and their data deleted. Replicas share what `deploy/config` says that they must share (the file of
//! secrets, the key of cursors, the issuer) and keep their addresses. The issuer has one address, that of a balancer in this
//! process (`balancer`), since `auth.jwks_url` and `auth.introspection_url` take one: in production it is a
//! Service.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use tempfile::TempDir;
use tokio::sync::Mutex as Turn;

use super::balancer::Balancer;
use super::cuts::Cuts;
use super::install::{Administrator, Binaries, install};
use super::member::{Engine, Member, REPLICAS, Service};
use super::ports::{Ports, group};
use super::settings::{BOUNDS, CHANGES_TOPIC, Settings, names};
use super::site::{Replica, Site};
use super::slot::Slot;
use crate::child::Seat;
use crate::deploy::{self, Local};
use crate::engines::Engines;
use crate::port;
use crate::progress::say;
use crate::scrape;

/// The engines of a trio, as `deploy/local/engines` names them.
pub const ENGINES: &str = "kafka,cassandra,mysql,dgraph";
/// For one answer of a member that is looked at.
const ASKED_WITHIN: Duration = Duration::from_secs(2);

/// What differs between stages.
#[derive(Debug, Clone)]
pub struct Options {
    /// Nodes of Cassandra, 1 or 3; as many copies of each row.
    pub nodes: u8,
    /// Whether members can be cut off: in a network namespace of our own, as root.
    pub cuts: bool,
    /// The services.
    pub binaries: Binaries,
}

/// How an engine is that something was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disturbed {
    Paused,
    /// Killed, or about to be back.
    Gone,
    /// Started or resumed: if it is gone again, that was nobody here.
    Back,
}

/// See the module.
pub struct Stage {
    pub(super) slots: [Turn<Slot>; 6],
    pub(super) cuts: Cuts,
    pub(super) site: Arc<Site>,
    pub(super) administrator: Administrator,
    pub(super) client: reqwest::Client,
    /// Processes of engines that were done something to.
    pub(super) disturbed: Turn<BTreeMap<Member, Disturbed>>,
    /// One thing is done to an engine at a time.
    turns: [Turn<()>; 4],
    /// What was wrong with processes, since it was asked for.
    found: Mutex<Vec<String>>,
    options: Options,
    ports: Ports,
    _balancer: Balancer,
    /// Credentials and logs.
    folder: TempDir,
    /// Last: everything else ends before the engines do.
    pub(super) local: Local,
}

impl Stage {
    /// Engines, an installation on them, and six replicas that are ready. Takes about two minutes.
    ///
    /// # Errors
    /// When something is missing, does not start or is not ready in time.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        options.binaries.check()?;
        let state = std::env::temp_dir().join(format!("triad-trio-{}", std::process::id()));
        let mut local = Local::new(state);
        say("starting the engines");
        let nodes = options.nodes.to_string();
        let mut arguments = vec!["--cassandra-nodes", &nodes, "--commitlog-sync", "group"];
        let (cuts, first) = (Cuts::default(), group(Member::Cassandra1).to_string());
        if options.cuts {
            cuts.begin().await?;
            arguments.extend(["--cassandra-group", &first]);
        }
        local.start_with(ENGINES, &arguments).await?;
        let [dsn, alphas] = local.addresses(["TRIAD_MYSQL", "TRIAD_DGRAPH"]).await?;
        let engines = Engines { replication: options.nodes, ..local.engines().await? };
        let dsn = dsn.first().context("no MySQL")?;
        let ports = Ports::of(&engines, dsn, &alphas)?;
        let folder = tempfile::tempdir()?;
        let credentials = folder.path().join("credentials");
        let logs = folder.path().join("log");
        for made in [&credentials, &logs] {
            std::fs::create_dir(made)?;
        }
        let replica = || anyhow::Ok(Replica { http: port::free()?, admin: port::free()? });
        let replicas = [replica()?, replica()?, replica()?, replica()?, replica()?, replica()?];
        let issuer = port::free()?;
        let mysql_dsn = format!("{dsn}triad_identity");
        let settings = Settings { engines, mysql_dsn, alphas, issuer, credentials };
        say("installing");
        let administrator = install(&options.binaries, &settings).await?;
        let [a, b, c, d, e, f] = replicas;
        let balancer = Balancer::begin(settings.issuer, [e, f]).await?;
        let slots = REPLICAS.map(|member| {
            let at = member.replica().unwrap_or_default();
            let kind = member.service().unwrap_or(Service::Ingest);
            let Replica { http, admin } = replicas[at];
            let log = logs.join(format!("{}.log", member.name()));
            let seat = Seat { http, admin, log, group: options.cuts.then(|| group(member)) };
            let launch = options.binaries.launch(kind);
            Turn::new(Slot::new((member, kind), launch, settings.environment(kind), seat))
        });
        let site = Site {
            ingest: [a, b],
            edge: [c, d],
            identity: [e, f],
            engines: settings.engines,
            names: names(),
            changes_topic: CHANGES_TOPIC.to_owned(),
            admin_key: administrator.key.clone(),
            bounds: BOUNDS,
        };
        let stage = Self {
            slots,
            cuts,
            site: Arc::new(site),
            administrator,
            client: scrape::client(ASKED_WITHIN)?,
            disturbed: Turn::default(),
            turns: std::array::from_fn(|_| Turn::default()),
            found: Mutex::default(),
            options,
            ports,
            _balancer: balancer,
            folder,
            local,
        };
        say("starting the services");
        let late = stage.heal().await?;
        match late.first() {
            None => Ok(stage),
            Some(first) => Err(anyhow!("not ready: {first}; {}", stage.last_words().await)),
        }
    }

    /// Where everybody answers.
    #[must_use]
    pub fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site)
    }

    /// Stops the engines and deletes their data; services are killed.
    ///
    /// # Errors
    /// When an engine does not stop; it is tried again then.
    pub async fn down(self) -> anyhow::Result<()> {
        let Self { slots, local, .. } = self;
        for slot in slots {
            slot.into_inner().kill().await?;
        }
        local.reset().await
    }

    /// What was wrong with processes since it was last asked: those that ended by themselves, or badly when they were
    /// told to.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, finding: String) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    /// Notes replicas that ended by themselves and starts them again, as who supervises them does. Those that something is
    /// being done to are left alone.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn supervise(&self) -> anyhow::Result<()> {
        for slot in &self.slots {
            let Ok(mut slot) = slot.try_lock() else { continue };
            if let Some(finding) = slot.ended() {
                self.note(finding);
                slot.start()?;
            }
        }
        Ok(())
    }

    /// The processes of the replicas that run.
    pub async fn pids(&self) -> Vec<(Member, u32)> {
        let mut pids = Vec::new();
        for slot in &self.slots {
            let slot = slot.lock().await;
            pids.extend(slot.pid().map(|pid| (slot.member(), pid)));
        }
        pids
    }

    /// The processes of the engines that run.
    pub fn engine_pids(&self) -> Vec<(Member, u32)> {
        let pid = |member: Member| Some((member, deploy::pid(self.local.state(), member.name())?));
        self.engines().filter_map(pid).collect()
    }

    /// kill -9. Who ended before is noted.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn kill(&self, member: Member) -> anyhow::Result<()> {
        match self.slot(member) {
            Some(slot) => {
                let mut slot = slot.lock().await;
                slot.ended().into_iter().for_each(|finding| self.note(finding));
                slot.kill().await
            }
            None => self.engine("kill", member).await,
        }
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn pause(&self, member: Member) -> anyhow::Result<()> {
        match self.slot(member) {
            Some(slot) => {
                let mut slot = slot.lock().await;
                if let Some(finding) = slot.ended() {
                    self.note(finding);
                    slot.start()?;
                }
                slot.pause().await
            }
            None => self.engine("pause", member).await,
        }
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn resume(&self, member: Member) -> anyhow::Result<()> {
        match self.slot(member) {
            Some(slot) => slot.lock().await.resume().await,
            None => self.engine("resume", member).await,
        }
    }

    /// SIGTERM to a replica, and waits for its end: within its drain deadline, with success, or it is noted.
    ///
    /// # Errors
    /// When it is no replica.
    pub async fn stop(&self, member: Member) -> anyhow::Result<()> {
        let slot = self.slot(member).with_context(|| format!("{} is no replica", member.name()))?;
        let mut slot = slot.lock().await;
        let finding = match slot.ended() {
            Some(finding) => Some(finding),
            None => slot.stop().await,
        };
        finding.into_iter().for_each(|finding| self.note(finding));
        Ok(())
    }

    /// Starts who does not run. An engine answers when this returns, a replica may take its time.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn begin(&self, member: Member) -> anyhow::Result<()> {
        match self.slot(member) {
            Some(slot) => slot.lock().await.start(),
            None => self.engine("start", member).await,
        }
    }

    /// Cuts a replica off from an engine, or a node of Cassandra from the others.
    ///
    /// # Errors
    /// When the network cannot be cut here.
    pub async fn cut(&self, member: Member, engine: Engine) -> anyhow::Result<()> {
        ensure!(self.options.cuts, "no network of our own: nothing can be cut");
        self.cuts.add(self.ports.rules(member, engine)).await
    }

    /// Undoes [`Stage::cut`].
    ///
    /// # Errors
    /// When the network cannot be changed.
    pub async fn join(&self, member: Member, engine: Engine) -> anyhow::Result<()> {
        self.cuts.remove(&self.ports.rules(member, engine)).await
    }

    fn slot(&self, member: Member) -> Option<&Turn<Slot>> {
        Some(&self.slots[member.replica()?])
    }

    async fn engine(&self, command: &str, member: Member) -> anyhow::Result<()> {
        let engine = member.engine().context("no process of an engine")?;
        let _turn = self.turns[engine as usize].lock().await;
        let meanwhile = if command == "pause" { Disturbed::Paused } else { Disturbed::Gone };
        self.disturbed.lock().await.insert(member, meanwhile);
        deploy::signal(self.local.state(), command, member.name()).await?;
        if matches!(command, "start" | "resume") {
            self.disturbed.lock().await.insert(member, Disturbed::Back);
        }
        Ok(())
    }

    /// The processes of engines that there are.
    pub(super) fn engines(&self) -> impl Iterator<Item = Member> {
        let nodes = usize::from(self.options.nodes);
        let beyond = [Member::Cassandra2, Member::Cassandra3].into_iter().skip(nodes - 1);
        let beyond: Vec<_> = beyond.collect();
        super::member::ENGINES.into_iter().filter(move |member| !beyond.contains(member))
    }

    /// Whether every engine runs that was not told to end: otherwise the machine is too small, or it is broken, and what
    /// the work finds proves nothing of replicas.
    ///
    /// # Errors
    /// The names of those that ended.
    pub async fn engines_last(&self) -> anyhow::Result<()> {
        let lost = self.lost_engines().await;
        ensure!(lost.is_empty(), "{lost:?} ended by themselves, which proves nothing of replicas");
        Ok(())
    }

    async fn lost_engines(&self) -> Vec<&'static str> {
        let disturbed = self.disturbed.lock().await;
        let runs = |member: &Member| {
            let pid = deploy::pid(self.local.state(), member.name());
            pid.is_some_and(|pid| Path::new("/proc").join(pid.to_string()).exists())
        };
        let by_us = |member: &Member| {
            disturbed.get(member).is_some_and(|disturbed| *disturbed != Disturbed::Back)
        };
        let own = self.engines().filter(|member| !by_us(member));
        own.filter(|member| !runs(member)).map(Member::name).collect()
    }

    /// The folder of the replicas' logs.
    pub(super) fn logs(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }
}

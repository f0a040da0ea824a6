//! A trio of our own on engines of its own, every member of which can be killed, paused, restarted and cut off, and put
//! right again.
//!
//! Engines and services are ours alone and end with the stage, whatever happens: services are killed when it is dropped,
//! engines are stopped and their data deleted. Replicas share what `deploy/config` says that they must share (the file of
//! secrets, the key of cursors, the issuer) and keep their addresses. The issuer has one address, that of a balancer in this
//! process ([`super::balancer`]), since `auth.jwks_url` and `auth.introspection_url` take one: in production it is a
//! Service.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tempfile::TempDir;
use tokio::sync::Mutex as Turn;

use super::balancer::Balancer;
use super::cuts::Cuts;
use super::install::{Administrator, Binaries, install};
use super::member::{Engine, Member, REPLICAS, Service};
use super::settings::{BOUNDS, CHANGES_TOPIC, Settings, names};
use super::site::{Replica, Site};
use super::slot::Slot;
use crate::child::Seat;
use crate::deploy::{self, Local};
use crate::engines::Engines;
use crate::progress::say;
use crate::scrape;

/// The engines of a trio, as `deploy/local/engines` names them.
pub const ENGINES: &str = "kafka,cassandra,mysql,dgraph";
/// Ports of replicas are taken from here: below those that the kernel gives to clients, one of which could otherwise take the
/// port of a replica that is down, and above those of engines.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// The group of the first replica, where each has its own.
const FIRST_GROUP: u32 = 65_001;
/// For one answer of a member that is looked at.
pub(super) const ASKED_WITHIN: Duration = Duration::from_secs(2);

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

/// See the module.
pub struct Stage {
    pub(super) slots: [Turn<Slot>; 6],
    pub(super) cuts: Cuts,
    pub(super) site: Arc<Site>,
    pub(super) administrator: Administrator,
    pub(super) client: reqwest::Client,
    /// Processes of engines that were done something to, and whether they are paused.
    pub(super) disturbed: Turn<BTreeMap<Member, bool>>,
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

/// What is cut off by port.
struct Ports {
    kafka: u16,
    cassandra: u16,
    /// Between nodes.
    storage: u16,
    mysql: u16,
    dgraph: u16,
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
        let arguments = ["--cassandra-nodes", &nodes, "--commitlog-sync", "group"];
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
        let free: [SocketAddr; 13] = free_ports()?;
        let replicas: [Replica; 6] =
            std::array::from_fn(|at| Replica { http: free[2 * at], admin: free[2 * at + 1] });
        let mysql_dsn = format!("{dsn}triad_identity");
        let settings = Settings { engines, mysql_dsn, alphas, issuer: free[12], credentials };
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
            mysql_dsn: settings.mysql_dsn,
            changes_topic: CHANGES_TOPIC.to_owned(),
            admin_key: administrator.key.clone(),
            bounds: BOUNDS,
        };
        let stage = Self {
            slots,
            cuts: Cuts::default(),
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
        anyhow::ensure!(self.options.cuts, "no network of our own: nothing can be cut");
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
        self.disturbed.lock().await.insert(member, command == "pause");
        deploy::signal(self.local.state(), command, member.name()).await
    }

    /// The folder of the replicas' logs.
    pub(super) fn logs(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }
}

impl Ports {
    fn of(engines: &Engines, dsn: &str, alphas: &[String]) -> anyhow::Result<Self> {
        let port = |address: Option<&String>| {
            let port = address.and_then(|address| address.rsplit_once(':')?.1.parse::<u16>().ok());
            port.context("an engine has no port")
        };
        let cassandra = port(engines.cassandra.first())?;
        let mysql = dsn.trim_end_matches('/').to_owned();
        Ok(Self {
            kafka: port(engines.kafka.first())?,
            cassandra,
            // As the ports of an instance lie that chose its own (deploy/local/README.md).
            storage: cassandra + 1,
            mysql: port(Some(&mysql))?,
            dgraph: port(alphas.first())?,
        })
    }

    /// What to drop, so that `member` and the engine hear nothing of each other.
    fn rules(&self, member: Member, engine: Engine) -> Vec<String> {
        let node = match member {
            Member::Cassandra1 => Some(1),
            Member::Cassandra2 => Some(2),
            Member::Cassandra3 => Some(3),
            _ => None,
        };
        if let Some(node) = node {
            let storage = self.storage;
            return ["daddr", "saddr"]
                .map(|end| format!("ip {end} 127.0.0.{node} tcp dport {storage}"))
                .to_vec();
        }
        let port = match engine {
            Engine::Kafka => self.kafka,
            Engine::Cassandra => self.cassandra,
            Engine::Mysql => self.mysql,
            Engine::Dgraph => self.dgraph,
        };
        vec![format!("meta skgid {} tcp dport {port}", group(member))]
    }
}

/// The group of a replica's process.
fn group(member: Member) -> u32 {
    let at = member.replica().unwrap_or(REPLICAS.len());
    FIRST_GROUP + u32::try_from(at).unwrap_or_default()
}

/// Ports of [`PORTS`] that nobody listens on. Nobody is given one of them by chance; another trio may be looking at once.
fn free_ports<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let addresses = PORTS.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let free = addresses.filter(|address| TcpListener::bind(address).is_ok());
    let free: Vec<_> = free.take(N).collect();
    free.try_into().map_err(|_| anyhow!("no {N} ports are free from {}", PORTS.start))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ports() -> Ports {
        let engines = Engines {
            kafka: vec!["127.0.0.1:10001".to_owned()],
            cassandra: vec!["127.0.0.1:10003".to_owned(), "127.0.0.2:10003".to_owned()],
            ..Engines::default()
        };
        let alphas = ["127.0.0.1:14000".to_owned()];
        Ports::of(&engines, "mysql://root@127.0.0.1:10008/", &alphas).unwrap()
    }

    #[test]
    fn a_replica_is_cut_off_by_its_group() {
        let rules = |member, engine| ports().rules(member, engine);
        let cut = rules(Member::Ingest1, Engine::Cassandra);
        assert_eq!(cut, ["meta skgid 65001 tcp dport 10003"]);
        let cut = rules(Member::Identity2, Engine::Mysql);
        assert_eq!(cut, ["meta skgid 65006 tcp dport 10008"]);
        assert_eq!(rules(Member::Edge1, Engine::Dgraph), ["meta skgid 65003 tcp dport 14000"]);
    }

    #[test]
    fn a_node_is_cut_off_from_the_others_in_both_directions() {
        let rules = ports().rules(Member::Cassandra2, Engine::Cassandra);
        assert_eq!(
            rules,
            ["daddr", "saddr"].map(|end| format!("ip {end} 127.0.0.2 tcp dport 10004"))
        );
    }

    #[test]
    fn free_ports_are_different_ones() {
        let ports: [SocketAddr; 13] = free_ports().unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 13);
    }
}

//! One process of a service as it runs in production: the real binary, from its environment.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::process::{Child, Command};

use crate::engines::Engines;
use crate::port;
use crate::run::Names;

/// From the start of the process to its readiness: schema and topics are there, engines answer.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// From SIGTERM to exit; above the services' own drain deadlines of 15 and 20 s.
const EXIT_WITHIN: Duration = Duration::from_secs(40);

/// How the process is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The binary.
    pub binary: PathBuf,
    /// The CPUs that it may use, as `taskset -c` takes them; all without.
    pub cpus: Option<String>,
}

impl Launch {
    /// That binary, or the one of that name beside this program; on any CPU.
    #[must_use]
    pub fn of(binary: Option<PathBuf>, name: &str) -> Self {
        Self { binary: binary.unwrap_or_else(|| Self::sibling(name)), cpus: None }
    }

    /// The binary of that name beside this program.
    #[must_use]
    pub fn sibling(name: &str) -> PathBuf {
        let own = std::env::current_exe().unwrap_or_default();
        own.with_file_name(name)
    }
}

/// Where a process is, that may be started there again.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Of its public listener.
    pub http: SocketAddr,
    /// Of its admin listener.
    pub admin: SocketAddr,
    /// Where it says what it does, behind what is there; it stays when the process ends.
    pub log: PathBuf,
    /// Its group, by which rules of the network know it; ours without. Another one wants root.
    pub group: Option<u32>,
}

/// A running service; killed when dropped.
pub struct Service {
    name: &'static str,
    child: Child,
    pid: u32,
    /// Its public listener.
    pub http: SocketAddr,
    /// Its admin listener.
    pub admin: SocketAddr,
    log: PathBuf,
    /// Whether the log outlives a good end.
    log_stays: bool,
}

impl Service {
    /// Starts `ingest` for the run of those names.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn ingest(launch: &Launch, engines: &Engines, names: &Names) -> anyhow::Result<Self> {
        let prefix = ingest::config::ENV_PREFIX;
        Self::start("ingest", launch, prefix, engines.environment(names))
    }

    /// Starts `authz-edge` with those variables.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn edge(launch: &Launch, environment: Vec<(String, String)>) -> anyhow::Result<Self> {
        Self::start("authz-edge", launch, authz_edge::config::ENV_PREFIX, environment)
    }

    /// Starts `identity-admin` with those variables.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn identity(launch: &Launch, environment: Vec<(String, String)>) -> anyhow::Result<Self> {
        Self::start("identity-admin", launch, identity_admin::config::ENV_PREFIX, environment)
    }

    /// Starts `triad` on a folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn triad(launch: &Launch, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.display().to_string();
        Self::start(
            "triad",
            launch,
            "TRIAD_STANDALONE__",
            vec![("TRIAD_STANDALONE__DATA_DIR".to_owned(), folder)],
        )
    }

    /// Starts the binary on free ports. Its log goes to a file that is shown when it fails.
    fn start(
        name: &'static str,
        launch: &Launch,
        prefix: &str,
        environment: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        let (http, admin) = (port::free()?, port::free()?);
        let own = std::process::id();
        let log = std::env::temp_dir().join(format!("lt-{name}-{own}-{}.log", admin.port()));
        let seat = Seat { http, admin, log, group: None };
        let started = Self::seated(name, launch, prefix, environment, &seat)?;
        Ok(Self { log_stays: false, ..started })
    }

    /// Starts the binary of that name, whose variables begin with `prefix`, where it has its place.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn seated(
        name: &'static str,
        launch: &Launch,
        prefix: &str,
        environment: Vec<(String, String)>,
        seat: &Seat,
    ) -> anyhow::Result<Self> {
        let binary = launch.binary.display();
        ensure!(launch.binary.is_file(), "{binary} is no file: build {name} or give --{name}");
        let Seat { http, admin, log, group } = seat.clone();
        let file = OpenOptions::new().create(true).append(true).open(&log);
        let file = file.with_context(|| log.display().to_string())?;
        let mut command = match &launch.cpus {
            Some(cpus) => {
                let mut taskset = Command::new("taskset");
                taskset.args(["-c", cpus]).arg(&launch.binary);
                taskset
            }
            None => Command::new(&launch.binary),
        };
        if let Some(group) = group {
            command.gid(group);
        }
        // The one process has one public listener, and no section for it.
        let public = if name == "triad" { "LISTEN" } else { "HTTP__LISTEN" };
        let child = command
            .envs(environment)
            .env(format!("{prefix}{public}"), http.to_string())
            .env(format!("{prefix}ADMIN__LISTEN"), admin.to_string())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {binary}"))?;
        // taskset becomes the program that it starts, so this is the service's own id.
        let pid = child.id().context("the child ended at once")?;
        Ok(Self { name, child, pid, http, admin, log, log_stays: true })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until `/readyz` is 200.
    ///
    /// # Errors
    /// When it ends, or is not ready in time; with the end of its log.
    pub async fn ready(&mut self, client: &reqwest::Client) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.alive()?;
            if is_ready(client, self.admin).await {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} is not ready within {READY_WITHIN:?}{}", self.name, self.last_words());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it has ended, with the end of its log.
    pub fn alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended by itself: {status}{}", self.name, self.last_words()),
            None => Ok(()),
        }
    }

    /// Asks it to drain and waits for its end, which must be a success.
    ///
    /// # Errors
    /// When it does not end in time, or not with exit code 0.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let name = self.name;
        self.signal("TERM").await?;
        let Ok(ended) = tokio::time::timeout(EXIT_WITHIN, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("{name} did not end within {EXIT_WITHIN:?} of SIGTERM{}", self.last_words());
        };
        let status = ended?;
        ensure!(status.success(), "{name} ended with {status} after SIGTERM{}", self.last_words());
        self.forget_log();
        Ok(())
    }

    /// kill -9; it is gone when this returns.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        self.forget_log();
        Ok(())
    }

    /// Sends a signal, by its name without SIG.
    ///
    /// # Errors
    /// When the process is gone.
    pub async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let (name, pid) = (self.name, self.pid.to_string());
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().await?;
        ensure!(sent.success(), "SIG{signal} to {name} ({pid}): {sent}{}", self.last_words());
        Ok(())
    }

    /// A log of a good end is of no use, unless it is said where it is to be.
    fn forget_log(&self) {
        if !self.log_stays {
            let _ = std::fs::remove_file(&self.log);
        }
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n  ");
        format!("; its log is {} and ends:\n  {tail}", self.log.display())
    }
}

/// Whether the service with this admin listener says that it is ready.
pub async fn is_ready(client: &reqwest::Client, admin: SocketAddr) -> bool {
    let answer = client.get(format!("http://{admin}/readyz")).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

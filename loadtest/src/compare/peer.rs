//! Installing peers, and one process of a peer: what it starts ends with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::process::{Child, Command};

use crate::deploy;
use crate::stop::Stop;
use crate::system::{self, Memory};

/// From SIGTERM to the end of a process.
const EXIT_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at a process that starts.
const LOOK: Duration = Duration::from_millis(200);

/// Installs a peer, unless it is in the cache: minutes, the first time. Returns where it is.
///
/// # Errors
/// When it cannot be built or downloaded.
pub(super) async fn install(peer: &str) -> anyhow::Result<PathBuf> {
    let mut command = Command::new(deploy::workspace()?.join("loadtest/peers/install"));
    command.arg(peer).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
    let child = command.spawn().context("starting loadtest/peers/install")?;
    let mut group = Group(child.id());
    let output = child.wait_with_output().await?;
    group.0 = None;
    ensure!(output.status.success(), "loadtest/peers/install {peer}: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let folder = text.lines().last().context("loadtest/peers/install named no folder")?;
    Ok(PathBuf::from(folder))
}

/// The version of what [`install`] returned.
pub(super) fn version(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('-').map_or_else(|| name.to_string(), |(_, version)| version.to_owned())
}

/// A process group, which is killed when this is dropped: shells and build tools start others.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let Some(pid) = self.0 else { return };
        let group = format!("-{pid}");
        let mut kill = std::process::Command::new("kill");
        // The last resort while something else failed already.
        let _ = kill.args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
    }
}

/// A running peer; killed with all that it started when it is dropped.
pub(super) struct Peer {
    name: &'static str,
    child: Child,
    group: Group,
    log: PathBuf,
}

impl Peer {
    /// Starts it. Its log goes to a file that is shown when it fails.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(name: &'static str, mut command: Command) -> anyhow::Result<Self> {
        let log = std::env::temp_dir().join(format!("lt-{name}-{}.log", std::process::id()));
        let file = std::fs::File::create(&log).with_context(|| log.display().to_string())?;
        command.process_group(0).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        let group = Group(child.id());
        Ok(Self { name, child, group, log })
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it has ended.
    fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().with_context(|| format!("{} has ended", self.name))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it has ended, with the end of its log.
    pub(super) fn alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended by itself: {status}{}", self.name, self.last_words()),
            None => Ok(()),
        }
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// When it ends, or is not ready in time; with the end of its log.
    pub(super) async fn until(
        &mut self,
        stop: &Stop,
        within: Duration,
        mut ready: impl AsyncFnMut() -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        while !ready().await {
            self.alive()?;
            stop.check()?;
            if Instant::now() > deadline {
                bail!("{} is not ready within {within:?}{}", self.name, self.last_words());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// CPU time so far, of all that it started: some peers come as a script that waits for them.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        system::group(self.pid()?)?.into_iter().map(system::cpu_time).sum()
    }

    /// Resident memory, of all that it started.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn memory(&self) -> anyhow::Result<Memory> {
        system::group(self.pid()?)?.into_iter().try_fold(Memory::default(), |all, pid| {
            let one = system::memory(pid)?;
            let (rss_kib, peak_kib) = (all.rss_kib + one.rss_kib, all.peak_kib + one.peak_kib);
            Ok(Memory { rss_kib, peak_kib })
        })
    }

    /// Asks it to end and waits for that. Its exit code means nothing: a JVM has one for SIGTERM.
    ///
    /// # Errors
    /// When it does not end in time; it is killed then.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.pid()?.to_string();
        Command::new("kill").args(["-s", "TERM", &pid]).status().await?;
        let Ok(ended) = tokio::time::timeout(EXIT_WITHIN, self.child.wait()).await else {
            bail!("{} did not end within {EXIT_WITHIN:?}{}", self.name, self.last_words());
        };
        ended?;
        self.group.0 = None;
        let _ = std::fs::remove_file(&self.log);
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n  ");
        format!("; its log is {} and ends:\n  {tail}", self.log.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stands_in_the_folder() {
        let of = |path: &str| version(Path::new(path));
        assert_eq!(of("/c/triad/engines/keycloak-26.4.7"), "26.4.7");
        assert_eq!(of("/c/bento"), "bento");
    }

    #[tokio::test]
    async fn a_peer_ends_with_all_that_it_started() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!; wait"]);
        let mut peer = Peer::start("sleeper", command).unwrap();
        let (stop, log) = (Stop::after(Duration::from_secs(20)), peer.log.clone());
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        peer.until(&stop, Duration::from_secs(10), async || told().ends_with('\n')).await.unwrap();
        let inner: u32 = told().trim().parse().unwrap();
        assert!(system::cpu_time(inner).is_ok() && peer.alive().is_ok());
        let group = system::group(peer.pid().unwrap()).unwrap();
        assert!(group.contains(&inner) && group.contains(&peer.pid().unwrap()), "{group:?}");
        let alone = system::memory(inner).unwrap().rss_kib;
        assert!(peer.memory().unwrap().rss_kib > alone && peer.cpu().is_ok());
        drop(peer);
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{inner}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z"))
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !gone() {
            assert!(Instant::now() < deadline, "the inner process goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::fs::remove_file(log).unwrap();
    }
}

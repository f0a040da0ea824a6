//! The script that runs the real engines: an instance of our own, or faults in the caller's.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::process::Command;

use crate::engines::Engines;
use crate::progress::say;

/// Where the script is: beside the workspace that this program was built or started in.
///
/// # Errors
/// When it is in none of these places.
pub fn script() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let own = std::env::current_exe().unwrap_or_default();
    let folders = here.ancestors().chain(own.ancestors());
    let mut scripts = folders.map(|folder| folder.join("deploy/local/engines"));
    scripts
        .find(|script| script.is_file())
        .context("deploy/local/engines is not beside this workspace")
}

/// The workspace that the script belongs to.
///
/// # Errors
/// When there is none.
pub fn workspace() -> anyhow::Result<PathBuf> {
    let script = script()?;
    let root = script.ancestors().nth(3).map(Path::to_owned).context("the workspace has a root")?;
    ensure!(root.join("Cargo.toml").is_file(), "{} is no workspace", root.display());
    Ok(root)
}

/// The folder `target` of that workspace.
///
/// # Errors
/// When there is none.
pub fn target() -> anyhow::Result<PathBuf> {
    Ok(workspace()?.join("target"))
}

/// The version of an engine (`MySQL`) that the script runs.
///
/// # Errors
/// When it names none.
pub fn version(engine: &str) -> anyhow::Result<String> {
    let common = workspace()?.join("deploy/local/lib/common.sh");
    let text = std::fs::read_to_string(&common)?;
    let key = format!("readonly {}_VERSION=", engine.to_ascii_uppercase());
    let version = text.lines().find_map(|line| line.strip_prefix(&key));
    version.map(str::to_owned).with_context(|| format!("{} has no {key}", common.display()))
}

/// Runs one command of the script; its report goes to our standard error.
async fn run(state: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(script()?)
        .args(arguments)
        .arg("--state")
        .arg(state)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(output.status.success(), "engines {} failed: {}", arguments.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Installs the engines in `only` and starts nothing; `state` is gone again after it.
///
/// # Errors
/// When one cannot be installed.
pub async fn install(state: &Path, only: &str) -> anyhow::Result<()> {
    run(state, &["install", "--only", only]).await.map(drop)
}

/// What can be done to one process of the instance in `state`: `pause`, `resume`, `kill`, and `start`, which waits
/// until it answers.
///
/// # Errors
/// When there is no such instance or process, or it does not answer.
pub async fn signal(state: &Path, command: &str, name: &str) -> anyhow::Result<()> {
    run(state, &[command, name]).await.map(drop)
}

/// Resumes a paused process when it is dropped, so that no failure leaves an engine stopped.
pub struct Paused {
    state: PathBuf,
    name: String,
    resumed: bool,
}

impl Paused {
    /// Stops `name` with SIGSTOP.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn stop(state: &Path, name: &str) -> anyhow::Result<Self> {
        signal(state, "pause", name).await?;
        Ok(Self { state: state.to_owned(), name: name.to_owned(), resumed: false })
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn resume(mut self) -> anyhow::Result<()> {
        self.resumed = true;
        signal(&self.state, "resume", &self.name).await
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if !self.resumed {
            blocking(&self.state, &["resume", &self.name]);
        }
    }
}

/// The last resort while something else failed already: whether the script could do it.
fn blocking(state: &Path, arguments: &[&str]) -> bool {
    let Ok(script) = script() else { return false };
    let mut command = std::process::Command::new(script);
    command.args(arguments).arg("--state").arg(state).stdin(Stdio::null()).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The process id of an engine of the instance in `state`.
#[must_use]
pub fn pid(state: &Path, name: &str) -> Option<u32> {
    let line = std::fs::read_to_string(state.join("run").join(name)).ok()?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Engines of our own, torn down when dropped, however we end.
pub struct Local {
    state: PathBuf,
    up: bool,
}

impl Local {
    /// An instance in `state`, not started yet.
    #[must_use]
    pub fn new(state: PathBuf) -> Self {
        Self { state, up: false }
    }

    /// Its state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Starts one process each of the engines in `only` (`kafka,cassandra`), pinned as `pins` says
    /// (`cassandra=1`, `kafka=all`); what runs already is restarted, with its data.
    ///
    /// # Errors
    /// When an engine does not start.
    pub async fn start(&mut self, only: &str, pins: &[&str]) -> anyhow::Result<()> {
        // As Cassandra comes: otherwise the disk's fsync is measured.
        let mut options = vec!["--commitlog-sync", "periodic"];
        for pin in pins {
            options.extend(["--cpus", pin]);
        }
        self.start_with(only, &options).await
    }

    /// The same, not pinned, without the process `later`, which [`Local::start_one`] starts.
    ///
    /// # Errors
    /// When an engine does not start.
    pub async fn start_without(&mut self, only: &str, later: &str) -> anyhow::Result<()> {
        self.start_with(only, &["--commitlog-sync", "periodic", "--later", later]).await
    }

    /// Starts the engines in `only` with these options of `engines up`; what runs already is restarted, with its data.
    ///
    /// # Errors
    /// When an engine does not start.
    pub async fn start_with(&mut self, only: &str, options: &[&str]) -> anyhow::Result<()> {
        if self.up {
            run(&self.state, &["down"]).await?;
        }
        self.up = true;
        let arguments = [&["up", "--only", only, "--port-base", "auto"][..], options].concat();
        run(&self.state, &arguments).await.map(drop)
    }

    /// Starts one process on its data and waits until it answers.
    ///
    /// # Errors
    /// When there is no such process, or it does not start.
    pub async fn start_one(&self, name: &str) -> anyhow::Result<()> {
        signal(&self.state, "start", name).await
    }

    /// Where Kafka and Cassandra answer.
    ///
    /// # Errors
    /// When they are not up.
    pub async fn engines(&self) -> anyhow::Result<Engines> {
        let [kafka, cassandra] = self.addresses(["TRIAD_KAFKA", "TRIAD_CASSANDRA"]).await?;
        Ok(Engines { kafka, cassandra, replication: 1, partitions: 12, ..Engines::default() })
    }

    /// The lists that `engines env` exports under `names`.
    ///
    /// # Errors
    /// When one of them is missing.
    pub async fn addresses<const N: usize>(
        &self,
        names: [&str; N],
    ) -> anyhow::Result<[Vec<String>; N]> {
        let exports = run(&self.state, &["env"]).await?;
        let mut found = [const { Vec::new() }; N];
        for (list, name) in found.iter_mut().zip(names) {
            *list = export(&exports, name)
                .with_context(|| format!("engines env names no {name}:\n{exports}"))?;
        }
        Ok(found)
    }

    /// Stops them and deletes their state folder, with what else was put there.
    ///
    /// # Errors
    /// When one does not stop; dropping tries again.
    pub async fn reset(mut self) -> anyhow::Result<()> {
        run(&self.state, &["reset"]).await?;
        self.up = false;
        delete(&self.state).with_context(|| format!("deleting {}", self.state.display()))
    }

    /// The same after something, which is returned: what went wrong first says more than what could not be tidied up then.
    ///
    /// # Errors
    /// That of `done`; without, as [`Local::reset`].
    pub async fn reset_after<T>(self, done: anyhow::Result<T>) -> anyhow::Result<T> {
        let reset = self.reset().await;
        done.and_then(|done| reset.map(|()| done))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if self.up {
            // What did not stop is found by what is written in there.
            let deleted = blocking(&self.state, &["reset"]) && delete(&self.state).is_ok();
            if !deleted {
                say(&format!("{} is not tidied up: engines reset", self.state.display()));
            }
        }
    }
}

/// Deletes a folder, if it is there: the script leaves it when others put files into it.
fn delete(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The list in `export NAME=a,b`; quoting is for the shell, and addresses need none.
fn export(exports: &str, name: &str) -> Option<Vec<String>> {
    let line = exports
        .lines()
        .find_map(|line| line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('='))?;
    let plain = line.trim().trim_matches(['\'', '"']).replace('\\', "");
    Some(plain.split(',').map(|item| item.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_of_engines_are_those_of_the_script() {
        for engine in ["Kafka", "Cassandra", "MySQL", "Dgraph"] {
            let version = version(engine).unwrap();
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
        }
        assert!(version("PostgreSQL").is_err());
    }

    #[test]
    fn addresses_are_read_from_shell_exports() {
        let exports = "export TRIAD_STATE=/tmp/x\nexport TRIAD_KAFKA=127.0.0.1:1\\,127.0.0.1:2\n";
        let expected = ["127.0.0.1:1", "127.0.0.1:2"].map(str::to_owned).to_vec();
        assert_eq!(export(exports, "TRIAD_KAFKA"), Some(expected));
        assert_eq!(export(exports, "TRIAD_CASSANDRA"), None);
    }
}

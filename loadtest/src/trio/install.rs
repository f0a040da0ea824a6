//! An installation on fresh engines: what `deploy/local/services` does before it starts services.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::process::Command;

use super::member::Service;
use super::settings::Settings;
use crate::child::Launch;

/// For one command of a service.
const WITHIN: Duration = Duration::from_secs(120);

/// The binaries.
#[derive(Debug, Clone, Default)]
pub struct Binaries {
    /// Of `ingest`; the one beside this program without.
    pub ingest: Option<PathBuf>,
    /// Of `authz-edge`.
    pub edge: Option<PathBuf>,
    /// Of `identity-admin`.
    pub identity: Option<PathBuf>,
}

impl Binaries {
    /// How a service is started.
    #[must_use]
    pub fn launch(&self, service: Service) -> Launch {
        let given = match service {
            Service::Ingest => &self.ingest,
            Service::Edge => &self.edge,
            Service::Identity => &self.identity,
        };
        Launch::of(given.clone(), service.binary())
    }

    /// Whether all are there.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> anyhow::Result<()> {
        for service in [Service::Ingest, Service::Edge, Service::Identity] {
            let (binary, name) = (self.launch(service).binary, service.binary());
            let shown = binary.display();
            ensure!(binary.is_file(), "{shown} is no file: build {name} or give --{name}");
        }
        Ok(())
    }
}

/// The administrator of the platform.
#[derive(Debug, Clone)]
pub(super) struct Administrator {
    pub(super) client_id: String,
    pub(super) key: String,
}

/// Topics, schemas and the first credentials.
pub(super) async fn install(
    binaries: &Binaries,
    settings: &Settings,
) -> anyhow::Result<Administrator> {
    for (service, schema) in [
        (Service::Ingest, &["schema", "apply"][..]),
        (Service::Edge, &["schema", "apply"][..]),
        (Service::Identity, &["migrate"][..]),
    ] {
        run(binaries, settings, service, &["topics", "apply"]).await?;
        run(binaries, settings, service, schema).await?;
    }
    let folder = settings.credentials.display().to_string();
    let said = run(binaries, settings, Service::Identity, &["bootstrap", "--out", &folder]).await?;
    write_private(&settings.cursor_key(), uuid::Uuid::new_v4().simple().to_string().as_bytes())?;
    let client_id = told(&said, "client id of the administrator")?;
    Ok(Administrator { client_id, key: told(&said, "its API key")? })
}

/// A command of a service that must succeed; what it said.
async fn run(
    binaries: &Binaries,
    settings: &Settings,
    service: Service,
    words: &[&str],
) -> anyhow::Result<String> {
    let name = service.binary();
    let mut command = Command::new(binaries.launch(service).binary);
    command.args(words).envs(settings.environment(service));
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(WITHIN, command.output()).await;
    let output = output.with_context(|| format!("{name} {words:?} does not end"))??;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} {words:?}: {} {errors}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What stands behind `what` in the output of `bootstrap`.
fn told(said: &str, what: &str) -> anyhow::Result<String> {
    let line = said.lines().find(|line| line.starts_with(what));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.map(str::to_owned).with_context(|| format!("bootstrap says no {what}"))
}

fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| path.display().to_string())?;
    Ok(file.write_all(content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_from_what_bootstrap_says() {
        let said = "secrets: /x (secrets_file, for every replica)\n\
            client id of the administrator: c-1\n\
            its API key, which is not told again: triad_dev_k\n";
        assert_eq!(told(said, "client id of the administrator").unwrap(), "c-1");
        assert_eq!(told(said, "its API key").unwrap(), "triad_dev_k");
        assert!(told(said, "another").is_err());
    }
}

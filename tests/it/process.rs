//! A service under test: one process of its binary, with free ports.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

pub(crate) use tests::bed::{binary, free_port};

use crate::world::until;

/// Killed when dropped.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    http: u16,
    admin: u16,
    pub(crate) client: reqwest::Client,
}

impl Process {
    /// Starts the service of that name, whose variables begin with `prefix`, and waits until it is ready.
    pub(crate) async fn start(
        name: &'static str,
        prefix: &str,
        env: &[(String, String)],
    ) -> Result<Self> {
        Self::start_telling(name, prefix, env, [Stdio::inherit(), Stdio::inherit()]).await
    }

    /// As [`Process::start`]; what it says goes elsewhere, standard output and error.
    pub(crate) async fn start_telling(
        name: &'static str,
        prefix: &str,
        env: &[(String, String)],
        outputs: [Stdio; 2],
    ) -> Result<Self> {
        Self::start_on([free_port()?, free_port()?], name, prefix, env, outputs).await
    }

    /// As [`Process::start`], on these ports: of the public routes, and of the others.
    pub(crate) async fn start_on(
        [http, admin]: [u16; 2],
        name: &'static str,
        prefix: &str,
        env: &[(String, String)],
        [output, error]: [Stdio; 2],
    ) -> Result<Self> {
        // Another test of this binary may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        let child = Command::new(binary(name)?)
            .envs(env.iter().cloned())
            .env(format!("{prefix}HTTP__LISTEN"), format!("127.0.0.1:{http}"))
            .env(format!("{prefix}ADMIN__LISTEN"), format!("127.0.0.1:{admin}"))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(error)
            .spawn()?;
        let mut process = Self { name, child, http, admin, client };
        let mut ended = None;
        until(&format!("{name} is ready or has ended"), async || {
            ended = process.child.try_wait()?;
            Ok(if ended.is_some() { Ok(()) } else { process.ready().await? })
        })
        .await?;
        ensure!(ended.is_none(), "{name} ended with {ended:?}; its output is above");
        Ok(process)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    /// Of probes and metrics.
    pub(crate) fn admin_address(&self) -> String {
        format!("127.0.0.1:{}", self.admin)
    }

    async fn admin(&self, path: &str) -> Result<reqwest::Response> {
        Ok(self.client.get(format!("http://127.0.0.1:{}{path}", self.admin)).send().await?)
    }

    async fn ready(&self) -> Result<Result<(), String>> {
        let answer = self.admin("/readyz").await?;
        let ready = answer.status() == 200;
        Ok(if ready { Ok(()) } else { Err(answer.text().await?) })
    }

    pub(crate) async fn until_ready(&self) -> Result<()> {
        until(&format!("{} is ready", self.name), async || self.ready().await).await
    }

    pub(crate) async fn is_ready(&self) -> Result<bool> {
        Ok(self.admin("/readyz").await?.status() == 200)
    }

    /// The sum of a metric over its labels that contain `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> Result<f64> {
        let text = self.admin("/metrics").await?.text().await?;
        let of = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{'])) && line.contains(label)
        };
        let value = |line: &str| line.rsplit(' ').next().and_then(|v| v.parse::<f64>().ok());
        Ok(text.lines().filter(of).filter_map(value).sum())
    }

    /// A GET that must answer 200 with JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.client.get(self.url(path)).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == 200, "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// kill -9.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal, by name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args([&format!("-{name}"), &pid]).status()?.success());
        Ok(())
    }

    /// SIGTERM; the process must end in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.signal("TERM")?;
        let mut code = None;
        until(&format!("{} ends", self.name), async || {
            code = self.child.try_wait()?;
            Ok(if code.is_some() { Ok(()) } else { Err("still running".to_owned()) })
        })
        .await?;
        ensure!(code.is_some_and(|code| code.success()), "ended with {code:?}");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! A service under test: one process of its binary, with free ports.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

pub(crate) use tests::bed::{binary, free_port};

use crate::world::until;

/// How a process is asked.
#[derive(Clone)]
pub(crate) struct Reach {
    scheme: &'static str,
    client: reqwest::Client,
}

impl Reach {
    /// Without TLS.
    pub(crate) fn plain() -> Result<Self> {
        // Another test of this binary may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { scheme: "http", client })
    }

    /// Over TLS, by a client that trusts its certificate.
    pub(crate) fn tls(client: reqwest::Client) -> Self {
        Self { scheme: "https", client }
    }
}

/// Killed when dropped.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    scheme: &'static str,
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
        Self::start_on(free_ports()?, name, prefix, env, outputs).await
    }

    /// As [`Process::start`], on these ports: of the public routes, and of the others.
    pub(crate) async fn start_on(
        ports: [u16; 2],
        name: &'static str,
        prefix: &str,
        env: &[(String, String)],
        outputs: [Stdio; 2],
    ) -> Result<Self> {
        Self::spawn(ports, name, prefix, env, outputs, Reach::plain()?)?.started().await
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn spawn(
        ports: [u16; 2],
        name: &'static str,
        prefix: &str,
        env: &[(String, String)],
        outputs: [Stdio; 2],
        reach: Reach,
    ) -> Result<Self> {
        Self::spawn_with(&[], ports, name, prefix, env, outputs, reach)
    }

    /// As [`Process::spawn`], with these arguments.
    pub(crate) fn spawn_with(
        arguments: &[String],
        [http, admin]: [u16; 2],
        name: &'static str,
        prefix: &str,
        env: &[(String, String)],
        [output, error]: [Stdio; 2],
        Reach { scheme, client }: Reach,
    ) -> Result<Self> {
        let child = Command::new(binary(name)?)
            .args(arguments)
            .envs(env.iter().cloned())
            .env(format!("{prefix}HTTP__LISTEN"), format!("127.0.0.1:{http}"))
            .env(format!("{prefix}ADMIN__LISTEN"), format!("127.0.0.1:{admin}"))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(error)
            .spawn()?;
        Ok(Self { name, child, scheme, http, admin, client })
    }

    /// Waits until it is ready.
    pub(crate) async fn started(mut self) -> Result<Self> {
        let name = self.name;
        let mut ended = None;
        until(&format!("{name} is ready or has ended"), async || {
            ended = self.ended()?;
            Ok(if ended.is_some() { Ok(()) } else { self.ready().await? })
        })
        .await?;
        ensure!(ended.is_none(), "{name} ended with {ended:?}; its output is above");
        Ok(self)
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.http)
    }

    /// On the admin listener.
    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.admin_address())
    }

    /// Of its public routes.
    pub(crate) fn port(&self) -> u16 {
        self.http
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Of probes and metrics.
    pub(crate) fn admin_address(&self) -> String {
        format!("127.0.0.1:{}", self.admin)
    }

    async fn admin(&self, path: &str) -> Result<reqwest::Response> {
        Ok(self.client.get(self.admin_url(path)).send().await?)
    }

    /// What it waits for, unless it is ready.
    pub(crate) async fn ready(&self) -> Result<Result<(), String>> {
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

/// For the public routes, and for the others.
pub(crate) fn free_ports() -> Result<[u16; 2]> {
    Ok([free_port()?, free_port()?])
}

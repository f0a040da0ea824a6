//! A `triad` under test: one process, a folder, free ports.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};

/// Whatever must come comes within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tries until it is so, at most a minute.
pub async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Result<T, String>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        let why = match look().await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(why)) => why,
            Err(error) => format!("{error:#}"),
        };
        ensure!(begun.elapsed() < PATIENCE, "{what}: {why}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> Result<u16> {
    Ok(loadtest::port::free()?.port())
}

/// The binary under test stands two folders above the test's own.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(|deps| deps.parent()).context("no target folder")?;
    let binary = folder.join(name);
    ensure!(binary.exists(), "{} is not built: run `make test`", binary.display());
    Ok(binary)
}

/// Killed when dropped.
pub struct Triad {
    child: Child,
    /// Of its public routes.
    pub port: u16,
    admin: u16,
    /// Who asks.
    pub client: reqwest::Client,
    key: String,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its JSON; a text if it is none.
    pub body: Value,
    /// Its consistency token; empty without.
    pub token: String,
}

impl Answer {
    /// The answer, which must have that status.
    pub fn must(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "{} {}", self.status, self.body);
        Ok(self)
    }

    /// The id in it.
    pub fn id(&self) -> Result<String> {
        Ok(self.body["id"].as_str().context("no id")?.to_owned())
    }
}

impl Triad {
    /// Starts on a folder and waits until it is ready.
    pub async fn start(folder: &Path) -> Result<Self> {
        Self::with(folder, &[]).await
    }

    /// The same with more options.
    pub async fn with(folder: &Path, options: &[&str]) -> Result<Self> {
        let (port, admin) = (free_port()?, free_port()?);
        let child = command(folder, port, admin)?.args(options).stdout(Stdio::null()).spawn()?;
        // Another test of this binary may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        let mut triad = Self { child, port, admin, client, key: String::new() };
        let ready = triad.admin_url("/readyz");
        until("triad is ready", async || {
            if let Some(ended) = triad.child.try_wait()? {
                bail!("ended with {ended}; what it said is above");
            }
            let answer = triad.client.get(&ready).send().await?;
            let is_ready = answer.status() == 200;
            Ok(if is_ready { Ok(()) } else { Err(answer.text().await?) })
        })
        .await?;
        let key = std::fs::read_to_string(folder.join("credentials/admin.key"))?;
        triad.key = key.trim_end().to_owned();
        Ok(triad)
    }

    /// Where a public route is.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Where a route of the admin listener is.
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The administrator's API key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// As the administrator, from a state that holds `since`.
    pub async fn since(
        &self,
        since: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Answer> {
        let mut request = self.client.request(method, self.url(path)).bearer_auth(&self.key);
        if !since.is_empty() {
            request = request.header("triad-consistency-token", since);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let token = answer.headers().get("triad-consistency-token");
        let token = token.and_then(|t| t.to_str().ok()).unwrap_or_default().to_owned();
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        Ok(Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
            token,
        })
    }

    /// As the administrator.
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Answer> {
        self.since("", method, path, body).await
    }

    /// A GET as the administrator, which must be 200.
    pub async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.ask(Method::GET, path, Value::Null).await?.must(200)?.body)
    }

    /// Makes a tenant.
    pub async fn tenant(&self, id: &str) -> Result<()> {
        let email = format!("admin@{id}.example");
        let tenant = json!({"id": id, "name": id, "administrator": {"email": email}});
        self.ask(Method::POST, "/v1/tenants", tenant).await?.must(201).map(drop)
    }

    /// Makes the role `reader`, and gives it to somebody, on all or on one thing, from a state that holds `since`; the
    /// token of that.
    pub async fn bind_reader(
        &self,
        tenant: &str,
        subject: (&str, &str),
        on: Option<Value>,
        since: &str,
    ) -> Result<String> {
        let role = json!({"permissions": [{"action": "read"}]});
        self.ask(Method::PUT, &format!("/v1/tenants/{tenant}/roles/reader"), role)
            .await?
            .must(201)?;
        let subject = json!({"type": subject.0, "id": subject.1});
        let mut binding = json!({"relation": "has_role", "subject": subject, "role": "reader"});
        if let Some(on) = on {
            binding["on"] = on;
        }
        let writes = json!({"writes": [{"op": "create", "relationship": binding}]});
        let path = format!("/v1/tenants/{tenant}/relationships");
        Ok(self.since(since, Method::POST, &path, writes).await?.must(200)?.token)
    }

    /// kill -9.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM; it must end in order.
    pub async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success());
        let code = until("triad ends", async || {
            Ok(self.child.try_wait()?.ok_or_else(|| "it runs".to_owned()))
        })
        .await?;
        ensure!(code.success(), "ended with {code}");
        Ok(())
    }
}

impl Drop for Triad {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How it is started; nothing of this environment is configuration.
pub fn command(folder: &Path, port: u16, admin: u16) -> Result<Command> {
    let mut command = Command::new(binary("triad")?);
    command
        .args([
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--admin-listen",
            &format!("127.0.0.1:{admin}"),
        ])
        .arg("--data-dir")
        .arg(folder)
        .stdin(Stdio::null());
    Ok(command)
}

/// One that is to end by itself: its exit code, and what it said.
pub fn ended(mut command: Command) -> Result<(i32, String)> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.code().context("a signal")?, text))
}

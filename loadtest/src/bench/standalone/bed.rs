//! The process on a folder of its own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::bench::drive::Pace;
use crate::bench::turns::in_turns;
use crate::check::link::Endpoint;
use crate::child::Service;
use crate::cli::StandaloneBenchArgs;
use crate::scrape;
use crate::stop::Stop;

/// For what is asked beside the load.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The tenant of all that is measured.
pub(super) const TENANT: &str = "bench";

/// See the module.
pub(super) struct Bed {
    pub(super) args: StandaloneBenchArgs,
    stop: Stop,
    root: tempfile::TempDir,
}

/// A running `triad`; killed when dropped.
pub(super) struct Triad {
    service: Service,
    pub(super) client: reqwest::Client,
    key: String,
}

impl Bed {
    pub(super) fn new(args: &StandaloneBenchArgs, stop: &Stop) -> anyhow::Result<Self> {
        let binary = args.launch().binary;
        let shown = binary.display();
        ensure!(binary.is_file(), "{shown} is no file: build it or give --triad");
        // Beside the build and not in /tmp, which may be memory.
        let root = tempfile::Builder::new().prefix("bench-").tempdir_in(folder(&binary)?)?;
        Ok(Self { args: args.clone(), stop: stop.clone(), root })
    }

    /// A folder that does not exist yet.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) fn pace(&self) -> Pace {
        let span = Duration::from_secs_f64(self.args.seconds);
        Pace { connections: self.args.connections.into(), span, rate: None }
    }

    /// Runs of a measurement, each told its number.
    pub(super) async fn rounds(
        &self,
        until: Instant,
        round: impl AsyncFnMut(u64) -> anyhow::Result<Value>,
    ) -> anyhow::Result<Vec<Value>> {
        in_turns(self.args.pairs, &self.stop, until, round).await
    }

    /// Starts it on a folder; [`Triad::ready`] waits.
    pub(super) fn spawn(&self, folder: &Path) -> anyhow::Result<Triad> {
        let client = scrape::client(TIMEOUT)?;
        let service = Service::triad(&self.args.launch(), folder)?;
        Ok(Triad { service, client, key: String::new() })
    }

    /// One that is ready, with the tenant.
    pub(super) async fn triad(&self, folder: &Path) -> anyhow::Result<Triad> {
        let mut triad = self.spawn(folder)?;
        triad.ready(folder).await?;
        Ok(triad)
    }
}

fn folder(binary: &Path) -> anyhow::Result<&Path> {
    binary.parent().context("the binary is in no folder")
}

impl Triad {
    pub(super) async fn ready(&mut self, folder: &Path) -> anyhow::Result<()> {
        self.service.ready(&self.client).await?;
        let key = std::fs::read_to_string(folder.join("credentials/admin.key"))?;
        self.key = key.trim_end().to_owned();
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.service.pid()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.http)
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn endpoint(&self) -> anyhow::Result<Endpoint> {
        Endpoint::new(&self.url(""), Some(&self.key), false)
    }

    /// A write as the administrator, which must be done.
    pub(super) async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &Value,
        since: &str,
    ) -> anyhow::Result<(Value, String)> {
        let mut request = self.client.request(method, self.url(path)).bearer_auth(&self.key);
        if !since.is_empty() {
            request = request.header("triad-consistency-token", since);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let token = answer.headers().get("triad-consistency-token");
        let token = token.and_then(|t| t.to_str().ok()).unwrap_or_default().to_owned();
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok((serde_json::from_str(&text).unwrap_or_default(), token))
    }

    /// A tenant whose one user may read below a folder; the user's id.
    pub(super) async fn reader(&self) -> anyhow::Result<String> {
        use reqwest::Method;
        let of = |path: &str| format!("/v1/tenants/{TENANT}{path}");
        let tenant =
            json!({"id": TENANT, "name": TENANT, "administrator": {"email": "a@bench.example"}});
        self.send(Method::POST, "/v1/tenants", &tenant, "").await?;
        let user = json!({"email": "u@bench.example"});
        let (user, token) = self.send(Method::POST, &of("/users"), &user, "").await?;
        let user = user["id"].as_str().context("no id")?.to_owned();
        let role = json!({"permissions": [{"action": "read"}]});
        self.send(Method::PUT, &of("/roles/reader"), &role, "").await?;
        let folder = json!({"type": "folder", "id": "f"});
        let mut writes = vec![json!({"op": "touch", "relationship": {"relation": "has_role",
            "subject": {"type": "user", "id": user}, "role": "reader", "on": folder}})];
        writes.extend((0..100).map(|n| {
            json!({"op": "touch", "relationship": {"relation": "parent",
            "resource": {"type": "document", "id": format!("d-{n}")}, "parent": folder}})
        }));
        let writes = json!({ "writes": writes });
        self.send(Method::POST, &of("/relationships"), &writes, &token).await?;
        Ok(user)
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.service.stop().await
    }

    /// kill -9.
    pub(super) async fn kill(self) -> anyhow::Result<()> {
        self.service.kill().await
    }
}

//! What somebody does who means harm: raw bytes, and patience. Whatever is attacked goes on answering others rightly, as
//! the same process, in no more memory.

mod json;
mod raw;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use raw::Slow;

/// Whatever must end ends within this.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a process may hold more than before all attacks, in KiB.
const GROWTH: u64 = 256 << 10;

/// A request of somebody else, which is answered alike whatever others do.
pub struct Probe {
    /// How it is sent.
    pub method: Method,
    /// Where.
    pub path: String,
    /// Its `Authorization`.
    pub bearer: String,
    /// Its body; none if it is null.
    pub body: Value,
    /// What the answer, a 200, holds.
    pub holds: String,
}

/// What is attacked.
pub struct Target {
    /// Of its public routes.
    pub port: u16,
    /// Its process.
    pub pid: u32,
    /// Connections that it takes at once.
    pub connections: usize,
    /// What it says of its routes, and where each is found.
    pub documents: Vec<(&'static str, Value)>,
    /// The attacker's tenant.
    pub tenant: String,
    /// The attacker's `Authorization`: everything in its tenant.
    pub bearer: String,
    /// Of somebody who may do everything everywhere.
    pub administrator: String,
    /// A route of a tenant that takes JSON.
    pub writes: &'static str,
    /// Routes of a tenant that are read.
    pub reads: &'static [&'static str],
    /// Whom all of it must not touch: a tenant, what only it knows, and what it asks.
    pub victim: (String, String, Probe),
}

/// A process as it is now.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// When it began, in ticks since the machine did: another process of the same id began later.
    began: u64,
    resident_kib: u64,
}

impl Standing {
    fn of(pid: u32) -> Result<Self> {
        let folder = Path::new("/proc").join(pid.to_string());
        let stat = std::fs::read_to_string(folder.join("stat")).context("it is gone")?;
        // The name before the bracket may hold anything; the 22nd field is the 20th behind it.
        let began = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19));
        let status = std::fs::read_to_string(folder.join("status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|rest| rest.split_whitespace().next());
        Ok(Self {
            began: began.context("no start time")?.parse()?,
            resident_kib: resident.context("it has ended")?.parse()?,
        })
    }
}

impl Target {
    /// Attacks in every way, one after the other; after each, all is as it was.
    pub async fn withstands_everything(&self) -> Result<()> {
        let before = Standing::of(self.pid)?;
        self.goes_on(before).await.context("before anything")?;
        // What is read is what must not be told.
        self.secret_is_there().await?;
        for slow in Slow::ALL {
            self.slow_clients(slow, before).await.with_context(|| format!("{slow:?} clients"))?;
        }
        self.bombs().await.context("bombs")?;
        self.goes_on(before).await.context("after bombs")?;
        self.deep_json().await.context("deep JSON")?;
        self.goes_on(before).await.context("after deep JSON")?;
        self.paths().await.context("paths")?;
        self.goes_on(before).await.context("after paths")?;
        self.shapes().await.context("shapes")?;
        self.goes_on(before).await.context("after shapes")
    }

    /// The victim is answered, by the process that there was, which has not grown.
    async fn goes_on(&self, before: Standing) -> Result<()> {
        let (_, _, probe) = &self.victim;
        let client = self.client()?;
        let url = format!("http://127.0.0.1:{}{}", self.port, probe.path);
        let mut request = client.request(probe.method.clone(), url);
        request = request.header("authorization", &probe.bearer);
        if !probe.body.is_null() {
            request = request.json(&probe.body);
        }
        let answer = request.send().await.context("the victim is not answered")?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == 200 && text.contains(&probe.holds), "the victim: {status} {text}");
        let now = Standing::of(self.pid)?;
        ensure!(now.began == before.began, "another process: {before:?}, {now:?}");
        let bound = before.resident_kib + GROWTH;
        ensure!(now.resident_kib <= bound, "it has grown: {before:?}, {now:?}");
        Ok(())
    }

    /// Who may do everything reads what only the victim has, by each of the routes.
    async fn secret_is_there(&self) -> Result<()> {
        let (victim, secret, _) = &self.victim;
        for rest in self.reads {
            let url = format!("http://127.0.0.1:{}/v1/tenants/{victim}/{rest}", self.port);
            let request = self.client()?.get(url).header("authorization", &self.administrator);
            let answer = request.send().await?;
            let (status, text) = (answer.status(), answer.text().await?);
            ensure!(status == 200 && text.contains(secret), "{rest}: {status} {text}");
        }
        Ok(())
    }

    /// On a connection of its own each time: one that was there before proves nothing.
    fn client(&self) -> Result<reqwest::Client> {
        // Another test of this binary may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(reqwest::Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).build()?)
    }

    /// They take every connection that there is; the victim gets through once they are given up.
    async fn slow_clients(&self, slow: Slow, before: Standing) -> Result<()> {
        let request = match slow {
            Slow::Silent => String::new(),
            Slow::Head => "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ".to_owned(),
            Slow::Body => format!("{}content-length: 1000000\r\n\r\n[", self.head()),
            Slow::Deaf => format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", self.documents[0].0),
        };
        // Silent ones cost an attacker least: as many again wait for a slot.
        let times = if slow == Slow::Silent { 4 } else { 1 };
        let mut streams = Vec::new();
        for _ in 0..times * self.connections {
            streams.push(raw::connect(self.port).await?);
        }
        let mut clients = JoinSet::new();
        for stream in streams {
            clients.spawn(slow.annoy(stream, request.clone()));
        }
        self.goes_on(before).await?;
        let all_end = async {
            while let Some(ended) = clients.join_next().await {
                ended?;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, all_end).await.context("some are never given up")?
    }

    /// The beginning of a request that takes JSON, up to what says how long its body is.
    fn head(&self) -> String {
        format!(
            "POST /v1/tenants/{}/{} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\n\
             content-type: application/json\r\n",
            self.tenant, self.writes, self.bearer
        )
    }

    /// Heads that are too large in every way, and bodies that are.
    async fn bombs(&self) -> Result<()> {
        let path = "x".repeat(100_000);
        let heads = [
            format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: x\r\n".repeat(10_000)),
            format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(1 << 20)),
            format!("GET / HTTP/1.1\r\nhost: x\r\n{}: x\r\n\r\n", "x".repeat(1 << 20)),
            format!("GET /{path} HTTP/1.1\r\nhost: x\r\n\r\n"),
            format!("GET /?{path} HTTP/1.1\r\nhost: x\r\n\r\n"),
            format!("{path} / HTTP/1.1\r\nhost: x\r\n\r\n"),
        ];
        for head in &heads {
            let told = raw::told(self.port, head.as_bytes()).await?;
            let shown: String = head.chars().take(60).collect();
            ensure!(told.is_refused(), "{shown}…: {}", told.text);
        }
        // Nothing of it is read before it is refused: nothing of it is sent.
        let huge = format!("{}content-length: 10737418240\r\n\r\n", self.head());
        let told = raw::told(self.port, huge.as_bytes()).await?;
        ensure!(told.statuses() == [413], "10 GiB: {}", told.text);
        let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000)).repeat(256);
        let endless = format!("{}transfer-encoding: chunked\r\n\r\n{piece}", self.head());
        let told = raw::told(self.port, endless.as_bytes()).await?;
        // What is still sent may overtake the answer with a reset.
        ensure!(matches!(told.statuses()[..], [] | [413]), "16 MiB in pieces: {}", told.text);
        Ok(())
    }

    /// Other ways to write a path of the victim's lead nowhere.
    async fn paths(&self) -> Result<()> {
        let (victim, secret, _) = &self.victim;
        let (own, victim) = (&self.tenant, victim.as_str());
        let encoded: String = victim.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for rest in self.reads {
            let written = [
                format!("/v1/tenants/{victim}/{rest}"),
                format!("http://127.0.0.1/v1/tenants/{victim}/{rest}"),
                format!("//v1/tenants/{victim}/{rest}"),
                format!("/v1//tenants/{victim}/{rest}"),
                format!("/v1/tenants//{victim}/{rest}"),
                format!("/v1/tenants/./{victim}/{rest}"),
                format!("/v1/tenants/{own}/../{victim}/{rest}"),
                format!("/v1/tenants/{own}/%2e%2e/{victim}/{rest}"),
                format!("/v1/tenants/{own}/%2E%2E/{victim}/{rest}"),
                format!("/v1/tenants/{own}%2f..%2f{victim}/{rest}"),
                format!("/v1/tenants/{own}\\..\\{victim}/{rest}"),
                format!("/v1/tenants/{own}%5c..%5c{victim}/{rest}"),
                format!("/v1/tenants/{own}/{rest}/../../{victim}/{rest}"),
                format!("/v1/tenants/{own},{victim}/{rest}"),
                format!("/v1/tenants/{own}&{victim}/{rest}"),
                format!("/v1/tenants/{own};{victim}/{rest}"),
                format!("/v1/tenants/{victim};x/{rest}"),
                format!("/v1/tenants/{victim};{own}/{rest}"),
                format!("/v1/tenants/{victim}%00/{rest}"),
                format!("/v1/tenants/{own}%00{victim}/{rest}"),
                format!("/v1/tenants/{victim}%20/{rest}"),
                format!("/v1/tenants/{victim}./{rest}"),
                format!("/v1/tenants/{}/{rest}", victim.to_uppercase()),
                format!("/v1/tenants/{encoded}/{rest}"),
                format!("/v1/tenants/{}/{rest}", encoded.replace('%', "%25")),
                format!("/v1/tenants/%ff/{rest}"),
                format!("/v1/tenants/*/{rest}"),
                format!("/V1/tenants/{victim}/{rest}"),
                format!("/v1/tenants/{victim}/{rest}#/v1/tenants/{own}/{rest}"),
                format!("/v1/tenants/{}{victim}/{rest}", "a/../".repeat(5000)),
                format!("/v1/tenants/{}/{rest}", "a".repeat(60_000)),
            ];
            for path in &written {
                let request = format!(
                    "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {}\r\n\r\n",
                    self.bearer
                );
                let told = raw::told(self.port, request.as_bytes()).await?;
                let shown: String = path.chars().take(120).collect();
                ensure!(told.is_refused(), "{shown}: {}", told.text);
                ensure!(!told.text.contains(secret), "{shown}: {}", told.text);
            }
        }
        Ok(())
    }

    /// Methods and protocols that nobody speaks here, and requests that two readers may read as different ones: what is
    /// hidden in them is answered by nobody.
    async fn shapes(&self) -> Result<()> {
        let rest = self.reads[0];
        for method in ["TRACE", "CONNECT", "PROPFIND", "get", "X", "PRI"] {
            let request = format!(
                "{method} /v1/tenants/{}/{rest} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\n\r\n",
                self.tenant, self.bearer
            );
            let told = raw::told(self.port, request.as_bytes()).await?;
            ensure!(told.is_refused(), "{method}: {}", told.text);
        }
        let head = self.head();
        let hidden = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", self.documents[0].0);
        let length = hidden.len();
        let ended = format!("0\r\n\r\n{hidden}");
        let shapes = [
            // Of other protocols.
            "GET /\r\n".to_owned(),
            "GET / HTTP/9.9\r\nhost: x\r\n\r\n".to_owned(),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            "CONNECT 127.0.0.1:80 HTTP/1.1\r\nhost: 127.0.0.1:80\r\n\r\n".to_owned(),
            "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}".to_owned(),
            // Of two lengths.
            format!("{head}content-length: 0\r\ncontent-length: {length}\r\n\r\n{hidden}"),
            format!("{head}content-length: {length}\r\ncontent-length: 0\r\n\r\n{hidden}"),
            format!("{head}content-length: 0, {length}\r\n\r\n{hidden}"),
            format!("{head}content-length: +{length}\r\n\r\n{hidden}"),
            format!("{head}content-length: -1\r\n\r\n{hidden}"),
            format!("{head}content-length: 0x10\r\n\r\n{hidden}"),
            format!("{head}content-length : 0\r\n\r\n{hidden}"),
            // Of a length and pieces.
            format!("{head}content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n{ended}"),
            format!("{head}transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n{ended}"),
            format!("{head}transfer-encoding: chunked, identity\r\n\r\n{ended}"),
            format!("{head}transfer-encoding: xchunked\r\ncontent-length: 0\r\n\r\n{ended}"),
            format!("{head}transfer-encoding : chunked\r\n\r\n{ended}"),
            format!("{head}transfer-encoding: chunked\r\n\r\n1\n[\r\n{ended}"),
            format!("{head}transfer-encoding: chunked\r\n\r\n1;x\n[\r\n{ended}"),
            format!("{head}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{ended}"),
            format!("{head}transfer-encoding: chunked\r\n\r\n-1\r\n{ended}"),
            // Of lines that end otherwise.
            format!("{head}x: y\ncontent-length: {length}\r\n\r\n{hidden}"),
            format!("{head}x: y\rcontent-length: 0\r\n\r\n{hidden}"),
            format!("{head}x: y\r\n content-length: 0\r\n\r\n{hidden}"),
            format!("{head}x\u{0}: y\r\ncontent-length: {length}\r\n\r\n{hidden}"),
        ];
        for shape in &shapes {
            let told = raw::told(self.port, shape.as_bytes()).await?;
            let shown = shape.trim_start_matches(&head).escape_debug();
            ensure!(told.is_refused(), "{shown}: {}", told.text);
        }
        Ok(())
    }
}

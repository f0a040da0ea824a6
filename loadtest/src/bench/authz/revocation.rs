//! From a revocation's acknowledgement by one edge to the first denial of another.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};

use super::bed::Bed;
use super::edge::Edge;
use crate::bench::goals::Figure;
use crate::check::measure::Plan;
use crate::check::pace::Pace;
use crate::check::space::Keys;
use crate::deploy::Paused;
use crate::latency::{Latency, Recorder};

const TOKEN: &str = "triad-consistency-token";
/// Memberships of one request.
const BATCH: usize = 500;
/// Checks a second of the edge that is watched, meanwhile.
const BESIDE: f64 = 2000.0;
/// From one look for a denial to the next.
const POLL: Duration = Duration::from_millis(1);
/// A revocation that is not seen by then is lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// An entry's life while Kafka is stopped, in ms: the bound then.
const LIFE: u32 = 5000;

/// With Kafka: p99, one after the other, hot checks beside them.
pub(super) async fn with_kafka(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let (shape, users) = (bed.sizes.graph.clone(), bed.sizes.revocations);
    bed.graph(&shape, 1).await?;
    let pair = Pair::start(bed, "revocation", &[]).await?;
    pair.prepare(users).await?;
    let (mut seen, mut own) = (Recorder::default(), Recorder::default());
    let revocations = async {
        for user in 0..users {
            bed.stop.check()?;
            let (there, here) = pair.revoke(user).await?;
            seen.record(there);
            own.record(here);
        }
        anyhow::Ok(())
    };
    tokio::select! {
        revoked = revocations => revoked?,
        failed = beside(bed, &pair.other) => match failed? {},
    }
    pair.stop().await?;
    let seen = seen.summary();
    let more = json!({"writer": own.summary(), "checks_per_second_beside": BESIDE});
    let run = run(&seen, seen.p99_ms, &more);
    Ok(Figure::median("authz.revocation_p99_ms", vec![run]).into_iter().collect())
}

/// Without Kafka: the longest of many at once, entries living shorter than usual.
pub(super) async fn without_kafka(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let users = bed.sizes.revocations_without;
    let life = ["cache.life_ms", "cache.deny_life_ms"].map(|key| (key, LIFE.to_string()));
    let pair = Pair::start(bed, "no-kafka", &life).await?;
    pair.prepare(users).await?;
    let kafka = Paused::stop(&bed.place().await?.state, "kafka").await?;
    let mut seen = Recorder::default();
    let mut all =
        futures::stream::iter(0..users).map(|user| pair.revoke(user)).buffer_unordered(users);
    while let Some((there, _)) = all.try_next().await? {
        seen.record(there);
    }
    drop(all);
    kafka.resume().await?;
    pair.stop().await?;
    let seen = seen.summary();
    let run = run(&seen, seen.max_ms, &json!({ "life_ms": LIFE }));
    Ok(Figure::median("authz.revocation_no_kafka_ms", vec![run]).into_iter().collect())
}

fn run(seen: &Latency, value: f64, more: &Value) -> Value {
    json!({
        "value": value, "p50_ms": seen.p50_ms, "p95_ms": seen.p95_ms, "p99_ms": seen.p99_ms,
        "max_ms": seen.max_ms, "revocations": seen.count, "with": more,
    })
}

/// Checks an edge, for as long as nobody ends it.
async fn beside(bed: &Bed, edge: &Edge) -> anyhow::Result<Infallible> {
    let side = edge.side(None)?;
    let space = bed.space(&bed.sizes.graph, Keys::Hot, 1, 1);
    loop {
        let span = Duration::from_secs(5);
        let plan = Plan { pace: Pace::Open(BESIDE), span, ..bed.plan(&side) };
        bed.check(&side, &space, &plan).await?;
    }
}

/// Two edges on one graph: one writes, the other hears of it.
struct Pair {
    writer: Edge,
    other: Edge,
    tenant: &'static str,
}

impl Pair {
    async fn start(
        bed: &mut Bed,
        tenant: &'static str,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let (writer, other) = (bed.edge(settings).await?, bed.edge(settings).await?);
        Ok(Self { writer, other, tenant })
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.writer.stop().await?;
        self.other.stop().await
    }

    /// A team that may read, and so many users in it.
    async fn prepare(&self, users: usize) -> anyhow::Result<()> {
        let on = json!({"type": "document"});
        let role = json!({"permissions": [{"action": "read", "on": on}]});
        self.ask(&self.writer, Method::PUT, "roles/reader", None, &role).await?;
        let team = json!({"relation": "has_role", "subject": {"type": "team", "id": "t"},
            "role": "reader", "on": on});
        let mut token = self.write("touch", vec![team]).await?;
        for from in (0..users).step_by(BATCH) {
            let all = from..(from + BATCH).min(users);
            token = self.write("touch", all.map(membership).collect()).await?;
        }
        let seen = self.decides(&self.other, 0, Some(&token)).await?;
        ensure!(seen, "a check with the token of what was written does not see it");
        Ok(())
    }

    /// Takes a user out of the team when both edges have the answer; how long after the acknowledgement
    /// the other one denies, and the writer.
    async fn revoke(&self, user: usize) -> anyhow::Result<(Duration, Duration)> {
        for edge in [&self.other, &self.writer] {
            ensure!(self.decides(edge, user, None).await?, "user {user} is denied too soon");
        }
        self.write("delete", vec![membership(user)]).await?;
        let acknowledged = Instant::now();
        tokio::try_join!(
            self.denied(&self.other, user, acknowledged),
            self.denied(&self.writer, user, acknowledged)
        )
    }

    async fn denied(&self, edge: &Edge, user: usize, since: Instant) -> anyhow::Result<Duration> {
        while self.decides(edge, user, None).await? {
            ensure!(since.elapsed() < PATIENCE, "user {user} is still allowed after {PATIENCE:?}");
            tokio::time::sleep(POLL).await;
        }
        Ok(since.elapsed())
    }

    async fn decides(&self, edge: &Edge, user: usize, token: Option<&str>) -> anyhow::Result<bool> {
        let question = json!({"subject": {"type": "user", "id": format!("u-{user}")},
            "action": {"name": "read"}, "resource": {"type": "document", "id": "d"}});
        let (answer, _) = self.ask(edge, Method::POST, "check", token, &question).await?;
        answer["decision"].as_bool().context("a check's answer has no decision")
    }

    /// Writes relationships at the writer; the consistency token.
    async fn write(&self, op: &str, relationships: Vec<Value>) -> anyhow::Result<String> {
        let write = |relationship| json!({"op": op, "relationship": relationship});
        let writes: Vec<_> = relationships.into_iter().map(write).collect();
        let body = json!({ "writes": writes });
        Ok(self.ask(&self.writer, Method::POST, "relationships", None, &body).await?.1)
    }

    async fn ask(
        &self,
        edge: &Edge,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<(Value, String)> {
        let url = format!("{}/v1/tenants/{}/{path}", edge.url(), self.tenant);
        let mut request = edge.client.request(method, url).json(body);
        if let Some(token) = token {
            request = request.header(TOKEN, token);
        }
        let answer = request.send().await.with_context(|| path.to_owned())?;
        let status = answer.status();
        let token = answer.headers().get(TOKEN).and_then(|token| token.to_str().ok());
        let token = token.unwrap_or_default().to_owned();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok((serde_json::from_str(&text)?, token))
    }
}

fn membership(user: usize) -> Value {
    json!({"relation": "member_of", "subject": {"type": "user", "id": format!("u-{user}")},
        "team": "t"})
}

//! Telling a target the graphs.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::BytesMut;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::graph::{Graph, Shape};
use super::link::{Ask, DEADLINE, Link};
use super::space::Question;
use super::target::{Target, refusal};
use super::words::{Action, Fact};
use crate::progress::bar;
use crate::stop::Stop;

/// Tenants at once.
const WRITERS: usize = 4;
/// A request that is refused for the moment is sent so often.
const ATTEMPTS: u32 = 6;
/// Checks that must see what was told, and the users and documents that they are about.
const PROBES: usize = 20;
const PROBED: u32 = 64;
/// A load's request carries thousands of facts: it may take longer than a check.
const PATIENCE: Duration = Duration::from_secs(6 * DEADLINE.as_secs());

/// What was told.
#[derive(Debug, Clone, Serialize)]
pub struct Loaded {
    /// Tenants.
    pub tenants: u32,
    /// Relationships of all tenants.
    pub facts: u64,
    /// How long it took.
    pub seconds: f64,
    /// Relationships a second.
    pub facts_per_second: f64,
    /// From the last acknowledgement until checks saw it.
    pub seen_after_seconds: f64,
}

/// Tells `target`, which is prepared, the graphs of the first `tenants`. One request of a tenant follows
/// the other: requests that share nodes would make each other's transactions fail.
///
/// # Errors
/// When it refuses, or does not answer in time.
pub async fn load(
    target: &Target,
    shape: &Shape,
    tenants: u32,
    stop: &Stop,
) -> anyhow::Result<Loaded> {
    let (begun, bar) = (Instant::now(), bar("tenants", u64::from(tenants)));
    let told = futures::stream::iter(0..tenants)
        .map(|rank| async move {
            stop.check()?;
            let told = tell(target, shape, rank).await;
            told.with_context(|| format!("tenant {}", shape.tenant(rank)))
        })
        .buffer_unordered(WRITERS)
        .inspect(|_| bar.inc(1));
    let facts: Vec<u64> = told.try_collect().await?;
    bar.finish_and_clear();
    let (facts, seconds) = (facts.iter().sum(), begun.elapsed().as_secs_f64());
    let seen_after_seconds = see(target, shape, tenants - 1, stop).await?.as_secs_f64();
    let facts_per_second = facts as f64 / seconds;
    Ok(Loaded { tenants, facts, seconds, facts_per_second, seen_after_seconds })
}

/// Tells a tenant's graph, and returns how many relationships it has.
async fn tell(target: &Target, shape: &Shape, rank: u32) -> anyhow::Result<u64> {
    let facts: Vec<Fact> = Graph::new(shape, rank).facts().collect();
    let mut link = None;
    for request in target.tell(rank, &facts) {
        send(target, &mut link, request).await?;
    }
    Ok(facts.len() as u64)
}

/// Asks what the last tenant's graph allows until all of it is allowed: a target may answer from what
/// was true a moment ago, and a measurement that began then would find wrong answers.
async fn see(target: &Target, shape: &Shape, rank: u32, stop: &Stop) -> anyhow::Result<Duration> {
    let (begun, graph) = (Instant::now(), Graph::new(shape, rank));
    let mut link = target.endpoint.connect().await?;
    let mut buffer = BytesMut::new();
    for question in allowed(&graph, rank) {
        loop {
            stop.check()?;
            let request = target.check(&question, &mut buffer);
            let answer = tokio::time::timeout(DEADLINE, link.exchange(request)).await;
            let answer = answer.context("no answer in time")?.context("the connection was lost")?;
            match target.decision(&answer) {
                Ok(true) => break,
                Ok(false) => {}
                Err(_) => bail!("a check after the load: {}", refusal(&answer)),
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "what was told {PATIENCE:?} ago is not seen yet: {question:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(begun.elapsed())
}

/// Some questions whose answer is yes, about users and documents that the cold walk leaves out.
fn allowed(graph: &Graph, tenant: u32) -> Vec<Question> {
    let shape = graph.shape();
    let users = 0..shape.users.min(PROBED);
    let pairs = users.flat_map(|user| (0..shape.resources.min(PROBED)).map(move |d| (user, d)));
    let action = Action::Read;
    pairs
        .filter(|(user, document)| graph.allows(*user, action, *document))
        .map(|(user, document)| Question { tenant, user, action, document, expected: true })
        .step_by(PROBES)
        .take(PROBES)
        .collect()
}

/// Sends one request until it is accepted or refused for good.
async fn send(target: &Target, link: &mut Option<Link>, request: Ask) -> anyhow::Result<()> {
    let mut backoff = Duration::from_millis(50);
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match attempt(target, link, request.clone()).await? {
            None => return Ok(()),
            Some(refusal) => last = refusal,
        }
        tokio::time::sleep(backoff).await;
        backoff *= 2;
    }
    bail!("refused {ATTEMPTS} times: {last}")
}

/// `None` when it is accepted, the refusal when it may be accepted later.
async fn attempt(
    target: &Target,
    link: &mut Option<Link>,
    request: Ask,
) -> anyhow::Result<Option<String>> {
    let mut open = match link.take().filter(Link::is_open) {
        Some(open) => open,
        None => target.endpoint.connect().await?,
    };
    let answer = tokio::time::timeout(PATIENCE, open.exchange(request)).await;
    let answer = answer.context("no answer in time")?.context("the connection was lost")?;
    *link = Some(open);
    if target.accepted(&answer).is_ok() {
        return Ok(None);
    }
    // Conflicts, overload and what is not ready pass; in gRPC: exhausted, aborted, unavailable.
    let passes = matches!(answer.status.as_u16(), 409 | 429 | 503)
        || answer.grpc.as_ref().is_some_and(|(code, _)| matches!(code, 8 | 10 | 14));
    if !passes {
        bail!("refused: {}", refusal(&answer));
    }
    Ok(Some(refusal(&answer)))
}

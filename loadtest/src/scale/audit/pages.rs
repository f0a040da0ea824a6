//! Pages of the day that was stored last, one question after the other.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::latency::{Latency, Recorder};
use crate::run::Run;
use crate::scenario::readers::{Questions, ReadLoad, probe};
use crate::scrape;

/// ingest's own limit for a page is 10 s.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Latencies of pages of 100 events.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Pages {
    /// The newest of a day.
    pub(super) first: ReadLoad,
    /// By the cursor of a page from the middle of the day.
    pub(super) within: Latency,
    /// The newest of a day of one actor, who has some.
    pub(super) actor: Latency,
    /// Events in all pages of actors.
    pub(super) actor_events: u64,
}

/// A page, as far as it is read here.
#[derive(Deserialize)]
struct Page {
    events: Vec<Event>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    actor_id: Option<String>,
}

/// Asks `count` questions of each kind about the run.
pub(super) async fn measure(http: SocketAddr, run: &Run, count: u64) -> anyhow::Result<Pages> {
    let first = probe(http, run, count).await?;
    let client = scrape::client(TIMEOUT)?;
    let questions = Questions::about(run);
    let (mut within, mut actor, mut actor_events) = (Recorder::default(), Recorder::default(), 0);
    for number in 0..count {
        let half = format!("http://{http}{}", questions.path_of(number, 0.5));
        let (page, _) = ask(&client, &half).await?;
        if let Some(cursor) = &page.next_cursor {
            let (_, took) = ask(&client, &format!("{half}&cursor={cursor}")).await?;
            within.record(took);
        }
        if let Some(id) = page.events.iter().find_map(|event| event.actor_id.as_deref()) {
            let url = format!("http://{http}{}&actor_id={id}", questions.path(number));
            let (page, took) = ask(&client, &url).await?;
            actor.record(took);
            actor_events += page.events.len() as u64;
        }
    }
    ensure!(within.count() > 0 && actor_events > 0, "no page has a page behind it, or an actor");
    let (within, actor) = (within.summary(), actor.summary());
    Ok(Pages { first, within, actor, actor_events })
}

/// A page, and how long it took until all of it was here.
async fn ask(client: &reqwest::Client, url: &str) -> anyhow::Result<(Page, Duration)> {
    let asked = Instant::now();
    let answer = client.get(url).send().await?.error_for_status()?;
    let body = answer.bytes().await?;
    let took = asked.elapsed();
    let page = serde_json::from_slice(&body).with_context(|| format!("{url} is no page"))?;
    Ok((page, took))
}

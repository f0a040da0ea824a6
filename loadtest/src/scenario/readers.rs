//! Range reads over HTTP: first pages of a tenant's day, at a rate or one after the other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::generate::{Mix, Tenants, tenant_name};
use crate::latency::{Latency, Recorder};
use crate::run::Run;
use crate::scrape;

/// A read takes no longer than this; ingest's own limit for a page is 10 s.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Milliseconds in a day.
const DAY: i64 = 86_400_000;

/// How much is read.
#[derive(Debug, Clone, Copy)]
pub struct Readers {
    /// Reads at once, at most.
    pub concurrency: usize,
    /// Reads a second of all together; without, each reader asks again as soon as it is answered.
    pub rate: Option<f64>,
}

/// What reading showed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReadLoad {
    /// Reads a second.
    pub per_second: f64,
    /// From when a read was due to its whole answer, of answers with status 200.
    pub latency: Latency,
    /// Events in all of them.
    pub events: u64,
    /// Other answers and failures, by what they were.
    pub failures: BTreeMap<String, u64>,
}

/// Readers at work until they are told to finish; ended when dropped.
pub struct Reading {
    readers: JoinSet<Tally>,
    finished: Arc<AtomicBool>,
    gate: Arc<AtomicBool>,
    begun: Instant,
}

#[derive(Default)]
struct Tally {
    latency: Recorder,
    events: u64,
    failures: BTreeMap<String, u64>,
}

/// What is asked: a tenant as frequent as its traffic, a day out of those that the run spans.
#[derive(Clone)]
pub struct Questions {
    tenants: Tenants,
    key: u64,
    first_day: i64,
    days: u32,
}

impl Questions {
    /// About the events of `run`.
    #[must_use]
    pub fn about(run: &Run) -> Self {
        let day = |index: u64| (run.time(index) / 10_000).cast_signed() / DAY;
        let (first, last) = (day(0), day(run.events.saturating_sub(1)));
        let days = u32::try_from(last - first).unwrap_or(0) + 1;
        Self { tenants: Tenants::of(run), key: Mix::key(run.seed, "reads"), first_day: first, days }
    }

    /// The tenant of question `number`, and the midnights that its range begins and ends with.
    #[must_use]
    pub fn range(&self, number: u64) -> (String, [DateTime<Utc>; 2]) {
        let mut mix = Mix::new(self.key, number);
        let mut tenant = Vec::new();
        tenant_name(self.tenants.sample(&mut mix), &mut tenant);
        let day = self.first_day + i64::from(mix.below(self.days));
        let midnight = |day: i64| DateTime::from_timestamp_millis(day * DAY).unwrap_or_default();
        (String::from_utf8_lossy(&tenant).into_owned(), [midnight(day), midnight(day + 1)])
    }

    /// The path and query of question `number`.
    #[must_use]
    pub fn path(&self, number: u64) -> String {
        self.path_of(number, 1.0)
    }

    /// The same, about the first part of that day, a share of it: the newest of that part come first, and
    /// so a page from within the day's rows.
    #[must_use]
    pub fn path_of(&self, number: u64, part: f64) -> String {
        let (tenant, [from, to]) = self.range(number);
        let to = from + (to - from) * ((part * 1000.0) as i32) / 1000;
        let [from, to] = [from, to].map(|time| time.format("%Y-%m-%dT%H:%M:%SZ"));
        format!("/v1/tenants/{tenant}/audit?from={from}&to={to}&limit=100")
    }
}

impl Readers {
    /// Starts reading from the listener at `http`.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn start(self, http: SocketAddr, run: &Run) -> anyhow::Result<Reading> {
        let client = scrape::client(TIMEOUT)?;
        let (finished, gate) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        let concurrency = self.concurrency.max(1);
        let every = self.rate.map(|rate| Duration::from_secs_f64(concurrency as f64 / rate));
        let mut readers = JoinSet::new();
        for number in 0..concurrency as u64 {
            let reader = Reader {
                client: client.clone(),
                http,
                questions: Questions::about(run),
                every,
                finished: Arc::clone(&finished),
                gate: Arc::clone(&gate),
            };
            // Readers are out of step, so that a rate is even.
            let offset = every.unwrap_or_default() * number as u32 / concurrency as u32;
            readers.spawn(reader.run(number, concurrency as u64, offset));
        }
        Ok(Reading { readers, finished, gate, begun: Instant::now() })
    }
}

impl Reading {
    /// Lets reads begin, or holds them back.
    pub fn open(&self, open: bool) {
        self.gate.store(open, Ordering::Relaxed);
    }

    /// Waits for the reads under way and sums up.
    ///
    /// # Errors
    /// When a reader panicked.
    pub async fn finish(mut self) -> anyhow::Result<ReadLoad> {
        self.finished.store(true, Ordering::Relaxed);
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut all = Tally::default();
        while let Some(tally) = self.readers.join_next().await {
            let tally = tally?;
            all.latency.merge(&tally.latency);
            all.events += tally.events;
            for (failure, count) in tally.failures {
                *all.failures.entry(failure).or_default() += count;
            }
        }
        let latency = all.latency.summary();
        let per_second = latency.count as f64 / seconds;
        Ok(ReadLoad { per_second, latency, events: all.events, failures: all.failures })
    }
}

struct Reader {
    client: reqwest::Client,
    http: SocketAddr,
    questions: Questions,
    every: Option<Duration>,
    finished: Arc<AtomicBool>,
    gate: Arc<AtomicBool>,
}

impl Reader {
    async fn run(self, first: u64, step: u64, offset: Duration) -> Tally {
        let mut tally = Tally::default();
        let mut due = Instant::now() + offset;
        let mut number = first;
        while !self.finished.load(Ordering::Relaxed) {
            if !self.gate.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                due = Instant::now() + offset;
                continue;
            }
            match self.every {
                // Late reads are counted from when they were due: a slow answer delays the next
                // question, not its clock.
                Some(every) => {
                    tokio::time::sleep_until(due.into()).await;
                    self.ask(number, due, &mut tally).await;
                    due += every;
                }
                None => self.ask(number, Instant::now(), &mut tally).await,
            }
            number += step;
        }
        tally
    }

    async fn ask(&self, number: u64, due: Instant, tally: &mut Tally) {
        let url = format!("http://{}{}", self.http, self.questions.path(number));
        match page(&self.client, &url).await {
            Ok(events) => {
                tally.latency.record(due.elapsed());
                tally.events += events;
            }
            Err(failure) => *tally.failures.entry(failure).or_default() += 1,
        }
    }
}

/// Reads a page; returns how many events it has, or what went wrong in a word.
///
/// # Errors
/// The status, or the kind of failure.
pub async fn page(client: &reqwest::Client, url: &str) -> Result<u64, String> {
    let failed = |error: reqwest::Error| {
        if error.is_timeout() { "timeout" } else { "connection" }.to_owned()
    };
    let answer = client.get(url).send().await.map_err(failed)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(failed)?;
    if !status.is_success() {
        return Err(status.as_u16().to_string());
    }
    // Counting keys is cheaper than parsing, and this shares its CPUs with what is measured.
    Ok(body.windows(11).filter(|window| window == b"\"event_id\":").count() as u64)
}

/// Asks `count` questions one after the other: latency without any other load.
///
/// # Errors
/// When a page is not answered with 200.
pub async fn probe(http: SocketAddr, run: &Run, count: u64) -> anyhow::Result<ReadLoad> {
    let client = scrape::client(TIMEOUT)?;
    let questions = Questions::about(run);
    let (begun, mut tally) = (Instant::now(), Tally::default());
    for number in 0..count {
        let asked = Instant::now();
        let url = format!("http://{http}{}", questions.path(number));
        let events =
            page(&client, &url).await.map_err(|failure| anyhow::anyhow!("{url}: {failure}"))?;
        tally.latency.record(asked.elapsed());
        tally.events += events;
    }
    let per_second = count as f64 / begun.elapsed().as_secs_f64();
    Ok(ReadLoad {
        per_second,
        latency: tally.latency.summary(),
        events: tally.events,
        failures: tally.failures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_about_tenants_and_days_of_the_run() {
        let ticks_a_day = 864_000_000_000;
        let run = Run { base: 17_953_056_000_000_000, step: ticks_a_day, ..Run::example(3) };
        let questions = Questions::about(&run);
        let paths: std::collections::BTreeSet<_> = (0..500).map(|i| questions.path(i)).collect();
        let days = ["2026-11-22", "2026-11-23", "2026-11-24"];
        for day in days {
            assert!(
                paths.iter().any(|path| path.contains(&format!("from={day}T00:00:00Z"))),
                "{day}"
            );
        }
        assert!(paths.iter().all(|path| path.starts_with("/v1/tenants/acme-0")));
        assert!(
            paths.iter().all(|path| days.iter().any(|day| path.contains(&format!("from={day}"))))
        );
    }
}

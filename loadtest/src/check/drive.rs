//! Sending one kind of request from many connections, and what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::task::JoinSet;

use super::link::{Answer, Ask, DEADLINE, Endpoint, Link};
use super::pace::{Gate, Pace, Turn};
use crate::latency::{Latency, Recorder};
use crate::stop::Stop;

/// So many remarks are kept for people.
const REMARKS: usize = 5;
/// Before a connection that could not be opened is tried again.
const BACKOFF: Duration = Duration::from_millis(100);

/// What is sent, and how answers are judged.
pub(super) trait Work: Send + Sync + 'static {
    /// What a request was about.
    type Item: Send;

    /// Request `index`; `None` when there are no more.
    fn request(&self, index: u64, buffer: &mut BytesMut) -> Option<(Self::Item, Ask)>;

    /// Counts an answer.
    ///
    /// # Errors
    /// In a few words, what it is instead of an answer.
    fn judge(&self, item: &Self::Item, answer: &Answer, tally: &mut Tally) -> Result<(), String>;
}

/// What one connection counted, or all of them.
#[derive(Default)]
pub(super) struct Tally {
    /// From the intended start, at a rate; from the actual one otherwise.
    pub(super) latency: Recorder,
    /// From the actual start.
    pub(super) service: Recorder,
    /// From the intended to the actual start.
    pub(super) delay: Recorder,
    pub(super) allowed: u64,
    pub(super) denied: u64,
    pub(super) wrong: u64,
    /// What was no answer, in a few words.
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) remarks: Vec<String>,
}

impl Tally {
    /// Keeps a remark, if there are few.
    pub(super) fn remark(&mut self, remark: impl FnOnce() -> String) {
        if self.remarks.len() < REMARKS {
            self.remarks.push(remark());
        }
    }

    fn merge(&mut self, other: Self) {
        self.latency.merge(&other.latency);
        self.service.merge(&other.service);
        self.delay.merge(&other.delay);
        self.allowed += other.allowed;
        self.denied += other.denied;
        self.wrong += other.wrong;
        for (failure, count) in other.failures {
            *self.failures.entry(failure).or_default() += count;
        }
        for remark in other.remarks {
            self.remark(|| remark);
        }
    }
}

/// What was sent, all connections together.
pub(super) struct Driven {
    pub(super) tally: Tally,
    /// From the first request to the last answer.
    pub(super) seconds: f64,
    /// At a rate: due, and never sent.
    pub(super) unsent: u64,
    /// Whether the work came to its end before the time did.
    pub(super) ended: bool,
    /// Percentiles of each second that has any.
    pub(super) timeline: Vec<(f64, Latency)>,
}

/// What all connections share.
struct Shared<W> {
    work: Arc<W>,
    endpoint: Endpoint,
    gate: Arc<Gate>,
    ended: AtomicBool,
    seconds: Mutex<Vec<Recorder>>,
}

/// Sends `work` over `links` for `span`, or until it ends.
///
/// # Errors
/// When `stop` says so, or a task is lost. The links are used up then.
pub(super) async fn drive<W: Work>(
    work: &Arc<W>,
    endpoint: &Endpoint,
    links: &mut Vec<Link>,
    (pace, span): (Pace, Duration),
    stop: &Stop,
) -> anyhow::Result<Driven> {
    let gate = Gate::new(pace, span);
    let shared = Arc::new(Shared {
        work: Arc::clone(work),
        endpoint: endpoint.clone(),
        gate: Arc::clone(&gate),
        ended: AtomicBool::new(false),
        seconds: Mutex::default(),
    });
    // Dropped with this future, it ends the releasing, too.
    let releasing = Stop::after(span + DEADLINE);
    let _guard = releasing.guard();
    let (callers, turns) = (links.len(), Arc::clone(&gate));
    let releaser = tokio::task::spawn_blocking(move || turns.release(callers, &releasing));
    let mut workers = JoinSet::new();
    for link in links.drain(..) {
        workers.spawn(Worker::new(Arc::clone(&shared), link).run());
    }
    let mut tally = Tally::default();
    while let Some(worker) = workers.join_next().await {
        let (link, own) = worker?;
        links.extend(link);
        tally.merge(own);
        stop.check()?;
    }
    let seconds = gate.begun().elapsed().as_secs_f64();
    let ended = shared.ended.load(Ordering::Relaxed);
    let mut unsent = 0;
    if !ended {
        // They took at least so long: leaving them out would flatter the target.
        gate.unsent().for_each(|waited| {
            tally.latency.record(waited);
            unsent += 1;
        });
    }
    drop(releaser);
    let timeline = timeline(&shared.seconds.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Driven { tally, seconds, unsent, ended, timeline })
}

fn timeline(seconds: &[Recorder]) -> Vec<(f64, Latency)> {
    let points = seconds.iter().enumerate().filter(|(_, recorder)| recorder.count() > 0);
    points.map(|(second, recorder)| (second as f64 + 1.0, recorder.summary())).collect()
}

/// One connection.
struct Worker<W> {
    shared: Arc<Shared<W>>,
    link: Option<Link>,
    tally: Tally,
    /// The second that is recorded, and its latencies so far.
    second: (usize, Recorder),
}

impl<W: Work> Worker<W> {
    fn new(shared: Arc<Shared<W>>, link: Link) -> Self {
        Self { shared, link: Some(link), tally: Tally::default(), second: (0, Recorder::default()) }
    }

    async fn run(mut self) -> (Option<Link>, Tally) {
        let mut buffer = BytesMut::new();
        let shared = Arc::clone(&self.shared);
        while let Some(turn) = shared.gate.turn().await {
            let Some((item, request)) = shared.work.request(turn.index, &mut buffer) else {
                shared.ended.store(true, Ordering::Relaxed);
                break;
            };
            let sent = Instant::now();
            let outcome = match self.ask(request).await {
                Ok(answer) => {
                    let done = Instant::now();
                    let judged = shared.work.judge(&item, &answer, &mut self.tally);
                    if judged.is_ok() {
                        self.record(turn, sent, done);
                    }
                    judged
                }
                Err(failure) => Err(failure),
            };
            if let Err(failure) = outcome {
                *self.tally.failures.entry(failure).or_default() += 1;
            }
        }
        self.flush();
        (self.link, self.tally)
    }

    async fn ask(&mut self, request: Ask) -> Result<Answer, String> {
        let mut link = match self.link.take().filter(Link::is_open) {
            Some(link) => link,
            None => match self.shared.endpoint.connect().await {
                Ok(link) => link,
                Err(error) => {
                    self.tally.remark(|| format!("{error:#}"));
                    tokio::time::sleep(BACKOFF).await;
                    return Err("no connection".to_owned());
                }
            },
        };
        match tokio::time::timeout(DEADLINE, link.exchange(request)).await {
            Ok(Ok(answer)) => {
                self.link = Some(link);
                Ok(answer)
            }
            Ok(Err(error)) => {
                self.tally.remark(|| format!("{:#}", anyhow::anyhow!(error)));
                Err("connection lost".to_owned())
            }
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    fn record(&mut self, turn: Turn, sent: Instant, done: Instant) {
        let latency = turn.latency(sent, done);
        self.tally.latency.record(latency);
        if let Some(intended) = turn.intended {
            self.tally.service.record(done - sent);
            self.tally.delay.record(sent.saturating_duration_since(intended));
        }
        let second = (done - self.shared.gate.begun()).as_secs() as usize;
        if second != self.second.0 {
            self.flush();
            self.second.0 = second;
        }
        self.second.1.record(latency);
    }

    /// Hands the second's latencies over; once a second, so that connections seldom meet.
    fn flush(&mut self) {
        let (second, recorder) = &mut self.second;
        if recorder.count() == 0 {
            return;
        }
        let mut all = self.shared.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() <= *second {
            all.resize_with(*second + 1, Recorder::default);
        }
        all[*second].merge(recorder);
        recorder.clear();
    }
}

//! How everything is asked: of either replica in turn, of the other one when that is not there, as a gateway would;
//! with an access token that is fetched anew before its end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use contracts::CONSISTENCY_TOKEN_HEADER;
use rand::Rng as _;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::Value;

use super::book::{Book, Workload, lock};
use super::pace::Ending;
use crate::scrape;
use crate::trio::site::Site;

/// For a request of a workload.
const DEADLINE: Duration = Duration::from_secs(3);
/// For a request of many rows.
const READ_DEADLINE: Duration = Duration::from_secs(15);
/// Between attempts at the same thing.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(1);
/// Between looks at whether the access token should be fetched anew.
const LOOK: Duration = Duration::from_secs(2);
/// What clocks and the way of a request may take of a token's life.
const MARGIN: Duration = Duration::from_secs(10);
/// Of a body, in a description.
const SHOWN: usize = 300;

/// Whom something is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Ingest,
    Edge,
    Identity,
}

/// What is asked.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) service: Service,
    pub(super) method: Method,
    pub(super) path: String,
    /// JSON, or nothing.
    pub(super) body: Bytes,
    /// Tells a repeat, at `identity-admin`.
    pub(super) key: Option<String>,
    /// What the answer must not be older than, as a header.
    pub(super) at_least: Option<Arc<str>>,
}

impl Request {
    pub(super) fn get(service: Service, path: String) -> Self {
        let (method, body) = (Method::GET, Bytes::new());
        Self { service, method, path, body, key: None, at_least: None }
    }

    pub(super) fn send(service: Service, method: Method, path: String, body: &Value) -> Self {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        Self { service, method, path, body, key: None, at_least: None }
    }

    pub(super) fn keyed(mut self, key: String) -> Self {
        self.key = Some(key);
        self
    }

    pub(super) fn at_least(mut self, token: Option<Arc<str>>) -> Self {
        self.at_least = token;
        self
    }
}

/// What was answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The consistency token.
    pub(super) token: Option<Arc<str>>,
    pub(super) body: Bytes,
    pub(super) sent: Instant,
    pub(super) received: Instant,
    /// Whether it says when to try again.
    retry_after: bool,
    /// When the access token that was shown ends.
    access_ends: Instant,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A member of its body that is a text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.json()[name].as_str().map(str::to_owned)
    }

    /// Whether a refusal has the form that is described: RFC 9457, and when to try again.
    fn is_problem(&self) -> bool {
        let body = self.json();
        let is_told = ["type", "title"].iter().all(|name| body[name].is_string());
        let is_later = self.status == 408 || self.retry_after;
        is_told && body["status"] == self.status && is_later
    }

    /// Its status and the beginning of its body.
    pub(super) fn shown(&self) -> String {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(SHOWN)]);
        format!("{} {body}", self.status)
    }
}

/// What came of asking.
#[derive(Debug)]
pub(super) struct Asked {
    /// An answer that was expected.
    pub(super) answer: Option<Answer>,
    /// Whether a further attempt may be done, or have been done, that nobody answered.
    pub(super) doubtful: bool,
}

enum Attempt {
    Answered(Answer),
    /// It never left.
    NotSent,
    /// Nobody knows what became of it.
    Lost,
}

struct Held {
    bearer: Arc<str>,
    begun: Instant,
    ends: Instant,
}

/// See the module.
pub(super) struct Gateway {
    site: Arc<Site>,
    client: reqwest::Client,
    book: Arc<Book>,
    turn: AtomicUsize,
    access: Mutex<Option<Held>>,
}

impl Gateway {
    /// A gateway that has its first access token.
    ///
    /// # Errors
    /// When no replica of `identity-admin` gives one.
    pub(super) async fn open(site: Arc<Site>, book: Arc<Book>) -> anyhow::Result<Self> {
        let client = scrape::client(DEADLINE)?;
        let (turn, access) = (AtomicUsize::new(0), Mutex::default());
        let gateway = Self { site, client, book, turn, access };
        gateway.fetch().await?;
        Ok(gateway)
    }

    fn replica(&self, service: Service, turn: usize) -> SocketAddr {
        let replicas = match service {
            Service::Ingest => &self.site.ingest,
            Service::Edge => &self.site.edge,
            Service::Identity => &self.site.identity,
        };
        replicas[turn % replicas.len()].http
    }

    /// Fetches an access token of either replica.
    async fn fetch(&self) -> anyhow::Result<()> {
        let first = self.fetch_of(0).await;
        if first.is_err() { self.fetch_of(1).await } else { first }
    }

    async fn fetch_of(&self, replica: usize) -> anyhow::Result<()> {
        let url = format!("http://{}/oauth2/token", self.replica(Service::Identity, replica));
        // Keys are of letters, digits and underscores.
        let key = &self.site.admin_key;
        let form = format!("grant_type=client_credentials&client_secret={key}");
        let begun = Instant::now();
        let request = self.client.post(url).body(form);
        let answer = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .send()
            .await
            .context("an access token")?;
        let status = answer.status();
        ensure!(status.is_success(), "an access token: {status}");
        let body: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let bearer = body["access_token"].as_str().context("no access_token")?.into();
        let life = body["expires_in"].as_u64().context("no expires_in")?;
        let ends = begun + Duration::from_secs(life);
        *lock(&self.access) = Some(Held { bearer, begun, ends });
        Ok(())
    }

    /// Has an access token that holds for as long as anybody gives one: half of its life is time to get the next.
    pub(super) async fn keep_access(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let is_due = lock(&self.access).as_ref().is_none_or(|held| {
                Instant::now() >= held.begun + held.ends.duration_since(held.begun) / 2
            });
            if is_due {
                let given = self.fetch().await.is_ok();
                self.book.tell(if given { "access tokens" } else { "access tokens not given" }, 1);
            }
        }
    }

    /// The access token, and when it ends; none while nobody gives one.
    fn bearer(&self) -> Option<(Arc<str>, Instant)> {
        let access = lock(&self.access);
        let held = access.as_ref().filter(|held| Instant::now() < held.ends)?;
        Some((Arc::clone(&held.bearer), held.ends))
    }

    async fn attempt(&self, request: &Request, turn: usize, deadline: Duration) -> Attempt {
        let Some((bearer, access_ends)) = self.bearer() else { return Attempt::NotSent };
        let url = format!("http://{}{}", self.replica(request.service, turn), request.path);
        let mut sending = self.client.request(request.method.clone(), url);
        sending = sending.bearer_auth(&*bearer).timeout(deadline);
        if !request.body.is_empty() {
            sending = sending.header(CONTENT_TYPE, "application/json").body(request.body.clone());
        }
        if let Some(key) = &request.key {
            sending = sending.header("idempotency-key", key);
        }
        if let Some(token) = &request.at_least {
            sending = sending.header(CONSISTENCY_TOKEN_HEADER, &**token);
        }
        let sent = Instant::now();
        let answer = match sending.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => return Attempt::NotSent,
            Err(_) => return Attempt::Lost,
        };
        let status = answer.status().as_u16();
        let token = answer.headers().get(CONSISTENCY_TOKEN_HEADER);
        let token = token.and_then(|token| token.to_str().ok()).map(Arc::from);
        let retry_after = answer.headers().contains_key(RETRY_AFTER);
        let Ok(body) = answer.bytes().await else { return Attempt::Lost };
        let received = Instant::now();
        let answer = Answer { status, token, body, sent, received, retry_after, access_ends };
        Attempt::Answered(answer)
    }

    /// Asks once, and the other replica where the first is not there. What is answered otherwise than `expected`
    /// must be a failure that is allowed for.
    pub(super) async fn ask(
        &self,
        workload: Option<Workload>,
        request: &Request,
        expected: &[u16],
    ) -> Asked {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        self.ask_of(workload, request, expected, &[first, first.wrapping_add(1)]).await
    }

    /// The same of these replicas, one after the other.
    pub(super) async fn ask_of(
        &self,
        workload: Option<Workload>,
        request: &Request,
        expected: &[u16],
        turns: &[usize],
    ) -> Asked {
        let deadline = if workload.is_some() { DEADLINE } else { READ_DEADLINE };
        let mut doubtful = false;
        for turn in turns.iter().copied() {
            match self.attempt(request, turn, deadline).await {
                Attempt::NotSent => {}
                Attempt::Lost => {
                    doubtful = true;
                    break;
                }
                Attempt::Answered(answer) if expected.contains(&answer.status) => {
                    if let Some(workload) = workload {
                        self.book.done(workload, answer.received.duration_since(answer.sent));
                    }
                    return Asked { answer: Some(answer), doubtful };
                }
                Attempt::Answered(answer) => {
                    self.refused(request, turn, &answer);
                    doubtful |= answer.status == 408 || answer.status >= 500;
                    if answer.status != 503 {
                        break;
                    }
                }
            }
        }
        if let Some(workload) = workload {
            self.book.failed(workload);
        }
        Asked { answer: None, doubtful }
    }

    /// An answer that was not expected: a failure of what is down or busy, or something that must not be.
    fn refused(&self, request: &Request, turn: usize, answer: &Answer) {
        let is_failure = match answer.status {
            // What is owed is 503, and to be tried again: anything else from 500 on is a bug.
            408 | 429 | 503 => answer.is_problem(),
            // The access token may have ended on the way.
            401 => answer.received + MARGIN >= answer.access_ends,
            // Another request of the tenant, perhaps an earlier attempt, has not ended yet.
            409 => {
                answer.text("type").is_some_and(|kind| kind.ends_with(":idempotency-key-in-use"))
            }
            _ => false,
        };
        if !is_failure {
            let Request { service, method, path, .. } = request;
            let at = self.replica(*service, turn);
            self.book.violation("answers", || {
                let body = String::from_utf8_lossy(&request.body);
                format!("{service:?} at {at}: {method} {path} {body}: {}", answer.shown())
            });
        }
    }

    /// Asks until it is answered as expected, or nothing is tried any more.
    pub(super) async fn insist(
        &self,
        workload: Option<Workload>,
        request: &Request,
        expected: &[u16],
        ending: &Ending,
    ) -> Asked {
        let (mut doubtful, mut backoff) = (false, FIRST_BACKOFF);
        loop {
            let asked = self.ask(workload, request, expected).await;
            doubtful |= asked.doubtful;
            if asked.answer.is_some() || ending.is_over() {
                return Asked { doubtful, ..asked };
            }
            let jittered = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
            tokio::time::sleep(jittered).await;
            backoff = (2 * backoff).min(LAST_BACKOFF);
        }
    }

    /// Reads something that must be there; `None` while nobody answers.
    pub(super) async fn read(&self, service: Service, path: String) -> Option<Answer> {
        self.ask(None, &Request::get(service, path), &[200]).await.answer
    }
}

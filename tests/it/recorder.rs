//! A storm of writes and checks on several edges, recorded: each answer must be that of a state that was
//! current within the bound before it. One writer a right, so that its states follow each other; what
//! fails is repeated until it is acknowledged, so that a write has happened within its interval.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use contracts::{ConsistencyToken, GraphEpoch, TenantId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::edge::{Answer, Edge, Edges, below, member, question, role};

const WRITERS: usize = 4;
const READERS: usize = 12;
/// Between attempts while something is down.
const RETRY: Duration = Duration::from_millis(20);

/// By which of its parts a right is given and taken.
#[derive(Debug, Clone, Copy)]
enum Part {
    Membership,
    Binding,
    Permission,
    Parent,
    Subject,
}

const PARTS: [Part; 5] =
    [Part::Membership, Part::Binding, Part::Permission, Part::Parent, Part::Subject];

/// One right of one user on one document, through a team and a folder.
struct Right {
    tenant: String,
    n: usize,
    part: Part,
    /// What it became, from when it was asked for until it was acknowledged.
    writes: Mutex<Vec<(bool, Instant, Instant)>>,
}

/// An answer, from before it was asked for until it came.
struct Seen {
    right: usize,
    allowed: bool,
    began: Instant,
    ended: Instant,
}

/// What came of a storm.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answers: u64,
    pub(crate) writes: u64,
    /// The longest time for which an answer still was what had been acknowledged away.
    pub(crate) stalest: Duration,
    /// Within this, 99 of 100 writes were in every answer.
    pub(crate) p99: Duration,
}

/// Rights, and the edges that answer for them; an edge may be replaced meanwhile.
pub(crate) struct Storm {
    rights: Vec<Right>,
    edges: Vec<RwLock<Arc<Edge>>>,
    epoch: GraphEpoch,
    stop: AtomicBool,
    seen: Mutex<Vec<Seen>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Small numbers that differ, the same in each run.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap_or(0)
}

impl Right {
    fn user(&self) -> String {
        format!("u-{}", self.n)
    }

    fn id(&self, kind: &str) -> String {
        format!("{kind}-{}", self.n)
    }

    fn question(&self) -> Value {
        question(&self.user(), "read", ("document", &self.id("d")))
    }

    fn relationships(&self) -> [Value; 3] {
        let (team, folder) = (self.id("t"), self.id("f"));
        [
            member("user", &self.user(), &team),
            role("team", &team, &self.id("r"), &json!({"type": "folder", "id": folder})),
            below(("document", &self.id("d")), ("folder", &folder)),
        ]
    }

    /// The requests that give or take it.
    fn requests(&self, give: bool) -> Vec<(Method, String, Option<Value>)> {
        let at = |rest: &str| format!("/v1/tenants/{}/{rest}", self.tenant);
        let op = if give { "touch" } else { "delete" };
        let [membership, binding, parent] = self.relationships();
        let write = |relationship: Value| {
            let list = json!({"writes": [{"op": op, "relationship": relationship}]});
            vec![(Method::POST, at("relationships"), Some(list))]
        };
        match self.part {
            Part::Membership => write(membership),
            Part::Binding => write(binding),
            Part::Parent => write(parent),
            Part::Permission => {
                let action = if give { "read" } else { "list" };
                let body = json!({"permissions": [{"action": action}]});
                vec![(Method::PUT, at(&format!("roles/{}", self.id("r"))), Some(body))]
            }
            Part::Subject if give => write(membership),
            Part::Subject => {
                vec![(Method::DELETE, at(&format!("subjects/user/{}", self.user())), None)]
            }
        }
    }
}

impl Storm {
    /// So many rights in so many tenants, all given; `count` edges.
    pub(crate) async fn new(
        edges: &Edges,
        count: usize,
        tenants: usize,
        rights: usize,
    ) -> Result<Self> {
        let mut started = Vec::new();
        for _ in 0..count {
            started.push(RwLock::new(Arc::new(edges.start().await?)));
        }
        let rights: Vec<_> = (0..rights)
            .map(|n| Right {
                tenant: edges.tenant(&format!("s{}", n % tenants)),
                n,
                part: PARTS[n / tenants % PARTS.len()],
                writes: Mutex::default(),
            })
            .collect();
        let meta = authz_edge::graph::schema::meta(&edges.graph()?).await?;
        let epoch = meta.context("the graph has a schema")?.epoch;
        let (stop, seen) = (AtomicBool::new(false), Mutex::default());
        let storm = Self { rights, edges: started, epoch, stop, seen };
        let edge = storm.edge(0);
        for right in &storm.rights {
            let began = Instant::now();
            let path = format!("/v1/tenants/{}/roles/{}", right.tenant, right.id("r"));
            edge.put(&path, &json!({"permissions": [{"action": "read"}]})).await?;
            edge.write(&right.tenant, "touch", &right.relationships()).await?;
            // Another edge may not have heard of it when the storm begins.
            lock(&right.writes).extend([(false, began, began), (true, began, Instant::now())]);
        }
        Ok(storm)
    }

    fn edge(&self, at: usize) -> Arc<Edge> {
        Arc::clone(&self.edges[at].read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Kills an edge where it stands and starts another in its place.
    pub(crate) async fn replace(&self, at: usize, edges: &Edges) -> Result<()> {
        self.edge(at).strike()?;
        let another = Arc::new(edges.start().await?);
        *self.edges[at].write().unwrap_or_else(PoisonError::into_inner) = another;
        Ok(())
    }

    /// Writes and checks while `events` happen; every answer must be of a state that was current within
    /// `bound` before it was asked for.
    pub(crate) async fn run(
        &self,
        bound: Duration,
        events: impl Future<Output = Result<()>>,
    ) -> Result<Outcome> {
        let writers = futures::future::try_join_all((0..WRITERS).map(|n| self.write(n)));
        let readers = futures::future::join_all((0..READERS).map(|n| self.read(n)));
        let events = async {
            let happened = events.await;
            self.stop.store(true, Ordering::Relaxed);
            happened
        };
        let (happened, written, _) = tokio::join!(events, writers, readers);
        happened?;
        written?;
        self.verify(bound)
    }

    /// Whether an edge of this graph gave it: the port of one that was killed may be anybody's by now.
    fn is_ours(&self, right: &Right, answer: &Answer) -> bool {
        let tenant = TenantId::parse(&right.tenant).ok();
        let token = tenant.and_then(|tenant| ConsistencyToken::decode(&answer.token, &tenant).ok());
        matches!(token, Some(ConsistencyToken::Graph { epoch, .. }) if epoch == self.epoch)
    }

    async fn knows(&self, edge: &Edge, right: &Right) -> bool {
        let answer = edge.try_check(&right.tenant, &right.question()).await;
        answer.is_ok_and(|answer| self.is_ours(right, &answer))
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    async fn write(&self, writer: usize) -> Result<()> {
        let mut random = writer as u64 + 1;
        while !self.is_over() {
            let turn = next(&mut random);
            let at = turn * WRITERS + writer;
            let right = &self.rights[at % self.rights.len() / WRITERS * WRITERS + writer];
            let give = lock(&right.writes).last().is_some_and(|(given, ..)| !given);
            let began = Instant::now();
            let mut token = String::new();
            for (method, path, body) in right.requests(give) {
                token = self.insist(right, &mut random, &method, &path, body.as_ref()).await;
            }
            lock(&right.writes).push((give, began, Instant::now()));
            self.with_token(right, give, &token, next(&mut random)).await?;
        }
        Ok(())
    }

    /// Repeats a request until it is acknowledged, on whichever edge; its token.
    async fn insist(
        &self,
        right: &Right,
        random: &mut u64,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> String {
        loop {
            let edge = self.edge(next(random) % self.edges.len());
            match edge.ask(method.clone(), path, &[], body).await {
                Ok(answer) if answer.status.is_success() && self.is_ours(right, &answer) => {
                    return answer.token;
                }
                // What is gone already is gone.
                Ok(answer)
                    if answer.status == StatusCode::NOT_FOUND && self.knows(&edge, right).await =>
                {
                    return answer.token;
                }
                _ => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// With its token, a write is in the next answer, whichever edge gives it.
    async fn with_token(&self, right: &Right, given: bool, token: &str, at: usize) -> Result<()> {
        let mut question = right.question();
        if token.is_empty() {
            return Ok(());
        }
        question["at_least"] = token.into();
        let answer = self.edge(at % self.edges.len()).try_check(&right.tenant, &question).await;
        if let Ok(answer) = answer
            && answer.status == StatusCode::OK
        {
            ensure!(
                answer.body["decision"] == json!(given),
                "{:?} of {}: {} with the token of {given}",
                right.part,
                right.n,
                answer.body
            );
        }
        Ok(())
    }

    async fn read(&self, reader: usize) {
        let mut random = 1000 + reader as u64;
        while !self.is_over() {
            let at = next(&mut random) % self.rights.len();
            let right = &self.rights[at];
            let edge = self.edge(next(&mut random) % self.edges.len());
            let began = Instant::now();
            let answer = edge.try_check(&right.tenant, &right.question()).await;
            match answer {
                Ok(answer) if answer.status == StatusCode::OK && self.is_ours(right, &answer) => {
                    let allowed = answer.body["decision"] == json!(true);
                    let seen = Seen { right: at, allowed, began, ended: Instant::now() };
                    lock(&self.seen).push(seen);
                }
                _ => tokio::time::sleep(RETRY).await,
            }
        }
    }

    fn verify(&self, bound: Duration) -> Result<Outcome> {
        let seen = lock(&self.seen);
        let mut outcome = Outcome { answers: seen.len() as u64, ..Outcome::default() };
        let mut unseen = Unseen::default();
        let histories: BTreeMap<_, _> =
            self.rights.iter().map(|right| lock(&right.writes).clone()).enumerate().collect();
        outcome.writes = histories.values().map(|writes| writes.len() as u64).sum();
        for answer in seen.iter() {
            let stale = staleness(&histories[&answer.right], answer);
            unseen.note(answer.right, stale);
            let stale = stale.map(|(_, stale)| stale);
            let right = &self.rights[answer.right];
            ensure!(
                stale.is_some_and(|stale| stale <= bound),
                "{:?} of {}: allowed is {} {stale:?} after that was over; {}",
                right.part,
                right.n,
                answer.allowed,
                told(&histories[&answer.right], answer)
            );
            outcome.stalest = outcome.stalest.max(stale.unwrap_or_default());
        }
        // The first two are from before the storm.
        let writes = histories.iter().flat_map(|(n, all)| (2..all.len()).map(move |at| (*n, at)));
        outcome.p99 = unseen.p99(writes);
        Ok(outcome)
    }
}

/// For how long writes were not in answers.
#[derive(Default)]
struct Unseen(BTreeMap<(usize, usize), Duration>);

impl Unseen {
    /// An answer about a right: the state that it was of, and for how long that had been over.
    fn note(&mut self, right: usize, stale: Option<(usize, Duration)>) {
        let Some((state, stale)) = stale else { return };
        let longest = self.0.entry((right, state + 1)).or_default();
        *longest = stale.max(*longest);
    }

    /// Of these writes; those that every answer had at once among them.
    fn p99(&self, writes: impl Iterator<Item = (usize, usize)>) -> Duration {
        let mut all: Vec<_> =
            writes.map(|write| self.0.get(&write).copied().unwrap_or_default()).collect();
        all.sort_unstable();
        let at = (all.len() * 99).div_ceil(100);
        all.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// The answer and the writes of its right, in milliseconds since the first.
fn told(writes: &[(bool, Instant, Instant)], answer: &Seen) -> String {
    let first = writes[0].1;
    let at = |instant: Instant| instant.saturating_duration_since(first).as_millis();
    let span = |began, ended| format!("{} to {}", at(began), at(ended));
    let writes: Vec<_> = writes
        .iter()
        .map(|(given, began, ended)| format!("{given} in {}", span(*began, *ended)))
        .collect();
    format!("asked in {}, written: {}", span(answer.began, answer.ended), writes.join(", "))
}

/// The latest state that the answer can be of, and for how long, at least, that had not been true any more
/// when it was asked for; `None` if it never was.
fn staleness(writes: &[(bool, Instant, Instant)], answer: &Seen) -> Option<(usize, Duration)> {
    let ends = writes.iter().skip(1).map(|(_, _, acknowledged)| Some(*acknowledged)).chain([None]);
    let states = writes.iter().zip(ends).enumerate();
    states
        .filter(|(_, ((value, began, _), _))| *value == answer.allowed && *began <= answer.ended)
        .map(|(at, (_, end))| {
            let stale = |end| answer.began.saturating_duration_since(end);
            (at, end.map_or(Duration::ZERO, stale))
        })
        .min_by_key(|(at, stale)| (*stale, std::cmp::Reverse(*at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_stale_as_the_end_of_its_last_state() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let writes = [(true, at(0), at(1)), (false, at(10), at(11)), (true, at(20), at(21))];
        let stale = |allowed, began, ended| {
            let (began, ended) = (at(began), at(ended));
            let stale = staleness(&writes, &Seen { right: 0, allowed, began, ended });
            stale.map(|(_, stale)| stale.as_secs())
        };
        assert_eq!(stale(true, 5, 6), Some(0));
        assert_eq!(stale(true, 13, 14), Some(2));
        // While a write is under way, both are true.
        assert_eq!((stale(true, 10, 10), stale(false, 10, 10)), (Some(0), Some(0)));
        assert_eq!(stale(true, 19, 20), Some(0));
        assert_eq!(stale(false, 5, 6), None);
        assert_eq!(stale(false, 25, 26), Some(4));
    }

    #[test]
    fn of_a_hundred_writes_the_slowest_does_not_count_and_the_next_one_does() {
        let seconds = Duration::from_secs;
        let mut unseen = Unseen::default();
        for (state, stale) in [(6, 9), (6, 3), (41, 2), (41, 5)] {
            unseen.note(0, Some((state, seconds(stale))));
        }
        unseen.note(1, None);
        let writes = |count: usize| (0..count).map(|at| (0, at));
        assert_eq!(unseen.p99(writes(100)), seconds(5));
        assert_eq!(unseen.p99(writes(99)), seconds(9));
        assert_eq!(unseen.p99(writes(0)), seconds(0));
    }
}

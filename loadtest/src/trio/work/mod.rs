//! Work: audit events, checks and identities, with what must be true of the answers.
//!
//! Everything is sent at a rate, to either replica in turn, and repeated until it is acknowledged. Failures are
//! counted, and are nothing wrong by themselves: how much is answered under faults is not promised, that answers are
//! right is.
//!
//! | module | subject |
//! |---|---|
//! | `scene` | tenants of this work alone, with people, teams and a role |
//! | `gateway`, `pace` | how it is asked, and when |
//! | `events`, `posts` | audit events, by a producer and over HTTP |
//! | `grants`, `identities` | rights that come and go, by bindings and by users' lives |
//! | `checks`, `model` | what is answered about them, and what may be |
//! | `book` | what was counted, and what is wrong |
//! | `verify` | what has to agree in the end |

mod book;
mod checks;
mod events;
mod gateway;
mod grants;
mod identities;
mod model;
mod pace;
mod posts;
mod scene;
mod verify;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

use self::checks::Board;
use self::events::Sent;
use self::grants::Grants;
use self::identities::Identities;
use self::pace::Ending;
use self::posts::Posts;
use self::scene::Scene;
use self::verify::Told;
use super::site::Site;
use crate::run::Run;
use crate::stop::{Stop, StopGuard};
use crate::tail::Tail;

/// How long what is under way is tried, once nothing more is begun.
const UNDER_WAY: Duration = Duration::from_secs(60);
/// For the last attempts after that.
const LAST_ATTEMPTS: Duration = Duration::from_secs(30);
/// No work is longer.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// What must be true, by name.
pub const INVARIANTS: [(&str, &str); 8] = [
    (
        "accounting",
        "every acknowledged event is stored once with its content, or dead-lettered with its reason; \
         nothing else is there, and nothing is left uncommitted",
    ),
    (
        "never_grants",
        "nobody is allowed what was revoked: at once with the revocation's token, else within the bound",
    ),
    (
        "never_forgets",
        "nobody is denied what was granted: at once with the grant's token, else within the bound",
    ),
    (
        "identities",
        "with the token of a change of a user or its memberships, a check is answered after that change; without it, \
         within the bound once everything agrees",
    ),
    (
        "agreement",
        "rows, Kafka, the graph and what was acknowledged say the same of users and teams, and nothing waits to be told",
    ),
    (
        "no_gap",
        "the changes of a tenant are numbered without a gap and told in order, and each number has one meaning",
    ),
    ("audited", "every change of identities and of bindings has its audit event, once"),
    ("answers", "every answer has the form and the status that are described for what was asked"),
];

/// Something that must never be.
#[derive(Debug, Clone, Serialize)]
pub struct Violation {
    /// The invariant: one of [`INVARIANTS`].
    pub invariant: &'static str,
    /// Seconds since the work began.
    pub at: f64,
    /// What was seen, and what should have been.
    pub detail: String,
}

/// How much is asked for, a second, over all replicas.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rates {
    /// Events published to Kafka by a producer of its own.
    pub events: u32,
    /// Events posted over HTTP.
    pub posts: u32,
    /// Checks.
    pub checks: u32,
    /// Grants and revocations of roles.
    pub grants: u32,
    /// Writes of users, teams and memberships.
    pub identities: u32,
}

impl Default for Rates {
    /// Modest: two cores run everything.
    fn default() -> Self {
        Self { events: 400, posts: 50, checks: 300, grants: 10, identities: 10 }
    }
}

/// What one workload did within a window.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Done {
    /// Requests answered as expected; of events, records that were acknowledged.
    pub done: u64,
    /// Attempts that were not.
    pub failed: u64,
    /// Median latency of those that were done.
    pub p50_ms: Option<f64>,
    /// Its 99th percentile.
    pub p99_ms: Option<f64>,
}

/// What happened between two looks.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Window {
    /// By workload: events, posts, checks, grants, identities.
    pub workloads: [(&'static str, Done); 5],
}

/// What is known when everything has been sent.
struct Known {
    scene: Arc<Scene>,
    rates: Rates,
    board: Arc<Board>,
    grants: Arc<Grants>,
    identities: Arc<Identities>,
    posts: Arc<Posts>,
    /// The run of the producer's events.
    run: Run,
    sent: Arc<Sent>,
    told: Arc<Mutex<Told>>,
    /// Where the dead letters of this work begin, by partition.
    letters_from: BTreeMap<i32, i64>,
    /// Keeps an access token for as long as anything is asked.
    _access: Access,
    /// Ends the producer's thread with whoever holds this.
    _gone: StopGuard,
}

/// A task that ends with its owner.
struct Access(JoinHandle<()>);

impl Drop for Access {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Work that is being done. Dropped, every task of it ends.
pub struct Work {
    known: Known,
    tasks: JoinSet<anyhow::Result<()>>,
    end: watch::Sender<Option<Instant>>,
    sending: Stop,
}

/// Work whose sending has ended.
pub struct Finished(Known);

impl Work {
    /// Makes tenants, people and roles (the trio is healthy then) and begins to send.
    ///
    /// # Errors
    /// When the trio does not take them, or topics are missing.
    pub async fn begin(site: Arc<Site>, seed: u64, rates: Rates) -> anyhow::Result<Self> {
        let (engines, changes) = (site.engines.clone(), site.changes_topic.clone());
        let letters = site.names.dead_letter_topic.clone();
        let ends = move || {
            let letters = Tail::from_end(&engines, &letters)?;
            anyhow::Ok((Told::new(Tail::from_end(&engines, &changes)?), letters.offsets().clone()))
        };
        let (told, letters_from) = spawn_blocking(ends).await??;
        let scene = Arc::new(Scene::make(site, seed).await?);
        let keeper = Arc::clone(&scene);
        let access = Access(tokio::spawn(async move { keeper.gateway.keep_access().await }));
        let board = Arc::new(Board::default());
        let grants = Arc::new(Grants::new(&scene, Arc::clone(&board)));
        let identities = Arc::new(Identities::new(&scene, Arc::clone(&board)));
        let posts = Arc::new(Posts::default());
        let run = events::run_of(&scene, rates.events);
        let sent = Arc::new(Sent::new(Arc::clone(&scene.book)));
        let (sending, gone) = (Stop::after(LONGEST), Stop::after(LONGEST));
        let (end, ending) = Ending::new();

        let mut tasks = JoinSet::new();
        tasks.spawn(checks::run(
            Arc::clone(&scene),
            Arc::clone(&board),
            rates.checks,
            ending.clone(),
        ));
        tasks.spawn(grants::run(
            Arc::clone(&scene),
            Arc::clone(&grants),
            rates.grants,
            ending.clone(),
        ));
        let lives = (Arc::clone(&scene), Arc::clone(&identities));
        tasks.spawn(identities::run(lives.0, lives.1, rates.identities, ending.clone()));
        tasks.spawn(posts::run(Arc::clone(&scene), Arc::clone(&posts), rates.posts, ending));
        let (of, its, to) = (Arc::clone(&scene), run.clone(), Arc::clone(&sent));
        let (stop, left) = (sending.clone(), gone.clone());
        tasks.spawn_blocking(move || {
            events::publish(&of, &its, (rates.events, &to), (&stop, &left))
        });

        let (told, _gone) = (Arc::new(Mutex::new(told)), gone.guard());
        let known = Known {
            scene,
            rates,
            board,
            grants,
            identities,
            posts,
            run,
            sent,
            told,
            letters_from,
            _access: access,
            _gone,
        };
        Ok(Self { known, tasks, end, sending })
    }

    /// What happened since the last call.
    #[must_use]
    pub fn window(&self) -> Window {
        self.known.scene.book.window()
    }

    /// Tells what is wrong so far, whenever it is asked, even when the work is over: the first of each invariant, and how
    /// many more there were.
    pub fn hearing(&self) -> impl Fn() -> Vec<Violation> + use<> {
        let scene = Arc::clone(&self.known.scene);
        move || scene.book.violations()
    }

    /// Stops sending and waits for what is under way: a minute and a half at most.
    ///
    /// # Errors
    /// When a workload could not go on, or does not end.
    pub async fn stop(self) -> anyhow::Result<Finished> {
        let Self { known, mut tasks, end, sending } = self;
        end.send_replace(Some(Instant::now() + UNDER_WAY));
        sending.now();
        let ended = async {
            while let Some(ended) = tasks.join_next().await {
                ended.context("a workload")??;
            }
            anyhow::Ok(())
        };
        let ended = tokio::time::timeout(UNDER_WAY + LAST_ATTEMPTS, ended).await;
        ended.context("what is under way does not end")??;
        Ok(Finished(known))
    }
}

impl Finished {
    /// Everything has to agree: waits until it does, `within` at most and a little longer to look at it all once (the
    /// trio is healed and ready). What never did is heard. Returns how much was verified: events, checks, changes and so on.
    ///
    /// # Errors
    /// When something cannot be read.
    pub async fn verify(self, within: Duration) -> anyhow::Result<BTreeMap<&'static str, u64>> {
        verify::verify(&self.0, within).await
    }
}

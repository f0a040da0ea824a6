//! The relay: what mutations left in the outbox, to Kafka.
//!
//! One replica at a time holds the lease and reads rows in the order of their ids, which is the order of
//! commits within a tenant, as mutations of a tenant come one after the other. It publishes a batch, several
//! records at once but in order, and deletes the rows that Kafka has acknowledged. A row is deleted only when
//! all that came before it in its lane (a tenant's changes, or its audit events) is acknowledged: whatever
//! breaks off in between is published again, in order, and readers know repeats by `seq` and `event_id`. While
//! rows are deleted the next ones are read and published: nobody waits for that commit.
//!
//! The lease keeps replicas from doing the work twice. That nothing is lost or reordered does not rest on it:
//! each relay begins at the first row that is left, so two of them only repeat each other. It is fenced all
//! the same: who lost it deletes nothing.
//!
//! | module | what it holds |
//! |---|---|
//! | `lease` | whose turn it is |
//! | `rows` | the outbox, read and deleted |
//! | `round` | one batch to Kafka |
//! | [`parked`] | rows that Kafka will never take, for operators |

mod lease;
pub mod parked;
mod round;
mod rows;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng as _;
use service_kit::bus::Publisher;
use service_kit::shutdown::Shutdown;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::change::Core;
use crate::db::DbError;
use crate::metrics;
pub(crate) use lease::Lease;

/// The lease of the outbox.
const LEASE: &str = "outbox";

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(5);
/// Between rounds, at most: little beside what a change may take to be heard.
const LONGEST_REST: Duration = Duration::from_millis(75);

/// How the relay works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where changes go.
    pub changes_topic: String,
    /// Where audit events go.
    pub audit_topic: String,
    /// How long the lease holds without being renewed: what a fail-over takes at most.
    pub lease: Duration,
    /// Between looks at an outbox that another replica may write to.
    pub poll: Duration,
    /// Rows of one round.
    pub batch: u32,
}

/// Publishes the outbox while it holds the lease.
pub struct Relay<P> {
    core: Arc<Core>,
    publisher: P,
    options: Options,
    lease: Lease,
    leaving: Option<Leaving>,
}

/// Rows that Kafka has, and that are being deleted.
struct Leaving {
    ids: HashSet<i64>,
    deleted: JoinHandle<Result<bool, DbError>>,
}

/// What a turn found.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Another replica relays.
    Elsewhere,
    /// Nothing waits.
    Idle,
    /// All that was read is published.
    Worked,
    /// The same, and more waits than one round takes.
    Full,
    /// Some of it is not: Kafka does not take it now.
    Stuck,
}

impl<P: Publisher> Relay<P> {
    /// A relay of `core`'s outbox, known by `holder` to the others.
    pub fn new(core: Arc<Core>, publisher: P, options: Options, holder: String) -> Self {
        let lease = Lease::new(LEASE, holder, options.lease);
        Self { core, publisher, options, lease, leaving: None }
    }

    /// Until `shutdown`; then what waits is published within `deadline`, and the lease given back.
    pub async fn run(mut self, shutdown: Shutdown, deadline: Duration) {
        let mut backoff = FIRST_BACKOFF;
        let mut failing = false;
        while !shutdown.is_draining() {
            let begun = Instant::now();
            let turn = self.turn().await;
            let pause = match turn {
                // As long as it took, so that it takes half of the time: on a busy machine fewer and larger rounds
                // leave more of it to those who write, and on an idle one it is no time.
                Ok(Turn::Worked) => begun.elapsed().min(LONGEST_REST),
                Ok(Turn::Full) => Duration::ZERO,
                Ok(Turn::Idle) => self.options.poll,
                Ok(Turn::Elsewhere) => self.options.lease / 4,
                Ok(Turn::Stuck) | Err(_) => jittered(backoff),
            };
            match turn {
                Ok(Turn::Stuck) | Err(_) => backoff = (2 * backoff).min(LAST_BACKOFF),
                Ok(_) => backoff = FIRST_BACKOFF,
            }
            // Said once, and not in every try of an outage.
            match (failing, &turn) {
                (false, Err(error)) => warn!(%error, "the relay waits for the database"),
                (true, Ok(Turn::Idle | Turn::Worked | Turn::Full)) => info!("the relay goes on"),
                _ => {}
            }
            failing = matches!(turn, Err(_) | Ok(Turn::Stuck))
                || (failing && matches!(turn, Ok(Turn::Elsewhere)));
            if !pause.is_zero() {
                self.wait(pause, &shutdown, matches!(turn, Ok(Turn::Idle))).await;
            }
        }
        if failing || timeout(deadline, self.rest()).await.is_err() {
            info!("the outbox is not empty; the next process goes on with it");
        }
        // Nobody waits for its end then. Failing, it ends by itself.
        let _ = self.settle().await;
        let _ = self.lease.release(&self.core.db).await;
        metrics::leads(false);
    }

    /// What waits, as far as Kafka takes it.
    async fn rest(&mut self) {
        while let Ok(Turn::Worked | Turn::Full) = self.turn().await {}
    }

    async fn turn(&mut self) -> Result<Turn, DbError> {
        let now = self.core.clock.now();
        let held = self.lease.hold(&self.core.db, now).await;
        metrics::leads(matches!(held, Ok(true)));
        if !held? {
            return Ok(Turn::Elsewhere);
        }
        self.round().await
    }

    /// A pause that a commit ends early where that is of use.
    async fn wait(&self, pause: Duration, shutdown: &Shutdown, wakes: bool) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.core.committed.notified(), if wakes => {}
            () = shutdown.draining() => {}
        }
    }
}

fn jittered(backoff: Duration) -> Duration {
    backoff.mul_f64(rand::rng().random_range(0.5..1.0))
}

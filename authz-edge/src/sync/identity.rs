//! The consumer of `identity.changes`: what holds of users, service accounts, teams and tenants, in the
//! graph.
//!
//! A tenant's changes are applied in the order of their numbers, each batch in one transaction with the
//! number of its last change, so that a replay changes nothing. A missing number stops its tenant only:
//! later changes wait in memory, bounded, until a rebuild or a retry has brought the missing one. Offsets
//! are committed past them all the same, as a snapshot holds them too; but not past what waits for the end
//! of a rebuild, whose snapshot is older. A record that cannot be applied goes to the dead letters and is
//! such a missing number.
//!
//! | module | what it holds |
//! |---|---|
//! | `intake` | records: read, or parked |
//! | `held` | what waits, in order |
//! | `tenants` | applying, tenants side by side |
//! | `progress` | what may be committed |

mod held;
mod intake;
#[cfg(test)]
mod live;
mod progress;
mod tenants;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use contracts::TenantId;
use service_kit::bus::{Bus, BusError, Message, Publisher, Start, Subscriber};
use service_kit::health::Component;
use service_kit::shutdown::Shutdown;
use tokio::time::{Instant, sleep};

use crate::graph::GraphDb;
use crate::graph::write::Written;
use intake::{Intake, Received, receive};
use progress::{Place, Progress};
use tenants::Tenants;

/// The consumer group, unless another is configured.
pub const GROUP: &str = "triad-authz-sync";
/// Where records go that cannot be applied.
pub const DEAD_LETTER_TOPIC: &str = "identity.changes.dlq";

/// How long a look for records waits: bounds how late a stopped tenant is tried again.
const IDLE: Duration = Duration::from_secs(1);
/// The wait after Kafka failed in a way that waiting does not mend, or that an operator mends.
const BACKOFF: Duration = Duration::from_secs(1);
/// Records of one round, of all tenants together.
const ROUND: usize = 4096;

/// What is read, and in which portions.
#[derive(Debug, Clone)]
pub struct Options {
    /// The consumer group: all replicas share it.
    pub group: String,
    /// Identity changes.
    pub topic: String,
    /// What cannot be applied.
    pub dead_letter_topic: String,
    /// Changes of one transaction.
    pub batch: usize,
    /// How long a batch waits for company.
    pub linger: Duration,
    /// Tenants that are written to at the same time.
    pub concurrency: usize,
    /// Changes that wait in memory for a missing one, of all tenants together.
    pub held: usize,
    /// Between looks at whether a stopped tenant can go on.
    pub look: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            group: GROUP.to_owned(),
            topic: contracts::identity::CHANGES_TOPIC.to_owned(),
            dead_letter_topic: DEAD_LETTER_TOPIC.to_owned(),
            batch: 500,
            linger: Duration::from_millis(10),
            concurrency: 16,
            held: 100_000,
            look: Duration::from_secs(5),
        }
    }
}

/// A consumer of identity changes.
pub struct Consumer<P> {
    /// Where they are applied.
    pub graph: Arc<GraphDb>,
    /// Publishes dead letters.
    pub publisher: Arc<P>,
    /// What is read, and how.
    pub options: Options,
    /// Not ready while Kafka or the graph does not do its part.
    pub health: Component,
}

impl<P: Publisher> Consumer<P> {
    /// Applies changes until the drain. `written` is called after each batch that changed something, for
    /// fences of this process.
    ///
    /// # Errors
    /// A configuration that Kafka's client refuses. Everything else is waited for.
    pub async fn run(
        self,
        bus: &Bus,
        shutdown: Shutdown,
        written: impl Fn(&TenantId, &Written) + Send + Sync,
    ) -> Result<(), BusError> {
        let Self { graph, publisher, options, health } = self;
        let topics = [options.topic.as_str()];
        let source = bus.subscribe(&options.group, &topics, Start::Earliest)?;
        let intake =
            Intake { publisher, topic: options.dead_letter_topic.clone(), health: &health };
        let mut tenants = Tenants::new(&graph, &options, &health, &written);
        let mut progress = Progress::default();
        let rounds = async {
            loop {
                round(&source, &options, &intake, &mut tenants, &mut progress).await;
            }
        };
        // What is cut short was not committed, and comes again.
        tokio::select! {
            () = rounds => {}
            () = shutdown.draining() => {}
        }
        Ok(())
    }
}

async fn round<P: Publisher, F: Fn(&TenantId, &Written)>(
    source: &Subscriber,
    options: &Options,
    intake: &Intake<'_, P>,
    tenants: &mut Tenants<'_, F>,
    progress: &mut Progress,
) {
    let health = intake.health;
    let messages = match collect(source, options.linger).await {
        Ok(messages) => messages,
        Err(error) => {
            health.not_ready(format!("identity changes: {error}"));
            tracing::warn!(%error, "identity changes");
            return sleep(BACKOFF).await;
        }
    };
    health.ready();
    for message in &messages {
        let received = receive(message);
        if let Received::Poison(poison) = &received {
            intake.park(message, poison).await;
        }
        tenants.take(received, place(message));
        progress.read(place(message));
    }
    tenants.apply().await;
    for next in progress.due(tenants.held_by_rebuilds()) {
        match source.commit_before(&options.topic, next.partition, next.offset).await {
            Ok(()) => progress.committed(next),
            // It has another owner by now, or comes again: it is passed over then.
            Err(error) => {
                tracing::warn!(%error, "commit of identity changes");
                progress.forget(next.partition);
            }
        }
    }
}

fn place(message: &Message) -> Place {
    Place { partition: message.partition, offset: message.offset }
}

/// What is at hand: waits for the first record, and then for company. An error keeps what came before it,
/// and comes again.
async fn collect(source: &Subscriber, linger: Duration) -> Result<Vec<Message>, BusError> {
    let mut messages: Vec<_> = source.next(IDLE).await?.into_iter().collect();
    let deadline = Instant::now() + linger;
    while !messages.is_empty() && messages.len() < ROUND {
        let left = deadline.saturating_duration_since(Instant::now());
        match source.next(left).await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) | Err(_) => break,
        }
    }
    Ok(messages)
}

/// What a retry of the dead letters did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retried {
    /// Dead letters that were read.
    pub read: usize,
    /// Those that are still no changes that can be applied.
    pub poison: usize,
    /// Changes that were applied now.
    pub applied: usize,
    /// Tenants whose dead letters wait for other changes.
    pub stopped: usize,
}

/// Reads all dead letters, until none came for `quiet` (above the time that joining a group takes, 10 s
/// say), and applies those that can be applied by now. They stay where they are: what is applied is passed
/// over by the next retry.
///
/// # Errors
/// Kafka's. The graph is waited for.
pub async fn retry(
    graph: &GraphDb,
    bus: &Bus,
    options: &Options,
    health: &Component,
    quiet: Duration,
) -> Result<Retried, BusError> {
    let topics = [options.dead_letter_topic.as_str()];
    // Nothing is ever committed in this group, so that it begins at the start each time.
    let group = format!("{}-retry", options.group);
    let source = bus.subscribe(&group, &topics, Start::Earliest)?;
    let written = |_: &TenantId, _: &Written| {};
    let mut tenants = Tenants::new(graph, options, health, &written);
    let mut retried = Retried::default();
    while let Some(message) = source.next(quiet).await? {
        retried.read += 1;
        match receive(&message) {
            Received::Poison(_) => retried.poison += 1,
            change => tenants.take(change, place(&message)),
        }
    }
    tenants.apply().await;
    Ok(Retried { applied: tenants.applied(), stopped: tenants.stopped(), ..retried })
}

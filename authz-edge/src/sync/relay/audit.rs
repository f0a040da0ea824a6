//! Audit events of changes, behind their fences: published until Kafka has them, however long that takes.
//! Nothing is forgotten before, and nothing is lost with the process: the graph holds it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use metrics::{counter, gauge};
use service_kit::bus::{PublishError, Publisher};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Fenced, age_ms, json, record, wall_ms};
use crate::clock::Clock;
use crate::graph::outbox::{self, Batch, Outcome, Pending, Stage};
use crate::graph::{GraphDb, GraphError};
use crate::metrics::set_aside;

/// Rounds of the relay whose changes may wait here; further ones are found in the graph.
pub const WAITING: usize = 8;
/// Between looks for changes whose events nobody has published.
const LOOK: Duration = Duration::from_secs(2);
/// How long a change is left to the relay that published its fences.
const GRACE: Duration = Duration::from_secs(5);
/// Between looks at what was set aside: a topic may take more by then, a newer build read more.
const LOOK_ASIDE: Duration = Duration::from_secs(600);

/// Publishes audit events.
pub struct Events<P> {
    /// Whose outbox it is.
    pub graph: Arc<GraphDb>,
    /// Publishes audit events; not the relay's, whose buffer and connections must not fill up with them.
    pub publisher: Arc<P>,
    /// Where to.
    pub topic: String,
    /// Changes of one look.
    pub batch: usize,
    /// The time.
    pub clock: Clock,
    /// From the relay.
    pub fenced: mpsc::Receiver<Fenced>,
}

/// What became of events.
#[derive(Debug, Default, PartialEq, Eq)]
struct Published {
    done: usize,
    waiting: usize,
}

impl<P: Publisher> Events<P> {
    /// Publishes until the relay has ended, and then what it has handed on. Aborting it loses nothing.
    pub async fn run(mut self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut after, mut aside) = (0, None::<Instant>);
        loop {
            let done = tokio::select! {
                fenced = self.fenced.recv() => match fenced {
                    Some(fenced) => self.settle(Stage::Audit, &fenced).await.map(drop),
                    None => return,
                },
                _ = looks.tick() => {
                    let is_due = aside.is_none_or(|last| last.elapsed() > LOOK_ASIDE);
                    if is_due {
                        aside = Some(Instant::now());
                    }
                    self.look(&mut after, is_due).await
                }
            };
            if let Err(error) = done {
                tracing::warn!(%error, "relaying audit events");
            }
        }
    }

    /// Publishes what is left: behind `after` first, so that changes that nobody takes keep nobody from
    /// his turn.
    pub(super) async fn look(&self, after: &mut u64, aside: bool) -> Result<(), GraphError> {
        let depth = outbox::depth(&self.graph).await?;
        for (stage, depth) in Stage::ALL.iter().zip(depth) {
            gauge!("triad_authz_outbox_pending", "stage" => stage.name()).set(depth as f64);
        }
        let mut oldest = 0;
        loop {
            let (page, batch) = self.visit(Stage::Audit, *after).await?;
            *after = batch.next.unwrap_or(0);
            oldest = oldest.max(self.oldest(&batch));
            // A whole page that nobody takes: it is the topic, and the next look comes soon enough.
            if *after == 0 || page.done == 0 && page.waiting > 0 {
                break;
            }
        }
        gauge!("triad_authz_outbox_age_seconds", "stage" => Stage::Audit.name())
            .set(oldest as f64 / 1000.0);
        if aside { self.look_aside().await } else { Ok(()) }
    }

    async fn look_aside(&self) -> Result<(), GraphError> {
        let mut after = Some(0);
        while let Some(behind) = after {
            after = self.visit(Stage::Aside, behind).await?.1.next;
        }
        Ok(())
    }

    /// Publishes one page of a stage.
    async fn visit(&self, stage: Stage, after: u64) -> Result<(Published, Batch), GraphError> {
        let mut batch = outbox::pending(&self.graph, stage, after, self.batch).await?;
        if stage == Stage::Audit && !batch.unreadable.is_empty() {
            let aside = batch.unreadable.iter().map(|(node, _)| *node).collect();
            outbox::settle(&self.graph, &Outcome { aside, ..Outcome::default() }).await?;
            batch.unreadable.iter().for_each(|(node, error)| set_aside(*node, "unreadable", error));
        }
        let now = wall_ms(&self.clock);
        // By whatever clock: a change of tomorrow is nobody's.
        let is_left = |change: &Pending| u128::from(now.abs_diff(change.at_ms)) > GRACE.as_millis();
        let mut left = std::mem::take(&mut batch.changes);
        left.retain(|(_, change)| is_left(change));
        let published = self.settle(stage, &left).await?;
        batch.changes = left;
        Ok((published, batch))
    }

    fn oldest(&self, batch: &Batch) -> u64 {
        let now = wall_ms(&self.clock);
        batch.changes.iter().map(|(_, change)| age_ms(change, now)).max().unwrap_or(0)
    }

    /// Publishes the events of changes and forgets those that Kafka has; the others stay in `stage`, or
    /// are set aside when no repetition helps.
    async fn settle(
        &self,
        stage: Stage,
        changes: &[(u64, Pending)],
    ) -> Result<Published, GraphError> {
        let outcomes = join_all(changes.iter().map(|(_, change)| self.publish(change))).await;
        let (mut outcome, mut waiting, mut last) = (Outcome::default(), 0, None);
        for ((node, _), published) in changes.iter().zip(outcomes) {
            match published {
                Ok(()) => outcome.done.push(*node),
                Err(PublishError::TooLarge { .. }) if stage == Stage::Aside => {}
                Err(error @ PublishError::TooLarge { .. }) => {
                    outcome.aside.push(*node);
                    set_aside(*node, "too_large", &error);
                }
                Err(error) => {
                    waiting += 1;
                    last = Some(error);
                }
            }
        }
        if let Some(error) = last {
            counter!("triad_authz_audit_retries_total").increment(waiting as u64);
            tracing::warn!(%error, waiting, "audit events wait");
        }
        outbox::settle(&self.graph, &outcome).await?;
        Ok(Published { done: outcome.done.len() + outcome.aside.len(), waiting })
    }

    async fn publish(&self, change: &Pending) -> Result<(), PublishError> {
        let events = change
            .events
            .iter()
            .map(|event| self.publisher.publish(&self.topic, record(change, json(event))));
        try_join_all(events).await.map(drop)
    }
}

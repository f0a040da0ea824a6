//! Applying what is held: each tenant in order, several of them at a time.

use std::collections::HashMap;
use std::time::Duration;

use chrono::Utc;
use contracts::TenantId;
use contracts::identity::Change;
use futures::StreamExt as _;
use metrics::{counter, gauge};
use rand::Rng as _;
use service_kit::health::Component;
use tokio::time::{Instant, sleep};

use super::Options;
use super::held::{Held, Step, Stop};
use super::intake::{Poison, Received};
use super::progress::Place;
use crate::graph::GraphDb;
use crate::graph::write::identity::{Applied, ApplyError};
use crate::graph::write::{Ownership, Writer, Written};

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_secs(5);

/// A tenant with changes that are not applied.
#[derive(Default)]
struct Waiting {
    held: Held,
    stop: Option<Stop>,
    rebuilding: bool,
    applied: usize,
}

/// Every tenant with changes that are not applied.
pub(super) struct Tenants<'a, F> {
    waiting: HashMap<TenantId, Waiting>,
    applier: Applier<'a, F>,
    look_at: Instant,
    applied: usize,
}

impl<'a, F: Fn(&TenantId, &Written)> Tenants<'a, F> {
    pub(super) fn new(
        graph: &'a GraphDb,
        options: &'a Options,
        health: &'a Component,
        written: &'a F,
    ) -> Self {
        let writer = Writer { graph, ownership: Ownership::Sync };
        let applier = Applier { writer, options, health, written };
        Self { waiting: HashMap::new(), applier, look_at: Instant::now(), applied: 0 }
    }

    pub(super) fn take(&mut self, received: Received, place: Place) {
        match received {
            Received::Change(change) => {
                let waiting = self.waiting.entry(change.tenant_id.clone()).or_default();
                if !waiting.held.push(*change, place) {
                    count("repeated", 1);
                }
            }
            Received::Poison(Poison { place: Some((tenant, seq)), .. }) => {
                self.waiting.entry(tenant).or_default().held.poison(seq);
            }
            // Nobody knows whose number it is: the next one of its tenant shows that it is missing.
            Received::Poison(_) => {}
        }
    }

    /// Applies what can be applied.
    pub(super) async fn apply(&mut self) {
        let look = Instant::now() >= self.look_at;
        if look {
            self.look_at = Instant::now() + self.applier.options.look;
        }
        let due = |waiting: &Waiting| {
            look || waiting.stop.is_none_or(|stop| waiting.held.may_resume(stop))
        };
        let keys: Vec<_> =
            self.waiting.iter().filter(|(_, w)| due(w)).map(|(tenant, _)| tenant.clone()).collect();
        let taken: Vec<_> = keys.iter().filter_map(|key| self.waiting.remove_entry(key)).collect();
        let applier = &self.applier;
        let driven = taken.into_iter().map(|(tenant, waiting)| applier.drive(tenant, waiting));
        let concurrency = applier.options.concurrency.max(1);
        let done: Vec<_> =
            futures::stream::iter(driven).buffer_unordered(concurrency).collect().await;
        for (tenant, mut waiting) in done {
            self.applied += std::mem::take(&mut waiting.applied);
            if waiting.stop.is_some() {
                self.waiting.insert(tenant, waiting);
            }
        }
        self.bound();
    }

    /// Keeps each stopped tenant to its share of the memory.
    fn bound(&mut self) {
        let share = (self.applier.options.held / self.waiting.len().max(1)).max(1);
        for (tenant, waiting) in &mut self.waiting {
            let dropped = waiting.held.trim(share);
            if dropped > 0 {
                tracing::warn!(%tenant, dropped, "too many changes wait: only a new snapshot heals");
            }
        }
        gauge!("triad_authz_sync_stopped_tenants").set(self.waiting.len() as f64);
    }

    /// Where changes came from that wait for the end of a rebuild. Its snapshot does not have them: they
    /// must come again if this process ends before.
    pub(super) fn held_by_rebuilds(&self) -> impl Iterator<Item = Place> {
        let rebuilding = self.waiting.values().filter(|waiting| waiting.rebuilding);
        rebuilding.flat_map(|waiting| waiting.held.places())
    }

    /// Changes that were applied since the start.
    pub(super) fn applied(&self) -> usize {
        self.applied
    }

    pub(super) fn stopped(&self) -> usize {
        self.waiting.len()
    }
}

struct Applier<'a, F> {
    writer: Writer<'a>,
    options: &'a Options,
    health: &'a Component,
    written: &'a F,
}

impl<F: Fn(&TenantId, &Written)> Applier<'_, F> {
    /// Applies until nothing is held or nothing goes on.
    async fn drive(&self, tenant: TenantId, mut waiting: Waiting) -> (TenantId, Waiting) {
        let before = waiting.stop.take();
        waiting.rebuilding = false;
        while waiting.stop.is_none() {
            let step = waiting.held.next(self.options.batch);
            let (changes, first) = match step {
                Step::Done => break,
                Step::Apply(changes) => {
                    let first = changes.first().map_or(0, |change| change.seq);
                    (changes, first)
                }
                Step::Ask(seq) => (Vec::new(), seq),
            };
            waiting.stop = match self.patiently(&tenant, &changes).await {
                Ok(applied) => {
                    waiting.applied += applied.applied;
                    self.observe(&tenant, &applied);
                    waiting.held.applied(applied.last_seq)
                }
                Err(ApplyError::Gap { expected, .. }) => {
                    let held = waiting.held.len();
                    let stop = waiting.held.applied(expected - 1);
                    count("repeated", held - waiting.held.len());
                    stop
                }
                // Looked at again later; nothing that comes tells that it is over.
                Err(error) => {
                    tracing::debug!(%tenant, %error, "identity changes wait");
                    waiting.rebuilding = matches!(error, ApplyError::Rebuilding);
                    Some(Stop { expected: 0, found: first })
                }
            };
        }
        if let Some(stop) = waiting.stop.filter(|stop| before != Some(*stop)) {
            let Stop { expected, found } = stop;
            tracing::warn!(%tenant, expected, found, "identity changes are missing: tenant stopped");
        } else if before.is_some() && waiting.stop.is_none() {
            tracing::info!(%tenant, "identity changes go on");
        }
        (tenant, waiting)
    }

    /// Tries until the graph answers.
    async fn patiently(
        &self,
        tenant: &TenantId,
        changes: &[Change],
    ) -> Result<Applied, ApplyError> {
        let (mut backoff, mut failed) = (FIRST_BACKOFF, false);
        loop {
            match self.writer.apply_identity(tenant, changes, Utc::now()).await {
                Err(ApplyError::Graph(error)) => {
                    self.health.not_ready(format!("identity changes: {error}"));
                    tracing::warn!(%tenant, %error, "applying identity changes");
                    failed = true;
                    let jittered = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
                    sleep(jittered).await;
                    backoff = (2 * backoff).min(LAST_BACKOFF);
                }
                outcome => {
                    if failed {
                        self.health.ready();
                    }
                    return outcome;
                }
            }
        }
    }

    fn observe(&self, tenant: &TenantId, applied: &Applied) {
        count("applied", applied.applied);
        count("repeated", applied.repeated);
        count("skipped", applied.skipped);
        if !applied.written.changed.is_empty() {
            (self.written)(tenant, &applied.written);
        }
    }
}

fn count(outcome: &'static str, changes: usize) {
    counter!("triad_authz_sync_changes_total", "outcome" => outcome).increment(changes as u64);
}

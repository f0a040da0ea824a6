//! Random sequences of writes, deliveries, losses, clock steps and checks; each answer is compared with
//! the naive one, at every state that it may be of.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::{Revision, TenantId};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::json;

use super::edge::{Edge, LIFE, MAX_LIFE, STRICT_AFTER, options};
use super::memory::What;
use super::moments::Moment;
use super::steps::{Ask, Asked, Step, change, ground, step};
use super::world::{Change, State, allows};
use crate::check::{Answer, AtLeast, CheckError, Given, Question, Source};
use crate::model::view::Micros;
use crate::model::{Key, Properties};

/// Both have the same ids in them.
const TENANTS: [&str; 2] = ["acme", "globex"];

/// A fence, and when its change was committed.
#[derive(Clone)]
pub(super) struct Fence {
    pub(super) tenant: TenantId,
    pub(super) keys: Vec<Key>,
    pub(super) at: Revision,
    millis: u64,
}

/// One sequence under way.
struct Run {
    edge: Edge,
    tenants: [TenantId; 2],
    waiting: Vec<Fence>,
    all: Vec<Fence>,
    /// Since when the wall showed what.
    walls: Vec<(u64, Micros)>,
}

impl Run {
    fn new(tiny: bool) -> Self {
        let mut options = options();
        if tiny {
            options.views.subject_bytes = 900;
            options.views.resource_bytes = 600;
            options.doorkeeper = 16;
        }
        let tenants = TENANTS.map(|tenant| TenantId::parse(tenant).unwrap());
        let edge = Edge::with(options);
        let walls = vec![(edge.clock.millis(), edge.clock.micros())];
        Self { edge, tenants, waiting: Vec::new(), all: Vec::new(), walls }
    }

    /// So that some things are allowed.
    fn begin(&mut self) {
        for change in ground() {
            self.write(0, &change);
            self.write(1, &change);
        }
    }

    fn write(&mut self, tenant: usize, change: &Change) {
        let tenant = self.tenants[tenant].clone();
        let (keys, at) = self.edge.memory.commit(&tenant, change);
        let fence = Fence { tenant, keys, at, millis: self.edge.clock.millis() };
        self.waiting.push(fence.clone());
        self.all.push(fence);
    }

    fn raise(&self, fence: &Fence) {
        self.edge.fences.raise(&fence.tenant, &fence.keys, fence.at);
    }

    fn deliver_all(&mut self) {
        // Backwards: order does not matter.
        while let Some(fence) = self.waiting.pop() {
            self.raise(&fence);
        }
    }

    fn first_waiting(&self) -> Option<&Fence> {
        self.waiting.iter().min_by_key(|fence| fence.at)
    }

    fn now(&self) -> u64 {
        self.edge.memory.with(|history| history.now)
    }

    /// Up to where every fence was delivered, and when that was so last.
    fn watermark(&self) -> (Revision, u64) {
        match self.first_waiting() {
            Some(fence) => (Revision(fence.at.0 - 1), fence.millis),
            None => (Revision(self.now()), self.edge.clock.millis()),
        }
    }

    fn step(&mut self, step: &Step) -> Option<Asked> {
        match step {
            Step::Write(tenant, change) => self.write(*tenant, change),
            Step::Deliver(at, again) if !self.waiting.is_empty() => {
                let at = at % self.waiting.len();
                self.raise(&self.waiting[at]);
                if !again {
                    self.waiting.remove(at);
                }
            }
            Step::Deliver(..) => {}
            Step::DeliverAll => self.deliver_all(),
            Step::Repeat(at) if !self.all.is_empty() => self.raise(&self.all[at % self.all.len()]),
            Step::Repeat(_) => {}
            Step::Advance => {
                let (watermark, at) = self.watermark();
                self.edge.freshness.advance(watermark, at);
            }
            Step::Lose => {
                self.waiting.clear();
                self.edge.freshness.clear("offset");
            }
            Step::Lag(lag) => self.edge.memory.lag(*lag),
            Step::Clock(millis, micros) => {
                self.edge.clock.step(*millis, *micros);
                self.walls.push((self.edge.clock.millis(), self.edge.clock.micros()));
            }
            Step::Check(tenant, ask, back) => {
                let (tenant, ask, back) = (*tenant, ask.clone(), *back);
                return Some(Asked { tenant, ask, back, race: None });
            }
            Step::Race(tenant, ask, what, changes) => {
                let (tenant, ask) = (*tenant, ask.clone());
                let race = Some((*what, changes.clone()));
                return Some(Asked { tenant, ask, back: None, race });
            }
        }
        None
    }

    /// The oldest time that an answer may be of.
    fn oldest(&self, need: Revision) -> u64 {
        // What was read before the life of an entry began, from an alpha that was no further behind.
        let before = self.edge.clock.millis().saturating_sub(LIFE + STRICT_AFTER);
        let lived = self.all.iter().filter(|fence| fence.millis < before).map(|fence| fence.at);
        lived.max().unwrap_or(Revision(0)).max(self.watermark().0).max(need).0
    }

    fn moment(&self) -> Moment {
        let waits = |fence: &Fence| self.waiting.iter().any(|waiting| waiting.at == fence.at);
        // What is lost was found out, which voids everything.
        let delivered = self.all.iter().filter(|fence| !waits(fence)).cloned().collect();
        Moment { now: self.now(), delivered }
    }

    /// Asks, and writes while a read of it hangs.
    async fn race(
        &mut self,
        tenant: usize,
        (question, given): (&Question, &Given),
        what: What,
        changes: &[Change],
    ) -> Result<Answer, CheckError> {
        let mut held = self.edge.memory.hold(what);
        let checker = Arc::clone(&self.edge.checker);
        let (question, given) = (question.clone(), given.clone());
        let mut asked =
            tokio::spawn(async move { checker.check(&question, &given, AtLeast::Bound).await });
        tokio::select! {
            answer = &mut asked => {
                self.edge.memory.hold_nothing();
                answer.unwrap()
            }
            () = held.arrived() => {
                changes.iter().for_each(|change| self.write(tenant, change));
                self.deliver_all();
                held.release();
                asked.await.unwrap()
            }
        }
    }

    /// Every time that the wall showed while what is cached may have been made, and now.
    fn walls(&self) -> BTreeSet<Micros> {
        let since = self.edge.clock.millis().saturating_sub(MAX_LIFE);
        // The last one before is still shown when that begins.
        let first = self.walls.partition_point(|(millis, _)| *millis < since).saturating_sub(1);
        self.walls[first..].iter().map(|(_, micros)| *micros).collect()
    }

    async fn check(&mut self, asked: Asked) -> Result<Answer, TestCaseError> {
        let Asked { ask, tenant: at, back, race } = asked;
        let need = back.map_or(Revision(0), |back| {
            let commits = self.all.len();
            commits.checked_sub(back + 1).map_or(Revision(0), |at| self.all[at].at)
        });
        let Ask { subject, action, resource, europe } = ask;
        let tenant = self.tenants[at].clone();
        let question = Question { tenant, subject, action, resource };
        let region = europe.then(|| Properties::from_iter([("region".to_owned(), json!("eu"))]));
        let given = Given { context: region, ..Given::default() };
        let at_least = if back.is_some() { AtLeast::Revision(need) } else { AtLeast::Bound };
        let (oldest, before) = (self.oldest(need), self.moment());
        let answer = match &race {
            None => self.edge.checker.check(&question, &given, at_least).await,
            Some((what, changes)) => self.race(at, (&question, &given), *what, changes).await,
        };
        let answer = answer.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(answer.revision >= need, "{answer:?} is of before {need:?}");
        prop_assert!(answer.revision.0 <= self.now());
        // What an answer says of itself binds it, too.
        let from = oldest.max(answer.revision.0);
        let now = self.edge.clock.micros();
        // A wall that steps back gives nothing back at once: denials may be of any wall of late.
        let walls = if answer.allowed { BTreeSet::from([now]) } else { self.walls() };
        let explains = |subjects: &State, resources: &State| {
            let mut walls = walls.iter();
            walls.any(|wall| {
                allows((subjects, resources), &question, &given, *wall) == answer.allowed
            })
        };
        // One view may be of another state than the other one, but each holds at one moment.
        let mut moments = [self.moment(), before].into_iter();
        let memory = &self.edge.memory;
        let explained = moments.any(|moment| moment.explains(memory, &question, from, explains));
        prop_assert!(explained, "{answer:?} to {question:?} since {oldest}: never so");
        Ok(answer)
    }
}

/// Answers by result, and by whether they were cached.
#[derive(Debug, Default)]
struct Seen {
    allowed: u64,
    denied: u64,
    decisions: u64,
    views: u64,
}

impl Seen {
    fn count(&mut self, answer: &Answer) {
        *(if answer.allowed { &mut self.allowed } else { &mut self.denied }) += 1;
        self.decisions += u64::from(answer.source == Source::Decision);
        self.views += u64::from(answer.source == Source::Views);
    }
}

#[test]
fn every_answer_is_the_naive_one_at_a_state_that_it_may_be_of() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
    let sequence = (
        prop::collection::vec((0..2_usize, change()), 0..20),
        prop::collection::vec(step(), 1..60),
        prop::bool::weighted(0.2),
    );
    let seen = RefCell::new(Seen::default());
    let outcome = TestRunner::new(config).run(&sequence, |(writes, steps, tiny)| {
        runtime.block_on(async {
            let mut run = Run::new(tiny);
            run.begin();
            for (tenant, change) in writes {
                run.write(tenant, &change);
            }
            run.deliver_all();
            for step in &steps {
                if let Some(asked) = run.step(step) {
                    let answer = run.check(asked).await?;
                    seen.borrow_mut().count(&answer);
                }
            }
            Ok(())
        })
    });
    outcome.unwrap();
    // A test in which nothing is ever allowed, or cached, would show little.
    let seen = seen.into_inner();
    let most = seen.allowed + seen.denied;
    assert!(
        seen.allowed > most / 20 && seen.decisions > most / 50 && seen.views > most / 50,
        "{seen:?}"
    );
}

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
use super::memory::GIANT;
use super::world::{Change, Rule, State, allows, team};
use crate::check::{Answer, AtLeast, Given, Question, Source};
use crate::model::key::EVERYONE;
use crate::model::view::Micros;
use crate::model::{Key, Properties, ResourceRef, Scope, SubjectRef, SubjectType};

/// Both have the same ids in them.
const TENANTS: [&str; 2] = ["acme", "globex"];
/// One second on the wall.
pub(super) const SECOND: Micros = 1_000_000;

#[derive(Debug, Clone)]
enum Step {
    Write(usize, Change),
    /// One of the fences that wait, in any order; `again` leaves it waiting, as a second relay would.
    Deliver(usize, bool),
    DeliverAll,
    /// One of all that there ever were.
    Repeat(usize),
    Advance,
    /// Fences are lost for good, and that is noticed.
    Lose,
    Lag(u64),
    /// Milliseconds on, and the wall's microseconds.
    Clock(u64, Micros),
    /// Before how many commits the revision is that must be in the answer, if one must.
    Check(usize, Ask, Option<usize>),
}

#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) subject: SubjectRef,
    pub(super) action: String,
    pub(super) resource: ResourceRef,
    pub(super) europe: bool,
}

fn subject() -> impl Strategy<Value = SubjectRef> {
    let user = |id| SubjectRef::new(SubjectType::User, id);
    prop_oneof![
        3 => Just(user("anna")),
        2 => Just(user("bob")),
        1 => Just(user(GIANT)),
        1 => Just(SubjectRef::new(SubjectType::ServiceAccount, "anna")),
        2 => team_id().prop_map(|id| team(&id)),
    ]
}

fn holder() -> impl Strategy<Value = SubjectRef> {
    let everyone = [SubjectType::User, SubjectType::ServiceAccount];
    let everyone = prop::sample::select(everyone.to_vec());
    prop_oneof![
        6 => subject(),
        1 => everyone.prop_map(|type_| SubjectRef::new(type_, EVERYONE)),
    ]
}

fn named(ids: &[&str]) -> impl Strategy<Value = String> + use<> {
    prop::sample::select(ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
}

fn team_id() -> impl Strategy<Value = String> {
    named(&["a", "b", "c"])
}

fn role() -> impl Strategy<Value = String> {
    named(&["anna", "b"])
}

fn action() -> impl Strategy<Value = String> {
    named(&["read", "write"])
}

fn resource() -> impl Strategy<Value = ResourceRef> {
    let (types, ids) = (named(&["doc", "folder"]), named(&["1", "2"]));
    (types, ids).prop_map(|(type_, id)| ResourceRef::new(type_, id))
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::All),
        named(&["doc", "folder"]).prop_map(Scope::Type),
        resource().prop_map(Scope::Resource),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![3 => Just(Rule::Always), 1 => Just(Rule::Europe), 1 => Just(Rule::Open)]
}

fn end() -> impl Strategy<Value = Option<Micros>> {
    prop_oneof![
        3 => Just(Some(super::world::until(None))),
        3 => (0..90_i64).prop_map(|seconds| Some(seconds * SECOND)),
        2 => Just(None),
    ]
}

pub(super) fn change() -> impl Strategy<Value = Change> {
    let permissions = prop::collection::vec((action(), scope(), rule()), 0..3);
    let open = prop::option::of(any::<bool>());
    prop_oneof![
        2 => subject().prop_map(Change::Add),
        1 => (subject(), any::<bool>()).prop_map(|(of, barred)| Change::Bar(of, barred)),
        1 => prop::bool::weighted(0.15).prop_map(Change::Suspend),
        4 => (subject(), team_id(), prop::bool::weighted(0.7))
            .prop_map(|(of, to, on)| Change::Member(of, to, on)),
        8 => (holder(), role(), scope(), end()).prop_map(|(of, r, on, e)| Change::Bind(of, r, on, e)),
        3 => (role(), permissions).prop_map(|(role, list)| Change::Role(role, list)),
        2 => (resource(), open).prop_map(|(of, open)| Change::Open(of, open)),
        3 => (resource(), resource(), prop::bool::weighted(0.7))
            .prop_map(|(of, to, on)| Change::Parent(of, to, on)),
        1 => subject().prop_map(Change::RemoveSubject),
        1 => role().prop_map(Change::RemoveRole),
        1 => resource().prop_map(Change::RemoveResource),
    ]
}

pub(super) fn ask() -> impl Strategy<Value = Ask> {
    (subject(), action(), resource(), any::<bool>())
        .prop_map(|(subject, action, resource, europe)| Ask { subject, action, resource, europe })
}

fn step() -> impl Strategy<Value = Step> {
    let tenant = || prop::bool::weighted(0.2).prop_map(usize::from);
    let clock = prop_oneof![
        // Along with the wall.
        4 => (0..LIFE / 3).prop_map(|m| (m, i64::try_from(m).unwrap() * 1000)),
        // And apart from it.
        1 => (0..LIFE, -20 * SECOND..40 * SECOND),
    ];
    prop_oneof![
        6 => (tenant(), change()).prop_map(|(at, change)| Step::Write(at, change)),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(at, again)| Step::Deliver(at, again)),
        3 => Just(Step::DeliverAll),
        1 => any::<usize>().prop_map(Step::Repeat),
        3 => Just(Step::Advance),
        1 => Just(Step::Lose),
        1 => (0..6_u64).prop_map(Step::Lag),
        2 => clock.prop_map(|(millis, micros)| Step::Clock(millis, micros)),
        16 => (tenant(), ask(), prop::option::weighted(0.2, 0..4_usize))
            .prop_map(|(at, ask, need)| Step::Check(at, ask, need)),
    ]
}

/// A world in which some things are allowed.
pub(super) fn ground() -> Vec<Change> {
    let user = |id| SubjectRef::new(SubjectType::User, id);
    let read = |on| ("read".to_owned(), on, Rule::Always);
    let (doc, folder) = (ResourceRef::new("doc", "1"), ResourceRef::new("folder", "1"));
    let forever = Some(super::world::until(None));
    let bind = |who, role: &str, on| Change::Bind(who, role.to_owned(), on, forever);
    let write = ("write".to_owned(), Scope::All, Rule::Europe);
    vec![
        Change::Role("anna".to_owned(), vec![read(Scope::All), write]),
        Change::Role("b".to_owned(), vec![read(Scope::Type("folder".to_owned()))]),
        Change::Member(user("anna"), "a".to_owned(), true),
        Change::Member(user(GIANT), "b".to_owned(), true),
        Change::Member(team("a"), "b".to_owned(), true),
        Change::Member(team("b"), "a".to_owned(), true),
        Change::Parent(doc, folder.clone(), true),
        Change::Add(user("bob")),
        bind(team("b"), "anna", Scope::Resource(folder)),
        bind(user(EVERYONE), "b", Scope::All),
    ]
}

/// A fence, and when its change was committed.
#[derive(Clone)]
struct Fence {
    tenant: TenantId,
    keys: Vec<Key>,
    at: Revision,
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

    fn step(&mut self, step: &Step) -> Option<(Ask, usize, Option<usize>)> {
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
            Step::Check(tenant, ask, need) => return Some((ask.clone(), *tenant, *need)),
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

    fn states(&self, from: u64) -> Vec<Arc<State>> {
        self.edge.memory.with(|history| {
            let after = history.states.range(from + 1..).map(|(_, state)| Arc::clone(state));
            std::iter::once(history.at(from)).chain(after).collect()
        })
    }

    /// Every time that the wall showed while what is cached may have been made, and now.
    fn walls(&self) -> BTreeSet<Micros> {
        let since = self.edge.clock.millis().saturating_sub(MAX_LIFE);
        // The last one before is still shown when that begins.
        let first = self.walls.partition_point(|(millis, _)| *millis < since).saturating_sub(1);
        self.walls[first..].iter().map(|(_, micros)| *micros).collect()
    }

    async fn check(
        &self,
        ask: Ask,
        tenant: usize,
        back: Option<usize>,
    ) -> Result<Answer, TestCaseError> {
        let need = back.map_or(Revision(0), |back| {
            let commits = self.all.len();
            commits.checked_sub(back + 1).map_or(Revision(0), |at| self.all[at].at)
        });
        let Ask { subject, action, resource, europe } = ask;
        let tenant = self.tenants[tenant].clone();
        let question = Question { tenant, subject, action, resource };
        let region = europe.then(|| Properties::from_iter([("region".to_owned(), json!("eu"))]));
        let given = Given { context: region, ..Given::default() };
        let at_least = if back.is_some() { AtLeast::Revision(need) } else { AtLeast::Bound };
        let oldest = self.oldest(need);
        let answer = self.edge.checker.check(&question, &given, at_least).await;
        let answer = answer.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(answer.revision >= need, "{answer:?} is of before {need:?}");
        prop_assert!(answer.revision.0 <= self.now());
        // What an answer says of itself binds it, too.
        let states = self.states(oldest.max(answer.revision.0));
        let now = self.edge.clock.micros();
        // A wall that steps back gives nothing back at once: denials may be of any wall of late.
        let walls = if answer.allowed { BTreeSet::from([now]) } else { self.walls() };
        let explains = |subjects: &State, resources: &State| {
            let mut walls = walls.iter();
            walls.any(|wall| {
                allows((subjects, resources), &question, &given, *wall) == answer.allowed
            })
        };
        let explained = states.iter().any(|s| states.iter().any(|r| explains(s, r)));
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
                if let Some((ask, tenant, need)) = run.step(step) {
                    let answer = run.check(ask, tenant, need).await?;
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

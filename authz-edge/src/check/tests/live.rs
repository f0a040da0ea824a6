//! The real stores under the checker: random sequences of writes and checks on each graph, each answer
//! compared with the naive one. On Dgraph by `TRIAD_DGRAPH=host:port cargo test -- --ignored`;
//! `TRIAD_SEQUENCES` for more of them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::audit::ActorType;
use contracts::{Revision, TenantId};
use futures::{StreamExt as _, TryStreamExt as _};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::edge::options;
use super::steps::{Ask, SECOND, ask, change, ground};
use super::world::{Change, Rule, State, allows};
use crate::check::decisions::{Says, Stored, settle};
use crate::check::fences::Fences;
use crate::check::freshness::Freshness;
use crate::check::{AtLeast, Checker, Given, Question, Source};
use crate::clock::Clock;
use crate::graph::client::testing::on_each_graph;
use crate::graph::read::{Reader, Strangers};
use crate::graph::write::{Author, Entity, EntityForm, Ownership, WriteError, Writer, Written};
use crate::graph::{Graph as _, GraphDb, Mode, schema};
use crate::model::condition::Precedence;
use crate::model::role::Permission;
use crate::model::view::{Micros, NEVER, evaluate};
use crate::model::{
    Key, Op, Properties, Relationship, Role, SubjectRef, SubjectType, Write, WriteList,
};

/// Sequences at once: each in tenants of its own.
const AT_ONCE: usize = 16;

#[derive(Debug, Clone)]
enum Step {
    Write(usize, Change),
    /// With the token of the last write, or without.
    Check(usize, Ask, bool),
    /// The watermark is the last write.
    Advance,
    Clock(Micros),
}

fn step() -> impl Strategy<Value = Step> {
    let tenant = || prop::bool::weighted(0.2).prop_map(usize::from);
    prop_oneof![
        6 => (tenant(), change()).prop_map(|(at, change)| Step::Write(at, change)),
        12 => (tenant(), ask(), any::<bool>()).prop_map(|(at, ask, token)| Step::Check(at, ask, token)),
        2 => Just(Step::Advance),
        1 => (0..40 * SECOND).prop_map(Step::Clock),
    ]
}

/// One sequence under way: an edge of its own, and two tenants with the same ids in them.
struct Run {
    graph: Arc<GraphDb>,
    checker: Checker<Reader>,
    tenants: [TenantId; 2],
    state: State,
    last: Revision,
}

/// Answers by result, and those that were cached.
#[derive(Debug, Default)]
struct Seen {
    allowed: u64,
    denied: u64,
    cached: u64,
}

fn author() -> Author {
    let at = DateTime::UNIX_EPOCH;
    Author { actor: None, actor_type: ActorType::System, at, request_id: None }
}

fn time(at: Micros) -> Option<DateTime<Utc>> {
    (at != NEVER).then(|| DateTime::from_timestamp_micros(at).expect("within a minute or two"))
}

/// The relationship that a change writes or deletes, if it is of one.
fn relationship(change: &Change) -> Option<(Relationship, bool)> {
    Some(match change {
        Change::Member(subject, team, on) => {
            (Relationship::MemberOf { subject: subject.clone(), team: team.clone() }, *on)
        }
        Change::Parent(resource, parent, on) => {
            (Relationship::Parent { resource: resource.clone(), parent: parent.clone() }, *on)
        }
        Change::Bind(subject, role, on, until) => {
            let (subject, role, on) = (subject.clone(), role.clone(), on.clone());
            let expires_at = until.and_then(time);
            (Relationship::HasRole { subject, role, on, expires_at }, until.is_some())
        }
        _ => return None,
    })
}

impl Run {
    fn new(graph: &Arc<GraphDb>, name: &str, strangers: Strangers) -> Self {
        let clock = Clock::manual();
        let fences = Arc::new(Fences::with_places(1 << 13, 4));
        let reader = Reader::new(Arc::clone(graph), strangers);
        let checker =
            Checker::new(reader, fences, Arc::new(Freshness::default()), clock, options());
        let tenants = ["a", "b"].map(|which| TenantId::parse(&format!("{name}{which}")).unwrap());
        let welcomes = strangers == Strangers::Everyone;
        let (graph, mut state) = (Arc::clone(graph), State::default());
        state.welcomes = welcomes;
        Self { graph, checker, tenants, state, last: Revision(0) }
    }

    /// Writes a change to both worlds. What the store refuses must be what has no effect in the other.
    async fn write(&mut self, at: usize, change: &Change) -> Result<(), String> {
        let tenant = self.tenants[at].clone();
        if self.is_about_nothing(&tenant, change) {
            return Ok(());
        }
        match self.commit(&tenant, change).await {
            Ok(written) => {
                self.state.apply(&tenant, change);
                self.last = self.last.max(written.revision);
                self.checker.wrote(&tenant, &written);
                Ok(())
            }
            Err(WriteError::Missing { .. }) => {
                let mut same = self.state.clone();
                let changed = same.apply(&tenant, change);
                let nothing = changed.is_empty();
                nothing.then_some(()).ok_or_else(|| format!("{change:?} found nothing"))
            }
            // A cycle of one.
            Err(WriteError::Invalid(_)) if is_itself(change) => Ok(()),
            Err(error) => Err(format!("{change:?}: {error}")),
        }
    }

    /// Deleting an edge between what is not there makes nodes in the plain world and nothing here.
    fn is_about_nothing(&self, tenant: &TenantId, change: &Change) -> bool {
        let Some((relationship, false)) = relationship(change) else {
            return matches!(change, Change::Suspend(_));
        };
        let known = |key: Key| self.state.named(&key).is_some();
        let resource = |of: &crate::model::ResourceRef| Key::resource(tenant, &of.type_, &of.id);
        let subject = |of: &SubjectRef| Key::subject(tenant, of.type_, &of.id);
        !match &relationship {
            Relationship::MemberOf { subject: of, team } => {
                known(subject(of)) && known(Key::subject(tenant, SubjectType::Team, team))
            }
            Relationship::Parent { resource: of, parent } => {
                known(resource(of)) && known(resource(parent))
            }
            Relationship::HasRole { subject: of, role, on, .. } => {
                let on = match on {
                    crate::model::Scope::Resource(on) => known(resource(on)),
                    _ => true,
                };
                known(subject(of)) && known(Key::role(tenant, role)) && on
            }
        }
    }

    async fn commit(&self, tenant: &TenantId, change: &Change) -> Result<Written, WriteError> {
        let writer = Writer { graph: &self.graph, ownership: Ownership::Anyone };
        let author = author();
        let form = |open: Option<bool>, active| EntityForm {
            attributes: open.map(|open| Properties::from_iter([("open".to_owned(), json!(open))])),
            active,
        };
        let put = async |entity, form| writer.put_entity(tenant, &entity, &form, &author).await;
        let delete = async |entity| writer.delete_entity(tenant, &entity, &author).await;
        match change {
            Change::Add(subject) if self.is_known(tenant, subject) => {
                Ok(Written { revision: self.last, changed: Vec::new() })
            }
            Change::Add(subject) => put(Entity::Subject(subject.clone()), form(None, None)).await,
            Change::Bar(subject, barred) => {
                put(Entity::Subject(subject.clone()), form(None, Some(!barred))).await
            }
            Change::Open(resource, open) => {
                put(Entity::Resource(resource.clone()), form(*open, None)).await
            }
            Change::RemoveSubject(subject) => delete(Entity::Subject(subject.clone())).await,
            Change::RemoveResource(resource) => delete(Entity::Resource(resource.clone())).await,
            Change::RemoveRole(role) => writer.delete_role(tenant, role, &author).await,
            Change::Role(role, permissions) => {
                let permissions = permissions.iter().map(|(action, on, rule): &(_, _, Rule)| {
                    let condition = rule.text().map(str::to_owned);
                    Permission { action: action.clone(), on: on.clone(), condition }
                });
                let form = Role { name: None, permissions: permissions.collect() };
                Ok(writer.put_role(tenant, role, &form, &author).await?.0)
            }
            Change::Member(..) | Change::Parent(..) | Change::Bind(..) | Change::Suspend(_) => {
                let (relationship, on) = relationship(change).expect("suspending is left out");
                let op = if on { Op::Touch } else { Op::Delete };
                let writes = vec![Write { op, relationship }];
                let list = WriteList { writes, preconditions: Vec::new() };
                writer.write_relationships(tenant, &list, &author).await
            }
        }
    }

    fn is_known(&self, tenant: &TenantId, subject: &SubjectRef) -> bool {
        self.state.named(&Key::subject(tenant, subject.type_, &subject.id)).is_some()
    }

    async fn check(
        &self,
        at: usize,
        ask: &Ask,
        token: bool,
        seen: &mut Seen,
    ) -> Result<(), String> {
        let Ask { subject, action, resource, europe } = ask.clone();
        let question = Question { tenant: self.tenants[at].clone(), subject, action, resource };
        let region = europe.then(|| Properties::from_iter([("region".to_owned(), json!("eu"))]));
        let given = Given { context: region, ..Given::default() };
        let at_least = if token { AtLeast::Revision(self.last) } else { AtLeast::Bound };
        let answer = self.checker.check(&question, &given, at_least).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let now = self.checker.shared().clock.micros();
        let wanted = allows((&self.state, &self.state), &question, &given, now);
        *(if answer.allowed { &mut seen.allowed } else { &mut seen.denied }) += 1;
        seen.cached += u64::from(answer.source != Source::Graph);
        // As if the subject were too large for a view.
        let narrowed = if token { self.narrowed(&question, &given, now).await? } else { wanted };
        let right = (answer.allowed, narrowed) == (wanted, wanted);
        let told = || format!("{question:?} with {given:?}: {answer:?}, narrowed {narrowed}");
        right.then_some(()).ok_or_else(told)
    }

    async fn narrowed(
        &self,
        question: &Question,
        given: &Given,
        now: Micros,
    ) -> Result<bool, String> {
        let Question { tenant, subject, action, resource } = question;
        let graph = &self.checker.shared().graph;
        let told = |error: crate::graph::GraphError| error.to_string();
        let of = graph.narrowed(tenant, subject, action, resource, Mode::Strict).await;
        let (of, on) =
            (of.map_err(told)?.view, graph.resource(tenant, resource, Mode::Strict).await);
        let on = on.map_err(told)?.view;
        let stored = Stored { subject: of.attributes.clone(), resource: on.attributes.clone() };
        let verdict = evaluate(&of, &on, action, now);
        let says = settle(verdict, stored, &question.words(), given, Precedence::Request, now);
        Ok(says == Says::Allow)
    }

    async fn step(&mut self, step: &Step, seen: &mut Seen) -> Result<(), String> {
        let shared = Arc::clone(self.checker.shared());
        match step {
            Step::Write(at, change) => self.write(*at, change).await?,
            Step::Check(at, ask, token) => self.check(*at, ask, *token, seen).await?,
            Step::Advance => shared.freshness.advance(self.last, shared.clock.millis()),
            Step::Clock(micros) => shared.clock.step(micros.unsigned_abs() / 1000, *micros),
        }
        Ok(())
    }
}

fn is_itself(change: &Change) -> bool {
    match change {
        Change::Member(subject, team, _) => {
            subject.type_ == SubjectType::Team && subject.id == *team
        }
        Change::Parent(resource, parent, _) => resource == parent,
        _ => false,
    }
}

async fn play(
    graph: &Arc<GraphDb>,
    name: String,
    strangers: Strangers,
    steps: Vec<Step>,
) -> Result<Seen, String> {
    let (mut run, mut seen) = (Run::new(graph, &name, strangers), Seen::default());
    for change in ground() {
        for at in 0..2 {
            run.write(at, &change).await?;
        }
    }
    for (n, step) in steps.iter().enumerate() {
        let told = |error| format!("step {n} of {steps:#?}\n{error}");
        run.step(step, &mut seen).await.map_err(told)?;
    }
    Ok(seen)
}

on_each_graph!(the_real_graph_and_the_cached_edge_answer_as_the_naive_evaluator);

async fn the_real_graph_and_the_cached_edge_answer_as_the_naive_evaluator(graph: GraphDb) {
    let graph = Arc::new(graph);
    schema::apply(&graph).await.unwrap();
    let sequences = std::env::var("TRIAD_SEQUENCES").map_or(1000, |n| n.parse().unwrap());
    let (run, mut runner) = (uuid::Uuid::new_v4().simple().to_string(), TestRunner::default());
    let strategy = prop::collection::vec(step(), 1..40);
    let all = (0..sequences).map(|n| {
        let steps = strategy.new_tree(&mut runner).unwrap().current();
        let strangers = if n % 2 == 0 { Strangers::Barred } else { Strangers::Everyone };
        play(&graph, format!("l{}-{n}", &run[..8]), strangers, steps)
    });
    let all: Vec<Seen> = futures::stream::iter(all)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let of = |count: fn(&Seen) -> u64| all.iter().map(count).sum::<u64>();
    let (allowed, denied, cached) = (of(|s| s.allowed), of(|s| s.denied), of(|s| s.cached));
    let most = allowed + denied;
    // A test in which nothing is ever allowed, or cached, would show little.
    assert!(allowed > most / 20 && cached > most / 20, "{allowed} {denied} {cached}");
}

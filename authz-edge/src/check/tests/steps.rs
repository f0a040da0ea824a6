//! What random sequences are made of: few subjects, teams, roles and resources, so that they meet.

use proptest::prelude::*;

use super::edge::LIFE;
use super::memory::{GIANT, What};
use super::world::{Change, Rule, team};
use crate::model::key::EVERYONE;
use crate::model::view::Micros;
use crate::model::{ResourceRef, Scope, SubjectRef, SubjectType};

/// One second on the wall.
pub(super) const SECOND: Micros = 1_000_000;

#[derive(Debug, Clone)]
pub(super) enum Step {
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
    /// One of its reads has looked and does not return; these are written and delivered meanwhile.
    Race(usize, Ask, What, Vec<Change>),
}

/// A check that a step asks for.
pub(super) struct Asked {
    pub(super) tenant: usize,
    pub(super) ask: Ask,
    pub(super) back: Option<usize>,
    pub(super) race: Option<(What, Vec<Change>)>,
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

/// Changes of both sides of a question, of which each alone may change nothing.
fn meanwhile(ask: &Ask) -> impl Strategy<Value = Vec<Change>> + use<> {
    let (of, to) = (ask.resource.clone(), ask.subject.clone());
    let forever = prop::option::of(Just(super::world::until(None)));
    let about = prop_oneof![
        (resource(), any::<bool>()).prop_map(move |(parent, on)| Change::Parent(
            of.clone(),
            parent,
            on
        )),
        (prop_oneof![Just(to), holder()], role(), scope(), forever)
            .prop_map(|(who, role, on, until)| Change::Bind(who, role, on, until)),
        change(),
    ];
    prop::collection::vec(about, 1..5)
}

fn race() -> impl Strategy<Value = (Ask, What, Vec<Change>)> {
    let what = [What::Subject, What::Closure, What::Parts, What::Resource, What::Narrowed];
    let what = prop::sample::select(what.to_vec());
    ask().prop_flat_map(move |ask| (Just(ask.clone()), what.clone(), meanwhile(&ask)))
}

pub(super) fn step() -> impl Strategy<Value = Step> {
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
        6 => (tenant(), race())
            .prop_map(|(at, (ask, what, changes))| Step::Race(at, ask, what, changes)),
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

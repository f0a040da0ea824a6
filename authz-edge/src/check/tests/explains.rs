//! Explanations of random worlds: the decision is that of a check and of the naive evaluator, and every
//! path that is shown is there.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use contracts::TenantId;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::json;

use super::edge::{Edge, acme, anna, doc, options, question};
use super::steps::{Ask, SECOND, ask, change, ground};
use super::world::{Change, Rule, State, allows, team};
use crate::check::explain::answer::{Cycle, Explanation, Outcome, Path, Reason};
use crate::check::explain::explain;
use crate::check::{AtLeast, Given, Question};
use crate::model::condition::Precedence;
use crate::model::key::EVERYONE;
use crate::model::view::Micros;
use crate::model::{Key, Properties, ResourceRef, Scope, SubjectRef, SubjectType};

fn id_of(state: &State, tenant: &TenantId, subject: &SubjectRef) -> u64 {
    state.named(&Key::subject(tenant, subject.type_, &subject.id)).expect("it is there")
}

fn place_of(state: &State, tenant: &TenantId, resource: &ResourceRef) -> Option<u64> {
    state.named(&Key::resource(tenant, &resource.type_, &resource.id))
}

/// Whether each leads to the next.
fn is_way(state: &State, nodes: &[u64]) -> bool {
    nodes.windows(2).all(|pair| state.nodes[&pair[0]].up.contains(&pair[1]))
}

fn shown_are_there(state: &State, question: &Question, path: &Path) -> Result<(), TestCaseError> {
    let tenant = &question.tenant;
    prop_assert_eq!(&path.through[0], &question.subject);
    let holder = path.through.last().expect("two ends");
    if holder.id == EVERYONE {
        prop_assert_eq!(path.through.len(), 2);
    } else {
        let nodes: Vec<_> = path.through.iter().map(|s| id_of(state, tenant, s)).collect();
        prop_assert!(is_way(state, &nodes), "{path:?}");
    }
    let role = state.named(&Key::role(tenant, &path.binding.role)).expect("the role is there");
    let bound = &state.nodes[&id_of(state, tenant, holder)].bound;
    prop_assert!(bound.iter().any(|bound| bound.role == role), "{path:?}");
    for covers in [&path.binding.covers, &path.permission.covers] {
        let nodes: Vec<_> = covers.iter().filter_map(|r| place_of(state, tenant, r)).collect();
        prop_assert!(is_way(state, &nodes), "{path:?}");
        prop_assert!(covers.first().is_none_or(|first| *first == question.resource));
    }
    Ok(())
}

/// How many bindings there are, and with how many permissions for the action each.
fn naive_paths(state: &State, question: &Question) -> Vec<usize> {
    let Question { tenant, subject, action, .. } = question;
    let key = Key::subject(tenant, subject.type_, &subject.id);
    let mut holders = state.closure(state.named(&key));
    if subject.type_ != SubjectType::Team {
        holders.extend(state.named(&Key::everyone(tenant, subject.type_)));
    }
    let bound = holders.iter().flat_map(|id| &state.nodes[id].bound);
    let roles = bound.filter_map(|bound| state.nodes.get(&bound.role));
    roles.map(|role| role.permits.iter().filter(|p| p.action == *action).count()).collect()
}

/// Whether a ring is met from a node.
fn has_ring(state: &State, from: Option<u64>) -> bool {
    let reached = state.closure(from);
    let again = |id: &u64| {
        let up = state.nodes[id].up.iter().flat_map(|up| state.closure(Some(*up)));
        BTreeSet::from_iter(up).contains(id)
    };
    reached.iter().any(again)
}

fn judge(state: &State, question: &Question, found: &Explanation) -> Result<(), TestCaseError> {
    prop_assert!(!found.truncated);
    prop_assert_eq!(found.decision, found.reason == Reason::Allowed);
    prop_assert!(found.paths.is_sorted_by_key(|path| path.outcome));
    let granted = found.paths.iter().any(|path| path.outcome == Outcome::Granted);
    prop_assert_eq!(granted, found.decision);
    for path in &found.paths {
        shown_are_there(state, question, path)?;
    }
    let naive = naive_paths(state, question);
    prop_assert_eq!(found.counts.bindings, naive.len());
    prop_assert_eq!(found.paths.len(), naive.iter().sum::<usize>());
    if found.subject.standing == "active" {
        prop_assert_eq!(found.reason == Reason::NoBinding, naive.is_empty());
        let none = !naive.is_empty() && found.paths.is_empty();
        prop_assert_eq!(found.reason == Reason::NoPermission, none);
    }
    let is_team = |cycle: &&Cycle| matches!(cycle, Cycle::Teams(_));
    let teams = found.cycles.iter().filter(is_team).count();
    let me =
        state.named(&Key::subject(&question.tenant, question.subject.type_, &question.subject.id));
    prop_assert_eq!(teams > 0, has_ring(state, me));
    let at = place_of(state, &question.tenant, &question.resource);
    prop_assert_eq!(found.cycles.len() > teams, has_ring(state, at));
    Ok(())
}

/// A context with that region, or none.
fn given(region: Option<&str>) -> Given {
    let context =
        region.map(|region| Properties::from_iter([("region".to_owned(), json!(region))]));
    Given { context, ..Given::default() }
}

#[test]
fn an_explanation_decides_as_a_check_and_shows_what_is_there() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    let world = (prop::collection::vec(change(), 0..25), prop::collection::vec(ask(), 1..12));
    let seen = RefCell::new(BTreeMap::<String, usize>::new());
    let outcome = TestRunner::new(config).run(&(world, 0..90_i64), |((changes, asks), wall)| {
        let edge = Edge::with(options());
        for change in ground().iter().chain(&changes) {
            edge.memory.commit(&acme(), change);
        }
        edge.clock.step(0, wall * SECOND);
        edge.advance();
        let state = edge.memory.with(|history| history.last());
        for (number, Ask { subject, action, resource, europe }) in asks.into_iter().enumerate() {
            let question = Question { tenant: acme(), subject, action, resource };
            // Elsewhere a condition is false, without a region it cannot be evaluated.
            let elsewhere = (number % 2 == 0).then_some("us");
            let region = if europe { Some("eu") } else { elsewhere };
            let (given, now) = (given(region), edge.clock.micros());
            let found = explained(&edge, &question, &given, now);
            let asked = edge.checker.check(&question, &given, AtLeast::Bound);
            let answer = runtime.block_on(asked).unwrap();
            prop_assert_eq!(found.decision, answer.allowed, "{:?}", found);
            prop_assert_eq!(found.decision, allows((&state, &state), &question, &given, now));
            judge(&state, &question, &found)?;
            *seen.borrow_mut().entry(format!("{:?}", found.reason)).or_default() += 1;
        }
        Ok(())
    });
    outcome.unwrap();
    // Every reason came up, so that each was compared.
    assert_eq!(seen.borrow().len(), 11, "{seen:?}");
}

fn explained(edge: &Edge, question: &Question, given: &Given, now: Micros) -> Explanation {
    let state = edge.memory.with(|history| history.last());
    let trace = edge.memory.trace(&state, question);
    explain(&trace, question, given, Precedence::Request, now).unwrap()
}

#[test]
fn it_reads_well() {
    let edge = Edge::seeded(options());
    let change = |change: &Change| drop(edge.memory.commit(&acme(), change));
    let folder = ResourceRef::new("folder", "f");
    let bind = |who, role: &str, on, until| Change::Bind(who, role.to_owned(), on, Some(until));
    let write = |rule| vec![("write".to_owned(), Scope::Type("doc".to_owned()), rule)];
    change(&Change::Role("editor".to_owned(), write(Rule::Europe)));
    change(&Change::Member(team("a"), "b".to_owned(), true));
    change(&Change::Member(team("b"), "a".to_owned(), true));
    change(&Change::Parent(doc("1"), folder.clone(), true));
    change(&bind(team("b"), "editor", Scope::Resource(folder), 5 * SECOND));
    let writes = Question { action: "write".to_owned(), ..question(anna(), doc("1")) };
    let ask = |europe: bool, now| explained(&edge, &writes, &given(europe.then_some("eu")), now);
    let by = "user:anna → team:a → team:b has role editor on folder:f";
    for (europe, now, reason, why) in [
        (true, 1, Reason::Allowed, "which permits write on every doc, its condition holds"),
        (
            false,
            1,
            Reason::ConditionFailed,
            "but its condition for write cannot be evaluated: `context.region` is absent",
        ),
        (true, 5 * SECOND, Reason::Expired, "but expired at 1970-01-01T00:00:05Z"),
    ] {
        let found = ask(europe, now);
        let may = if reason == Reason::Allowed { "may" } else { "may not" };
        assert_eq!(found.reason, reason);
        assert_eq!(found.summary, format!("user:anna {may} write doc:1: {by}, {why}"));
        assert_eq!(found.cycles, [Cycle::Teams(vec![team("a"), team("b")])]);
        assert_eq!(found.roles_without_action, ["reader"]);
    }
    let json = serde_json::to_value(ask(false, 1)).unwrap();
    let condition = json!({"text": r#"context.region == "eu""#, "missing": ["context.region"],
        "error": "`context.region` is absent"});
    assert_eq!(json["paths"][0]["permission"]["condition"], condition);
    let covers = json!([{"type": "doc", "id": "1"}, {"type": "folder", "id": "f"}]);
    assert_eq!(json["paths"][0]["binding"]["covers"], covers);
}

//! Many who ask at once: one large subject, one greedy tenant, one dear role.

use contracts::TenantId;
use futures::poll;
use serde_json::json;

use super::edge::{Edge, acme, anna, bind, doc, options, question, reads};
use super::memory::{GIANT, What};
use super::world::{Change, Rule};
use crate::check::{AtLeast, CheckError, Given, Question, Source};
use crate::graph::GraphError;
use crate::model::{Properties, Scope, SubjectRef, SubjectType};

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

fn large() -> (Edge, Question) {
    let edge = Edge::seeded(options());
    let giant = SubjectRef::new(SubjectType::User, GIANT);
    edge.change(&Change::Member(giant.clone(), "a".to_owned(), true));
    (edge, question(giant, doc("1")))
}

fn narrowed(edge: &Edge) -> usize {
    edge.memory.reads().iter().filter(|(what, _)| *what == What::Narrowed).count()
}

#[tokio::test]
async fn who_asks_of_a_large_subject_and_leaves_cancels_nothing() {
    for others in [true, false] {
        let (edge, asked) = large();
        let mut held = edge.memory.hold(What::Narrowed);
        let given = Given::default();
        let ask = || Box::pin(edge.checker.check(&asked, &given, AtLeast::Bound));
        let mut first = ask();
        assert!(poll!(&mut first).is_pending());
        settle().await;
        assert!(poll!(&mut first).is_pending());
        held.arrived().await;
        let mut second = ask();
        if others {
            assert!(poll!(&mut second).is_pending());
        }
        drop(first);
        held.release();
        settle().await;
        // With others or without: what was decided is there for who asks next.
        assert!(second.await.unwrap().allowed);
        assert_eq!(edge.ask(&asked).await.unwrap().source, Source::Decision);
        assert_eq!(narrowed(&edge), 1);
    }
}

#[tokio::test]
async fn what_a_read_of_a_large_subject_leaves_behind_is_void_when_either_view_is() {
    let (edge, asked) = large();
    let mut held = edge.memory.hold(What::Narrowed);
    let slow = edge.begin(&asked, AtLeast::Bound);
    held.arrived().await;
    slow.abort();
    // The resource's view, which is read already.
    edge.change(&Change::Open(doc("1"), None));
    held.release();
    settle().await;
    assert_eq!(edge.ask(&asked).await.unwrap().source, Source::Graph);
}

#[tokio::test]
async fn one_tenant_does_not_take_the_reads_of_another() {
    let mut options = options();
    options.views.fills = 4;
    let edge = Edge::with(options);
    let tenants: Vec<_> = (0..64).map(|n| TenantId::parse(&format!("t{n}")).unwrap()).collect();
    for tenant in tenants.iter().chain([&acme()]) {
        edge.memory.commit(tenant, &Change::Add(anna()));
    }
    edge.advance();
    let of = |tenant: &TenantId, n: usize| Question {
        tenant: tenant.clone(),
        ..question(anna(), doc(&n.to_string()))
    };
    // All reads that it gets hang, and more wait.
    let held: Vec<_> = (0..4).map(|_| edge.memory.hold(What::Resource)).collect();
    let greedy: Vec<_> = (0..100).map(|n| edge.begin(&of(&acme(), n), AtLeast::Bound)).collect();
    settle().await;
    edge.memory.hold_nothing();
    assert!(greedy.iter().all(|asked| !asked.is_finished()));
    let others: Vec<_> =
        tenants.iter().map(|of_it| edge.begin(&of(of_it, 1), AtLeast::Bound)).collect();
    for _ in 0..64 {
        settle().await;
    }
    // One of so many may share a place with it; most do not.
    let answered = others.iter().filter(|asked| asked.is_finished()).count();
    assert!(answered > tenants.len() / 2, "{answered} of {}", tenants.len());
    drop(held);
    for asked in greedy {
        asked.await.unwrap().unwrap();
    }
}

/// Forty numbers.
fn numbers() -> Given {
    let numbers = json!((0..40).collect::<Vec<_>>());
    let context = Some(Properties::from_iter([("n".to_owned(), numbers)]));
    Given { context, ..Given::default() }
}

fn dear(edge: &Edge, count: usize, last: Rule) {
    let permission = |rule| ("read".to_owned(), Scope::All, rule);
    let mut permissions = vec![permission(Rule::Dear); count];
    permissions.push(permission(last));
    edge.change(&Change::Role("reader".to_owned(), permissions));
}

#[tokio::test]
async fn a_decision_that_takes_too_many_steps_is_an_error_cached_or_not() {
    let edge = Edge::seeded(options());
    dear(&edge, 100, Rule::Europe);
    let (question, given) = (reads(), numbers());
    for _ in 0..3 {
        let limit = edge.checker.check(&question, &given, AtLeast::Bound).await.unwrap_err();
        assert!(matches!(limit, CheckError::Graph(GraphError::Limit(_))), "{limit:?}");
    }
    // The request decides: one that says less takes less, one for which something holds is allowed.
    assert!(!edge.may().await);
    let mut given = numbers();
    given.context.as_mut().unwrap().insert("region".to_owned(), json!("eu"));
    let allowed = edge.checker.check(&question, &given, AtLeast::Bound).await.unwrap();
    assert_eq!((allowed.allowed, allowed.source), (true, Source::Decision));
    assert!(edge.memory.reads().len() < 5, "a limit is no reason to read again");
}

#[tokio::test]
async fn a_long_answer_from_the_cache_lets_others_go_on() {
    let edge = Edge::seeded(options());
    dear(&edge, 1, Rule::Europe);
    let (question, given, brief) = (reads(), numbers(), Given::default());
    assert!(!edge.checker.check(&question, &given, AtLeast::Bound).await.unwrap().allowed);
    let mut long = Box::pin(edge.checker.check(&question, &given, AtLeast::Bound));
    assert!(poll!(&mut long).is_pending());
    assert_eq!(long.await.unwrap().source, Source::Decision);
    let mut short = Box::pin(edge.checker.check(&question, &brief, AtLeast::Bound));
    assert!(poll!(&mut short).is_ready());
}

#[tokio::test]
async fn a_large_subject_is_answered_for_many_with_one_read() {
    let (edge, asked) = large();
    edge.change(&bind("a"));
    edge.memory.reads();
    let given = Given::default();
    let many = (0..50).map(|_| edge.checker.check(&asked, &given, AtLeast::Bound));
    let answers = futures::future::join_all(many).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().allowed));
    assert_eq!(narrowed(&edge), 1);
}

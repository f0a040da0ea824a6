//! Orders of events that have been wrong somewhere, each by its name. Reads are held where a slow network
//! would hold them; the runtime is of one thread, so that every order is the one that is written here.

use contracts::Revision;
use futures::poll;

use super::edge::{Edge, STRICT_AFTER, acme, anna, bind, doc, options, question, reads, unbind};
use super::memory::{GIANT, What};
use super::world::{Change, Rule, team, until};
use crate::check::{AtLeast, Given, Options, Source};
use crate::graph::{GraphError, Mode};
use crate::model::{Scope, SubjectRef, SubjectType};

/// With fresh reads (best effort), and with an old watermark (strict).
fn both_modes() -> [Edge; 2] {
    let edges = [Edge::seeded(options()), Edge::seeded(options())];
    edges[1].clock.step(STRICT_AFTER + 1, 0);
    edges
}

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

fn giant() -> SubjectRef {
    SubjectRef::new(SubjectType::User, GIANT)
}

#[tokio::test]
async fn a_fill_that_lands_after_the_fence_of_a_write_is_never_answered_from() {
    for edge in both_modes() {
        let mut held = edge.memory.hold(What::Subject);
        let slow = edge.begin(&reads(), AtLeast::Bound);
        held.arrived().await;
        edge.change(&unbind("a"));
        held.release();
        // It was asked before the write: either answer is one.
        slow.await.unwrap().unwrap();
        assert!(!edge.may().await);
        assert!(!edge.may().await);
    }
}

#[tokio::test]
async fn a_resource_that_was_moved_while_it_was_read_is_read_again() {
    for edge in both_modes() {
        let folder = crate::model::ResourceRef::new("folder", "f");
        let on = Scope::Resource(folder.clone());
        edge.change(&unbind("a"));
        edge.change(&Change::Parent(doc("1"), folder.clone(), true));
        let bound = Change::Bind(anna(), "reader".to_owned(), on, Some(until(None)));
        edge.change(&bound);
        let mut held = edge.memory.hold(What::Resource);
        let slow = edge.begin(&reads(), AtLeast::Bound);
        held.arrived().await;
        edge.change(&Change::Parent(doc("1"), folder, false));
        held.release();
        slow.await.unwrap().unwrap();
        assert!(!edge.may().await);
    }
}

#[tokio::test]
async fn a_revocation_that_arrives_while_the_other_view_is_read_is_seen() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    // The subject is cached, the resource is not. First she loses the role, then it is opened: she may
    // read it at no time.
    let folder = crate::model::ResourceRef::new("folder", "f");
    let on = Scope::Resource(folder.clone());
    edge.change(&Change::Role("reader".to_owned(), vec![("read".to_owned(), on, Rule::Always)]));
    assert!(!edge.may().await);
    let mut held = edge.memory.hold(What::Resource);
    edge.change(&Change::Open(doc("1"), None));
    let slow = edge.begin(&reads(), AtLeast::Bound);
    held.arrived().await;
    edge.change(&unbind("a"));
    edge.change(&Change::Parent(doc("1"), folder, true));
    held.release();
    assert!(!slow.await.unwrap().unwrap().allowed);
    assert!(!edge.may().await);
}

#[tokio::test]
async fn a_lagging_alpha_below_the_watermark_is_read_again_strictly() {
    let edge = Edge::seeded(options());
    edge.memory.lag(3);
    // Its fence came before this edge listened.
    edge.write(&unbind("a"));
    edge.advance();
    assert!(!edge.may().await);
    let subject = edge.memory.reads().into_iter().filter(|(what, _)| *what == What::Subject);
    let modes: Vec<_> = subject.map(|(_, mode)| mode).collect();
    assert_eq!(modes, [Mode::BestEffort, Mode::Strict]);
    assert_eq!(edge.ask(&reads()).await.unwrap().source, Source::Decision);
}

#[tokio::test]
async fn a_lagging_alpha_below_a_fence_is_read_again_strictly() {
    let edge = Edge::seeded(options());
    edge.change(&unbind("a"));
    edge.memory.lag(1);
    assert!(!edge.may().await);
    assert!(edge.memory.reads().contains(&(What::Subject, Mode::Strict)));
    assert!(!edge.may().await);
}

#[tokio::test]
async fn before_the_first_watermark_and_after_a_clear_every_read_is_strict() {
    for clears in [false, true] {
        let edge = if clears { Edge::seeded(options()) } else { Edge::with(options()) };
        for change in [
            Change::Add(anna()),
            Change::Role("reader".to_owned(), vec![("read".to_owned(), Scope::All, Rule::Always)]),
            bind("a"),
            Change::Member(anna(), "a".to_owned(), true),
        ] {
            edge.write(&change);
        }
        edge.write(&unbind("a"));
        if clears {
            edge.freshness.clear("offset");
        }
        edge.memory.lag(1);
        assert!(!edge.may().await, "cleared: {clears}");
        assert!(edge.memory.reads().iter().all(|(_, mode)| *mode == Mode::Strict));
    }
}

#[tokio::test]
async fn with_an_old_watermark_reads_are_strict() {
    let edge = Edge::seeded(options());
    edge.clock.step(STRICT_AFTER + 1, 0);
    edge.memory.lag(1);
    edge.write(&unbind("a"));
    assert!(!edge.may().await);
}

#[tokio::test]
async fn two_relays_may_deliver_twice_and_in_any_order() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    let first = edge.write(&unbind("a"));
    let second = edge.write(&Change::Add(SubjectRef::new(SubjectType::User, "bob")));
    edge.raise(&second);
    edge.raise(&first);
    assert!(!edge.may().await);
    for late in [&second, &first, &first, &second] {
        edge.raise(late);
        let answer = edge.ask(&reads()).await.unwrap();
        // What was read after both is not void again.
        assert_eq!((answer.allowed, answer.source), (false, Source::Decision));
    }
    edge.change(&bind("a"));
    edge.raise(&first);
    assert!(edge.may().await);
}

#[tokio::test]
async fn a_clear_voids_what_is_cached_and_what_was_begun_before_it() {
    for edge in both_modes() {
        let mut held = edge.memory.hold(What::Subject);
        let slow = edge.begin(&reads(), AtLeast::Bound);
        held.arrived().await;
        // Its fence is among those that are lost.
        edge.write(&unbind("a"));
        edge.freshness.clear("offset");
        held.release();
        slow.await.unwrap().unwrap();
        assert!(!edge.may().await);
    }
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    edge.write(&unbind("a"));
    assert!(edge.may().await);
    edge.freshness.clear("offset");
    assert!(!edge.may().await);
}

#[tokio::test]
async fn another_epoch_voids_everything() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    edge.write(&unbind("a"));
    edge.freshness.set_epoch(contracts::GraphEpoch(2));
    assert!(!edge.may().await);
}

#[tokio::test]
async fn a_decision_whose_view_was_evicted_is_voided_by_the_fence_of_a_team() {
    let mut options = options();
    options.views.subject_bytes = 0;
    options.views.resource_bytes = 0;
    let edge = Edge::seeded(options);
    edge.change(&Change::Member(team("a"), "b".to_owned(), true));
    edge.change(&unbind("a"));
    edge.change(&bind("b"));
    assert!(edge.may().await);
    edge.memory.reads();
    // The views are gone, the decision is not.
    assert_eq!(edge.ask(&reads()).await.unwrap().source, Source::Decision);
    let other = question(anna(), doc("2"));
    assert!(edge.ask(&other).await.unwrap().allowed);
    assert!(edge.memory.reads().contains(&(What::Subject, Mode::BestEffort)));
    edge.change(&Change::Member(team("a"), "b".to_owned(), false));
    assert!(!edge.may().await);
}

#[tokio::test]
async fn a_waiter_does_not_get_what_was_read_before_its_own_write() {
    let edge = Edge::seeded(options());
    // Above the watermark, so that both take part in strict reads.
    let other = edge.write(&Change::Add(SubjectRef::new(SubjectType::User, "bob")));
    let mut held = edge.memory.hold(What::Subject);
    let first = edge.begin(&reads(), AtLeast::Revision(other.revision));
    held.arrived().await;
    // No relay has seen it.
    let own = edge.write(&unbind("a"));
    let (question, given) = (reads(), Given::default());
    let at_least = AtLeast::Revision(own.revision);
    let mut second = Box::pin(edge.checker.check(&question, &given, at_least));
    assert!(poll!(&mut second).is_pending());
    let subjects = || edge.memory.with(|h| h.reads.iter().filter(|r| r.0 == What::Subject).count());
    assert_eq!(subjects(), 1, "it takes part in the first one's read");
    held.release();
    let second = second.await.unwrap();
    assert!(!second.allowed);
    assert!(second.revision >= own.revision);
    assert!(first.await.unwrap().unwrap().allowed);
    assert_eq!(subjects(), 2);
}

#[tokio::test]
async fn who_joins_a_read_gets_nothing_that_was_void_before_the_question() {
    let edge = Edge::seeded(options());
    let other = edge.write(&Change::Add(SubjectRef::new(SubjectType::User, "bob")));
    let mut held = edge.memory.hold(What::Subject);
    let (tenant, anna) = (acme(), anna());
    let view = || Box::pin(edge.checker.subject(&tenant, &anna, other.revision));
    let mut first = view();
    assert!(poll!(&mut first).is_pending());
    held.arrived().await;
    edge.change(&unbind("a"));
    let mut second = view();
    assert!(poll!(&mut second).is_pending());
    held.release();
    let roles = |subject: super::super::views::Subject| subject.view.as_ref().unwrap().roles.len();
    assert_eq!((roles(first.await.unwrap()), roles(second.await.unwrap())), (1, 0));
}

#[tokio::test]
async fn a_token_above_the_watermark_is_not_answered_from_the_cache() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    let own = edge.write(&unbind("a"));
    assert!(edge.may().await, "its fence has not come");
    let (question, given) = (reads(), Given::default());
    let ask = |at_least| edge.checker.check(&question, &given, at_least);
    let answer = ask(AtLeast::Revision(own.revision)).await.unwrap();
    assert!(!answer.allowed && answer.revision >= own.revision);
}

#[tokio::test]
async fn tokens_do_not_lead_back() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    edge.change(&Change::Open(doc("1"), None));
    let token = edge.advance();
    // The subject was read long before, and still holds; only the resource is read.
    let (question, given) = (reads(), Given::default());
    let answer = edge.checker.check(&question, &given, AtLeast::Revision(token)).await.unwrap();
    assert_eq!(answer.source, Source::Graph);
    assert!(answer.revision >= token, "{answer:?} to who knew {token:?}");
}

#[tokio::test]
async fn who_leaves_first_cancels_nothing() {
    for others in [true, false] {
        let edge = Edge::seeded(options());
        let mut held = edge.memory.hold(What::Subject);
        let (question, given) = (reads(), Given::default());
        let ask = || Box::pin(edge.checker.check(&question, &given, AtLeast::Bound));
        let mut first = ask();
        assert!(poll!(&mut first).is_pending());
        held.arrived().await;
        let mut second = ask();
        if others {
            assert!(poll!(&mut second).is_pending());
        }
        drop(first);
        held.release();
        settle().await;
        // With others or without: what was read is there for who asks next.
        assert!(second.await.unwrap().allowed);
        let reads = edge.memory.reads();
        assert_eq!(reads.iter().filter(|(what, _)| *what == What::Subject).count(), 1);
    }
}

#[tokio::test]
async fn errors_are_not_cached_and_what_is_cached_answers_meanwhile() {
    let edge = Edge::seeded(options());
    let fail = |failure| edge.memory.with(|history| history.failure = failure);
    let down = GraphError::Unavailable("down".to_owned());
    fail(Some(down.clone()));
    for _ in 0..2 {
        let error = edge.ask(&reads()).await.unwrap_err();
        assert_eq!(error, crate::check::CheckError::Graph(down.clone()));
    }
    fail(None);
    assert!(edge.may().await);
    fail(Some(down));
    assert!(edge.may().await);
    edge.change(&Change::Bar(anna(), true));
    assert!(edge.ask(&reads()).await.is_err(), "never taken for a denial, nor for an allow");
}

#[tokio::test]
async fn a_subject_that_is_too_large_is_asked_for_each_question_and_voided_by_any_change() {
    let edge = Edge::seeded(options());
    edge.change(&Change::Member(giant(), "a".to_owned(), true));
    let asked = question(giant(), doc("1"));
    assert!(edge.ask(&asked).await.unwrap().allowed);
    assert_eq!(edge.ask(&asked).await.unwrap().source, Source::Decision);
    edge.memory.reads();
    // Of no concern to it, as far as anybody can see.
    edge.change(&Change::Add(SubjectRef::new(SubjectType::User, "bob")));
    assert_eq!(edge.ask(&asked).await.unwrap().source, Source::Graph);
    assert!(edge.memory.reads().contains(&(What::Narrowed, Mode::BestEffort)));
    edge.change(&unbind("a"));
    assert!(!edge.ask(&asked).await.unwrap().allowed);
    // In another tenant nothing of it is.
    let elsewhere = contracts::TenantId::parse("globex").unwrap();
    if edge.fences.tenant_place(&elsewhere) != edge.fences.tenant_place(&acme()) {
        let (keys, at) = edge.memory.commit(&elsewhere, &Change::Add(anna()));
        edge.fences.raise(&elsewhere, &keys, at);
        assert_eq!(edge.ask(&asked).await.unwrap().source, Source::Decision);
    }
}

#[tokio::test]
async fn a_question_about_a_large_subject_is_read_as_strictly_as_a_view() {
    // Below the watermark.
    let edge = Edge::seeded(options());
    edge.change(&Change::Member(giant(), "a".to_owned(), true));
    let asked = question(giant(), doc("1"));
    edge.memory.lag(5);
    edge.write(&unbind("a"));
    edge.advance();
    assert!(!edge.ask(&asked).await.unwrap().allowed);
    // With a watermark that is old.
    let edge = Edge::seeded(options());
    edge.change(&Change::Member(giant(), "a".to_owned(), true));
    edge.clock.step(STRICT_AFTER + 1, 0);
    edge.memory.lag(5);
    edge.write(&unbind("a"));
    assert!(!edge.ask(&asked).await.unwrap().allowed);
    // While it was read.
    let edge = Edge::seeded(options());
    edge.change(&Change::Member(giant(), "a".to_owned(), true));
    let mut held = edge.memory.hold(What::Narrowed);
    let slow = edge.begin(&asked, AtLeast::Bound);
    held.arrived().await;
    edge.change(&unbind("a"));
    held.release();
    slow.await.unwrap().unwrap();
    assert!(!edge.ask(&asked).await.unwrap().allowed);
    // With a token.
    let own = edge.write(&bind("a"));
    let given = Given::default();
    let answer = edge.checker.check(&asked, &given, AtLeast::Revision(own.revision));
    assert!(answer.await.unwrap().allowed);
}

#[tokio::test]
async fn a_fence_raised_by_the_edge_that_wrote_needs_no_relay() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    let own = edge.write(&unbind("a"));
    assert!(own.revision > Revision(0));
    edge.raise(&own);
    assert!(!edge.may().await);
}

#[tokio::test]
async fn what_is_made_again_under_the_same_name_inherits_nothing() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    let a = team("a");
    edge.change(&Change::RemoveSubject(a.clone()));
    assert!(!edge.may().await);
    edge.change(&Change::Add(a));
    edge.change(&bind("a"));
    assert!(!edge.may().await, "she belonged to the former one");
    edge.change(&Change::Member(anna(), "a".to_owned(), true));
    assert!(edge.may().await);
    edge.change(&Change::RemoveSubject(anna()));
    assert!(!edge.may().await);
    edge.change(&Change::Add(anna()));
    assert!(!edge.may().await);
}

#[tokio::test]
async fn a_decision_is_cached_when_it_is_asked_for_again() {
    let edge = Edge::seeded(Options { doorkeeper: 64, ..options() });
    let sources = async |asked: &crate::check::Question| {
        let mut sources = Vec::new();
        for _ in 0..3 {
            sources.push(edge.ask(asked).await.unwrap().source);
        }
        sources
    };
    assert_eq!(sources(&reads()).await, [Source::Graph, Source::Views, Source::Decision]);
    // One that is void has shown that it is worth an entry.
    edge.change(&Change::Bar(anna(), false));
    assert_eq!(sources(&reads()).await, [Source::Graph, Source::Decision, Source::Decision]);
    // Without an entry, each question about a large subject would be read again.
    edge.change(&Change::Member(giant(), "a".to_owned(), true));
    let large = sources(&question(giant(), doc("1"))).await;
    assert_eq!(large, [Source::Graph, Source::Decision, Source::Decision]);
}

#[tokio::test]
async fn an_answer_claims_no_watermark_that_came_after_its_views() {
    let edge = Edge::seeded(options());
    // Whenever one view is read, the other changes: the third look is taken as it is.
    let mut first = edge.memory.hold(What::Subject);
    let slow = edge.begin(&reads(), AtLeast::Bound);
    first.arrived().await;
    settle().await;
    edge.change(&Change::Open(doc("1"), None));
    let mut second = edge.memory.hold(What::Resource);
    first.release();
    second.arrived().await;
    edge.change(&Change::Bar(anna(), false));
    let mut third = edge.memory.hold(What::Closure);
    second.release();
    third.arrived().await;
    settle().await;
    edge.change(&Change::Open(doc("1"), Some(true)));
    let watermark = edge.advance();
    third.release();
    let answer = slow.await.unwrap().unwrap();
    assert!(answer.revision < watermark, "{answer:?} at {watermark:?}");
}

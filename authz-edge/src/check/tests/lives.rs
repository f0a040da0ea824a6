//! What time alone does to an answer: nothing here is delivered.

use serde_json::json;

use super::edge::{
    DENY_LIFE, Edge, LIFE, MAX_LIFE, STRICT_AFTER, anna, bind, doc, options, reads, unbind,
};
use super::memory::What;
use super::world::{Change, Rule};
use crate::check::{AtLeast, CheckError, Given, Source};
use crate::model::{Properties, Scope};

#[tokio::test]
async fn an_allow_lives_as_long_as_its_views_and_no_longer() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    edge.write(&unbind("a"));
    // Chance shortens a life by a tenth at most.
    edge.clock.step(LIFE - LIFE / 10 - 1, 0);
    assert_eq!(edge.ask(&reads()).await.unwrap().source, Source::Decision);
    edge.clock.step(LIFE / 10 + 1, 0);
    assert!(!edge.may().await);
}

#[tokio::test]
async fn the_life_of_a_decision_begins_with_its_views() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    edge.clock.step(LIFE / 2, 0);
    // A new decision, from one new view and one that is not.
    let other = super::edge::question(anna(), doc("2"));
    assert!(edge.ask(&other).await.unwrap().allowed);
    edge.write(&unbind("a"));
    edge.clock.step(LIFE / 2, 0);
    assert!(!edge.ask(&other).await.unwrap().allowed);
}

#[tokio::test]
async fn watermarks_renew_what_still_holds_and_the_bound_begins_with_the_last_one() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    for _ in 0..4 {
        edge.clock.step(LIFE / 2, 0);
        edge.advance();
        assert_eq!(edge.ask(&reads()).await.unwrap().source, Source::Decision);
    }
    // From views that are renewed alike.
    let other = super::edge::question(anna(), doc("2"));
    assert!(edge.ask(&other).await.unwrap().allowed);
    edge.write(&unbind("a"));
    edge.clock.step(LIFE, 0);
    assert!(!edge.may().await);
    assert!(!edge.ask(&other).await.unwrap().allowed);
}

#[tokio::test]
async fn a_denial_is_renewed_by_watermarks_too() {
    let edge = Edge::seeded(options());
    edge.change(&unbind("a"));
    edge.advance();
    assert!(!edge.may().await);
    for _ in 0..4 {
        edge.clock.step(DENY_LIFE - 1, 0);
        edge.advance();
        assert_eq!(edge.ask(&reads()).await.unwrap().source, Source::Decision);
    }
    // A new decision, from views that are older than a denial may be without word.
    let other = super::edge::question(anna(), doc("1"));
    let reader = crate::check::Question { action: "write".to_owned(), ..other };
    assert_eq!(edge.ask(&reader).await.unwrap().source, Source::Views);
    edge.write(&bind("a"));
    edge.clock.step(DENY_LIFE, 0);
    assert!(edge.may().await);
}

#[tokio::test]
async fn nothing_outlives_its_longest_life_whatever_watermarks_come() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    // Changed without a fence: what no watermark can tell.
    edge.write(&unbind("a"));
    for _ in 0..2 * MAX_LIFE / LIFE {
        edge.clock.step(LIFE / 2, 0);
        edge.freshness.advance(contracts::Revision(1), edge.clock.millis());
    }
    assert!(!edge.may().await);
}

/// Entries of every kind.
fn entries(edge: &Edge) -> Vec<u64> {
    let decisions = edge.checker.decisions();
    decisions.run_pending_tasks();
    let views = edge.checker.views().sizes().map(|(_, entries, _)| entries);
    views.into_iter().chain([decisions.entry_count()]).collect()
}

#[tokio::test]
async fn what_counts_no_more_is_pruned_and_what_may_count_again_is_not() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    // No watermark came: it may hold again.
    edge.clock.step(LIFE, 0);
    edge.checker.prune();
    edge.advance();
    assert_eq!(edge.ask(&reads()).await.unwrap().source, Source::Decision);
    let cached = entries(&edge);
    assert!(cached.iter().all(|entries| *entries > 0), "{cached:?}");
    while edge.clock.millis() < MAX_LIFE {
        edge.clock.step(LIFE / 2, 0);
        edge.advance();
    }
    assert_eq!(entries(&edge), cached, "nobody asks, and moka keeps it");
    edge.checker.prune();
    assert_eq!(entries(&edge), vec![0; cached.len()]);
    // What is read then stays, and what was cached before a clear does not.
    assert!(edge.may().await);
    edge.checker.prune();
    assert!(entries(&edge).iter().all(|entries| *entries > 0));
    edge.freshness.clear("offset");
    edge.checker.prune();
    assert_eq!(entries(&edge), vec![0; cached.len()]);
}

#[tokio::test]
async fn a_watermark_renews_nothing_that_was_read_before_a_clear() {
    let edge = Edge::seeded(options());
    assert!(edge.may().await);
    edge.write(&unbind("a"));
    edge.freshness.clear("offset");
    edge.advance();
    assert!(!edge.may().await);
}

#[tokio::test]
async fn a_life_counts_from_before_the_read_was_sent() {
    // Best effort while the watermark is young, strict when it is not.
    for age in [0, STRICT_AFTER + 1] {
        let edge = Edge::seeded(options());
        edge.clock.step(age, 0);
        let mut subject = edge.memory.hold(What::Subject);
        let mut resource = edge.memory.hold(What::Resource);
        let slow = edge.begin(&reads(), AtLeast::Bound);
        subject.arrived().await;
        resource.arrived().await;
        edge.write(&unbind("a"));
        edge.clock.step(LIFE, 0);
        subject.release();
        resource.release();
        slow.await.unwrap().unwrap();
        assert!(!edge.may().await, "{age}");
    }
}

#[tokio::test]
async fn a_denial_lives_shorter_than_an_allow() {
    let edge = Edge::seeded(options());
    edge.change(&unbind("a"));
    assert!(!edge.may().await);
    edge.write(&bind("a"));
    edge.clock.step(DENY_LIFE - 1, 0);
    assert_eq!(edge.ask(&reads()).await.unwrap().source, Source::Decision);
    edge.clock.step(1, 0);
    // Its views are not used for another life of a denial either.
    assert!(edge.may().await);
    edge.write(&unbind("a"));
    edge.clock.step(DENY_LIFE, 0);
    assert!(edge.may().await);
}

#[tokio::test]
async fn a_denial_may_have_no_life() {
    let mut options = options();
    options.deny_life = std::time::Duration::ZERO;
    let edge = Edge::seeded(options);
    edge.change(&unbind("a"));
    assert!(!edge.may().await);
    edge.write(&bind("a"));
    edge.clock.step(1, 0);
    assert!(edge.may().await);
}

#[tokio::test]
async fn a_binding_ends_between_two_hits_without_any_event() {
    let ends = 1_000_000;
    let europe = Properties::from_iter([("region".to_owned(), json!("eu"))]);
    let given = Given { context: Some(europe), ..Given::default() };
    for rule in [Rule::Always, Rule::Europe] {
        let edge = Edge::seeded(options());
        edge.change(&unbind("a"));
        let permissions = vec![("read".to_owned(), Scope::All, rule)];
        edge.change(&Change::Role("reader".to_owned(), permissions));
        edge.change(&Change::Bind(anna(), "reader".to_owned(), Scope::All, Some(ends)));
        let question = reads();
        let ask = || edge.checker.check(&question, &given, AtLeast::Bound);
        assert!(ask().await.unwrap().allowed);
        edge.clock.step(0, ends - 1 - edge.clock.micros());
        let hit = ask().await.unwrap();
        assert_eq!((hit.allowed, hit.source), (true, Source::Decision));
        edge.clock.step(0, 1);
        assert!(!ask().await.unwrap().allowed, "{rule:?}");
    }
}

#[tokio::test]
async fn of_two_ways_the_longer_one_remains_when_the_shorter_ends() {
    // The longer one has a condition, which the decision has forgotten: the views have not.
    let edge = Edge::seeded(options());
    edge.change(&unbind("a"));
    let europe = vec![("read".to_owned(), Scope::All, Rule::Open)];
    edge.change(&Change::Role("open".to_owned(), europe));
    edge.change(&Change::Bind(anna(), "open".to_owned(), Scope::All, Some(9_000)));
    edge.change(&Change::Bind(anna(), "reader".to_owned(), Scope::All, Some(5_000)));
    assert!(edge.may().await);
    edge.clock.step(0, 6_000);
    assert!(edge.may().await);
    edge.clock.step(0, 6_000);
    assert!(!edge.may().await);
}

#[tokio::test]
async fn who_fails_closed_answers_nothing_without_a_watermark_of_late() {
    let mut options = options();
    options.fail_closed_after = Some(std::time::Duration::from_millis(STRICT_AFTER));
    let edge = Edge::seeded(options.clone());
    assert!(edge.may().await);
    edge.clock.step(STRICT_AFTER, 0);
    assert!(edge.may().await);
    edge.clock.step(1, 0);
    assert!(matches!(edge.ask(&reads()).await, Err(CheckError::Lag(_))));
    edge.advance();
    assert!(edge.may().await);
    // Nor with none at all, as after a start.
    let edge = Edge::with(options);
    assert!(matches!(edge.ask(&reads()).await, Err(CheckError::Lag(_))));
}

#[tokio::test]
async fn who_fails_closed_answers_nothing_while_identities_wait() {
    let mut options = options();
    options.fail_closed_after = Some(std::time::Duration::from_millis(STRICT_AFTER));
    let edge = Edge::seeded(options);
    assert!(edge.may().await, "none come");
    edge.freshness.follow_identities();
    assert!(matches!(edge.ask(&reads()).await, Err(CheckError::Lag(_))), "nothing is known yet");
    edge.freshness.caught_up(edge.clock.millis());
    assert!(edge.may().await);
    // A watermark of now says nothing about them.
    edge.clock.step(STRICT_AFTER + 1, 0);
    edge.advance();
    assert!(matches!(edge.ask(&reads()).await, Err(CheckError::Lag(_))));
    edge.freshness.caught_up(edge.clock.millis() - STRICT_AFTER);
    assert!(edge.may().await);
}

#[tokio::test]
async fn properties_that_are_too_large_are_refused_whatever_is_cached() {
    let edge = Edge::seeded(options());
    let long = "x".repeat(crate::model::MAX_PROPERTIES_BYTES);
    let context = Some(std::iter::once(("x".to_owned(), long.into())).collect());
    let given = Given { context, ..Given::default() };
    for _ in 0..2 {
        let refused = edge.checker.check(&reads(), &given, AtLeast::Bound).await;
        assert!(matches!(refused, Err(CheckError::Invalid(_))), "{refused:?}");
        assert!(edge.may().await);
    }
}

//! Tokens of identities and of the graph: what is waited for, how often it is looked for, and for how long.

use std::time::Duration;

use axum::response::IntoResponse as _;
use contracts::{GraphEpoch, Revision};
use futures::poll;

use super::edge::{Edge, acme, options, reads};
use super::memory::What;
use crate::check::{Answer, AtLeast, CheckError, Given, Source};
use crate::graph::Mode;

const WAIT: Duration = Duration::from_secs(2);

fn edge() -> Edge {
    Edge::seeded(crate::check::Options { wait: WAIT, ..options() })
}

fn apply(edge: &Edge, seq: u64) {
    edge.memory.with(|history| history.applied = seq);
}

fn looks(edge: &Edge) -> usize {
    edge.memory.reads().iter().filter(|(what, _)| *what == What::Applied).count()
}

async fn ask(edge: &Edge, at_least: AtLeast) -> Result<Answer, CheckError> {
    edge.checker.check(&reads(), &Given::default(), at_least).await
}

#[tokio::test(start_paused = true)]
async fn an_identity_token_waits_until_sync_has_applied_it() {
    let edge = edge();
    apply(&edge, 4);
    let mut waiting = Box::pin(ask(&edge, AtLeast::Identity(5)));
    tokio::select! {
        answer = &mut waiting => panic!("{answer:?}"),
        () = tokio::time::sleep(WAIT / 2) => {}
    }
    apply(&edge, 5);
    let before = edge.memory.with(|history| history.now);
    let answer = waiting.await.unwrap();
    assert!(answer.allowed && answer.revision > Revision(before), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn an_identity_token_that_is_not_reached_in_time_is_behind() {
    let edge = edge();
    apply(&edge, 4);
    let begun = tokio::time::Instant::now();
    let behind = ask(&edge, AtLeast::Identity(5)).await.unwrap_err();
    assert!(matches!(&behind, CheckError::Behind(_)), "{behind:?}");
    assert!(begun.elapsed() < WAIT + Duration::from_millis(100));
    let response = crate::http::problem(&behind).into_response();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], crate::http::RETRY_SECONDS.to_string());
}

#[tokio::test]
async fn an_old_identity_token_is_answered_from_what_is_cached() {
    let edge = edge();
    apply(&edge, 5);
    assert!(ask(&edge, AtLeast::Identity(5)).await.unwrap().allowed);
    edge.advance();
    assert_eq!(ask(&edge, AtLeast::Bound).await.unwrap().source, Source::Decision);
    edge.memory.reads();
    for seq in [5, 4, 1] {
        let answer = ask(&edge, AtLeast::Identity(seq)).await.unwrap();
        assert_eq!(answer.source, Source::Decision);
    }
    assert_eq!(edge.memory.reads(), []);
    // What is known of one graph says nothing of another.
    edge.freshness.set_epoch(GraphEpoch(2));
    assert!(ask(&edge, AtLeast::Identity(5)).await.is_ok());
    assert_eq!(looks(&edge), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_identities_of_one_tenant_looks_with_all_others() {
    let edge = edge();
    let mut held = edge.memory.hold(What::Applied);
    let mut first = Box::pin(ask(&edge, AtLeast::Identity(5)));
    assert!(poll!(&mut first).is_pending());
    held.arrived().await;
    let mut second = Box::pin(ask(&edge, AtLeast::Identity(4)));
    assert!(poll!(&mut second).is_pending());
    assert_eq!(looks(&edge), 1);
    held.release();
    apply(&edge, 5);
    assert!(first.await.unwrap().allowed && second.await.unwrap().allowed);
    // And while they wait there is one look in twenty milliseconds, however many they are.
    let many: Vec<_> = (0..100).map(|n| ask(&edge, AtLeast::Identity(1000 + n))).collect();
    edge.memory.reads();
    let answers = futures::future::join_all(many).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(CheckError::Behind(_)))));
    let looks = looks(&edge);
    assert!(looks <= 110, "{looks}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_no_longer_than_one_check() {
    let edge = edge();
    let begun = tokio::time::Instant::now();
    let mut tokens: Vec<_> = (1..100).map(AtLeast::Identity).collect();
    tokens.push(AtLeast::Revision(Revision(3)));
    let reached = edge.checker.reached(&acme(), tokens.iter().copied()).await;
    assert!(begun.elapsed() < WAIT + Duration::from_millis(100));
    let now: Vec<_> = tokens.iter().map(|token| reached.now(*token)).collect();
    assert!(now[..99].iter().all(|now| matches!(now, Err(CheckError::Behind(_)))));
    assert_eq!(now[99], Ok(tokens[99]));
    apply(&edge, 99);
    let reached = edge.checker.reached(&acme(), tokens.iter().copied()).await;
    assert!(tokens.iter().all(|token| matches!(reached.now(*token), Ok(AtLeast::Revision(_)))));
}

#[tokio::test]
async fn a_revision_that_no_read_reaches_is_refused_after_one() {
    let edge = edge();
    let refused = ask(&edge, AtLeast::Revision(Revision(1 << 40))).await.unwrap_err();
    assert!(matches!(refused, CheckError::Behind(_)), "{refused:?}");
    let subjects = |reads: &[(What, Mode)]| reads.iter().filter(|r| r.0 == What::Subject).count();
    assert!(subjects(&edge.memory.reads()) <= 1);
}

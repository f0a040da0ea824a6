//! What is read again after a change, and what is not: the parts that a view shares with others.

use super::edge::{DENY_LIFE, Edge, LIFE, bind, doc, options, question, unbind};
use super::memory::What;
use super::world::{Change, Rule, team, until};
use crate::check::{AtLeast, Given, Question, Source};
use crate::graph::Mode;
use crate::model::{Scope, SubjectRef, SubjectType};

/// Members of team a, beside anna.
const CROWD: usize = 5;

fn member(n: usize) -> SubjectRef {
    SubjectRef::new(SubjectType::User, format!("m{n}"))
}

fn asks(n: usize) -> Question {
    question(member(n), doc("1"))
}

fn reader(action: &str) -> Change {
    Change::Role("reader".to_owned(), vec![(action.to_owned(), Scope::All, Rule::Always)])
}

/// All members are known, and may read.
async fn crowd() -> Edge {
    let edge = Edge::counted(options());
    for n in 0..CROWD {
        edge.change(&Change::Member(member(n), "a".to_owned(), true));
    }
    for n in 0..CROWD {
        assert!(edge.ask(&asks(n)).await.unwrap().allowed);
    }
    edge.advance();
    edge.memory.reads();
    edge
}

/// What was read, resources apart.
fn read(edge: &Edge) -> Vec<What> {
    let reads = edge.memory.reads().into_iter().map(|(what, _)| what);
    reads.filter(|what| *what != What::Resource).collect()
}

#[tokio::test]
async fn a_role_that_is_edited_is_read_once_for_all_who_hold_it() {
    let edge = crowd().await;
    edge.change(&reader("write"));
    for n in 0..CROWD {
        let answer = edge.ask(&asks(n)).await.unwrap();
        let source = if n == 0 { Source::Graph } else { Source::Views };
        assert_eq!((answer.allowed, answer.source), (false, source), "{n}");
    }
    assert_eq!(read(&edge), [What::Parts]);
}

#[tokio::test]
async fn what_a_team_gets_is_read_once_for_all_its_members() {
    let edge = crowd().await;
    edge.change(&unbind("a"));
    for n in 0..CROWD {
        assert!(!edge.ask(&asks(n)).await.unwrap().allowed, "{n}");
    }
    assert_eq!(read(&edge), [What::Parts]);
    edge.change(&Change::Role(
        "other".to_owned(),
        vec![("read".to_owned(), Scope::All, Rule::Always)],
    ));
    let other = Change::Bind(team("a"), "other".to_owned(), Scope::All, Some(until(None)));
    edge.change(&other);
    for n in 0..CROWD {
        assert!(edge.ask(&asks(n)).await.unwrap().allowed, "{n}");
    }
    // With the role that nobody has seen before.
    assert_eq!(read(&edge), [What::Parts]);
}

#[tokio::test]
async fn those_who_ask_at_once_share_the_read_of_a_part() {
    let edge = crowd().await;
    let mut held = edge.memory.hold(What::Parts);
    edge.change(&unbind("a"));
    let asked: Vec<_> = (0..CROWD).map(|n| edge.begin(&asks(n), AtLeast::Bound)).collect();
    held.arrived().await;
    held.release();
    for answer in asked {
        assert!(!answer.await.unwrap().unwrap().allowed);
    }
    assert_eq!(read(&edge), [What::Parts]);
}

#[tokio::test]
async fn a_membership_makes_nobody_elses_view_void() {
    let edge = crowd().await;
    edge.change(&Change::Member(member(0), "a".to_owned(), false));
    for n in 0..CROWD {
        let answer = edge.ask(&asks(n)).await.unwrap();
        let source = if n == 0 { Source::Graph } else { Source::Decision };
        assert_eq!((answer.allowed, answer.source), (n > 0, source), "{n}");
    }
    assert_eq!(read(&edge), [What::Closure]);
    // Of a team that nobody has seen yet, what it holds is read behind.
    edge.change(&Change::Role(
        "other".to_owned(),
        vec![("read".to_owned(), Scope::All, Rule::Always)],
    ));
    edge.change(&Change::Bind(team("b"), "other".to_owned(), Scope::All, Some(until(None))));
    edge.change(&Change::Member(member(0), "b".to_owned(), true));
    assert!(edge.ask(&asks(0)).await.unwrap().allowed);
    assert_eq!(read(&edge), [What::Closure, What::Parts]);
}

#[tokio::test]
async fn a_closure_that_lands_after_the_fence_of_a_write_is_never_answered_from() {
    let edge = crowd().await;
    edge.change(&Change::Member(member(0), "b".to_owned(), true));
    let mut held = edge.memory.hold(What::Closure);
    let slow = edge.begin(&asks(0), AtLeast::Bound);
    held.arrived().await;
    edge.change(&Change::Member(member(0), "a".to_owned(), false));
    held.release();
    slow.await.unwrap().unwrap();
    assert!(!edge.ask(&asks(0)).await.unwrap().allowed);
}

#[tokio::test]
async fn a_team_above_that_gets_another_one_is_followed() {
    let edge = crowd().await;
    edge.change(&unbind("a"));
    assert!(!edge.ask(&asks(0)).await.unwrap().allowed);
    edge.change(&bind("b"));
    edge.change(&Change::Member(team("a"), "b".to_owned(), true));
    assert!(edge.ask(&asks(0)).await.unwrap().allowed);
    edge.change(&Change::RemoveSubject(team("b")));
    assert!(!edge.ask(&asks(0)).await.unwrap().allowed);
}

#[tokio::test]
async fn a_part_that_lands_after_the_fence_of_a_write_is_never_answered_from() {
    let edge = crowd().await;
    edge.change(&reader("write"));
    let mut held = edge.memory.hold(What::Parts);
    let slow = edge.begin(&asks(0), AtLeast::Bound);
    held.arrived().await;
    edge.change(&reader("read"));
    edge.change(&unbind("a"));
    held.release();
    // Asked before the writes: it may be of before them, and never of between.
    slow.await.unwrap().unwrap();
    for n in 0..CROWD {
        assert!(!edge.ask(&asks(n)).await.unwrap().allowed, "{n}");
    }
}

#[tokio::test]
async fn a_part_from_an_alpha_that_lags_is_read_again_strictly() {
    let edge = crowd().await;
    edge.change(&unbind("a"));
    edge.memory.lag(1);
    assert!(!edge.ask(&asks(0)).await.unwrap().allowed);
    let reads = edge.memory.reads();
    assert_eq!(reads[..2], [(What::Parts, Mode::BestEffort), (What::Parts, Mode::Strict)]);
}

#[tokio::test]
async fn a_part_from_before_there_was_its_team_or_role_is_read_again() {
    for with_team in [true, false] {
        let edge = crowd().await;
        edge.change(&unbind("a"));
        assert!(!edge.ask(&asks(0)).await.unwrap().allowed);
        if with_team {
            edge.change(&bind("new"));
            edge.change(&Change::Member(member(0), "new".to_owned(), true));
        } else {
            let can = vec![("read".to_owned(), Scope::All, Rule::Always)];
            edge.change(&Change::Role("new".to_owned(), can));
            edge.change(&Change::Bind(team("a"), "new".to_owned(), Scope::All, Some(until(None))));
        }
        // An alpha that knows nothing of them, behind the one that was asked for the closure.
        let mut held = edge.memory.hold(if with_team { What::Closure } else { What::Parts });
        let slow = edge.begin(&asks(0), AtLeast::Bound);
        held.arrived().await;
        edge.memory.lag(3);
        held.release();
        assert!(slow.await.unwrap().unwrap().allowed, "{with_team}");
        assert!(edge.ask(&asks(0)).await.unwrap().allowed, "{with_team}");
    }
}

#[tokio::test]
async fn a_role_that_was_deleted_and_made_again_is_not_held() {
    let edge = crowd().await;
    edge.change(&Change::RemoveRole("reader".to_owned()));
    assert!(!edge.ask(&asks(0)).await.unwrap().allowed);
    edge.change(&reader("read"));
    for n in 0..CROWD {
        assert!(!edge.ask(&asks(n)).await.unwrap().allowed, "{n}");
    }
}

#[tokio::test]
async fn a_token_is_served_by_parts_that_hold_at_a_watermark_that_covers_it() {
    let edge = crowd().await;
    let written = edge.write(&unbind("a"));
    edge.raise(&written);
    let asked = AtLeast::Revision(written.revision);
    // No watermark covers it yet: all of it is read, and strictly.
    let answer = edge.checker.check(&asks(0), &Given::default(), asked).await.unwrap();
    assert!(!answer.allowed && answer.revision >= written.revision);
    assert_eq!(edge.memory.reads()[0], (What::Subject, Mode::Strict));
    edge.advance();
    let answer = edge.checker.check(&asks(1), &Given::default(), asked).await.unwrap();
    assert!(!answer.allowed && answer.revision >= written.revision);
    assert_eq!(read(&edge), [], "its parts were read with the other one's");
}

#[tokio::test]
async fn a_view_of_parts_dies_with_the_oldest_of_them() {
    let edge = crowd().await;
    // Without a word of any change, a denial counts as long as the reads of all its parts do.
    edge.clock.step(DENY_LIFE / 2, 0);
    edge.change(&unbind("a"));
    assert!(!edge.ask(&asks(0)).await.unwrap().allowed);
    edge.memory.reads();
    edge.write(&bind("a"));
    edge.write(&Change::Member(member(0), "c".to_owned(), true));
    edge.clock.step(DENY_LIFE / 2 + 1, 0);
    assert!(edge.ask(&asks(0)).await.unwrap().allowed);
    assert_eq!(read(&edge)[0], What::Subject, "the closure is too old");
}

#[tokio::test]
async fn parts_that_hold_apart_and_not_together_are_read_as_a_whole() {
    // Lives are shortened by chance: of so many, in some the older part has the longer one.
    for _ in 0..40 {
        let edge = crowd().await;
        edge.clock.step(LIFE / 3 * 2, 0);
        let can = ["read", "write"].map(|action| (action.to_owned(), Scope::All, Rule::Always));
        edge.change(&Change::Role("reader".to_owned(), can.to_vec()));
        assert!(edge.ask(&asks(0)).await.unwrap().allowed);
        edge.clock.step(LIFE / 3 - LIFE / 20, 0);
        assert!(edge.ask(&asks(0)).await.unwrap().allowed);
        // Not made again from the same parts for as long as they hold.
        assert_eq!(edge.ask(&asks(0)).await.unwrap().source, Source::Decision);
    }
}

#[tokio::test]
async fn a_clear_leaves_no_part() {
    let edge = crowd().await;
    edge.write(&unbind("a"));
    edge.freshness.clear("lost");
    for n in 0..CROWD {
        assert!(!edge.ask(&asks(n)).await.unwrap().allowed, "{n}");
    }
    assert!(!edge.may().await);
}

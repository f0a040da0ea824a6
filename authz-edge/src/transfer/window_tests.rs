use proptest::prelude::*;

use super::*;
use crate::model::{Properties, SubjectType};

fn member(user: u8, team: u8) -> Relationship {
    let subject = SubjectRef::new(SubjectType::User, user.to_string());
    Relationship::MemberOf { subject, team: team.to_string() }
}

fn until(user: u8, seconds: i64) -> Relationship {
    let subject = SubjectRef::new(SubjectType::User, user.to_string());
    let expires_at = chrono::DateTime::from_timestamp(seconds, 0);
    Relationship::HasRole { subject, role: "r".to_owned(), on: Scope::All, expires_at }
}

proptest! {
    #[test]
    fn batches_hold_every_relationship_once_and_what_begins_at_a_node_together(
        edges in prop::collection::vec((0_u8..6, 0_u8..6), 0..60),
        most in 1_usize..9,
    ) {
        let lines: Vec<_> = (1_u64..).zip(edges.iter().map(|(u, t)| member(*u, *t))).collect();
        let batches = relationship_batches(lines, most);
        let mut homes = HashMap::new();
        let mut seen = vec![];
        for (at, batch) in batches.iter().enumerate() {
            prop_assert!(!batch.is_empty() && batch.len() <= 8 * most);
            for (_, one) in batch {
                let Relationship::MemberOf { subject, team } = one else { unreachable!() };
                prop_assert_eq!(*homes.entry(subject.id.clone()).or_insert(at), at);
                seen.push((subject.id.clone(), team.clone()));
            }
        }
        let mut wanted: Vec<_> =
            edges.iter().map(|(u, t)| (u.to_string(), t.to_string())).collect();
        wanted.sort();
        wanted.dedup();
        seen.sort();
        prop_assert_eq!(seen, wanted);
    }
}

#[test]
fn of_two_lines_about_one_relationship_the_later_is_kept() {
    let lines = vec![(3, until(1, 30)), (4, until(2, 5)), (5, until(1, 50)), (9, until(1, 90))];
    let batches = relationship_batches(lines, 100);
    assert_eq!(batches, [vec![(9, until(1, 90)), (4, until(2, 5))]]);
    assert_eq!(last_of_each(vec!["a1", "b1", "a2"], |one| one.as_bytes()[0]), ["b1", "a2"]);
}

#[test]
fn large_attributes_make_small_batches() {
    let entity = |n: u64, bytes: usize| {
        let attributes = Properties::from_iter([("a".to_owned(), "x".repeat(bytes).into())]);
        let subject = SubjectRef::new(SubjectType::User, n.to_string());
        (n, Entity::Subject(subject), EntityForm { attributes: Some(attributes), active: None })
    };
    let all = vec![entity(1, 10), entity(2, 10), entity(3, 512), entity(4, 9999), entity(5, 1)];
    let lengths: Vec<_> = entity_batches(all, 3).iter().map(Vec::len).collect();
    assert_eq!(lengths, [2, 1, 1, 1]);
    assert!(entity_batches(vec![], 3).is_empty());
}

const HEADER: &str = r#"{"header":{"format":"triad.graph","version":1,"tenant":"acme","epoch":"00000000000000ab","revision":42}}"#;

fn file() -> String {
    let mut lines = vec![HEADER.to_owned()];
    lines.extend((0..3).map(|n| format!(r#"{{"role":{{"id":"r-{n}","permissions":[]}}}}"#)));
    lines.extend((0..5).map(|n| format!(r#"{{"resource":{{"type":"doc","id":"d-{n}"}}}}"#)));
    lines.push(r#"{"end":{"roles":3,"subjects":0,"resources":5,"relationships":0}}"#.to_owned());
    lines.join("\n") + "\n"
}

fn numbers(window: &Window) -> Vec<u64> {
    window.lines.iter().map(|(number, _)| *number).collect()
}

#[test]
fn a_window_has_one_kind_and_reading_goes_on_behind_any() {
    let text = file();
    let mut windows = Windows::new(text.as_bytes(), 4);
    let expected = [vec![2, 3, 4], vec![5, 6, 7, 8], vec![9]];
    for (at, wanted) in expected.iter().enumerate() {
        let window = windows.window().unwrap().unwrap();
        assert_eq!(numbers(&window), *wanted);
        let rest = &text.as_bytes()[usize::try_from(window.offset).unwrap()..];
        let mut again = Windows::behind(rest, 4, window.counts, window.offset);
        for wanted in &expected[at + 1..] {
            assert_eq!(numbers(&again.window().unwrap().unwrap()), *wanted);
        }
        assert!(again.window().unwrap().is_none());
    }
    assert!(windows.window().unwrap().is_none());
}

#[test]
fn nothing_is_returned_of_a_window_with_a_bad_line() {
    let bad = file().replace(r#"{"resource":{"type":"doc","id":"d-1"}}"#, "{");
    let mut windows = Windows::new(bad.as_bytes(), 100);
    assert_eq!(numbers(&windows.window().unwrap().unwrap()), [2, 3, 4]);
    assert!(matches!(windows.window(), Err(TransferError::Line { line: 6, .. })));
    let cut = file();
    let cut = &cut[..cut.len() - 10];
    let mut windows = Windows::new(cut.as_bytes(), 100);
    windows.window().unwrap();
    assert!(matches!(windows.window(), Err(TransferError::Line { line: 10, .. })));
    let long = format!("{HEADER}\n{}", " ".repeat(MAX_LINE + 1));
    let mut windows = Windows::new(long.as_bytes(), 100);
    assert!(matches!(windows.window(), Err(TransferError::Line { line: 2, .. })));
}

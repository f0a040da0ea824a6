use std::collections::BTreeMap;

use ingest::event::Limits;
use ingest::layout::{EVERYONE, Layout, Layouts};

use super::*;
use crate::run::Run;

const LIMITS: Limits = Limits { max_record_bytes: 65_536, max_fields: 64, max_depth: 16 };

/// The ledger of a run of 30 records, each tenth poisonous, with methods that book like a reader.
struct Books {
    ledger: Ledger,
    now: i64,
}

impl Books {
    fn new() -> Self {
        Self::with(None)
    }

    /// A run among others, of which Kafka acknowledged all but these.
    fn among(doubtful: &[u64]) -> Self {
        let place = |index: u64| (!doubtful.contains(&index)).then_some((0, index.cast_signed()));
        let acknowledged = (0..30).map(place).collect();
        let stored = Some("another-p".to_owned());
        Self::with(Some(Among { acknowledged, stored, ..Among::default() }))
    }

    fn with(among: Option<Among>) -> Self {
        let run = Run { poison_every: 10, ..Run::example(30) };
        let now = (run.time(29) / 10_000).cast_signed() + 60_000;
        let layouts = Layouts::from_rows([(EVERYONE.to_owned(), Layout::DEFAULT)]).unwrap();
        Self { ledger: Ledger::new(Expecter::new(&run, layouts, LIMITS), false, among), now }
    }

    fn row(&self, index: u64, spoil: impl FnOnce(&mut Expected)) {
        let (mut row, mut scratch) = (Expected::default(), Expected::default());
        self.ledger.expecter.row(index, &mut row).unwrap();
        spoil(&mut row);
        let (class, tenant) = (usize::from(row.key[0]), usize::from(row.key[1]));
        let class = ClassId::all().nth(class).unwrap();
        let source_id = format!("test-1-{index}");
        let event_time = i64::from_be_bytes(*row.body.first_chunk().unwrap());
        let found = Found {
            class,
            tenant: &row.key[2..2 + tenant],
            bucket: &row.key[2 + tenant..],
            body: &row.body,
            source_id: source_id.as_bytes(),
            ttl: class.remaining_seconds(event_time, self.now),
            now: self.now,
        };
        self.ledger.row(found, &mut scratch);
    }

    fn letter(&self, index: u64, offset: i64, reason: Option<&str>) {
        let (mut record, mut scratch) = (Draft::default(), Draft::default());
        self.ledger.expecter.record(index, &mut record);
        let own = match self.ledger.expecter.run().kind(index) {
            Kind::Poison(rule) => rule.reason().code(),
            _ => "none",
        };
        let letter = Letter {
            index: Some(index),
            key: &record.key,
            value: &record.value,
            reason: reason.unwrap_or(own),
            origin: Some(("lt.test-1.events", 0, offset)),
            at: (0, 0),
        };
        self.ledger.letter(letter, &mut scratch);
    }

    /// Everything as it should be, but for the rows and letters of `except`.
    fn all_but(except: &[u64]) -> Self {
        Self::new().filled(except)
    }

    fn filled(self, except: &[u64]) -> Self {
        for index in (0..30).filter(|index| !except.contains(index)) {
            match self.ledger.expecter.run().kind(index) {
                Kind::Good => self.row(index, |_| {}),
                _ => self.letter(index, index.cast_signed(), None),
            }
        }
        self
    }

    fn problems(&self) -> BTreeMap<&'static str, u64> {
        self.ledger.close(self.now).problems
    }
}

#[test]
fn a_complete_run_is_proved() {
    let verdict = Books::all_but(&[]).ledger.close(0);
    assert!(verdict.ok, "{:?}", verdict.first);
    assert_eq!((verdict.stored, verdict.expired), (27, 0));
    assert_eq!(verdict.dead_lettered.values().sum::<u64>(), 3);
}

#[test]
fn a_missing_row_and_a_missing_letter_are_lost() {
    assert_eq!(Books::all_but(&[3, 9]).problems(), BTreeMap::from([("lost", 2)]));
}

#[test]
fn a_row_twice_is_a_double() {
    let books = Books::all_but(&[]);
    books.row(3, |_| {});
    assert_eq!(books.problems(), BTreeMap::from([("double", 1)]));
}

#[test]
fn other_content_or_another_place_differs_and_its_event_is_lost() {
    for spoil in [
        |row: &mut Expected| *row.body.last_mut().unwrap() ^= 1,
        |row: &mut Expected| row.body[12] ^= 1,
        |row: &mut Expected| *row.key.last_mut().unwrap() ^= 1,
        |row: &mut Expected| row.key[0] ^= 1,
    ] {
        let books = Books::all_but(&[4]);
        books.row(4, spoil);
        assert_eq!(books.problems(), BTreeMap::from([("differs", 1), ("lost", 1)]));
    }
}

#[test]
fn a_row_of_nobody_is_a_stranger_and_a_canary_is_none() {
    let books = Books::all_but(&[]);
    let mut scratch = Expected::default();
    let found = |tenant: &'static [u8], bucket: &'static [u8]| Found {
        class: ClassId::ONE_YEAR,
        tenant,
        bucket,
        body: &[],
        source_id: b"test-1-9",
        ttl: None,
        now: 0,
    };
    books.ledger.row(found(b"_system", b"canary"), &mut scratch);
    books.ledger.row(found(b"acme-0000", b"2026-11-22"), &mut scratch);
    assert_eq!(books.problems(), BTreeMap::from([("stranger", 1)]), "9 is a poison's index");
}

#[test]
fn copies_of_one_origin_count_once_and_two_origins_are_a_double() {
    let books = Books::all_but(&[]);
    books.letter(9, 9, None);
    let verdict = books.ledger.close(books.now);
    assert!(verdict.ok);
    assert_eq!(verdict.dead_letter_copies, 1);
    let books = Books::all_but(&[]);
    books.letter(9, 77, None);
    assert_eq!(books.problems(), BTreeMap::from([("double", 1)]));
}

#[test]
fn a_reason_must_be_the_record_s_own() {
    let books = Books::all_but(&[9]);
    books.letter(9, 9, Some("invalid_ip"));
    assert_eq!(books.problems(), BTreeMap::from([("wrong_reason", 1)]));
    let books = Books::all_but(&[4]);
    books.letter(4, 4, Some("database_rejected"));
    assert_eq!(books.problems(), BTreeMap::from([("wrong_reason", 1)]), "4 is good");
}

#[test]
fn what_outlived_its_class_has_expired() {
    let books = Books::all_but(&[4]);
    let verdict = books.ledger.close(books.now + 400 * 86_400_000);
    assert!(verdict.ok);
    assert_eq!(verdict.expired, 1);
}

#[test]
fn what_kafka_did_not_acknowledge_may_be_there_once_or_not() {
    let books = Books::among(&[3, 9]).filled(&[3, 9]);
    assert!(books.ledger.close(books.now).ok);
    let books = Books::among(&[3, 9]).filled(&[]);
    assert!(books.ledger.close(books.now).ok);
    let books = Books::among(&[3, 9]).filled(&[]);
    books.row(3, |_| {});
    books.letter(9, 77, None);
    assert_eq!(books.problems(), BTreeMap::from([("double", 2)]));
    let verdict = Books::among(&[3]).filled(&[3, 4]).ledger.close(0);
    assert_eq!(verdict.problems, BTreeMap::from([("lost", 1)]));
    assert!(verdict.first[0].contains("0/4"), "it says where it was: {:?}", verdict.first);
}

#[test]
fn among_others_only_what_names_the_run_is_looked_at() {
    let row = |source_id: &'static [u8]| Found {
        class: ClassId::ONE_YEAR,
        tenant: b"acme-0000",
        bucket: b"2026-11-22",
        body: &[],
        source_id,
        ttl: None,
        now: 0,
    };
    let books = Books::among(&[]).filled(&[]);
    let (mut scratch, mut draft) = (Expected::default(), Draft::default());
    books.ledger.row(row(b"another-3"), &mut scratch);
    books.ledger.row(row(b"test-1-p3"), &mut scratch);
    let letter = Letter {
        index: None,
        key: b"",
        value: b"",
        reason: "empty",
        origin: Some(("lt.test-1.events", 0, 7)),
        at: (0, 0),
    };
    books.ledger.letter(letter, &mut draft);
    assert_eq!(books.problems(), BTreeMap::new());
    let books = Books::among(&[]).filled(&[]);
    books.ledger.row(row(b"test-1-99"), &mut scratch);
    assert_eq!(books.problems(), BTreeMap::from([("stranger", 1)]), "nobody sent 99");
    let good = Letter { value: br#"{"id":"another-p7"}"#, ..letter };
    let books = Books::among(&[]).filled(&[]);
    books.ledger.letter(good, &mut draft);
    assert_eq!(books.problems(), BTreeMap::from([("stranger", 1)]), "it was good");
}

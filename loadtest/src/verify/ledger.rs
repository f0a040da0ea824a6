//! What was found, judged record by record.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use contracts::TenantId;
use ingest::layout::ClassId;
use ingest::sink::row;

use super::expect::{Expected, Expecter};
use super::{Among, Verdict};
use crate::generate::poison::Kind;
use crate::generate::{Draft, index_of};

/// How many problems are described; all are counted.
const DESCRIBED: usize = 20;
/// How far a row's end may be from what its event's time says, in seconds: the scan takes time.
const EXPIRY_SLACK: i64 = 300;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Neither stored nor expired nor dead-lettered.
    Lost,
    /// There twice.
    Double,
    /// Nobody produced it.
    Stranger,
    /// Stored elsewhere, or with other content, than the event says.
    Differs,
    /// Dead-lettered for another reason, or for none that it has.
    WrongReason,
}

impl Problem {
    fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Double => "double",
            Self::Stranger => "stranger",
            Self::Differs => "differs",
            Self::WrongReason => "wrong_reason",
        }
    }
}

/// A row as it was read; cells are in CQL's binary form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) class: ClassId,
    pub(super) tenant: &'a [u8],
    pub(super) bucket: &'a [u8],
    /// As `encode_body` writes it.
    pub(super) body: &'a [u8],
    pub(super) source_id: &'a [u8],
    /// Remaining life, in seconds.
    pub(super) ttl: Option<i32>,
    /// When that was read, milliseconds since 1970.
    pub(super) now: i64,
}

/// A dead letter as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter<'a> {
    /// The index that its header or its id names.
    pub(super) index: Option<u64>,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) reason: &'a str,
    /// Topic, partition and offset of its origin; `None` without these headers.
    pub(super) origin: Option<(&'a str, i32, i64)>,
    /// Where it stands.
    pub(super) at: (i32, i64),
}

/// Books what was found.
#[derive(Debug)]
pub struct Ledger {
    pub(super) expecter: Expecter,
    replayed: bool,
    among: Option<Among>,
    stored: Vec<AtomicU64>,
    letters: Mutex<Letters>,
    problems: Mutex<Problems>,
}

#[derive(Debug, Default)]
struct Letters {
    /// By index: the origin and the reason.
    by_index: HashMap<u64, (i32, i64, String)>,
    copies: u64,
}

fn contains(value: &[u8], text: &str) -> bool {
    value.windows(text.len().max(1)).any(|window| window == text.as_bytes())
}

#[derive(Debug, Default)]
struct Problems {
    counts: BTreeMap<&'static str, u64>,
    first: Vec<String>,
}

impl Ledger {
    pub(super) fn new(expecter: Expecter, replayed: bool, among: Option<Among>) -> Self {
        let words = expecter.run().events.div_ceil(64);
        let stored = (0..words).map(|_| AtomicU64::new(0)).collect();
        let (letters, problems) = (Mutex::default(), Mutex::default());
        Self { expecter, replayed, among, stored, letters, problems }
    }

    /// The offsets of the first dead letters to be read, by partition.
    pub(super) fn letters_from(&self) -> BTreeMap<i32, i64> {
        self.among.as_ref().map(|among| among.letters_from.clone()).unwrap_or_default()
    }

    /// Where Kafka acknowledged a record, if that is known.
    fn place(&self, index: u64) -> Option<(i32, i64)> {
        self.among.as_ref()?.acknowledged.get(index as usize).copied().flatten()
    }

    /// Whether a record is known to have been published.
    fn is_known(&self, index: u64) -> bool {
        self.among.is_none() || self.place(index).is_some()
    }

    fn problem(&self, problem: Problem, describe: impl FnOnce() -> String) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        *problems.counts.entry(problem.name()).or_default() += 1;
        if problems.first.len() < DESCRIBED {
            problems.first.push(format!("{}: {}", problem.name(), describe()));
        }
    }

    /// Books one row; `scratch` is the caller's, to spare allocations.
    pub(super) fn row(&self, found: Found<'_>, scratch: &mut Expected) {
        if found.bucket == b"canary" && found.tenant == TenantId::SYSTEM.as_bytes() {
            return;
        }
        let run = self.expecter.run();
        let index = index_of(&run.id, found.source_id);
        if index.is_none() && self.among.is_some() {
            return;
        }
        let Some(index) = index.filter(|i| *i < run.events && run.kind(*i) == Kind::Good) else {
            return self.problem(Problem::Stranger, || format!("row {}", describe(&found)));
        };
        if let Err(error) = self.expecter.row(index, scratch) {
            return self.problem(Problem::Differs, || {
                format!("event {index} cannot be made again: {error}")
            });
        }
        if let Some(difference) = difference(&found, scratch) {
            let describe = || format!("event {index}: {difference} of row {}", describe(&found));
            return self.problem(Problem::Differs, describe);
        }
        let (word, bit) = (&self.stored[(index / 64) as usize], 1 << (index % 64));
        if word.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            self.problem(Problem::Double, || format!("event {index} is stored twice"));
        }
    }

    /// Books one dead letter.
    pub(super) fn letter(&self, letter: Letter<'_>, scratch: &mut Draft) {
        let (partition, offset) = letter.at;
        let here = || format!("dead letter at {partition}/{offset} ({})", letter.reason);
        if let (None, Some(among)) = (letter.index, &self.among) {
            let good = among.stored.as_ref().filter(|stored| contains(letter.value, stored));
            if good.is_some() {
                self.problem(Problem::Stranger, || format!("{} was good", here()));
            }
            return;
        }
        let run = self.expecter.run();
        let Some(index) = letter.index.filter(|index| *index < run.events) else {
            return self.problem(Problem::Stranger, here);
        };
        let Some((_, partition, offset)) =
            letter.origin.filter(|(topic, ..)| *topic == run.names.topic)
        else {
            return self
                .problem(Problem::Stranger, || format!("{} without an origin here", here()));
        };
        self.expecter.record(index, scratch);
        if scratch.value != letter.value || scratch.key != letter.key {
            return self
                .problem(Problem::Differs, || format!("record {index}: bytes of {}", here()));
        }
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let known = letters
            .by_index
            .get(&index)
            .map(|(p, o, reason)| (*p == partition && *o == offset, reason == letter.reason));
        match known {
            None => {
                letters.by_index.insert(index, (partition, offset, letter.reason.to_owned()));
            }
            Some((true, same_reason)) => {
                letters.copies += 1;
                if !same_reason {
                    self.problem(Problem::WrongReason, || {
                        format!("record {index} has two reasons")
                    });
                }
            }
            Some((false, _)) => {
                self.problem(Problem::Double, || {
                    format!("record {index} is dead-lettered from two origins")
                });
            }
        }
    }

    /// Judges every record of the run, with the time `now` for what has expired.
    pub(super) fn close(&self, now: i64) -> Verdict {
        let run = self.expecter.run();
        let letters =
            std::mem::take(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut stored, mut expired, mut dead_lettered) = (0, 0, BTreeMap::<String, u64>::new());
        for index in 0..run.events {
            let is_stored =
                self.stored[(index / 64) as usize].load(Ordering::Relaxed) >> (index % 64) & 1 == 1;
            let letter = letters.by_index.get(&index).map(|(_, _, reason)| reason.as_str());
            stored += u64::from(is_stored);
            if let Some(reason) = letter {
                *dead_lettered.entry(reason.to_owned()).or_default() += 1;
            }
            expired += u64::from(self.judge(index, is_stored, letter, now));
        }
        let problems =
            std::mem::take(&mut *self.problems.lock().unwrap_or_else(PoisonError::into_inner));
        Verdict {
            ok: problems.counts.is_empty(),
            events: run.events,
            stored,
            expired,
            dead_lettered,
            dead_letter_copies: letters.copies,
            uncommitted: 0,
            problems: problems.counts,
            first: problems.first,
            seconds: 0.0,
        }
    }

    /// Judges one record; returns whether it has expired.
    fn judge(&self, index: u64, stored: bool, letter: Option<&str>, now: i64) -> bool {
        let run = self.expecter.run();
        let expected = match run.kind(index) {
            Kind::Good => None,
            Kind::Poison(rule) => Some(rule.reason().code()),
            Kind::Oversized => Some(run.oversized_reason().code()),
        };
        match (expected, letter) {
            (None, None) if stored => {}
            (None, None) if self.expecter.expired(index, now) => return true,
            (None, Some(_)) if stored && self.replayed => {}
            (_, None) if !self.is_known(index) => {}
            (None, None) | (Some(_), None) => {
                let kind = expected.unwrap_or("good");
                let place = self.place(index).map(|(partition, offset)| {
                    format!(", though Kafka has it at {partition}/{offset}")
                });
                let place = place.unwrap_or_default();
                self.problem(Problem::Lost, || {
                    format!("record {index} ({kind}) is nowhere{place}")
                });
            }
            (None, Some(reason)) => {
                let also = if stored { " and stored" } else { "" };
                let text = || format!("good event {index} is dead-lettered as {reason}{also}");
                self.problem(Problem::WrongReason, text);
            }
            (Some(expected), Some(reason)) if expected != reason => {
                let text =
                    || format!("record {index} is dead-lettered as {reason}, not {expected}");
                self.problem(Problem::WrongReason, text);
            }
            (Some(_), Some(_)) => {}
        }
        false
    }
}

/// What of a row is not as expected.
fn difference(found: &Found<'_>, expected: &Expected) -> Option<&'static str> {
    let (class, tenant_length) = (usize::from(expected.key[0]), usize::from(expected.key[1]));
    let (tenant, bucket) = expected.key[2..].split_at(tenant_length);
    if class != found.class.index() {
        return Some("the retention class");
    }
    if tenant != found.tenant || bucket != found.bucket {
        return Some("the partition");
    }
    if found.body != expected.body {
        return Some(which_cell(found.body, &expected.body));
    }
    let event_time = row::event_time(&expected.body);
    let remaining = i64::from(found.class.remaining_seconds(event_time, found.now).unwrap_or(0));
    let ends = found.ttl.map(|ttl| (i64::from(ttl) - remaining).abs() <= EXPIRY_SLACK);
    (ends != Some(true)).then_some("the remaining life")
}

fn which_cell(found: &[u8], expected: &[u8]) -> &'static str {
    const HEAD: [(&str, usize, usize); 3] =
        [("event_time", 0, 8), ("the write timestamp", 8, 16), ("event_id", 16, 32)];
    let head = HEAD.iter().find(|(_, from, to)| found.get(*from..*to) != expected.get(*from..*to));
    if let Some((name, ..)) = head {
        return name;
    }
    let cells = row::cells(found).zip(row::cells(expected));
    // Behind the partition key, the event's time and its id.
    let differing =
        row::COLUMNS[4..].iter().zip(cells).find(|(_, (found, expected))| found != expected);
    differing.map_or("a cell", |(name, _)| name)
}

fn describe(found: &Found<'_>) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (tenant, bucket, id) = (text(found.tenant), text(found.bucket), text(found.source_id));
    format!("{tenant}/{bucket} of {:?} in {}", id, found.class.class().table)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;

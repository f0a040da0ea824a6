//! What Kafka was told of identities: by tenant, numbered without a gap, each number with one meaning.

use std::collections::{BTreeMap, BTreeSet};

use contracts::TenantId;
use contracts::identity::Change;
use rdkafka::Message as _;

use crate::stop::Stop;
use crate::tail::Tail;
use crate::trio::work::scene::Mutation;

/// Problems that are described.
const DESCRIBED: usize = 20;

/// See the module. Only what was told since it was made.
pub(in crate::trio::work) struct Told {
    tail: Tail,
    book: Changes,
}

impl Told {
    pub(in crate::trio::work) fn new(tail: Tail) -> Self {
        Self { tail, book: Changes::default() }
    }

    /// Reads on to the topic's end. Blocks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(&mut self, ours: &BTreeSet<TenantId>, stop: &Stop) -> anyhow::Result<()> {
        let Self { tail, book } = self;
        tail.read(stop, |message| {
            let (key, value) = (message.key(), message.payload());
            let record = (key.unwrap_or_default(), value.unwrap_or_default());
            book.take(ours, record, (message.partition(), message.offset()));
        })
    }

    /// A tenant's changes, in order.
    pub(super) fn of(&self, tenant: &TenantId) -> impl Iterator<Item = &Change> {
        self.book
            .tenants
            .get(tenant)
            .into_iter()
            .flat_map(BTreeMap::values)
            .map(|(change, _)| change)
    }

    /// What is wrong with a tenant's numbers, whose last one is `last`.
    pub(super) fn numbered(&self, tenant: &TenantId, last: u64) -> Option<String> {
        self.book.numbered(tenant, last)
    }

    /// Acknowledged mutations of a tenant that were told otherwise, or not at all.
    pub(super) fn unlike(&self, tenant: &TenantId, mutations: &[Mutation]) -> Vec<String> {
        self.book.unlike(tenant, mutations)
    }

    /// What is wrong with records.
    pub(super) fn problems(&self) -> &[String] {
        &self.book.problems
    }
}

/// A tenant's changes, with the partition and offset where each came first.
type BySeq = BTreeMap<u64, (Change, (i32, i64))>;

/// Changes, each with the partition and offset where it was first told.
#[derive(Default)]
struct Changes {
    tenants: BTreeMap<TenantId, BySeq>,
    problems: Vec<String>,
}

impl Changes {
    fn problem(&mut self, text: String) {
        if self.problems.len() < DESCRIBED {
            self.problems.push(text);
        }
    }

    fn take(
        &mut self,
        ours: &BTreeSet<TenantId>,
        (key, value): (&[u8], &[u8]),
        (partition, offset): (i32, i64),
    ) {
        let here = format!("{partition}/{offset}");
        let change = match Change::parse(value) {
            Ok(change) => change,
            Err(error) => return self.problem(format!("the record at {here}: {error}")),
        };
        if !ours.contains(&change.tenant_id) {
            return;
        }
        if key != change.tenant_id.as_str().as_bytes() {
            let key = String::from_utf8_lossy(key).into_owned();
            self.problem(format!("{here} has the key {key:?}: {change:?}"));
        }
        let known = self.tenants.entry(change.tenant_id.clone()).or_default();
        match known.get(&change.seq) {
            None => {
                let last = known.last_key_value().map(|(seq, (_, at))| (*seq, *at));
                let seq = change.seq;
                known.insert(seq, (change, (partition, offset)));
                if let Some((last, at)) = last.filter(|(last, at)| *last > seq || at.0 != partition)
                {
                    self.problem(format!(
                        "{here} says change {seq} for the first time, behind {last} at {at:?}"
                    ));
                }
            }
            Some((known, _)) if *known == change => {}
            Some((known, (partition, offset))) => {
                let there = format!("{partition}/{offset}");
                let text = format!("{here} says {change:?}, and {there} said {known:?}");
                self.problem(text);
            }
        }
    }

    fn numbered(&self, tenant: &TenantId, last: u64) -> Option<String> {
        let empty = BTreeMap::new();
        let changes = self.tenants.get(tenant).unwrap_or(&empty);
        let missing: Vec<_> = (1..=last).filter(|seq| !changes.contains_key(seq)).take(6).collect();
        let beyond = changes.keys().next_back().filter(|seq| **seq > last);
        if !missing.is_empty() {
            let highest = changes.keys().next_back().copied().unwrap_or(0);
            return Some(format!(
                "changes {missing:?} of {last} were not told; the highest told is {highest}"
            ));
        }
        beyond.map(|seq| format!("change {seq} was told, of {last}"))
    }

    fn unlike(&self, tenant: &TenantId, mutations: &[Mutation]) -> Vec<String> {
        let empty = BTreeMap::new();
        let changes = self.tenants.get(tenant).unwrap_or(&empty);
        let own = mutations.iter().filter(|mutation| mutation.tenant == *tenant);
        let unlike = own.filter_map(|Mutation { seq, kind, .. }| match changes.get(seq) {
            Some((change, _)) if change.kind.name() == *kind => None,
            Some((change, (partition, offset))) => Some(format!(
                "{kind} was acknowledged as change {seq}, which is {} at {partition}/{offset}",
                change.kind.name()
            )),
            None => Some(format!("{kind} was acknowledged as change {seq}, which was not told")),
        });
        unlike.take(DESCRIBED).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::parse("acme").unwrap()
    }

    /// The value of a record: user `u` is deleted as change `seq`.
    fn value(seq: u64, user: &str) -> String {
        format!(
            r#"{{"event_id":"00000000-0000-7000-8000-00000000000{seq}","tenant_id":"acme","seq":{seq},
            "type":"user.deleted","occurred_at":"2026-11-22T14:03:07.123456Z","data":{{"id":"{user}"}}}}"#
        )
    }

    fn told(records: &[(u64, &str)]) -> Changes {
        let mut changes = Changes::default();
        for (offset, (seq, user)) in (0..).zip(records) {
            let value = value(*seq, user);
            let ours = BTreeSet::from([tenant()]);
            changes.take(&ours, (b"acme", value.as_bytes()), (0, offset));
        }
        changes
    }

    #[test]
    fn repeats_are_fine_and_another_meaning_is_not() {
        let changes = told(&[(1, "a"), (2, "b"), (1, "a"), (2, "b")]);
        assert!(changes.problems.is_empty() && changes.numbered(&tenant(), 2).is_none());
        let changes = told(&[(1, "a"), (1, "b")]);
        assert_eq!(changes.problems.len(), 1, "{:?}", changes.problems);
    }

    #[test]
    fn what_is_told_out_of_order_is_found() {
        let changes = told(&[(1, "a"), (3, "c"), (2, "b"), (3, "c")]);
        assert_eq!(changes.problems.len(), 1, "{:?}", changes.problems);
        assert!(changes.numbered(&tenant(), 3).is_none());
    }

    #[test]
    fn gaps_are_found_and_numbers_that_nobody_gave() {
        let changes = told(&[(1, "a"), (3, "c")]);
        assert!(changes.numbered(&tenant(), 3).is_some_and(|text| text.contains("[2]")));
        assert!(changes.numbered(&tenant(), 4).is_some_and(|text| text.contains("[2, 4]")));
        assert!(told(&[(1, "a"), (2, "b")]).numbered(&tenant(), 1).is_some());
        assert!(Changes::default().numbered(&tenant(), 1).is_some());
    }

    #[test]
    fn an_acknowledged_mutation_is_told_as_what_it_was() {
        let changes = told(&[(1, "a")]);
        let mutation = |seq, kind| Mutation { tenant: tenant(), seq, kind };
        assert!(changes.unlike(&tenant(), &[mutation(1, "user.deleted")]).is_empty());
        let unlike = [mutation(1, "user.created"), mutation(2, "user.deleted")];
        assert_eq!(changes.unlike(&tenant(), &unlike).len(), 2);
    }

    #[test]
    fn a_record_with_another_key_or_without_a_change_is_wrong_and_others_tenants_are_not_ours() {
        let mut changes = Changes::default();
        let (ours, text) = (BTreeSet::from([tenant()]), value(1, "a"));
        changes.take(&ours, (b"other", text.as_bytes()), (0, 0));
        changes.take(&ours, (b"acme", b"{}"), (0, 1));
        assert_eq!(changes.problems.len(), 2, "{:?}", changes.problems);
        let mut changes = Changes::default();
        changes.take(&BTreeSet::new(), (b"acme", text.as_bytes()), (0, 0));
        assert!(changes.tenants.is_empty() && changes.problems.is_empty());
    }
}

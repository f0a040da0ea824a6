//! Batches and order, against a model of the graph that knows numbers only: what changes make of it
//! depends on nothing but which were applied, and in which order.

use bytes::Bytes;
use contracts::identity::Change;
use proptest::prelude::*;
use serde_json::json;
use service_kit::bus::{Message, Publisher};
use service_kit::shutdown::Shutdown;

use super::held::{Held, Step, Stop};
use super::intake::{Received, receive};
use super::progress::Place;
use super::{Consumer, Written};
use crate::model::MAX_PROPERTIES_BYTES;

fn value(seq: u64, kind: &str, data: &serde_json::Value) -> Vec<u8> {
    let record = json!({
        "event_id": uuid::Uuid::from_u128(u128::from(seq)), "tenant_id": "acme", "seq": seq,
        "occurred_at": "2026-01-01T00:00:00Z", "type": kind, "data": data,
    });
    serde_json::to_vec(&record).unwrap()
}

fn change(seq: u64) -> Change {
    Change::parse(&value(seq, "user.deleted", &json!({"id": "ann"}))).unwrap()
}

fn message(payload: Vec<u8>) -> Message {
    Message {
        topic: "identity.changes".to_owned(),
        partition: 0,
        offset: 0,
        timestamp: None,
        key: None,
        payload: Some(Bytes::from(payload)),
        headers: Vec::new(),
    }
}

/// Where all of them came from.
const AT: Place = Place { partition: 0, offset: 0 };

/// The numbers that were applied, in order.
#[derive(Debug, Default)]
struct Graph(Vec<u64>, u64);

impl Graph {
    /// As the writer does it: what is known is passed over, and behind a gap nothing is applied.
    fn apply(&mut self, changes: &[Change]) -> u64 {
        let contiguous = changes.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq);
        assert!(contiguous, "a batch with a gap: {changes:?}");
        let fresh: Vec<_> = changes.iter().map(|c| c.seq).filter(|seq| *seq > self.1).collect();
        if fresh.first().is_some_and(|first| *first == self.1 + 1) {
            self.1 = *fresh.last().unwrap();
            self.0.extend(fresh);
        }
        self.1
    }

    fn drive(&mut self, held: &mut Held, limit: usize) -> Option<Stop> {
        loop {
            let changes = match held.next(limit) {
                Step::Done => return None,
                Step::Apply(changes) => changes,
                Step::Ask(_) => Vec::new(),
            };
            assert!(changes.len() <= limit);
            if let Some(stop) = held.applied(self.apply(&changes)) {
                return Some(stop);
            }
        }
    }
}

fn deliveries() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((1..30_u64, 0..12_u64), 0..12)
}

proptest! {
    #[test]
    fn any_delivery_with_replays_applies_the_history_once_and_in_order(
        deliveries in deliveries(), length in 1..30_u64, limit in 1..7_usize,
    ) {
        let (mut graph, mut held) = (Graph::default(), Held::default());
        for (from, count) in deliveries.into_iter().chain([(1, length)]) {
            for seq in from..(from + count).min(length + 1) {
                held.push(change(seq), AT);
            }
            graph.drive(&mut held, limit);
        }
        prop_assert_eq!(graph.0, (1..=length).collect::<Vec<_>>());
        prop_assert_eq!(held, Held::default());
    }

    #[test]
    fn behind_what_is_missing_nothing_is_applied_until_a_rebuild_or_a_retry(
        deliveries in deliveries(), length in 2..30_u64, missing in 1..30_u64,
        poisoned: bool, rebuilt: bool, limit in 1..7_usize,
    ) {
        let missing = missing.min(length);
        let (mut graph, mut held) = (Graph::default(), Held::default());
        for (from, count) in deliveries.into_iter().chain([(1, length)]) {
            for seq in from..(from + count).min(length + 1) {
                if seq != missing {
                    held.push(change(seq), AT);
                } else if poisoned {
                    held.poison(seq);
                }
            }
            graph.drive(&mut held, limit);
        }
        prop_assert_eq!(&graph.0, &(1..missing).collect::<Vec<_>>());
        let stop = graph.drive(&mut held, limit);
        let found = if poisoned { missing } else { missing + 1 };
        let stopped = poisoned || missing < length;
        prop_assert_eq!(stop, stopped.then_some(Stop { expected: missing, found }));
        if rebuilt {
            graph.1 = missing;
        } else {
            held.push(change(missing), AT);
            prop_assert!(stop.is_none_or(|stop| held.may_resume(stop)));
        }
        graph.drive(&mut held, limit);
        prop_assert_eq!(graph.1, length);
        prop_assert_eq!(held, Held::default());
    }
}

#[test]
fn of_too_many_that_wait_the_newest_stay() {
    let mut held = Held::default();
    (5..15).for_each(|seq| assert!(held.push(change(seq), AT)));
    assert!(!held.push(change(7), AT));
    assert_eq!(held.trim(4), 6);
    assert_eq!(held.trim(4), 0);
    let Step::Apply(left) = held.next(10) else { panic!("nothing is left") };
    assert_eq!(left.iter().map(|c| c.seq).collect::<Vec<_>>(), [11, 12, 13, 14]);
}

#[test]
fn what_cannot_be_applied_keeps_its_place_where_it_names_one() {
    let place = |payload: Vec<u8>| match receive(&message(payload)) {
        Received::Change(change) => panic!("taken: {change:?}"),
        Received::Poison(poison) => poison.place.map(|(_, seq)| seq),
    };
    assert_eq!(place(b"{".to_vec()), None);
    assert_eq!(place(value(3, "user.enchanted", &json!({}))), Some(3));
    assert_eq!(place(value(4, "user.created", &json!({"id": "ann"}))), Some(4));
    let user =
        |id: &str, text: String| json!({"id": id, "active": true, "attributes": {"a": text}});
    assert_eq!(place(value(5, "user.created", &user("*", String::new()))), Some(5));
    let large = "x".repeat(MAX_PROPERTIES_BYTES);
    assert_eq!(place(value(6, "user.updated", &user("ann", large))), Some(6));
    let fine = receive(&message(value(7, "user.updated", &user("ann", "x".to_owned()))));
    assert!(matches!(fine, Received::Change(_)));
}

/// Compiles only while a service can run the consumer in a task of its own.
#[allow(dead_code)]
fn runs_in_a_task<P: Publisher>(
    consumer: Consumer<P>,
    cluster: service_kit::bus::KafkaConfig,
    shutdown: Shutdown,
) -> tokio::task::JoinHandle<Result<(), service_kit::bus::BusError>> {
    let written = |_: &contracts::TenantId, _: &Written| {};
    tokio::spawn(async move {
        consumer.run(&service_kit::bus::Bus::Kafka(cluster), shutdown, written).await
    })
}

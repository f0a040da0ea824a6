//! A relay on each graph, with a bus that answers as it is told. On Dgraph by
//! `TRIAD_DGRAPH=host:port cargo test -- --ignored --test-threads=1`.

mod bed;

use std::pin::pin;
use std::sync::Arc;

use contracts::authz::ChangeRecord;
use contracts::{GraphEpoch, Revision};
use futures::poll;
use service_kit::bus::PublishError;

use super::CLEAR;
use crate::check::fences::Fences;
use crate::check::freshness::Freshness;
use crate::graph::GraphDb;
use crate::graph::client::testing::on_each_graph;
use crate::graph::outbox::{self, Outcome, Stage};
use crate::sync::changes::Listener;
use bed::{Bed, Said, Verdict};

on_each_graph!(
    fences_are_acknowledged_before_the_watermark_is_published,
    an_incomplete_batch_gives_no_watermark,
    what_is_not_acknowledged_is_kept_and_found_again,
    an_audit_topic_that_never_answers_holds_up_no_watermark_and_loses_nothing,
    an_unreadable_change_is_set_aside_and_clears_every_edge_once,
    events_that_nobody_takes_keep_nobody_from_his_turn,
    what_one_relay_has_deleted_another_does_not_bring_back,
    what_is_published_is_of_the_graph_that_was_read,
);

fn refused() -> Verdict {
    Verdict::Fail(PublishError::Refused("no such topic".to_owned()))
}

/// The partitions of the watermarks among them.
fn watermarks(said: &[Said]) -> Vec<i32> {
    let partition = |said: &Said| match said {
        Said::Watermark(partition) => Some(*partition),
        _ => None,
    };
    said.iter().filter_map(partition).collect()
}

async fn fences_are_acknowledged_before_the_watermark_is_published(graph: GraphDb) {
    let bed = Bed::new(graph, 10).await;
    bed.rule(|said| if matches!(said, Said::Fence(_)) { Verdict::Hold } else { Verdict::Ack });
    bed.write("a").await;
    {
        let mut round = pin!(bed.relay.round(2));
        tokio::select! {
            _ = &mut round => panic!("its fence is not acknowledged"),
            () = bed.bus.was_offered(1) => {}
        }
        assert!(poll!(&mut round).is_pending());
        assert_eq!(bed.bus.offered(), [Said::Fence("a".to_owned())]);
        bed.bus.open();
        assert!(!round.await.unwrap());
    }
    assert_eq!(bed.bus.acknowledged()[0], Said::Fence("a".to_owned()));
    assert_eq!(watermarks(&bed.bus.acknowledged()), [0, 1]);
}

async fn an_incomplete_batch_gives_no_watermark(graph: GraphDb) {
    let bed = Bed::new(graph, 1).await;
    bed.write("a").await;
    bed.write("b").await;
    for _ in 0..2 {
        assert!(bed.relay.round(1).await.unwrap(), "there may be more");
        assert_eq!(watermarks(&bed.bus.offered()), [0; 0]);
    }
    assert!(!bed.relay.round(1).await.unwrap());
    assert_eq!(watermarks(&bed.bus.offered()), [0]);
}

async fn what_is_not_acknowledged_is_kept_and_found_again(graph: GraphDb) {
    let bed = Bed::new(graph, 10).await;
    bed.write("a").await;
    bed.rule(|said| if matches!(said, Said::Fence(_)) { refused() } else { Verdict::Ack });
    bed.relay.round(1).await.unwrap_err();
    assert_eq!((bed.left().await, watermarks(&bed.bus.offered())), ([1, 0, 0], vec![]));
    bed.rule(|said| if matches!(said, Said::Event(_)) { refused() } else { Verdict::Ack });
    bed.relay.round(1).await.unwrap();
    assert_eq!(bed.left().await, [0, 1, 0], "its fences are done");
    bed.events.look(&mut 0, false).await.unwrap();
    assert_eq!(bed.left().await, [0, 1, 0]);
    bed.rule(|_| Verdict::Ack);
    bed.events.look(&mut 0, false).await.unwrap();
    assert_eq!(bed.left().await, [0, 0, 0]);
    assert_eq!(bed.bus.acknowledged().last(), Some(&Said::Event("a".to_owned())));
}

async fn an_audit_topic_that_never_answers_holds_up_no_watermark_and_loses_nothing(graph: GraphDb) {
    let bed = Bed::new(graph, 10).await;
    bed.rule(|said| if matches!(said, Said::Event(_)) { Verdict::Hold } else { Verdict::Ack });
    let (relay, bus, graph) = (bed.relay, bed.bus, bed.graph);
    let events = tokio::spawn(bed.events.run());
    for (n, id) in ["a", "b", "c"].into_iter().enumerate() {
        bed::write(&graph, &bed.tenant, id).await;
        relay.round(1).await.unwrap();
        assert_eq!(watermarks(&bus.acknowledged()).len(), n + 1);
    }
    bus.was_offered(7).await;
    assert_eq!(bed::left(&graph).await, [0, 3, 0]);
    bus.open();
    // The drain: what was handed on is published, and then the task ends.
    drop(relay);
    events.await.unwrap();
    assert_eq!(bed::left(&graph).await, [0, 0, 0]);
    let events = bus.acknowledged().into_iter().filter(|said| matches!(said, Said::Event(_)));
    assert_eq!(events.collect::<std::collections::BTreeSet<_>>().len(), 3);
}

async fn an_unreadable_change_is_set_aside_and_clears_every_edge_once(graph: GraphDb) {
    let bed = Bed::new(graph, 10).await;
    bed.insert("_:n <Outbox.pending> \"1\" .\n_:n <Outbox.change> \"of tomorrow\" .").await;
    bed.insert("_:n <Outbox.pending> \"1\" .").await;
    bed.write("a").await;
    for _ in 0..2 {
        assert!(!bed.relay.round(1).await.unwrap());
    }
    let mut said = bed.bus.acknowledged();
    said[..2].sort();
    assert_eq!(
        said,
        [Said::Clear, Said::Fence("a".to_owned()), Said::Watermark(0), Said::Watermark(0)]
    );
    assert_eq!(bed.left().await, [0, 1, 2]);
    bed.events.look(&mut 0, true).await.unwrap();
    assert_eq!(bed.left().await, [0, 0, 2], "kept for a build that reads it");
}

#[test]
fn an_edge_keeps_nothing_when_a_change_is_unreadable() {
    let (fences, freshness) = (Arc::<Fences>::default(), Arc::<Freshness>::default());
    let mut listener = Listener::new(fences, Arc::clone(&freshness), 1);
    let before = freshness.generation();
    listener.hear(0, CLEAR);
    assert_eq!(freshness.generation(), before + 1);
}

async fn events_that_nobody_takes_keep_nobody_from_his_turn(graph: GraphDb) {
    let bed = Bed::new(graph, 2).await;
    for id in ["big-1", "stuck-1", "stuck-2", "stuck-3", "stuck-4", "good"] {
        bed.write(id).await;
    }
    bed.rule(|said| match said {
        Said::Event(id) if id.starts_with("stuck") => refused(),
        Said::Event(id) if id.starts_with("big") => {
            Verdict::Fail(PublishError::TooLarge { bytes: 2, limit: 1 })
        }
        _ => Verdict::Ack,
    });
    while bed.relay.round(1).await.unwrap() {}
    let (mut after, mut looks) = (0, 0);
    while bed.left().await != [0, 4, 1] {
        bed.events.look(&mut after, false).await.unwrap();
        looks += 1;
        assert!(looks <= 4, "as many as there are pages, and one: {:?}", bed.left().await);
    }
    bed.rule(
        |said| if *said == Said::Event("big-1".to_owned()) { Verdict::Ack } else { refused() },
    );
    bed.events.look(&mut after, true).await.unwrap();
    assert_eq!(bed.left().await, [0, 4, 0], "the topic takes more now");
}

async fn what_one_relay_has_deleted_another_does_not_bring_back(graph: GraphDb) {
    let bed = Bed::new(graph, 10).await;
    bed.write("a").await;
    let found = outbox::pending(&bed.graph, Stage::Fences, 0, 10).await.unwrap();
    let nodes: Vec<_> = found.changes.iter().map(|(node, _)| *node).collect();
    let done = Outcome { done: nodes.clone(), ..Outcome::default() };
    outbox::settle(&bed.graph, &done).await.unwrap();
    for late in [
        Outcome { audit: nodes.clone(), ..Outcome::default() },
        Outcome { aside: nodes, ..Outcome::default() },
    ] {
        outbox::settle(&bed.graph, &late).await.unwrap();
        assert_eq!(bed.left().await, [0, 0, 0]);
    }
}

async fn what_is_published_is_of_the_graph_that_was_read(graph: GraphDb) {
    let bed = Bed::new(graph, 10).await;
    let epoch = bed.freshness.epoch();
    // As if the graph had been replaced since the start.
    bed.freshness.set_epoch(GraphEpoch(epoch.0 ^ 1));
    bed.write("a").await;
    bed.relay.round(1).await.unwrap();
    assert_eq!(bed.freshness.epoch(), epoch);
    for record in bed.bus.changes() {
        match record {
            ChangeRecord::Fence { epoch: of, .. } | ChangeRecord::Watermark { epoch: of, .. } => {
                assert_eq!(of, epoch);
            }
            ChangeRecord::Unknown => panic!("nothing is unreadable"),
        }
    }
    let mut listener = Listener::new(Arc::default(), Arc::clone(&bed.freshness), 1);
    bed.hear(&mut listener);
    assert_eq!(bed.freshness.watermark(), Revision(0), "read before the edge knew the graph");
    bed.relay.round(1).await.unwrap();
    bed.hear(&mut listener);
    assert!(bed.freshness.watermark() > Revision(0));
}

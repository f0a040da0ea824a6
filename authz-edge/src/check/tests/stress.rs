//! Threads that write while others ask. Nothing is timed: what an answer may be follows from what was
//! over before it was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use contracts::Revision;

use super::edge::{Edge, acme, bind, options, reads, unbind};
use super::world::allows;
use crate::check::{AtLeast, Given, Source};

const WRITES: u64 = 4_000;
const ASKERS: usize = 4;

/// How far the writer is.
#[derive(Default)]
struct Progress {
    /// Up to here all is committed.
    committed: AtomicU64,
    /// Up to here every `raise` has returned.
    raised: AtomicU64,
    is_over: AtomicBool,
}

fn write(edge: &Edge, progress: &Progress) {
    for round in 0..WRITES {
        let change = if round % 2 == 0 { unbind("a") } else { bind("a") };
        let written = edge.write(&change);
        progress.committed.store(written.revision.0, Ordering::SeqCst);
        edge.raise(&written);
        progress.raised.store(written.revision.0, Ordering::SeqCst);
        if round % 3 == 0 {
            edge.freshness.advance(written.revision, edge.clock.millis());
        }
        // So that there is something to hit between two writes.
        std::thread::yield_now();
    }
    progress.is_over.store(true, Ordering::SeqCst);
}

/// Asks until the writer is done; how many answers were cached.
async fn ask(edge: &Edge, progress: &Progress, with_token: bool) -> u64 {
    let (question, given, mut hits) = (reads(), Given::default(), 0);
    while !progress.is_over.load(Ordering::SeqCst) {
        let (from, at_least) = if with_token {
            let committed = progress.committed.load(Ordering::SeqCst);
            (committed, AtLeast::Revision(Revision(committed)))
        } else {
            (progress.raised.load(Ordering::SeqCst), AtLeast::Bound)
        };
        let answer = match edge.checker.check(&question, &given, at_least).await {
            Ok(answer) => answer,
            // Changes outran the reads, and it says so.
            Err(crate::check::CheckError::Behind(_)) => continue,
            Err(error) => panic!("{error}"),
        };
        let states: Vec<_> = edge.memory.with(|history| {
            let after = history.states.range(from + 1..).map(|(_, state)| Arc::clone(state));
            std::iter::once(history.at(from)).chain(after).collect()
        });
        let mut states = states.iter();
        let explained = states.any(|s| allows((s, s), &question, &given, 0) == answer.allowed);
        assert!(explained, "{answer:?} is older than {from}");
        hits += u64::from(answer.source != Source::Graph);
    }
    hits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_fence_was_raised_nothing_older_is_answered() {
    let edge = Arc::new(Edge::seeded(options()));
    let progress = Arc::new(Progress::default());
    let seeded = edge.memory.with(|history| history.now);
    progress.committed.store(seeded, Ordering::SeqCst);
    progress.raised.store(seeded, Ordering::SeqCst);
    assert_eq!(acme(), reads().tenant);
    let askers: Vec<_> = (0..ASKERS)
        .map(|asker| {
            let (edge, progress) = (Arc::clone(&edge), Arc::clone(&progress));
            tokio::spawn(async move { ask(&edge, &progress, asker % 2 == 0).await })
        })
        .collect();
    let writer = {
        let (edge, progress) = (Arc::clone(&edge), Arc::clone(&progress));
        std::thread::spawn(move || write(&edge, &progress))
    };
    let mut hits = 0;
    for asker in askers {
        hits += asker.await.unwrap();
    }
    writer.join().unwrap();
    assert!(hits > 0, "nothing was cached: this shows little");
}

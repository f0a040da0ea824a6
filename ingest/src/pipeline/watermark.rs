//! Which offsets may be committed: those before which everything delivered is durable.
//!
//! Records are delivered in chunks of consecutive offsets of one Kafka partition and complete in any
//! order. The watermark of a partition is the end of its longest completed prefix. Every assignment
//! of a partition has an epoch of its own, so that a completion from before a rebalance cannot move
//! the watermark of a later assignment.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One assignment of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

/// One delivered chunk, to be given back when all of it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    partition: i32,
    epoch: Epoch,
    sequence: u64,
}

/// The watermarks of all assigned partitions. A lock is taken once a chunk, not once a record.
#[derive(Debug, Default)]
pub struct Watermarks {
    state: Mutex<State>,
    drained: Condvar,
    awaited: AtomicUsize,
}

/// Counts who waits in [`Watermarks::wait_drained`].
struct Awaited<'a>(&'a AtomicUsize);

impl<'a> Awaited<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct State {
    epochs: u64,
    partitions: HashMap<i32, Assigned>,
}

#[derive(Debug)]
struct Assigned {
    epoch: Epoch,
    /// Sequence number of the first chunk in `chunks`.
    first: u64,
    chunks: VecDeque<Chunk>,
    /// The next offset to commit, once there is progress.
    watermark: Option<i64>,
    committed: Option<i64>,
}

#[derive(Debug)]
struct Chunk {
    next_offset: i64,
    durable: bool,
}

impl Watermarks {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below leaves the state consistent before it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a new assignment of `partition`; whatever was delivered of an earlier one is forgotten.
    pub fn assign(&self, partition: i32) -> Epoch {
        let mut state = self.lock();
        state.epochs += 1;
        let epoch = Epoch(state.epochs);
        let assigned =
            Assigned { epoch, first: 0, chunks: VecDeque::new(), watermark: None, committed: None };
        state.partitions.insert(partition, assigned);
        epoch
    }

    /// Ends the assignment of `partition`: what is still in flight no longer counts.
    pub fn revoke(&self, partition: i32) {
        self.lock().partitions.remove(&partition);
        self.drained.notify_all();
    }

    /// The epoch under which `partition` is assigned now.
    pub fn epoch(&self, partition: i32) -> Option<Epoch> {
        self.lock().partitions.get(&partition).map(|assigned| assigned.epoch)
    }

    /// Registers the next chunk of `partition`, whose last offset is `next_offset - 1`; `None` when
    /// the assignment of that epoch is over: then the chunk must not be processed.
    pub fn deliver(&self, partition: i32, epoch: Epoch, next_offset: i64) -> Option<Ticket> {
        let mut state = self.lock();
        let assigned = state.partitions.get_mut(&partition).filter(|a| a.epoch == epoch)?;
        let sequence = assigned.first + assigned.chunks.len() as u64;
        assigned.chunks.push_back(Chunk { next_offset, durable: false });
        Some(Ticket { partition, epoch, sequence })
    }

    /// All of the chunk is durable. Late and repeated completions change nothing.
    pub fn complete(&self, ticket: Ticket) {
        let mut state = self.lock();
        let assigned = state.partitions.get_mut(&ticket.partition);
        let Some(assigned) = assigned.filter(|a| a.epoch == ticket.epoch) else { return };
        let Some(place) = ticket.sequence.checked_sub(assigned.first) else { return };
        if let Some(chunk) = usize::try_from(place).ok().and_then(|i| assigned.chunks.get_mut(i)) {
            chunk.durable = true;
        }
        while assigned.chunks.front().is_some_and(|chunk| chunk.durable) {
            assigned.watermark = assigned.chunks.pop_front().map(|chunk| chunk.next_offset);
            assigned.first += 1;
        }
        if assigned.chunks.is_empty() {
            self.drained.notify_all();
        }
    }

    /// Partitions whose watermark moved since the last commit, with the offset to commit.
    pub fn uncommitted(&self) -> Vec<(i32, i64)> {
        let state = self.lock();
        let moved = state.partitions.iter().filter(|(_, a)| a.watermark != a.committed);
        let mut moved: Vec<_> = moved.filter_map(|(p, a)| Some((*p, a.watermark?))).collect();
        moved.sort_unstable();
        moved
    }

    /// The next offset of `partition` that is not durable, once there is progress.
    pub fn watermark(&self, partition: i32) -> Option<i64> {
        self.lock().partitions.get(&partition)?.watermark
    }

    /// Remembers that `offset` was committed for `partition`.
    pub fn committed(&self, partition: i32, offset: i64) {
        if let Some(assigned) = self.lock().partitions.get_mut(&partition) {
            assigned.committed = Some(offset);
        }
    }

    /// A commit of `partition` failed after all: its watermark is to be committed again.
    pub fn commit_failed(&self, partition: i32) {
        if let Some(assigned) = self.lock().partitions.get_mut(&partition) {
            assigned.committed = None;
        }
    }

    /// Whether somebody waits for what is in flight: then nothing should wait for company.
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed) > 0
    }

    /// Waits until nothing of `partitions` is in flight, for at most `limit`; tells whether it is so.
    pub fn wait_drained(&self, partitions: &[i32], limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let _awaited = Awaited::begin(&self.awaited);
        let mut state = self.lock();
        loop {
            let busy = |p| state.partitions.get(p).is_some_and(|a: &Assigned| !a.chunks.is_empty());
            if !partitions.iter().any(busy) {
                return true;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            let waited = self.drained.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_watermark_waits_for_the_oldest_chunk() {
        let marks = Watermarks::default();
        let epoch = marks.assign(0);
        let [a, b, c] = [10, 20, 30].map(|next| marks.deliver(0, epoch, next).unwrap());
        marks.complete(c);
        marks.complete(b);
        assert_eq!(marks.uncommitted(), []);
        marks.complete(a);
        assert_eq!(marks.uncommitted(), [(0, 30)]);
        assert_eq!((marks.watermark(0), marks.watermark(1)), (Some(30), None));
        marks.committed(0, 30);
        assert_eq!(marks.uncommitted(), []);
        marks.commit_failed(0);
        marks.commit_failed(1);
        assert_eq!(marks.uncommitted(), [(0, 30)], "repeated although nothing moved");
    }

    #[test]
    fn nothing_of_a_lost_assignment_counts() {
        let marks = Watermarks::default();
        let old = marks.assign(0);
        let late = marks.deliver(0, old, 10).unwrap();
        marks.revoke(0);
        assert!(marks.wait_drained(&[0], Duration::ZERO));
        assert_eq!(marks.deliver(0, old, 20), None);
        let new = marks.assign(0);
        let current = marks.deliver(0, new, 15).unwrap();
        marks.complete(late);
        assert_eq!(marks.uncommitted(), []);
        assert!(!marks.wait_drained(&[0], Duration::ZERO));
        marks.complete(current);
        assert_eq!(marks.uncommitted(), [(0, 15)]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Assign(i32),
        Revoke(i32),
        Deliver(i32),
        Complete(prop::sample::Index),
        Commit,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => (0..3).prop_map(Step::Assign),
            1 => (0..3).prop_map(Step::Revoke),
            6 => (0..3).prop_map(Step::Deliver),
            6 => any::<prop::sample::Index>().prop_map(Step::Complete),
            1 => Just(Step::Commit),
        ]
    }

    proptest! {
        /// The model keeps every delivered chunk for ever and computes the prefix anew.
        #[test]
        fn any_history_commits_exactly_the_durable_prefix(
            steps in proptest::collection::vec(step(), 0..200)
        ) {
            let marks = Watermarks::default();
            let mut epochs: HashMap<i32, Epoch> = HashMap::new();
            let mut delivered: Vec<(Ticket, i64, bool)> = Vec::new();
            let mut committed: HashMap<Epoch, i64> = HashMap::new();
            for (next_offset, step) in (1_i64..).zip(steps) {
                match step {
                    Step::Assign(p) => { epochs.insert(p, marks.assign(p)); }
                    Step::Revoke(p) => { epochs.remove(&p); marks.revoke(p); }
                    Step::Deliver(p) => if let Some(epoch) = epochs.get(&p) {
                        let ticket = marks.deliver(p, *epoch, next_offset).unwrap();
                        delivered.push((ticket, next_offset, false));
                    }
                    Step::Complete(which) => if !delivered.is_empty() {
                        let i = which.index(delivered.len());
                        delivered[i].2 = true;
                        marks.complete(delivered[i].0);
                    }
                    Step::Commit => for (p, offset) in marks.uncommitted() {
                        committed.insert(epochs[&p], offset);
                        marks.committed(p, offset);
                    }
                }
                let mut expected: Vec<(i32, i64)> = epochs.iter().filter_map(|(p, epoch)| {
                    let own = delivered.iter().filter(|(t, ..)| t.epoch == *epoch);
                    let prefix = own.take_while(|(.., durable)| *durable).last();
                    let mark = prefix.map(|(_, next, _)| *next)?;
                    (committed.get(epoch) != Some(&mark)).then_some((*p, mark))
                }).collect();
                expected.sort_unstable();
                prop_assert_eq!(marks.uncommitted(), expected);
            }
        }
    }
}

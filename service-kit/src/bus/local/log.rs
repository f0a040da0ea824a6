//! One topic's records, in order.

use super::{frame, offset, published};
use crate::{
    bus::{Ack, FollowError, Message, PublishError, Record},
    embedded::{Changes, Disk, DiskError, Space},
};
use chrono::Utc;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// The most records, and bytes, of a topic in memory.
const MOST: usize = 65_536;
const MOST_BYTES: usize = 16 << 20;
/// Deletions of one write.
const TRIMMED: usize = 4096;

pub(super) struct Log {
    name: String,
    store: Store,
    /// What was given an offset; locked while its place on disk is taken.
    next: Mutex<i64>,
    /// The offset of the next record to come, as far as readers know.
    end: watch::Sender<i64>,
}

enum Store {
    Disk { space: Space, keep: Duration },
    Memory(Mutex<Ring>),
}

#[derive(Default)]
struct Ring {
    records: VecDeque<Arc<Vec<u8>>>,
    /// The offset of the first.
    first: i64,
    bytes: usize,
}

impl Log {
    pub(super) fn durable(disk: &Disk, name: &str, keep: Duration) -> Result<Self, DiskError> {
        let space = disk.space(&format!("topic.{name}"))?;
        let last = space.iter().next_back().transpose()?;
        // What was deleted is never an offset again: the place after the last one is kept, even if all are gone.
        let end = last.map_or(0, |(key, _)| offset(&key) + 1);
        Ok(Self::new(name, Store::Disk { space, keep }, end))
    }

    pub(super) fn passing(name: &str) -> Self {
        Self::new(name, Store::Memory(Mutex::default()), 0)
    }

    fn new(name: &str, store: Store, end: i64) -> Self {
        Self { name: name.to_owned(), store, next: Mutex::new(end), end: watch::Sender::new(end) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn end(&self) -> i64 {
        *self.end.borrow()
    }

    pub(super) fn ends(&self) -> watch::Receiver<i64> {
        self.end.subscribe()
    }

    pub(super) async fn append(&self, disk: &Disk, record: Record) -> Result<Ack, PublishError> {
        let at = match &self.store {
            Store::Memory(ring) => {
                let mut next = locked(&self.next);
                let now = Utc::now().timestamp_millis();
                locked(ring).push(frame::write(&record, now));
                let at = *next;
                *next += 1;
                // Under the lock: readers see ends in order.
                self.end.send_replace(*next);
                at
            }
            Store::Disk { space, .. } => {
                let mut framed = frame::write(&record, 0);
                let room = disk.try_room(framed.len()).ok_or(PublishError::QueueFull)?;
                let (at, submitted) = {
                    let mut next = locked(&self.next);
                    // Times are in the order of offsets, unless the clock goes back.
                    frame::set_time(&mut framed, Utc::now().timestamp_millis());
                    let mut changes = Changes::new();
                    changes.put(space, next.to_be_bytes(), framed);
                    let submitted = disk.submit(changes, room);
                    *next += 1;
                    (*next - 1, submitted)
                };
                published(submitted.await)?;
                // Whatever was submitted before is durable as well.
                self.end.send_if_modified(|end| {
                    let moves = at >= *end;
                    *end = (*end).max(at + 1);
                    moves
                });
                at
            }
        };
        Ok(Ack { partition: 0, offset: at })
    }

    /// The record at an offset below the end. One that could not be written is passed over: the next one.
    pub(super) fn read(&self, at: i64) -> Result<Message, FollowError> {
        let lost = || FollowError::Lost(format!("{} does not hold offset {at}", self.name));
        let message = match &self.store {
            Store::Memory(ring) => {
                let framed = locked(ring).get(at).ok_or_else(lost)?;
                frame::read(&self.name, at, &framed)
            }
            Store::Disk { space, .. } => {
                let failed = |error: DiskError| FollowError::Failed(error.to_string());
                let mut range = space.range(at.to_be_bytes()..self.end().to_be_bytes());
                let (key, framed) = range.next().ok_or_else(lost)?.map_err(failed)?;
                frame::read(&self.name, offset(&key), &framed)
            }
        };
        message
            .ok_or_else(|| FollowError::Failed(format!("{}: offset {at} is unreadable", self.name)))
    }

    /// The first offset that is kept.
    pub(super) fn begin(&self) -> Result<i64, DiskError> {
        match &self.store {
            Store::Memory(ring) => Ok(locked(ring).first),
            Store::Disk { space, .. } => {
                let first = space.iter().next().transpose()?;
                Ok(first.map_or_else(|| self.end(), |(key, _)| offset(&key)))
            }
        }
    }

    /// The first offset of a time, in milliseconds since 1970. Walks back over what was written since.
    pub(super) fn since(&self, time: i64) -> Result<i64, DiskError> {
        let mut first = self.end();
        let Store::Disk { space, .. } = &self.store else { return Ok(first) };
        for pair in space.iter().rev() {
            let (key, framed) = pair?;
            if frame::time(&framed).is_some_and(|written| written < time) {
                break;
            }
            first = offset(&key);
        }
        Ok(first)
    }

    /// Deletes what is older than it must be, and below `committed`; the last record stays, as it says where the
    /// log ends.
    pub(super) async fn trim(
        &self,
        disk: &Disk,
        now: i64,
        committed: i64,
    ) -> Result<(), DiskError> {
        let Store::Disk { space, keep } = &self.store else { return Ok(()) };
        let before = now.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        let last = self.end() - 1;
        loop {
            let (mut gone, mut count) = (Changes::new(), 0);
            for pair in space.iter().take(TRIMMED) {
                let (key, framed) = pair?;
                let at = offset(&key);
                if at >= committed.min(last) || frame::time(&framed).is_some_and(|t| t >= before) {
                    break;
                }
                gone.delete(space, key);
                count += 1;
            }
            if count > 0 {
                disk.write(gone).await?;
            }
            if count < TRIMMED {
                return Ok(());
            }
        }
    }
}

impl Ring {
    fn push(&mut self, framed: Vec<u8>) {
        self.bytes += framed.len();
        self.records.push_back(Arc::new(framed));
        while self.records.len() > MOST || (self.bytes > MOST_BYTES && self.records.len() > 1) {
            self.bytes -= self.records.pop_front().map_or(0, |gone| gone.len());
            self.first += 1;
        }
    }

    fn get(&self, at: i64) -> Option<Arc<Vec<u8>>> {
        let place = usize::try_from(at.checked_sub(self.first)?).ok()?;
        self.records.get(place).map(Arc::clone)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What is in memory, into tables on disk, in step with what is written.
//!
//! fjall has that done by a thread of its own, which needs the log's lock for it. Between commits that follow one
//! another without a pause it hardly gets that lock: memory and log grew for as long as full load lasted. So the thread that commits says itself when a space is to be written, and waits when too much of it is not yet.

use super::{DiskError, MEMTABLE};
use fjall::{Database, Keyspace, PersistMode};
use std::time::Duration;

/// Full memtables of one space that may wait to be written.
pub(super) const WAITING: usize = 2;
/// Between looks at whether they were written.
const LOOK: Duration = Duration::from_millis(1);
/// Looks without one of them written, after which nothing writes them any more: ten minutes. Not time, which goes on
/// while a process is stopped.
const PATIENCE: u32 = 600_000;
/// Looks after which fjall is asked whether its thread has died.
const ASK: u32 = 1000;

pub(super) struct Tables {
    db: Database,
    /// Bytes in memory of each space that was written since this was opened.
    spaces: Vec<(Keyspace, usize)>,
    /// Logs that there were at the last look: an open one, and closed ones that some space still needs.
    logs: usize,
}

impl Tables {
    pub(super) fn new(db: Database) -> Self {
        Self { logs: db.journal_count(), db, spaces: Vec::new() }
    }

    /// Counts what is to be written to a space.
    pub(super) fn count(&mut self, space: &Keyspace, bytes: usize) {
        match self.spaces.iter_mut().find(|(known, _)| known == space) {
            Some((_, held)) => *held += bytes,
            None => self.spaces.push((space.clone(), bytes)),
        }
    }

    /// After a commit: has spaces written that hold enough, and when a log was closed all that hold anything, so that
    /// it is deleted. What was read again at start is not counted: fjall sees to that. Waits until little enough waits.
    pub(super) fn settle(&mut self) -> Result<(), DiskError> {
        let logs = self.db.journal_count();
        let closed = logs > self.logs;
        self.logs = logs;
        for (space, held) in &mut self.spaces {
            if *held >= MEMTABLE || closed && *held > 0 {
                space.rotate_memtable()?;
                *held = 0;
                wait(&self.db, space)?;
            }
        }
        Ok(())
    }
}

fn wait(db: &Database, space: &Keyspace) -> Result<(), DiskError> {
    let (mut least, mut looks) = (usize::MAX, 0);
    loop {
        let waiting = space.sealed_memtable_count();
        if waiting <= WAITING {
            return Ok(());
        }
        if waiting < least {
            (least, looks) = (waiting, 0);
        }
        looks += 1;
        if looks % ASK == 0 {
            db.persist(PersistMode::Buffer)?;
        }
        if looks > PATIENCE {
            return Err(DiskError::failed("what is in memory is not written to it any more"));
        }
        std::thread::sleep(LOOK);
    }
}

//! What is in memory, into tables on disk, in step with what is written.
//!
//! fjall has that done by a thread of its own, which needs the log's lock for it. Between commits that follow one
//! another without a pause it hardly gets that lock: memory and log grew for as long as full load lasted, by 200 MB/s.
//! So the thread that commits says itself when a space is to be written, and waits when too much of it is not yet.

use super::{DiskError, MEMTABLE};
use fjall::{Database, Keyspace};
use std::time::{Duration, Instant};

/// Full memtables of one space that may wait to be written.
pub(super) const WAITING: usize = 2;
/// Between looks at whether they were written.
const LOOK: Duration = Duration::from_millis(1);
/// After so long without one of them written, nothing writes them any more.
const PATIENCE: Duration = Duration::from_secs(60);

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

    /// After a commit: has spaces written that hold enough, and all of them when a log was closed, which is deleted
    /// then. Waits until little enough waits.
    pub(super) fn settle(&mut self) -> Result<(), DiskError> {
        let logs = self.db.journal_count();
        let closed = logs > self.logs;
        self.logs = logs;
        for (space, held) in &mut self.spaces {
            if *held >= MEMTABLE || closed && *held > 0 {
                space.rotate_memtable()?;
                *held = 0;
                wait(space)?;
            }
        }
        Ok(())
    }
}

fn wait(space: &Keyspace) -> Result<(), DiskError> {
    let (mut least, mut since) = (usize::MAX, Instant::now());
    loop {
        let waiting = space.sealed_memtable_count();
        if waiting <= WAITING {
            return Ok(());
        }
        if waiting < least {
            (least, since) = (waiting, Instant::now());
        } else if since.elapsed() > PATIENCE {
            return Err(DiskError::failed("what is in memory is not written to it any more"));
        }
        std::thread::sleep(LOOK);
    }
}

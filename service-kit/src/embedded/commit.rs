//! The thread that writes: group commit.

use super::{Changes, DiskError, tables::Tables};
use fjall::{Database, PersistMode};
use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    thread::JoinHandle,
};
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

/// What may wait to be written, in bytes; beyond it, callers wait.
const WAITING: usize = 32 << 20;
/// What one commit takes at most, unless a single submission is larger, in bytes.
const COMMIT: usize = 8 << 20;
/// What is kept free on the disk, in bytes: a log that was begun must have its end, and compaction its room.
const RESERVE: u64 = 256 << 20;
/// Between looks at what is free, in bytes that were written.
const LOOK: usize = 4 << 20;

/// A place in the queue, for some bytes; given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    _permit: OwnedSemaphorePermit,
}

/// What was submitted, on its way to the disk. It goes there also when this is dropped.
#[derive(Debug)]
pub struct Submitted(oneshot::Receiver<Result<(), DiskError>>);

impl Future for Submitted {
    type Output = Result<(), DiskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = |_| Err(DiskError::failed("the writer ended"));
        Pin::new(&mut self.0).poll(context).map(|done| done.unwrap_or_else(ended))
    }
}

struct Submission {
    changes: Changes,
    done: oneshot::Sender<Result<(), DiskError>>,
    room: Room,
}

/// The queue's end that callers have.
pub(super) struct Writer {
    queue: Option<UnboundedSender<Submission>>,
    room: Arc<Semaphore>,
    failed: Arc<OnceLock<DiskError>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(db: Database, folder: &Path) -> std::io::Result<Self> {
        #[allow(clippy::disallowed_methods, reason = "bounded in bytes: each has its room")]
        let (queue, submissions) = unbounded_channel();
        let failed = Arc::<OnceLock<DiskError>>::default();
        let work = Work {
            tables: Tables::new(db.clone()),
            db,
            folder: folder.to_owned(),
            submissions,
            failed: Arc::clone(&failed),
            unlooked: LOOK,
        };
        let thread = std::thread::Builder::new().name("disk".to_owned()).spawn(|| work.run())?;
        let room = Arc::new(Semaphore::new(WAITING));
        Ok(Self { queue: Some(queue), room, failed, thread: Some(thread) })
    }

    pub(super) async fn room(&self, bytes: usize) -> Room {
        let room = Arc::clone(&self.room).acquire_many_owned(share(bytes)).await;
        // Nobody closes it.
        room.map_or_else(
            |_| unreachable!("the semaphore stays open"),
            |permit| Room { _permit: permit },
        )
    }

    pub(super) fn try_room(&self, bytes: usize) -> Option<Room> {
        Arc::clone(&self.room)
            .try_acquire_many_owned(share(bytes))
            .ok()
            .map(|permit| Room { _permit: permit })
    }

    pub(super) fn submit(&self, changes: Changes, room: Room) -> Submitted {
        let (done, submitted) = oneshot::channel();
        if let Some(queue) = &self.queue {
            // Without a thread the sender is dropped, which is an answer.
            let _ = queue.send(Submission { changes, done, room });
        }
        Submitted(submitted)
    }

    pub(super) fn failure(&self) -> Option<DiskError> {
        self.failed.get().cloned()
    }
}

/// What was submitted is written before the store closes.
impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported to those who waited.
            let _ = thread.join();
        }
    }
}

/// More than may wait at all waits alone.
fn share(bytes: usize) -> u32 {
    u32::try_from(bytes.min(WAITING)).unwrap_or(u32::MAX)
}

struct Work {
    db: Database,
    tables: Tables,
    folder: PathBuf,
    submissions: UnboundedReceiver<Submission>,
    failed: Arc<OnceLock<DiskError>>,
    /// Bytes written since the last look at what is free.
    unlooked: usize,
}

impl Work {
    fn run(mut self) {
        while let Some(first) = self.submissions.blocking_recv() {
            let mut bytes = first.changes.bytes();
            let mut all = vec![first];
            while bytes < COMMIT {
                let Ok(next) = self.submissions.try_recv() else { break };
                bytes += next.changes.bytes();
                all.push(next);
            }
            self.commit(all, bytes);
        }
    }

    fn commit(&mut self, all: Vec<Submission>, bytes: usize) {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        let (mut waiting, mut rooms) =
            (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
        for Submission { changes, done, room } in all {
            changes.add_to(&mut batch, &mut self.tables);
            waiting.push(done);
            rooms.push(room);
        }
        let written = match self.failed.get() {
            Some(failed) => Err(failed.clone()),
            None => self
                .look(bytes)
                .and_then(|()| batch.commit().map_err(|error| self.fail(error.into()))),
        };
        drop(rooms);
        for done in waiting {
            // Who does not wait any more does not care.
            let _ = done.send(written.clone());
        }
        if written.is_ok()
            && let Err(error) = self.tables.settle()
        {
            self.fail(error);
        }
    }

    /// The end of all writing.
    fn fail(&self, error: DiskError) -> DiskError {
        tracing::error!(%error, "the disk");
        // Set once, here only.
        let _ = self.failed.set(error.clone());
        error
    }

    /// Refuses while too little is free.
    fn look(&mut self, bytes: usize) -> Result<(), DiskError> {
        self.unlooked += bytes;
        if self.unlooked < LOOK {
            return Ok(());
        }
        let Ok(found) = rustix::fs::statvfs(&self.folder) else { return Ok(()) };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if free < RESERVE {
            // Asked again each time, so that it goes on once there is room.
            return Err(DiskError::Full { free: free >> 20, reserve: RESERVE >> 20 });
        }
        self.unlooked = 0;
        Ok(())
    }
}

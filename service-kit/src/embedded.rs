//! The disk of a process that has no engines: one log-structured store for all that is not in SQLite.
//!
//! A folder belongs to one process, which holds a lock on it. What is written is written by one thread, in the
//! order in which it was submitted: everything that waits goes into one batch and one `fdatasync` (group commit),
//! and only then is anybody told. A batch is in the store whole or not at all, also after a crash. A write that
//! fails ends all writing until the process is started again: what the log's end looks like is not known then.
//!
//! | module | what it holds |
//! |---|---|
//! | `folder` | the data folder: its lock, its format, its free space |
//! | `commit` | the thread that writes |
//! | `tables` | what is in memory, into tables on disk |
//! | `space` | reading, and what is to be written |

mod commit;
mod folder;
mod space;
mod tables;

pub use commit::{Room, Submitted};
pub use folder::{FORMAT, Folder};
pub use space::{Changes, Pairs, Space};

use commit::Writer;
use fjall::{Database, KeyspaceCreateOptions};
use std::{fmt, io, path::Path, sync::Arc};

/// Memory for blocks that were read, in bytes.
const CACHE: u64 = 16 << 20;
/// What one space holds in memory before it is written as a table, in bytes.
const MEMTABLE: usize = 16 << 20;
/// Closed logs, in bytes; beyond it fjall has the spaces written that need them. It takes no less.
const JOURNAL: u64 = 64 << 20;

/// Why the disk did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// Another process has the folder.
    #[error("{0} is in use by another process; one folder serves one process")]
    Locked(String),
    /// Written by a later release, or no data of ours; it was left as it was.
    #[error("{0}")]
    Foreign(String),
    /// It cannot be read or written; it was left as it was.
    #[error("{0}")]
    Unusable(String),
    /// There is too little room for what is to be written; nothing of it was.
    #[error("the disk is full: {free} MiB are left, and {reserve} MiB are kept free")]
    Full {
        /// What is left, in MiB.
        free: u64,
        /// What must be left, in MiB.
        reserve: u64,
    },
    /// A write failed: nothing is written any more until the process is started again.
    #[error("the disk failed: {0}; start again once that is mended")]
    Failed(String),
}

impl DiskError {
    fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<fjall::Error> for DiskError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Poisoned => Self::failed("an earlier write did"),
            error => Self::failed(cause(&error)),
        }
    }
}

/// A store on disk. Clones share it; the last one to go closes it.
#[derive(Clone)]
pub struct Disk {
    db: Database,
    writer: Arc<Writer>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl Disk {
    /// Opens the store in a folder that this process has, or makes it. Reads the logs again that are not
    /// deleted yet, up to some 150 MB after full load: a second.
    ///
    /// # Errors
    /// [`DiskError::Unusable`].
    pub fn open(folder: &Folder) -> Result<Self, DiskError> {
        let path = folder.path().join("store");
        let open = |error: fjall::Error| match error {
            fjall::Error::Locked => DiskError::Locked(path.display().to_string()),
            fjall::Error::InvalidVersion(_) => {
                DiskError::Foreign(format!("{} has a format that is not ours", path.display()))
            }
            error => DiskError::Unusable(format!("{}: {}", path.display(), cause(&error))),
        };
        let db = Database::builder(&path)
            .cache_size(CACHE)
            .max_journaling_size(JOURNAL)
            .worker_threads(1)
            .open()
            .map_err(open)?;
        let writer = Writer::start(db.clone(), folder.path()).map_err(DiskError::failed)?;
        Ok(Self { db, writer: Arc::new(writer) })
    }

    /// A part of the store with keys of its own, made if it is not there.
    ///
    /// # Errors
    /// [`DiskError::Failed`].
    pub fn space(&self, name: &str) -> Result<Space, DiskError> {
        // [`tables`] comes first.
        let options = || KeyspaceCreateOptions::default().max_memtable_size(4 * MEMTABLE as u64);
        Ok(Space::new(self.db.keyspace(name, options)?))
    }

    /// Waits until so many more bytes may wait to be written.
    pub async fn room(&self, bytes: usize) -> Room {
        self.writer.room(bytes).await
    }

    /// As [`Disk::room`], for those who would rather be refused than wait.
    #[must_use]
    pub fn try_room(&self, bytes: usize) -> Option<Room> {
        self.writer.try_room(bytes)
    }

    /// Writes all of `changes` or nothing. The order of calls is the order on disk; what comes back is done when
    /// they are durable.
    pub fn submit(&self, changes: Changes, room: Room) -> Submitted {
        self.writer.submit(changes, room)
    }

    /// Waits for room, submits, and waits until it is durable.
    ///
    /// # Errors
    /// [`DiskError::Full`] or [`DiskError::Failed`]; after the latter it may be there all the same.
    pub async fn write(&self, changes: Changes) -> Result<(), DiskError> {
        let room = self.room(changes.bytes()).await;
        self.submit(changes, room).await
    }

    /// Why nothing can be written any more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<DiskError> {
        self.writer.failure()
    }
}

/// What an operator can do something about.
fn cause(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => reason(error),
        error => error.to_string(),
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "this user may not write there".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        _ => error.to_string(),
    }
}

/// Makes a folder that is its owner's alone, and those above it; one that is there stays as it is.
///
/// # Errors
/// What the file system says.
pub fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests;

//! The data folder: who has it, and what may be in it.

use super::{DiskError, make_private, reason};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

/// What this build writes. Raised when a later build could not be followed by this one.
pub const FORMAT: u32 = 1;

/// The file whose lock says that a process has the folder, and which names the format.
const FILE: &str = "FORMAT";

/// How the file begins, before the format's number.
const TITLE: &str = "triad data, format ";

/// A folder that this process has, until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
    is_new: bool,
}

impl Folder {
    /// Takes a folder, and makes it if it is not there. One that is not empty and not ours is left alone.
    ///
    /// # Errors
    /// [`DiskError::Locked`], [`DiskError::Foreign`] or [`DiskError::Unusable`]; nothing was changed then.
    pub fn take(path: &Path) -> Result<Self, DiskError> {
        let shown = path.display();
        let unusable = |error: std::io::Error| {
            DiskError::Unusable(format!("the data folder {shown}: {}", reason(&error)))
        };
        make_private(path).map_err(unusable)?;
        let file = path.join(FILE);
        let is_known = file.try_exists().map_err(unusable)?;
        if !is_known && std::fs::read_dir(path).map_err(unusable)?.next().is_some() {
            return Err(DiskError::Foreign(format!(
                "the data folder {shown} holds something else; name an empty one with --data-dir"
            )));
        }
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DiskError::Locked(format!("the data folder {shown}")));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let mut text = String::new();
        lock.read_to_string(&mut text).map_err(unusable)?;
        let is_new = text.is_empty();
        if is_new {
            writeln!(lock, "{TITLE}{FORMAT}").map_err(unusable)?;
            lock.sync_all().map_err(unusable)?;
            File::open(path).and_then(|folder| folder.sync_all()).map_err(unusable)?;
        } else {
            check(&text, path)?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock, is_new })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this process is the first to have it.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }
}

fn check(text: &str, path: &Path) -> Result<(), DiskError> {
    let shown = path.display();
    let found = text.strip_prefix(TITLE).and_then(|rest| rest.trim_end().parse::<u32>().ok());
    match found {
        Some(found) if found <= FORMAT => Ok(()),
        Some(found) => Err(DiskError::Foreign(format!(
            "the data folder {shown} has format {found}; this release reads up to {FORMAT}: use the newer release"
        ))),
        None => Err(DiskError::Foreign(format!("the data folder {shown} is not Triad's"))),
    }
}

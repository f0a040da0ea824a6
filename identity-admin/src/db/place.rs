//! Where a database is, and how it is reached.

use std::fmt;
#[cfg(feature = "embedded")]
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "engines")]
use super::Dsn;

/// Which database. Shown without passwords.
#[derive(Debug, Clone)]
pub enum Place {
    /// One of a MySQL server.
    #[cfg(feature = "engines")]
    MySql(Dsn),
    /// A file, which SQLite keeps. While it is open, `-wal` and `-shm` lie beside it and are part of it: the three
    /// are copied together or not at all, and lie on a disk of this machine.
    #[cfg(feature = "embedded")]
    Sqlite(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "engines")]
            Self::MySql(dsn) => dsn.fmt(f),
            #[cfg(feature = "embedded")]
            Self::Sqlite(path) => write!(f, "sqlite {}", path.display()),
        }
    }
}

/// How a database is reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which one.
    pub place: Place,
    /// Connections at once; further transactions wait for one. Of SQLite those that read, 8 at
    /// most: beside them one writes.
    pub max_open: u32,
    /// Connections that are kept while nobody needs them. SQLite keeps all.
    pub max_idle: u32,
    /// After this a connection is closed when it comes back. SQLite closes none.
    pub max_lifetime: Duration,
    /// How long to wait for a connection: beyond it, the service is saturated.
    pub acquire_timeout: Duration,
    /// For one statement, as the client sees it.
    pub statement_timeout: Duration,
    /// For a lock that another transaction holds, of SQLite one of another process; whole seconds, shorter than
    /// `statement_timeout`.
    pub lock_timeout: Duration,
}

#[cfg(feature = "embedded")]
impl Options {
    /// A file of this process's own: four connections read, and writers wait for each other up to 5 s.
    #[must_use]
    pub fn embedded(path: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::Sqlite(path.into()),
            max_open: 4,
            max_idle: 4,
            max_lifetime: Duration::MAX,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
        }
    }
}

//! What only a file has: how it is made and opened, what becomes of it when its disk or its process fails. What every
//! database has is tested by `contract`.

mod files;
mod kills;
mod plans;
mod schema;

use std::path::PathBuf;

use tempfile::TempDir;

use crate::db::{Db, Options, Place, migrate};

/// A file that is up to date.
struct Bed {
    folder: TempDir,
    db: Db,
}

impl Bed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.db");
        migrate(&Place::Sqlite(path.clone())).await.unwrap();
        Self { folder, db: Db::new(&Options::embedded(path)) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("identity.db")
    }

    fn place(&self) -> Place {
        Place::Sqlite(self.path())
    }
}

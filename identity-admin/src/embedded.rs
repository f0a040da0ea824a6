//! An installation in one folder: its database, its secrets and its first keys, for `standalone`.
//!
//! | file | what it holds |
//! |---|---|
//! | `identity.db` | the database (SQLite), with files beside it |
//! | `credentials/secrets.json` | peppers and encryption keys |
//! | `credentials/admin.key` | the API key of the administrator |
//! | `credentials/<service>.key` | the API keys with which the services ask about others |
//!
//! All of `credentials` is its owner's alone.

use std::path::{Path, PathBuf};

use service_kit::embedded::make_private;

use crate::change::Core;
use crate::clock::Clock;
use crate::credentials::Secrets;
use crate::db::{self, Db, Place};
use crate::{Config, Error, bootstrap};

/// The installation of a folder.
pub struct Installation {
    /// Its database, at a version that serves this build.
    pub db: Db,
    /// Whether it was made now.
    pub is_new: bool,
}

impl Installation {
    /// Opens the installation of `folder`, and makes what is missing of it; `config` is told where its secrets are.
    ///
    /// # Errors
    /// A database of a newer build, and what the file system says.
    pub async fn open(folder: &Path, config: &mut Config) -> Result<Self, Error> {
        let file = folder.join("identity.db");
        db::migrate(&Place::Sqlite(file.clone())).await?;
        let db = Db::new(&db::Options::embedded(file));
        let folder = credentials(folder);
        make_private(&folder)?;
        let secrets = config.secrets_file.get_or_insert_with(|| folder.join("secrets.json"));
        Secrets::create(secrets)?;
        let credentials = config.credentials()?;
        let credentials =
            credentials.ok_or_else(|| Error::Command("no secrets_file".to_owned()))?;
        let core = Core::new(db.clone(), Clock::system(), config.answers_live());
        let is_new = bootstrap::ensure(&core, &credentials, &folder).await?;
        Ok(Self { db, is_new })
    }
}

/// Where the API key of a service is in such a folder, or with `admin` the administrator's.
#[must_use]
pub fn key_file(folder: &Path, name: &str) -> PathBuf {
    bootstrap::key_file(&credentials(folder), name)
}

fn credentials(folder: &Path) -> PathBuf {
    folder.join("credentials")
}

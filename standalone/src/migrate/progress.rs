//! How far a migration came: `migration.json` in the folder, replaced as a whole.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use authz_edge::transfer::format::Counts;
use chrono::{DateTime, Utc};
use contracts::GraphEpoch;
use ingest::embedded::Place;
use serde::{Deserialize, Serialize};

use super::MigrateError;
use super::identity::Key;
use crate::moved::FILE;

/// The form of the file that is written, and the only one that is read.
const VERSION: u32 = 1;

/// What was done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    version: u32,
    /// When it began.
    pub(super) begun_at: DateTime<Utc>,
    /// When everything was verified: from then on the folder must not be served.
    pub(super) finished_at: Option<DateTime<Utc>>,
    /// Where to.
    pub(super) target: String,
    /// What was here when everything that waited was done; `None` until then.
    pub(super) settled: Option<String>,
    /// Of identities, by table.
    pub(super) tables: BTreeMap<String, Table>,
    /// The graph that is written.
    pub(super) epoch: Option<GraphEpoch>,
    /// Of graphs, by tenant: what was verified.
    pub(super) graphs: BTreeMap<String, Counts>,
    /// Of events.
    pub(super) events: Events,
}

/// A table of identities.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// The key of the last row that was copied.
    pub(super) after: Option<Key>,
    /// Rows that were copied.
    pub(super) rows: u64,
    /// Whether that was the last row.
    pub(super) is_whole: bool,
}

/// Events.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Events {
    /// The last row that was published.
    pub(super) after: Option<Place>,
    /// Rows that were published.
    pub(super) published: u64,
    /// Rows whose life was over.
    pub(super) expired: u64,
    /// Whether that was the last row.
    pub(super) is_whole: bool,
    /// What was on topics, and was published.
    pub(super) topics_are_whole: bool,
    /// Rows that were found where they were brought.
    pub(super) verified: Option<u64>,
}

/// The file.
pub(super) struct Saved {
    path: PathBuf,
    pub(super) state: Progress,
}

impl Saved {
    /// That of a folder, or a new one, which is not written yet.
    pub(super) fn load(folder: &Path) -> Result<Self, MigrateError> {
        let path = folder.join(FILE);
        let new = || Progress { version: VERSION, begun_at: Utc::now(), ..Progress::default() };
        let state = match std::fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).ok().filter(|p: &Progress| p.version == VERSION)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Some(new()),
            Err(error) => return Err(MigrateError::file(path.display())(error)),
        };
        let state = state.ok_or_else(|| {
            MigrateError::Refused(format!("{} is not of this build", path.display()))
        })?;
        Ok(Self { path, state })
    }

    /// Whether it was written before.
    pub(super) fn is_begun(&self) -> bool {
        !self.state.target.is_empty()
    }

    /// Writes it; after a crash there is either this or what was there before.
    pub(super) fn save(&self) -> Result<(), MigrateError> {
        self.write().map_err(MigrateError::file(self.path.display()))
    }

    fn write(&self) -> std::io::Result<()> {
        let new = self.path.with_extension("json.new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&self.state)?)?;
        file.sync_all()?;
        std::fs::rename(new, &self.path)?;
        match self.path.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_what_was_saved_and_another_build_s_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut saved = Saved::load(folder.path()).unwrap();
        assert!(!saved.is_begun());
        saved.state.target = "there".to_owned();
        saved.state.tables.entry("users".to_owned()).or_default().rows = 7;
        saved.save().unwrap();
        let again = Saved::load(folder.path()).unwrap();
        assert!(again.is_begun());
        assert_eq!(again.state.tables["users"].rows, 7);
        std::fs::write(folder.path().join(FILE), r#"{"version": 2}"#).unwrap();
        assert!(Saved::load(folder.path()).is_err());
    }
}

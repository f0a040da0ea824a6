//! How far an import came: a small file beside its own, replaced as a whole.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The checkpoint of an import's file.
#[derive(Debug, Clone)]
pub struct Checkpoint(PathBuf);

impl Checkpoint {
    /// That of `file`: the same name with `.checkpoint` behind it.
    #[must_use]
    pub fn of(file: &Path) -> Self {
        let mut name = file.as_os_str().to_owned();
        name.push(".checkpoint");
        Self(name.into())
    }

    /// What was saved; `None` if nothing was, or nothing that this build knows.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn load<T: DeserializeOwned>(&self) -> std::io::Result<Option<T>> {
        match std::fs::read(&self.0) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Saves; after a crash there is either this or what was there before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, state: &impl Serialize) -> std::io::Result<()> {
        let mut fresh = self.0.clone().into_os_string();
        fresh.push(".new");
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(state)?)?;
        file.sync_data()?;
        std::fs::rename(fresh, &self.0)
    }

    /// Forgets it.
    ///
    /// # Errors
    /// When it is there and cannot be deleted.
    pub fn remove(&self) -> std::io::Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_there_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::of(&folder.path().join("graph.ndjson"));
        assert_eq!(checkpoint.load::<u64>().unwrap(), None);
        checkpoint.save(&1_u64).unwrap();
        checkpoint.save(&2_u64).unwrap();
        assert_eq!(checkpoint.load::<u64>().unwrap(), Some(2));
        assert_eq!(checkpoint.load::<String>().unwrap(), None);
        checkpoint.remove().unwrap();
        checkpoint.remove().unwrap();
        assert_eq!(checkpoint.load::<u64>().unwrap(), None);
    }
}

//! Whether a folder was moved on: what serves it then parts from the deployment that took its place.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use crate::serve::ServeError;

/// The file in which `triad migrate-to` keeps how far it came.
pub(crate) const FILE: &str = "migration.json";

/// What matters of it to those who do not migrate.
#[derive(Deserialize)]
struct Moved {
    finished_at: Option<String>,
    #[serde(default)]
    target: String,
}

/// Refuses a folder whose migration is finished. One that was only begun may be served; the migration notices.
pub(crate) fn refuse(folder: &Path) -> Result<(), ServeError> {
    let path = folder.join(FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let moved: Moved = serde_json::from_slice(&text)
        .map_err(|error| ServeError::Other(format!("{}: {error}", path.display())))?;
    match moved.finished_at {
        Some(at) => Err(ServeError::Moved {
            folder: folder.display().to_string(),
            at,
            target: moved.target,
        }),
        None => Ok(()),
    }
}

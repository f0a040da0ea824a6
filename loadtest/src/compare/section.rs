//! What belongs to one comparison, and the file that holds all of them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::figure::Figure;
use crate::bench::file;
use crate::deploy;

/// One comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Section {
    pub(super) title: String,
    /// On which machine, and when.
    pub(super) machine: Value,
    /// By name.
    pub(super) versions: BTreeMap<String, String>,
    /// What was run, as one would type it.
    pub(super) commands: Vec<String>,
    /// Who is set how, and why that is fair.
    pub(super) settings: Vec<Note>,
    pub(super) figures: Vec<Figure>,
    pub(super) curves: Vec<Curve>,
    /// What a peer does that Triad does not, whatever was measured.
    pub(super) peer_does: Vec<Note>,
}

/// A sentence about somebody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) of: String,
    pub(super) text: String,
}

/// Lines over something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Curve {
    pub(super) title: String,
    pub(super) unit: String,
    /// The unit of what is across.
    pub(super) across: String,
    pub(super) lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// All comparisons, by name.
pub(super) type Sections = BTreeMap<String, Section>;

impl Section {
    /// One without figures yet; on which machine, says who had it measured.
    pub(super) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            machine: Value::Null,
            versions: BTreeMap::from([version("Triad", env!("CARGO_PKG_VERSION"))]),
            commands: Vec::new(),
            settings: Vec::new(),
            figures: Vec::new(),
            curves: Vec::new(),
            peer_does: Vec::new(),
        }
    }

    /// Notes the version of an engine that `deploy/local` runs.
    ///
    /// # Errors
    /// When it names none.
    pub(super) fn engine(&mut self, name: &str) -> anyhow::Result<()> {
        let version = deploy::version(name)?;
        self.version(name, &version);
        Ok(())
    }

    /// Notes a version.
    pub(super) fn version(&mut self, name: &str, text: &str) {
        self.versions.extend([version(name, text)]);
    }
}

fn version(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), text.to_owned())
}

/// Notes of what was written down here.
pub(super) fn notes(all: &[(&str, &str)]) -> Vec<Note> {
    all.iter().map(|(of, text)| Note { of: (*of).to_owned(), text: (*text).to_owned() }).collect()
}

/// All comparisons in `path`; none without the file.
///
/// # Errors
/// When it is damaged.
pub(super) fn read(path: &Path) -> anyhow::Result<Sections> {
    Ok(file::read(path)?.unwrap_or_default())
}

/// Puts a comparison into `path`, in place of the one of that name; what is there then.
///
/// # Errors
/// When the file is damaged or cannot be written.
pub(super) fn merge(path: &Path, name: &str, section: Section) -> anyhow::Result<Sections> {
    let mut all = read(path)?;
    all.insert(name.to_owned(), section);
    file::write(path, &serde_json::to_value(&all)?)?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_of_others_stay_and_ours_is_replaced() {
        let folder = std::env::temp_dir().join(format!("loadtest-compare-{}", std::process::id()));
        let path = folder.join("compare.json");
        let mut section = Section::new("Audit");
        section.curves.push(Curve {
            title: "t".to_owned(),
            unit: "ms".to_owned(),
            across: "M rows".to_owned(),
            lines: vec![("Triad".to_owned(), vec![(0.0, 1.0)])],
        });
        merge(&path, "audit", section.clone()).unwrap();
        merge(&path, "authz", Section::new("Authz")).unwrap();
        section.version("Bento", "1.10.0");
        let all = merge(&path, "audit", section.clone()).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(read(&path).unwrap()["audit"], section);
        std::fs::write(&path, "{").unwrap();
        assert!(merge(&path, "audit", section).is_err(), "a damaged file is not overwritten");
        std::fs::remove_dir_all(folder).unwrap();
    }
}

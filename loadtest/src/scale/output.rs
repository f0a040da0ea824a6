//! What is written while it is measured: the whole result as one JSON file, anew whenever something is known,
//! and in the end the figures beside those of `bench`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::bench::file;
use crate::bench::goals::{self, Figure};
use crate::bench::suite::default_file;
use crate::cli::ScaleOutput;
use crate::progress::say;
use crate::report::{self, Chart};
use crate::system::Machine;

/// Where a result goes.
pub(super) struct Output {
    what: &'static str,
    path: PathBuf,
    report: Option<PathBuf>,
}

impl Output {
    /// As asked, or `target/scale-WHAT.json` of the workspace.
    pub(super) fn new(asked: &ScaleOutput, what: &'static str) -> anyhow::Result<Self> {
        let path = match &asked.out {
            Some(path) => path.clone(),
            None => default_file()?.with_file_name(format!("scale-{what}.json")),
        };
        Ok(Self { what, path, report: asked.report.clone() })
    }

    /// Writes all that is known so far, and the drawings of it if they are asked for.
    pub(super) fn save(&self, result: &Value, charts: &[Chart]) -> anyhow::Result<()> {
        file::write(&self.path, result)?;
        if let Some(path) = &self.report {
            report::write(path, &format!("Triad at scale: {}", self.what), charts, result)?;
        }
        Ok(())
    }

    /// Writes the result for good, and the figures into `bench.json` beside it.
    pub(super) fn finish(
        &self,
        result: &Value,
        charts: &[Chart],
        figures: &[Figure],
    ) -> anyhow::Result<()> {
        self.save(result, charts)?;
        let bench = self.path.with_file_name("bench.json");
        file::merge(&bench, figures)?;
        file::write_machine(&bench, "scale", &Machine::here())?;
        goals::print(&figures.iter().map(|figure| figure.id).collect::<Vec<_>>(), figures);
        say(&format!("written to {}", self.path.display()));
        Ok(())
    }
}

/// Bytes that a folder and all below it take on the disk. What vanishes meanwhile counts nothing: engines
/// delete what they have compacted.
pub(super) fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => disk_bytes(&entry.path()),
        // POSIX counts blocks of 512 bytes, whatever those of the disk.
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Bytes that are free where `folder` is.
pub(super) async fn free_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut command = tokio::process::Command::new("df");
    command.args(["--output=avail", "--block-size=1"]).arg(folder).kill_on_drop(true);
    let output = command.output().await.context("starting df")?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_free(&text).with_context(|| format!("df tells nothing of {}", folder.display()))
}

fn parse_free(text: &str) -> Option<u64> {
    text.lines().last()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_counted_with_all_below_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        assert_eq!(disk_bytes(folder.path()), 0);
        std::fs::write(folder.path().join("below/file"), vec![1; 100_000]).unwrap();
        let found = disk_bytes(folder.path());
        assert!((100_000..200_000).contains(&found) || found == 0, "{found}");
        assert_eq!(disk_bytes(&folder.path().join("none")), 0);
    }

    #[test]
    fn free_bytes_are_behind_the_heading() {
        assert_eq!(parse_free("     Avail\n 123456\n"), Some(123_456));
        assert_eq!(parse_free("Avail\n"), None);
    }

    #[tokio::test]
    async fn this_disk_has_something_free() {
        assert!(free_bytes(&std::env::temp_dir()).await.unwrap() > 0);
    }
}

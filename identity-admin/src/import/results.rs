//! What became of each row: a line of JSON a row, in order. The file is also what an import goes on by.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::change::Answer;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It made something.
    Created,
    /// What it asks for is there already.
    Unchanged,
    /// It breaks a rule, and made nothing.
    Refused,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Counted from 1, without a header.
    pub(super) row: u64,
    pub(super) status: Status,
    /// Of the user.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) errors: Vec<Fault>,
}

/// A rule that a row breaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Fault {
    pub(super) field: String,
    pub(super) reason: String,
}

/// How many of a batch did what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) rows: u64,
    pub(super) created: u64,
    pub(super) refused: u64,
}

/// The file.
pub(super) struct Results {
    file: File,
    done: u64,
}

impl Results {
    /// A new file, or one that is there, whose last batch is left out unless it is whole: it is repeated.
    pub(super) fn open(path: &Path, batch: usize) -> std::io::Result<Self> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let batch = batch as u64;
        let (mut done, mut end, mut kept) = (0, 0, (0, 0));
        let mut lines = BufReader::new(&file);
        loop {
            let mut line = String::new();
            let read = lines.read_line(&mut line)?;
            let is_whole = line.ends_with('\n')
                && serde_json::from_str::<Outcome>(&line).is_ok_and(|told| told.row == done + 1);
            if read == 0 || !is_whole {
                break;
            }
            done += 1;
            end += read as u64;
            if done % batch == 0 {
                kept = (done, end);
            }
        }
        file.set_len(kept.1)?;
        file.seek(SeekFrom::Start(kept.1))?;
        Ok(Self { file, done: kept.0 })
    }

    /// Rows that have a result.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Writes what a batch answered.
    pub(super) fn write(&mut self, answer: &Answer) -> std::io::Result<Told> {
        let body = answer.body.as_ref().map_or("[]", |body| body.get());
        let outcomes: Vec<Outcome> = serde_json::from_str(body)?;
        let mut text = Vec::with_capacity(96 * outcomes.len());
        let mut told = Told::default();
        for outcome in &outcomes {
            serde_json::to_writer(&mut text, outcome)?;
            text.push(b'\n');
            told.rows += 1;
            told.created += u64::from(outcome.status == Status::Created);
            told.refused += u64::from(outcome.status == Status::Refused);
        }
        self.file.write_all(&text)?;
        self.file.sync_data()?;
        self.done += told.rows;
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: std::ops::RangeInclusive<u64>) -> Answer {
        let outcomes: Vec<_> = rows
            .map(|row| Outcome { row, status: Status::Created, id: None, errors: Vec::new() })
            .collect();
        Answer::plain(200, &outcomes).unwrap()
    }

    #[test]
    fn an_import_goes_on_behind_its_last_whole_batch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results");
        let mut results = Results::open(&path, 3).unwrap();
        results.write(&answer(1..=3)).unwrap();
        results.write(&answer(4..=6)).unwrap();
        assert_eq!(Results::open(&path, 3).unwrap().done(), 6);
        let whole = std::fs::read(&path).unwrap();
        for cut in [1, whole.len() / 2 - 1, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let done = Results::open(&path, 3).unwrap().done();
            assert_eq!(done, if cut < whole.len() / 2 { 0 } else { 3 }, "{cut}");
            assert_eq!(std::fs::read(&path).unwrap().len() as u64, done * whole.len() as u64 / 6);
        }
    }
}

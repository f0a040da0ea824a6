//! Lines in the order of their bytes, of which there may be more than fit into memory.
//!
//! Nodes come in the order in which they were made, which is another one in every graph. Sorted, the same
//! graph gives the same file, and two exports can be compared line by line.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Runs of one level that are merged into one of the next: so many files are open for each level.
const RUNS: usize = 32;

/// Takes lines in any order. What is above `most` bytes is in files without a name, gone with the process.
pub(super) struct Sorter {
    folder: PathBuf,
    most: usize,
    text: Vec<u8>,
    lines: Vec<Range<usize>>,
    levels: Vec<Vec<File>>,
}

impl Sorter {
    /// Has its files in `folder`.
    pub(super) fn new(folder: &Path, most: usize) -> Self {
        let (text, lines, levels) = (Vec::new(), Vec::new(), Vec::new());
        Self { folder: folder.to_owned(), most, text, lines, levels }
    }

    /// Takes a line, which has no line feed.
    pub(super) fn add(&mut self, line: &[u8]) -> io::Result<()> {
        if self.text.len() + line.len() > self.most {
            self.spill()?;
        }
        let begin = self.text.len();
        self.text.extend_from_slice(line);
        self.lines.push(begin..self.text.len());
        Ok(())
    }

    /// All lines in order.
    pub(super) fn sorted(mut self) -> io::Result<Sorted> {
        self.spill()?;
        Sorted::of(self.levels.into_iter().flatten().collect())
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let text = &self.text;
        self.lines.sort_unstable_by(|a, b| text[a.clone()].cmp(&text[b.clone()]));
        let mut run = BufWriter::new(tempfile::tempfile_in(&self.folder)?);
        for line in self.lines.drain(..) {
            run.write_all(&text[line])?;
            run.write_all(b"\n")?;
        }
        self.text.clear();
        self.keep(0, run)
    }

    fn keep(&mut self, level: usize, run: BufWriter<File>) -> io::Result<()> {
        let mut file = run.into_inner()?;
        file.rewind()?;
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(file);
        if self.levels[level].len() < RUNS {
            return Ok(());
        }
        let mut sorted = Sorted::of(std::mem::take(&mut self.levels[level]))?;
        let mut merged = BufWriter::new(tempfile::tempfile_in(&self.folder)?);
        while let Some(line) = sorted.line()? {
            merged.write_all(&line)?;
        }
        self.keep(level + 1, merged)
    }
}

/// Sorted runs, read as one.
pub(super) struct Sorted {
    runs: Vec<BufReader<File>>,
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
}

impl Sorted {
    fn of(runs: Vec<File>) -> io::Result<Self> {
        let runs: Vec<_> = runs.into_iter().map(BufReader::new).collect();
        let mut sorted = Self { heads: BinaryHeap::with_capacity(runs.len()), runs };
        (0..sorted.runs.len()).try_for_each(|at| sorted.advance(at))?;
        Ok(sorted)
    }

    /// The next line, with its line feed.
    pub(super) fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(Reverse((line, at))) = self.heads.pop() else { return Ok(None) };
        self.advance(at)?;
        Ok(Some(line))
    }

    fn advance(&mut self, at: usize) -> io::Result<()> {
        let mut line = Vec::new();
        if self.runs[at].read_until(b'\n', &mut line)? > 0 {
            self.heads.push(Reverse((line, at)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted(lines: &[String], most: usize) -> Vec<String> {
        let mut sorter = Sorter::new(&std::env::temp_dir(), most);
        lines.iter().for_each(|line| sorter.add(line.as_bytes()).unwrap());
        let mut sorted = sorter.sorted().unwrap();
        let line = || sorted.line().unwrap().map(|line| String::from_utf8(line).unwrap());
        std::iter::from_fn(line).collect()
    }

    fn wanted(lines: &[String]) -> Vec<String> {
        let mut wanted: Vec<_> = lines.iter().map(|line| format!("{line}\n")).collect();
        wanted.sort();
        wanted
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn lines_are_sorted_however_many_runs_they_take(
            lines in prop::collection::vec("[a-c]{1,4}", 0..80),
            most in 1_usize..200,
        ) {
            prop_assert_eq!(sorted(&lines, most), wanted(&lines));
        }
    }

    #[test]
    fn runs_of_several_levels_are_merged() {
        let lines: Vec<_> = (0..RUNS * RUNS + 7).map(|n| (n * 7919 % 1009).to_string()).collect();
        assert_eq!(sorted(&lines, 1), wanted(&lines));
    }
}

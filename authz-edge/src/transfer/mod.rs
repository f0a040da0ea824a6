//! A tenant's graph as a file, and back: `authz-edge graph export|import`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`format`](mod@format) | the lines, and the reader that takes nothing malformed |
//! | [`export`](mod@export) | the graph at one revision, written page by page |
//! | [`import`](mod@import) | lines into the graph, window by window, several transactions at once |
//! | [`checkpoint`] | how far an import came, so that it can go on after a crash |
//!
//! An export has none: it is one moment of the graph, which does not keep what that moment needs for long.

mod apply;
pub mod checkpoint;
pub mod export;
pub mod format;
pub mod import;
mod sorter;
mod window;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::graph::GraphError;
use crate::graph::write::WriteError;

/// Why a transfer ended early.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The file could not be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A line that is none, or not in its place. Nothing of it was written.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The graph refuses what the line says. Nothing of its batch was written.
    #[error("line {line}: {error}")]
    Write {
        /// Counted from 1.
        line: u64,
        /// Why.
        error: WriteError,
    },
    /// The graph did not answer as it should.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// What was read is not what was there at the revision of the export.
    #[error(
        "the graph no longer has all of revision {revision}: {found} of {expected}; export again"
    )]
    Lost {
        /// The export's.
        revision: u64,
        /// What was read.
        found: String,
        /// What was counted at the beginning.
        expected: String,
    },
}

/// A bar of lines on standard error; hidden when that is no terminal.
#[must_use]
pub fn bar(what: &'static str, total: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(4));
    let style = match total {
        Some(_) => "{msg:>8} [{bar:40}] {human_pos}/{human_len} {per_sec} {eta}",
        None => "{msg:>8} {spinner} {human_pos} {per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_message(what)
}

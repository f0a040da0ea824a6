//! What the person who migrates reads.

use std::fmt::Write as _;

/// A line on standard error.
#[allow(clippy::print_stderr, reason = "what the person who migrates reads")]
pub(super) fn tell(line: &str) {
    eprintln!("{line}");
}

/// What was copied of something, and how much of that was found to be the same where it was brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) what: &'static str,
    pub(super) copied: u64,
    pub(super) verified: u64,
}

/// A table of them.
pub(super) fn table(all: &[Counted]) -> String {
    let mut text = format!("{:<18}{:>12}{:>12}", "", "copied", "verified");
    for Counted { what, copied, verified } in all {
        // Writing into a String cannot fail.
        let _ = write!(text, "\n{what:<18}{copied:>12}{verified:>12}");
    }
    text
}

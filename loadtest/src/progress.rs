//! What people at a terminal see meanwhile. Everything goes to standard error, so that standard
//! output stays the result's.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of `total` things; hidden when standard error is no terminal.
#[must_use]
pub fn bar(what: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(4));
    let style = "{msg:>10} [{bar:40}] {human_pos}/{human_len} {per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_message(what)
}

/// One line for people.
#[allow(clippy::print_stderr, reason = "progress is for standard error")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// A duration in seconds with one digit.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

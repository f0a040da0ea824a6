//! `triad` alone: one process on one folder, no engines.
#![allow(clippy::expect_used, reason = "tests")]

mod bed;
mod faults;
mod kills;
mod readme;
mod walk;

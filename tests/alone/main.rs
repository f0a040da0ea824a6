//! `triad` alone: one process on one folder, no engines.
#![allow(clippy::expect_used, reason = "tests")]

mod abuse;
mod faults;
mod kills;
mod login;
mod readme;
mod scim;
mod walk;

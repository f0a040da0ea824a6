//! Loads, ceilings and proofs for Triad, on real engines that run on this machine.
//!
//! | module | subject |
//! |---|---|
//! | [`run`], [`generate`] | which events: deterministic, so that they can be made again |
//! | [`produce`] | publishing them, poison included |
//! | [`ceiling`] | the driver alone with the very same rows |
//! | [`child`], [`scrape`], [`watch`] | the real `ingest`, and what it tells while it works |
//! | [`scenario`] | what is measured with these |
//! | [`check`] | permission checks: a graph, questions with known answers, four kinds of targets |
//! | [`verify`] | the accounting identity, proved record by record |
//! | [`tail`] | a topic, read on from where one left off |
//! | [`trio`] | all three services on engines of their own, and work with invariants |
//! | [`chaos`], [`soak`] | faults and hours, and what is held to be true meanwhile and after |
//! | [`mod@bench`] | the goals beside what was measured |
//! | [`scale`] | many rows, many relationships, many tenants for a month |
//! | [`mod@compare`] | Triad beside its peers |
//! | [`engines`], [`deploy`], `mysql`, [`port`], [`system`] | the engines, the script that runs them, the bare driver of one, ports, the machine |
//! | [`latency`], [`report`], [`progress`] | figures, drawings, bars |

pub mod bench;
pub mod ceiling;
pub mod chaos;
pub mod check;
pub mod child;
pub mod cli;
pub mod compare;
pub mod deploy;
pub mod engines;
pub mod generate;
pub mod latency;
mod mysql;
pub mod port;
pub mod produce;
pub mod progress;
pub mod report;
pub mod run;
pub mod scale;
pub mod scenario;
pub mod scrape;
pub mod soak;
pub mod stop;
pub mod system;
pub mod tail;
pub mod trio;
pub mod verify;
pub mod watch;

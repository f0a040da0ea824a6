//! The checker against a graph in memory that keeps its history.
//!
//! | module | what it holds |
//! |---|---|
//! | [`world`] | states, changes, and the naive evaluator |
//! | [`memory`] | the store: reads at a time, alphas that lag, reads that are held |
//! | [`edge`] | a checker on that store, with fences and clock in the test's hands |
//! | [`property`] | random sequences, each answer against the naive one |
//! | [`races`], [`lives`] | named orders of events |
//! | [`explains`] | explanations of random worlds against checks and the naive evaluator |
//! | [`live`] | the same on the real store |
//! | [`stress`] | threads |

mod edge;
mod explains;
mod live;
mod lives;
mod memory;
mod property;
mod races;
mod stress;
mod world;

//! The checker against a graph in memory that keeps its history.
//!
//! | module | what it holds |
//! |---|---|
//! | [`world`] | states, changes, and the naive evaluator |
//! | [`memory`] | the store: reads at a time, alphas that lag, reads that are held |
//! | [`edge`] | a checker on that store, with fences and clock in the test's hands |
//! | [`moments`] | what an answer may have been made from |
//! | [`steps`] | what random sequences are made of |
//! | [`property`] | random sequences, each answer against the naive one |
//! | [`races`], [`lives`] | named orders of events |
//! | [`parts`] | what is read again after a change, and what is shared |
//! | [`tokens`], [`crowds`] | many who wait: for identities, for large subjects, for their turn |
//! | [`standing`] | subjects that are unknown, deleted, inactive |
//! | [`explains`] | explanations of random worlds against checks and the naive evaluator |
//! | [`live`] | the same on the real store |
//! | [`stress`] | threads |

mod crowds;
mod edge;
mod explains;
mod live;
mod lives;
mod memory;
mod moments;
mod parts;
mod property;
mod races;
mod standing;
mod steps;
mod stress;
mod tokens;
mod world;

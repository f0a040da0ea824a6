//! The one evaluator: views and decisions in moka, fences that make them void, and Dgraph behind.
//!
//! | module | what it holds |
//! |---|---|
//! | [`question`] | what is asked and answered |
//! | [`fences`] | a fixed array of atomics: what changed when |
//! | [`stamp`] | what a cached entry depends on, and whether it still holds |
//! | [`freshness`] | watermark, epoch, tokens |
//! | [`flights`] | one fill a key, in a task of its own |
//! | [`views`] | the cached views |
//! | [`subjects`] | those of subjects, and the parts that they share |
//! | `fills`, [`turns`] | reads of the graph, and whose turn it is to make one |
//! | [`key`], [`decisions`] | the cached decisions |
//! | [`doorkeeper`] | which decisions are worth caching |
//! | [`checker`] | how they make an answer |
//! | `narrowed` | the same, of a subject that is too large for a view |
//! | `counters` | what is counted of them |
//! | [`applied`] | what identity tokens wait for |
//! | [`explain`] | why: the same verdict with the paths that lead to it, or fail to |
//! | [`search`] | who, what and on what: candidates, each answered as a check |

pub mod applied;
pub mod checker;
mod counters;
pub mod decisions;
pub mod doorkeeper;
pub mod explain;
pub mod fences;
mod fills;
pub mod flights;
pub mod freshness;
pub mod key;
mod narrowed;
pub mod question;
pub mod search;
pub mod stamp;
pub mod subjects;
pub mod turns;
pub mod views;

#[cfg(test)]
mod tests;

pub use checker::{Checker, Options};
pub use question::{Answer, AtLeast, CheckError, Given, Question, Source, Words};

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
//! | [`decisions`] | the cached decisions |
//! | [`doorkeeper`] | which decisions are worth caching |
//! | [`checker`] | how they make an answer |
//! | [`explain`] | why: the same verdict with the paths that lead to it, or fail to |
//! | [`search`] | who, what and on what: candidates, each answered as a check |

pub mod checker;
pub mod decisions;
pub mod doorkeeper;
pub mod explain;
pub mod fences;
pub mod flights;
pub mod freshness;
pub mod question;
pub mod search;
pub mod stamp;
pub mod views;

#[cfg(test)]
mod tests;

pub use checker::{Checker, Options};
pub use question::{Answer, AtLeast, CheckError, Given, Question, Source, Words};

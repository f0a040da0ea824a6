//! All of Triad in one process, on one folder; and the command line for people, for any deployment.
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`] | the commands |
//! | [`serve`] | the process: the three services' own code, on embedded stores |
//! | [`client`] | the command line against a deployment |
//! | `migrate` | from here into the real engines (feature `engines`) |
//! | `moved` | whether that was done |

pub mod cli;
pub mod client;
#[cfg(feature = "engines")]
pub mod migrate;
mod moved;
pub mod serve;

//! Permission checks: the same questions, with known answers, to four kinds of targets.
//!
//! | module | subject |
//! |---|---|
//! | [`words`], [`graph`] | what is true: a pure function of shape and tenant |
//! | [`space`] | what is asked, and the right answer to it |
//! | [`change`] | what is written beside the checks |
//! | [`target`], [`link`] | in which words, over which connection |
//! | [`pace`], `drive` | when, from how many connections, and what is counted |
//! | [`load`], [`measure`] | telling a target the graph; one measurement |
//! | [`queries`] | ways to ask Dgraph, side by side |
//! | [`bare`] | a server that answers without a thought |

pub mod bare;
pub mod change;
mod drive;
pub mod graph;
pub mod link;
pub mod load;
pub mod measure;
pub mod pace;
pub mod queries;
pub mod space;
pub mod target;
pub mod words;

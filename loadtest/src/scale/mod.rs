//! `loadtest scale`: what grows with what, measured as far as this machine goes, and simulated where no
//! machine would.
//!
//! | module | what it does |
//! |---|---|
//! | [`mod@audit`] | rows into one Cassandra, step by step: write rate, pages, partitions, disk |
//! | [`mod@graph`] | a million users and ten million relationships in one Dgraph, beside a small graph in another: checks, memory, disk |
//! | [`mod@month`] | a month of skewed tenants through `ingest`'s own layouts, without any engine |
//! | `output`, `sizes` | what is written while it is measured; sizes of partitions |

pub mod audit;
pub mod graph;
pub mod month;
mod output;
mod sizes;

use crate::bench::goals::{Goal, goal};

pub(crate) static GOALS: [Goal; 4] = [
    goal(
        "scale.audit_rate_ratio",
        0.90,
        true,
        "ratio",
        "rows/s of the pipeline into the fullest table ÷ into an empty one, in turns",
    ),
    goal(
        "scale.hot_ratio",
        0.95,
        true,
        "ratio",
        "hot checks/s about the large graph ÷ about the small one, each in a Dgraph of its own, in turns",
    ),
    goal(
        "scale.partition_p99_rows",
        100_000.0,
        false,
        "rows",
        "rows of a partition under a promoted layout, p99 of a simulated month; the worst exponent",
    ),
    goal(
        "scale.partition_p99_mb",
        100.0,
        false,
        "MB",
        "its size before compression, p99 of the same month",
    ),
];

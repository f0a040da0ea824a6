//! Triad on the real engines: start it with `make test`, which brings them up.
//!
//! Tests run one after the other: some of them pause, kill or restrict an engine that all share.
//! Each has topics, a group and a keyspace of its own.
#![allow(clippy::expect_used, reason = "tests")]

mod abuse;
mod agreement;
mod alphas;
mod checks;
mod configuration;
mod configured;
mod dashboards;
mod decision_audit;
mod drill;
mod drills;
mod edge;
mod edge_faults;
mod end_to_end;
mod explain;
mod faults;
mod fenced;
mod filters;
mod forgeries;
mod ghost;
mod identities;
mod identity;
mod issuer;
mod layouts;
mod lists;
mod migrate;
mod outage;
mod process;
mod recorder;
mod relay;
mod restore;
mod schema;
mod storms;
mod surface;
mod sweep;
mod tls;
mod tokens;
mod transfer;
mod upgrade;
mod walk;
mod world;
mod writes;

//! Work: audit events, checks and identities, with what must be true of the answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::site::Site;

/// Something that must never be.
#[derive(Debug, Clone, Serialize)]
pub struct Violation {
    /// The invariant: one of [`INVARIANTS`].
    pub invariant: &'static str,
    /// Seconds since the work began.
    pub at: f64,
    /// What was seen, and what should have been.
    pub detail: String,
}

/// How much is asked for, a second, over all replicas.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rates {
    /// Events published to Kafka by a producer of its own.
    pub events: u32,
    /// Events posted over HTTP.
    pub posts: u32,
    /// Checks.
    pub checks: u32,
    /// Grants and revocations of roles.
    pub grants: u32,
    /// Writes of users, teams and memberships.
    pub identities: u32,
}

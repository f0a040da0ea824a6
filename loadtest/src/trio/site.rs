//! Where the replicas answer, and what is promised of them.

use std::net::SocketAddr;
use std::time::Duration;

use super::member::Member;
use crate::engines::Engines;
use crate::run::Names;

/// One replica: its addresses stay the same through kills and restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replica {
    /// Its public listener.
    pub http: SocketAddr,
    /// Its admin listener.
    pub admin: SocketAddr,
}

/// A running trio, guarded: `auth.mode: jwt` everywhere, `sync.mode: identity` at the edges.
#[derive(Debug, Clone)]
pub struct Site {
    /// Replicas of `ingest`.
    pub ingest: [Replica; 2],
    /// Replicas of `authz-edge`.
    pub edge: [Replica; 2],
    /// Replicas of `identity-admin`.
    pub identity: [Replica; 2],
    /// Kafka and Cassandra, as the loads of `ingest` know them.
    pub engines: Engines,
    /// Topics, consumer group and keyspace of `ingest`.
    pub names: Names,
    /// Topic of what changed in identities.
    pub changes_topic: String,
    /// API key of the bootstrapped `system:admin`.
    pub admin_key: String,
    /// What is promised.
    pub bounds: Bounds,
}

impl Site {
    /// Where a replica answers; nowhere, if it is an engine.
    #[must_use]
    pub fn replica(&self, member: Member) -> Option<Replica> {
        let all = [self.ingest, self.edge, self.identity];
        all.as_flattened().get(member.replica()?).copied()
    }
}

/// How old an answer of `authz-edge` may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Life of a cached entry: nothing older answers, whatever is down.
    pub entry_life: Duration,
    /// What clocks and the delivery of an answer may add.
    pub grace: Duration,
}

impl Bounds {
    /// How long after a change an answer may still be of before it.
    #[must_use]
    pub fn all(self) -> Duration {
        self.entry_life + self.grace
    }
}

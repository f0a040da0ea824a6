//! Who is in a trio: replicas of services, and processes of engines.

use serde::{Deserialize, Serialize};

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Member {
    #[serde(rename = "ingest-1")]
    Ingest1,
    #[serde(rename = "ingest-2")]
    Ingest2,
    #[serde(rename = "edge-1")]
    Edge1,
    #[serde(rename = "edge-2")]
    Edge2,
    #[serde(rename = "identity-1")]
    Identity1,
    #[serde(rename = "identity-2")]
    Identity2,
    #[serde(rename = "kafka")]
    Kafka,
    #[serde(rename = "cassandra-1")]
    Cassandra1,
    #[serde(rename = "cassandra-2")]
    Cassandra2,
    #[serde(rename = "cassandra-3")]
    Cassandra3,
    #[serde(rename = "mysql")]
    Mysql,
    #[serde(rename = "dgraph-zero")]
    DgraphZero,
    #[serde(rename = "dgraph-alpha")]
    DgraphAlpha,
}

/// A service of the trio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Service {
    Ingest,
    Edge,
    Identity,
}

/// An engine, of one or several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "their names say it")]
pub enum Engine {
    Kafka,
    Cassandra,
    Mysql,
    Dgraph,
}

/// The replicas, two of each service.
pub const REPLICAS: [Member; 6] = [
    Member::Ingest1,
    Member::Ingest2,
    Member::Edge1,
    Member::Edge2,
    Member::Identity1,
    Member::Identity2,
];

/// The processes of engines, in an order in which they can be started.
pub const ENGINES: [Member; 7] = [
    Member::Kafka,
    Member::Cassandra1,
    Member::Cassandra2,
    Member::Cassandra3,
    Member::Mysql,
    Member::DgraphZero,
    Member::DgraphAlpha,
];

impl Member {
    /// As plans and people have it; of engines also as `deploy/local/engines` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest1 => "ingest-1",
            Self::Ingest2 => "ingest-2",
            Self::Edge1 => "edge-1",
            Self::Edge2 => "edge-2",
            Self::Identity1 => "identity-1",
            Self::Identity2 => "identity-2",
            Self::Kafka => "kafka",
            Self::Cassandra1 => "cassandra-1",
            Self::Cassandra2 => "cassandra-2",
            Self::Cassandra3 => "cassandra-3",
            Self::Mysql => "mysql",
            Self::DgraphZero => "dgraph-zero",
            Self::DgraphAlpha => "dgraph-alpha",
        }
    }

    /// Of which service it is a replica; none of an engine.
    #[must_use]
    pub fn service(self) -> Option<Service> {
        match self {
            Self::Ingest1 | Self::Ingest2 => Some(Service::Ingest),
            Self::Edge1 | Self::Edge2 => Some(Service::Edge),
            Self::Identity1 | Self::Identity2 => Some(Service::Identity),
            _ => None,
        }
    }

    /// Of which engine it is a process; none of a replica.
    #[must_use]
    pub fn engine(self) -> Option<Engine> {
        match self {
            Self::Kafka => Some(Engine::Kafka),
            Self::Cassandra1 | Self::Cassandra2 | Self::Cassandra3 => Some(Engine::Cassandra),
            Self::Mysql => Some(Engine::Mysql),
            Self::DgraphZero | Self::DgraphAlpha => Some(Engine::Dgraph),
            _ => None,
        }
    }

    /// Where it stands in [`REPLICAS`]; nowhere if it is an engine.
    #[must_use]
    pub fn replica(self) -> Option<usize> {
        REPLICAS.iter().position(|replica| *replica == self)
    }
}

impl Service {
    /// The name of its binary.
    #[must_use]
    pub fn binary(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Edge => "authz-edge",
            Self::Identity => "identity-admin",
        }
    }

    /// What its variables begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Ingest => ingest::config::ENV_PREFIX,
            Self::Edge => authz_edge::config::ENV_PREFIX,
            Self::Identity => identity_admin::config::ENV_PREFIX,
        }
    }

    /// The engines that it speaks to.
    #[must_use]
    pub fn engines(self) -> [Engine; 2] {
        match self {
            Self::Ingest => [Engine::Kafka, Engine::Cassandra],
            Self::Edge => [Engine::Kafka, Engine::Dgraph],
            Self::Identity => [Engine::Kafka, Engine::Mysql],
        }
    }
}

impl Engine {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Cassandra => "cassandra",
            Self::Mysql => "mysql",
            Self::Dgraph => "dgraph",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_a_replica_or_an_engine_and_is_written_by_name() {
        for (at, member) in REPLICAS.into_iter().chain(ENGINES).enumerate() {
            assert_eq!(member.replica(), (at < REPLICAS.len()).then_some(at), "{member:?}");
            assert_eq!(member.service().is_some(), member.engine().is_none(), "{member:?}");
            let text = serde_json::to_string(&member).unwrap();
            assert_eq!(text, format!("\"{}\"", member.name()));
        }
        for engine in [Engine::Kafka, Engine::Cassandra, Engine::Mysql, Engine::Dgraph] {
            assert_eq!(serde_json::to_string(&engine).unwrap(), format!("\"{}\"", engine.name()));
        }
    }
}

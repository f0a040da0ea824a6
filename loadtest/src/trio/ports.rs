//! Ports and groups: by what packets to engines are known.

use anyhow::Context;

use super::member::{Engine, Member, REPLICAS};
use crate::engines::Engines;

/// The group of the first replica, where each has its own.
const FIRST_GROUP: u32 = 65_001;

/// What is cut off by port.
pub(super) struct Ports {
    kafka: u16,
    cassandra: u16,
    /// Between nodes.
    storage: u16,
    mysql: u16,
    dgraph: u16,
}

impl Ports {
    pub(super) fn of(engines: &Engines, dsn: &str, alphas: &[String]) -> anyhow::Result<Self> {
        let port = |address: Option<&String>| {
            let port = address.and_then(|address| address.rsplit_once(':')?.1.parse::<u16>().ok());
            port.context("an engine has no port")
        };
        let cassandra = port(engines.cassandra.first())?;
        let mysql = dsn.trim_end_matches('/').to_owned();
        Ok(Self {
            kafka: port(engines.kafka.first())?,
            cassandra,
            // As the ports of an instance lie that chose its own (deploy/local/README.md).
            storage: cassandra + 1,
            mysql: port(Some(&mysql))?,
            dgraph: port(alphas.first())?,
        })
    }

    /// What to drop, so that `member` and the engine hear nothing of each other. Connections are known by the group of
    /// whoever opened them, of which [`marks`] are what is left when a socket is closed.
    pub(super) fn rules(&self, member: Member, engine: Engine) -> Vec<String> {
        let node = match member {
            Member::Cassandra1 => Some(1),
            Member::Cassandra2 => Some(2),
            Member::Cassandra3 => Some(3),
            _ => None,
        };
        if let Some(node) = node {
            // To it by its address. From it by its group: nodes connect from one address, on loopback.
            let (group, storage) = (group(member), self.storage);
            return vec![
                format!("ip daddr 127.0.0.{node} tcp dport {storage}"),
                format!("ct mark {group} tcp dport {storage}"),
            ];
        }
        let port = match engine {
            Engine::Kafka => self.kafka,
            Engine::Cassandra => self.cassandra,
            Engine::Mysql => self.mysql,
            Engine::Dgraph => self.dgraph,
        };
        vec![format!("ct mark {} tcp dport {port}", group(member))]
    }
}

/// The group of a process that can be cut off: of a replica, or a node of Cassandra.
pub(super) fn group(member: Member) -> u32 {
    let node = match member {
        Member::Cassandra2 => 1,
        Member::Cassandra3 => 2,
        _ => 0,
    };
    let at = member.replica().unwrap_or(REPLICAS.len() + node);
    FIRST_GROUP + u32::try_from(at).unwrap_or_default()
}

/// Rules that mark every connection with the group of whoever opened it. A closed socket has no group any more, and what
/// it still sends would pass.
pub(super) fn marks() -> impl Iterator<Item = String> {
    let nodes = [Member::Cassandra1, Member::Cassandra2, Member::Cassandra3];
    let groups = REPLICAS.into_iter().chain(nodes).map(group);
    groups.map(|group| format!("meta skgid {group} ct mark set {group}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Ports {
        let engines = Engines {
            kafka: vec!["127.0.0.1:10001".to_owned()],
            cassandra: vec!["127.0.0.1:10003".to_owned(), "127.0.0.2:10003".to_owned()],
            ..Engines::default()
        };
        let alphas = ["127.0.0.1:14000".to_owned()];
        Ports::of(&engines, "mysql://root@127.0.0.1:10008/", &alphas).unwrap()
    }

    #[test]
    fn a_replica_is_cut_off_by_its_group() {
        let rules = |member, engine| ports().rules(member, engine);
        let cut = rules(Member::Ingest1, Engine::Cassandra);
        assert_eq!(cut, ["ct mark 65001 tcp dport 10003"]);
        let cut = rules(Member::Identity2, Engine::Mysql);
        assert_eq!(cut, ["ct mark 65006 tcp dport 10008"]);
        assert_eq!(rules(Member::Edge1, Engine::Dgraph), ["ct mark 65003 tcp dport 14000"]);
        let marks: Vec<_> = marks().collect();
        assert_eq!(marks.len(), 9);
        assert_eq!(marks[8], "meta skgid 65009 ct mark set 65009");
    }

    #[test]
    fn a_node_is_cut_off_from_the_others_in_both_directions() {
        let rules = ports().rules(Member::Cassandra2, Engine::Cassandra);
        assert_eq!(rules, ["ip daddr 127.0.0.2 tcp dport 10004", "ct mark 65008 tcp dport 10004"]);
    }
}

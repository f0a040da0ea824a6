//! What each service is told: what `deploy/config` says, as far as one machine has it, and the short lives that let a run
//! of minutes reach its bounds.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::member::Service;
use super::site::Bounds;
use crate::engines::Engines;
use crate::run::Names;

/// Of cached entries. An outage of a run is longer, so that whoever keeps them for longer is found out.
const ENTRY_LIFE: Duration = Duration::from_secs(5);
/// What an answer may take to be delivered on a machine that is busy with engines.
const GRACE: Duration = Duration::from_secs(3);
/// As in `deploy/config`.
const DRAIN_DELAY_MS: u32 = 2000;
/// Of identities; the default of each service that reads it.
pub(super) const CHANGES_TOPIC: &str = "identity.changes";

/// What is promised under these settings.
pub(super) const BOUNDS: Bounds = Bounds { entry_life: ENTRY_LIFE, grace: GRACE };

/// The names of `ingest` that it has by itself: the engines are ours alone.
pub(super) fn names() -> Names {
    Names {
        topic: "audit.events".to_owned(),
        dead_letter_topic: "audit.events.dlq".to_owned(),
        group: "triad-ingest".to_owned(),
        keyspace: "audit_service".to_owned(),
    }
}

/// Where everything is.
pub(super) struct Settings {
    pub(super) engines: Engines,
    /// The database of `identity-admin`.
    pub(super) mysql_dsn: String,
    /// gRPC of Dgraph's alphas.
    pub(super) alphas: Vec<String>,
    /// The issuer, before all replicas of `identity-admin`.
    pub(super) issuer: SocketAddr,
    /// Keys and secrets.
    pub(super) credentials: PathBuf,
}

impl Settings {
    /// The file of the key by which pages of one replica are asked of the other.
    pub(super) fn cursor_key(&self) -> PathBuf {
        self.credentials.join("cursor.key")
    }

    /// The environment of a service; replicas differ in their listeners alone.
    pub(super) fn environment(&self, service: Service) -> Vec<(String, String)> {
        let own = match service {
            Service::Ingest => self.ingest(),
            Service::Edge => self.edge(),
            Service::Identity => self.identity(),
        };
        let all = self.guard(service).into_iter().chain(own);
        let variable =
            |key: &str| format!("{}{}", service.prefix(), key.to_uppercase().replace('.', "__"));
        let mut environment: Vec<_> = all.map(|(key, value)| (variable(key), value)).collect();
        if service == Service::Ingest {
            environment.extend(self.engines.environment(&names()));
        }
        environment
    }

    /// As `deploy/local/services` guards a site.
    fn guard(&self, service: Service) -> Vec<(&'static str, String)> {
        let issuer = self.url();
        let key = self.credentials.join(format!("{}.key", service.binary()));
        vec![
            ("auth.mode", "jwt".to_owned()),
            ("auth.jwks_url", format!("{issuer}/.well-known/jwks.json")),
            ("auth.issuer", issuer.clone()),
            ("auth.revocations_topic", CHANGES_TOPIC.to_owned()),
            ("auth.introspection_url", format!("{issuer}/oauth2/introspect")),
            ("auth.introspection_key_file", shown(&key)),
            ("http.drain_delay_ms", DRAIN_DELAY_MS.to_string()),
        ]
    }

    fn ingest(&self) -> Vec<(&'static str, String)> {
        vec![("query.cursor_key_file", shown(&self.cursor_key()))]
    }

    fn edge(&self) -> Vec<(&'static str, String)> {
        let life = ENTRY_LIFE.as_millis().to_string();
        let mut settings = self.kafka();
        settings.extend([
            ("dgraph.alpha_addresses", self.alphas.join(",")),
            ("ext_authz.listen", "127.0.0.1:0".to_owned()),
            ("sync.mode", "identity".to_owned()),
            ("cache.life_ms", life.clone()),
            ("cache.deny_life_ms", life),
        ]);
        settings
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.kafka();
        settings.extend([
            ("mysql.dsn", self.mysql_dsn.clone()),
            ("secrets_file", shown(&self.credentials.join("secrets.json"))),
            ("tokens.issuer", self.url()),
            ("http.public_url", self.url()),
        ]);
        settings
    }

    /// One broker.
    fn kafka(&self) -> Vec<(&'static str, String)> {
        vec![
            ("kafka.brokers", self.engines.kafka.join(",")),
            ("kafka.replication", "1".to_owned()),
            ("kafka.min_insync_replicas", "1".to_owned()),
        ]
    }

    fn url(&self) -> String {
        format!("http://{}", self.issuer)
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use service_kit::config::Source;

    use super::*;

    fn settings() -> Settings {
        Settings {
            engines: Engines {
                kafka: vec!["127.0.0.1:1".to_owned()],
                cassandra: vec!["127.0.0.1:2".to_owned(), "127.0.0.2:2".to_owned()],
                replication: 3,
                partitions: 12,
                ..Engines::default()
            },
            mysql_dsn: "mysql://root@127.0.0.1:3/triad".to_owned(),
            alphas: vec!["127.0.0.1:4".to_owned()],
            issuer: ([127, 0, 0, 1], 5).into(),
            credentials: "/c".into(),
        }
    }

    #[test]
    fn services_take_what_they_are_told() {
        let settings = settings();
        let source = |service: Service, defaults| Source {
            defaults,
            file: None,
            env_prefix: service.prefix(),
            env: settings.environment(service),
        };
        let edge: authz_edge::Config =
            service_kit::config::load(&source(Service::Edge, authz_edge::config::DEFAULTS))
                .unwrap();
        edge.validate().unwrap();
        let identity: identity_admin::Config =
            service_kit::config::load(&source(Service::Identity, identity_admin::config::DEFAULTS))
                .unwrap();
        identity.validate().unwrap();
        let ingest: ingest::Config =
            service_kit::config::load(&source(Service::Ingest, ingest::config::DEFAULTS)).unwrap();
        ingest.validate().unwrap();
        assert_eq!(ingest.cassandra.replication, 3);
        assert_eq!(ingest.kafka.topic, identity.kafka.audit_topic);
        assert_eq!(edge.kafka.audit_topic, identity.kafka.audit_topic);
        assert_eq!(identity.kafka.changes_topic, CHANGES_TOPIC);
    }
}

//! How to reach Kafka.

use crate::config::ConfigError;
use serde::Deserialize;
use std::{collections::BTreeMap, fmt};

/// Properties that Triad sets, or has a key of its own for: a guarantee must not depend on them.
const OWNED: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.commit.enable",
    "auto.offset.reset",
    "bootstrap.servers",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    "isolation.level",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "queue.buffering.max.kbytes",
    "request.required.acks",
    "transactional.id",
];

/// A property that ends so is read from the file that it names: `sasl.password_file`.
const FILE_SUFFIX: &str = "_file";

/// The section `kafka` of every service's configuration.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// Brokers to begin with, as `host:port`.
    pub brokers: Vec<String>,
    /// Handed to librdkafka: TLS (`security.protocol`, `ssl.ca.location`), SASL PLAIN and SCRAM, sockets.
    /// `<name>_file` reads `<name>` from a file.
    pub properties: BTreeMap<String, String>,
}

/// Shows the names of the properties only: values may be secrets.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.keys().collect();
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("properties", &names)
            .finish()
    }
}

impl KafkaConfig {
    /// Checks the section before anything connects.
    ///
    /// # Errors
    /// No brokers or one that is not `host:port` (`kafka.brokers`); a property that Triad owns, whose
    /// file cannot be read, or that librdkafka does not know (`kafka.properties.<name>`).
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.brokers.is_empty() {
            return Err(ConfigError::new("kafka.brokers", "must name a broker"));
        }
        for broker in &self.brokers {
            let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
                return Err(ConfigError::new(
                    "kafka.brokers",
                    format!("{broker} is not host:port"),
                ));
            }
        }
        for name in self.properties.keys() {
            if OWNED.contains(&name.as_str()) {
                let reason = "is set by Triad and cannot be changed";
                return Err(ConfigError::new(format!("kafka.properties.{name}"), reason));
            }
        }
        self.resolved().map(drop)?;
        #[cfg(feature = "engines")]
        self.check_with_librdkafka()?;
        Ok(())
    }

    /// The properties with files read.
    fn resolved(&self) -> Result<BTreeMap<String, String>, ConfigError> {
        let read = |(name, value): (&String, &String)| {
            let Some(plain) = name.strip_suffix(FILE_SUFFIX) else {
                return Ok((name.clone(), value.clone()));
            };
            let secret = crate::config::secret_or_file(
                &format!("kafka.properties.{plain}"),
                &None,
                &Some(value.into()),
            )?;
            Ok((
                plain.to_owned(),
                secret.map_or_else(String::new, |secret| secret.expose().to_owned()),
            ))
        };
        self.properties.iter().map(read).collect()
    }
}

#[cfg(feature = "engines")]
impl KafkaConfig {
    /// What every client of Triad's begins with: the properties, and no topic is made by accident.
    /// Call [`KafkaConfig::validate`] first; properties whose files cannot be read are left out.
    #[must_use]
    pub fn client(&self) -> rdkafka::ClientConfig {
        let mut client = rdkafka::ClientConfig::new();
        for (name, value) in self.resolved().unwrap_or_default() {
            client.set(name, value);
        }
        client
            .set("bootstrap.servers", self.brokers.join(","))
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true");
        client
    }

    /// librdkafka is asked property by property, so that its refusal has a name.
    fn check_with_librdkafka(&self) -> Result<(), ConfigError> {
        for (name, value) in self.resolved()? {
            let mut one = rdkafka::ClientConfig::new();
            if let Err(rdkafka::error::KafkaError::ClientConfig(_, reason, ..)) =
                one.set(&name, value).create_native_config().map(drop)
            {
                return Err(ConfigError::new(format!("kafka.properties.{name}"), reason));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(brokers: &[&str], properties: &[(&str, &str)]) -> KafkaConfig {
        KafkaConfig {
            brokers: brokers.iter().map(|&broker| broker.to_owned()).collect(),
            properties: properties.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
        }
    }

    fn refused_key(brokers: &[&str], properties: &[(&str, &str)]) -> String {
        config(brokers, properties).validate().unwrap_err().key().to_owned()
    }

    #[test]
    fn what_triad_guarantees_cannot_be_configured_away() {
        for name in
            ["acks", "enable.idempotence", "group.id", "isolation.level", "request.required.acks"]
        {
            assert_eq!(refused_key(&["a:1"], &[(name, "1")]), format!("kafka.properties.{name}"));
        }
        for brokers in [&[][..], &["a"], &[":1"], &["a:0"], &["a:x"]] {
            assert_eq!(refused_key(brokers, &[]), "kafka.brokers");
        }
        config(&["a:1", "[::1]:2"], &[("socket.timeout.ms", "9000")]).validate().unwrap();
    }

    #[cfg(feature = "engines")]
    #[test]
    fn librdkafka_has_its_say_by_name() {
        assert_eq!(refused_key(&["a:1"], &[("no.such", "1")]), "kafka.properties.no.such");
        let refused = refused_key(&["a:1"], &[("socket.timeout.ms", "long")]);
        assert_eq!(refused, "kafka.properties.socket.timeout.ms");
    }

    #[cfg(feature = "engines")]
    #[test]
    fn it_is_built_with_tls_and_scram() {
        let config = config(
            &["a:1"],
            &[
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", "SCRAM-SHA-512"),
                ("sasl.username", "u"),
                ("sasl.password", "p"),
            ],
        );
        config.validate().unwrap();
        // Without either, a client is refused and not its properties.
        let client: Result<rdkafka::producer::BaseProducer, _> = config.client().create();
        client.map(drop).unwrap();
    }

    #[cfg(feature = "engines")]
    #[test]
    fn a_secret_property_comes_from_a_file_and_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "hunter2\n").unwrap();
        let config = config(&["a:1"], &[("sasl.password_file", path.to_str().unwrap())]);
        config.validate().unwrap();
        assert_eq!(config.client().get("sasl.password"), Some("hunter2"));
        assert!(!format!("{config:?}").contains(path.to_str().unwrap()));
        let missing = refused_key(&["a:1"], &[("sasl.password_file", "/none")]);
        assert_eq!(missing, "kafka.properties.sasl.password_file");
    }
}

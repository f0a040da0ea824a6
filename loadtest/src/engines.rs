//! The engines under load: where they are, what a run creates in them, and what is dropped after it.

use std::time::Duration;

use anyhow::{Context, bail};
use ingest::sink::{schema, session::Cassandra};
use ingest::{Config, topics};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use service_kit::bus::apply_topics;

use crate::run::Names;

/// How long one request to the cluster may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How filters are served in a run's keyspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexKind {
    /// The data-skipping index: rows and their granules, by `ingest` and by the ceiling.
    Skip,
    /// No index.
    None,
    /// Storage-attached indexes.
    Sai,
    /// A second, narrow table; the ceiling alone can write it.
    Table,
    /// Only the entries of that table: what a consumer group of its own would write, when the ceiling
    /// without an index runs beside it.
    Entries,
}

impl IndexKind {
    /// Whether the ceiling writes it, and `ingest` does not.
    #[must_use]
    pub fn for_ceiling_alone(self) -> bool {
        matches!(self, Self::Table | Self::Entries)
    }
}

/// Where the engines are, and what differs from ingest's defaults.
#[derive(Debug, Clone, Default)]
pub struct Engines {
    /// Brokers, `host:port`.
    pub kafka: Vec<String>,
    /// Contact points, `host:port`.
    pub cassandra: Vec<String>,
    /// Credentials, if any.
    pub login: Option<(String, String)>,
    /// Replicas of keyspaces that are created.
    pub replication: u8,
    /// Partitions of topics that are created.
    pub partitions: i32,
    /// Of writes and reads; ingest's default without.
    pub consistency: Option<String>,
    /// As ingest is configured without.
    pub index: Option<IndexKind>,
    /// Further settings of ingest, `pipeline.batch_rows` and the value.
    pub settings: Vec<(String, String)>,
}

/// Refuses what is not on this machine: a load test never leaves it.
///
/// # Errors
/// The first address that is not loopback.
pub fn require_loopback(addresses: &[String]) -> anyhow::Result<()> {
    for address in addresses {
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if !loopback {
            bail!("{address} is not a loopback address: loads stay on this machine");
        }
    }
    Ok(())
}

impl Engines {
    /// What a child `ingest` gets in its environment to serve the run of those names.
    #[must_use]
    pub fn environment(&self, names: &Names) -> Vec<(String, String)> {
        let mut settings = vec![
            ("kafka.brokers", self.kafka.join(",")),
            ("kafka.topic", names.topic.clone()),
            ("kafka.dead_letter_topic", names.dead_letter_topic.clone()),
            ("kafka.group", names.group.clone()),
            ("kafka.replication", "1".to_owned()),
            ("kafka.min_insync_replicas", "1".to_owned()),
            ("kafka.partitions", self.partitions.to_string()),
            ("cassandra.hosts", self.cassandra.join(",")),
            ("cassandra.keyspace", names.keyspace.clone()),
            ("cassandra.replication", self.replication.to_string()),
        ];
        if let Some((user, password)) = &self.login {
            settings.push(("cassandra.username", user.clone()));
            settings.push(("cassandra.password", password.clone()));
        }
        if let Some(consistency) = &self.consistency {
            settings.push(("cassandra.consistency", consistency.to_uppercase()));
        }
        match self.index {
            Some(IndexKind::Skip) => settings.push(("cassandra.index", "skip".to_owned())),
            Some(IndexKind::Sai) => settings.push(("cassandra.index", "sai".to_owned())),
            Some(IndexKind::None | IndexKind::Table | IndexKind::Entries) => {
                settings.push(("cassandra.index", "none".to_owned()));
            }
            None => {}
        }
        let given = self.settings.iter().map(|(key, value)| (key.as_str(), value.clone()));
        settings.into_iter().chain(given).map(|(key, value)| (variable(key), value)).collect()
    }

    /// The configuration that [`Engines::environment`] gives to a child.
    ///
    /// # Errors
    /// What ingest itself would refuse.
    pub fn config(&self, names: &Names) -> anyhow::Result<Config> {
        let inherited =
            std::env::vars().filter(|(name, _)| name.starts_with(ingest::config::ENV_PREFIX));
        let config: Config = service_kit::config::load(&service_kit::config::Source {
            defaults: ingest::config::DEFAULTS,
            file: None,
            env_prefix: ingest::config::ENV_PREFIX,
            env: inherited.chain(self.environment(names)).collect(),
        })?;
        config.validate()?;
        Ok(config)
    }

    /// A session to the run's keyspace, which need not exist yet.
    ///
    /// # Errors
    /// When the configuration is refused or nobody answers.
    pub async fn session(&self, names: &Names) -> anyhow::Result<Cassandra> {
        let config = self.config(names)?;
        Cassandra::connect(&config.cassandra).await.context("connecting to Cassandra")
    }

    /// Creates the run's topics.
    ///
    /// # Errors
    /// When Kafka refuses or does not answer.
    pub async fn apply_topics(&self, names: &Names) -> anyhow::Result<()> {
        let config = self.config(names)?;
        apply_topics(&config.kafka.cluster(), &topics::specs(&config)).await?;
        Ok(())
    }

    /// Creates the run's keyspace and tables, and connects to them.
    ///
    /// # Errors
    /// When Cassandra refuses or does not answer.
    pub async fn apply_schema(&self, names: &Names) -> anyhow::Result<Cassandra> {
        let config = self.config(names)?;
        let db = Cassandra::connect(&config.cassandra).await?;
        schema::apply(&db, &config.cassandra).await?;
        Ok(db)
    }

    /// Drops the keyspace. Table files go with it: engines take no snapshots here.
    ///
    /// # Errors
    /// When Cassandra refuses or does not answer.
    pub async fn drop_keyspace(&self, names: &Names) -> anyhow::Result<()> {
        let db = self.session(names).await?;
        let mut drop = scylla::statement::unprepared::Statement::new(format!(
            "DROP KEYSPACE IF EXISTS {}",
            names.keyspace
        ));
        drop.set_request_timeout(Some(Duration::from_secs(60)));
        db.session.query_unpaged(drop, ()).await?;
        Ok(())
    }

    /// Deletes the topics and the group.
    ///
    /// # Errors
    /// When Kafka does not answer; what is gone already is no error.
    pub async fn drop_topics(&self, names: &Names) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        admin.delete_topics(&[&names.topic, &names.dead_letter_topic], &options).await?;
        admin.delete_groups(&[&names.group], &options).await?;
        Ok(())
    }

    /// A client's configuration for the cluster under load.
    #[must_use]
    pub fn client(&self) -> rdkafka::ClientConfig {
        let mut client = rdkafka::ClientConfig::new();
        client
            .set("bootstrap.servers", self.kafka.join(","))
            .set("allow.auto.create.topics", "false");
        client
    }

    /// A consumer that belongs to no group and commits nothing; it may ask what `group` committed.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn consumer(&self, group: &str) -> anyhow::Result<BaseConsumer> {
        let consumer = self
            .client()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "false")
            .set("auto.offset.reset", "earliest")
            .create()?;
        Ok(consumer)
    }
}

/// The environment variable of a dotted key.
fn variable(key: &str) -> String {
    format!("{}{}", ingest::config::ENV_PREFIX, key.to_uppercase().replace('.', "__"))
}

/// First and next offset of each partition of a topic.
///
/// # Errors
/// When the topic is missing or the cluster does not answer.
pub fn watermarks(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<Vec<(i32, i64, i64)>> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let found =
        metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    let found = found.with_context(|| format!("there is no topic {topic}"))?;
    let ids = found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id);
    ids.map(|id| {
        let (low, high) = consumer.fetch_watermarks(topic, id, TIMEOUT)?;
        Ok((id, low, high))
    })
    .collect()
}

/// Records of `topic` that `group` has not committed yet.
///
/// # Errors
/// When the cluster does not answer.
pub fn uncommitted(engines: &Engines, topic: &str, group: &str) -> anyhow::Result<u64> {
    let consumer = engines.consumer(group)?;
    let marks = watermarks(&consumer, topic)?;
    let mut asked = TopicPartitionList::new();
    for (partition, ..) in &marks {
        asked.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(asked, TIMEOUT)?;
    let left = marks.iter().map(|(partition, low, high)| {
        let at = committed.find_partition(topic, *partition).map(|found| found.offset());
        let from = if let Some(Offset::Offset(offset)) = at { offset } else { *low };
        (high - from).max(0).unsigned_abs()
    });
    Ok(left.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_stay_on_this_machine() {
        let check = |address: &str| require_loopback(&[address.to_owned()]).is_ok();
        for here in ["127.0.0.1:9092", "127.0.0.3:1", "localhost:9042", "[::1]:9042", "127.0.0.1"] {
            assert!(check(here), "{here}");
        }
        for away in ["10.0.0.1:9092", "kafka.example:9092", "0.0.0.0:9042", "[2001:db8::1]:9042"] {
            assert!(!check(away), "{away}");
        }
    }

    #[test]
    fn the_child_gets_what_the_driver_has() {
        let engines = Engines {
            kafka: vec!["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()],
            cassandra: vec!["127.0.0.1:3".to_owned()],
            replication: 1,
            partitions: 12,
            index: Some(IndexKind::Table),
            settings: vec![("pipeline.batch_rows".to_owned(), "17".to_owned())],
            ..Engines::default()
        };
        let config = engines.config(&Names::of("x-1")).unwrap();
        assert_eq!(config.kafka.brokers, engines.kafka);
        assert_eq!(config.pipeline.batch_rows, 17);
        assert_eq!(config.cassandra.keyspace, "lt_x_1");
        assert_eq!(config.cassandra.index, ingest::config::Index::None);
    }
}

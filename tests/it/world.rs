//! The harness: one isolated Triad a test, on the engines of the run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use contracts::audit::header;
use futures::TryStreamExt;
use ingest::Config;
use ingest::sink::schema;
use ingest::sink::session::Cassandra;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use service_kit::bus::{
    KafkaPublisher, Message, Publisher, PublisherOptions, Record, apply_topics,
};
use service_kit::config::Source;

use crate::process::{Process, binary};

/// How long a test waits for what must happen. It bounds a failing run; a passing one never waits it out.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// An isolated Triad: names of its own on the shared engines.
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) db: Cassandra,
    env: Vec<(String, String)>,
    publisher: KafkaPublisher,
}

pub(crate) fn engine(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: run `make test`"))
}

fn load(env: &[(String, String)]) -> Result<Config> {
    let config: Config = service_kit::config::load(&Source {
        defaults: ingest::config::DEFAULTS,
        file: None,
        env_prefix: ingest::config::ENV_PREFIX,
        env: env.to_vec(),
    })?;
    config.validate()?;
    Ok(config)
}

impl World {
    /// Topics and schema are there; `overrides` are configuration keys as in the environment.
    pub(crate) async fn new(name: &str, overrides: &[(&str, &str)]) -> Result<Self> {
        let run = uuid::Uuid::new_v4().simple().to_string();
        let own = format!("{name}_{}", &run[..8]);
        let mut env: BTreeMap<String, String> = [
            ("KAFKA__BROKERS", engine("TRIAD_KAFKA")?),
            ("KAFKA__TOPIC", format!("{own}.events")),
            ("KAFKA__DEAD_LETTER_TOPIC", format!("{own}.dlq")),
            ("KAFKA__GROUP", own.clone()),
            ("KAFKA__PARTITIONS", "4".to_owned()),
            ("KAFKA__REPLICATION", "1".to_owned()),
            ("KAFKA__MIN_INSYNC_REPLICAS", "1".to_owned()),
            ("KAFKA__COMMIT_INTERVAL_MS", "200".to_owned()),
            ("CASSANDRA__HOSTS", engine("TRIAD_CASSANDRA")?),
            ("CASSANDRA__KEYSPACE", own),
            ("CASSANDRA__REPLICATION", "1".to_owned()),
            ("CASSANDRA__TIMEOUT_SECONDS", "5".to_owned()),
            ("TELEMETRY__FILTER", "error".to_owned()),
            ("PIPELINE__INDEX_LINGER_MS", "200".to_owned()),
            ("QUERY__CURSOR_KEY", "0123456789abcdef0123456789abcdef".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if let Ok(user) = engine("TRIAD_CASSANDRA_USER") {
            env.insert("CASSANDRA__USERNAME".to_owned(), user);
            env.insert("CASSANDRA__PASSWORD".to_owned(), engine("TRIAD_CASSANDRA_PASSWORD")?);
        }
        env.extend(overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let prefix = ingest::config::ENV_PREFIX;
        let env: Vec<_> =
            env.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)).collect();
        let config = load(&env)?;
        let db = Cassandra::connect(&config.cassandra).await?;
        schema::apply(&db, &config.cassandra).await?;
        apply_topics(&config.kafka.cluster(), &ingest::topics::specs(&config)).await?;
        let options = PublisherOptions {
            client_id: "it".to_owned(),
            max_buffer_kib: 65_536,
            timeout: Duration::from_secs(60),
            max_message_bytes: ingest::topics::max_source_bytes(&config),
        };
        let publisher = KafkaPublisher::new(&config.kafka.cluster(), options)?;
        Ok(Self { config, db, env, publisher })
    }

    /// The same names with other configuration for the processes started from here on.
    pub(crate) fn with(mut self, overrides: &[(&str, &str)]) -> Result<Self> {
        for (key, value) in overrides {
            let key = format!("{}{key}", ingest::config::ENV_PREFIX);
            self.env.retain(|(known, _)| *known != key);
            self.env.push((key, (*value).to_owned()));
        }
        self.config = load(&self.env)?;
        Ok(self)
    }

    /// The same names for processes that are an ordinary role from here on: guardrails and grants apply
    /// to it. The session of the test stays what it was.
    pub(crate) async fn with_role(self, role: &str) -> Result<Self> {
        let keyspace = &self.config.cassandra.keyspace;
        for statement in [
            format!("DROP ROLE IF EXISTS {role}"),
            format!("CREATE ROLE {role} WITH LOGIN = true AND PASSWORD = 'it'"),
            format!("GRANT SELECT ON KEYSPACE {keyspace} TO {role}"),
            format!("GRANT MODIFY ON KEYSPACE {keyspace} TO {role}"),
        ] {
            self.db.session.query_unpaged(statement, ()).await?;
        }
        self.with(&[("CASSANDRA__USERNAME", role), ("CASSANDRA__PASSWORD", "it")])
    }

    /// A well-formed event; `n` makes its id.
    pub(crate) fn event(n: usize, tenant: &str) -> Value {
        let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        json!({
            "id": format!("e-{n}"), "tenant_id": tenant, "event_time": time, "actor_id": "u-1",
            "actor_type": "user", "action": "document.read", "resource_type": "document",
            "resource_id": format!("d-{}", n % 10), "status": "SUCCESS", "source_ip": "203.0.113.7",
            "details": {"request_id": format!("r-{n}")}
        })
    }

    /// Publishes values and waits for all acknowledgements.
    pub(crate) async fn produce(&self, values: impl IntoIterator<Item = Vec<u8>>) -> Result<()> {
        let records = values.into_iter().enumerate().map(|(n, value)| {
            let key = Some(Bytes::from(format!("k-{}", n % 7)));
            let record = Record { key, payload: value.into(), ..Record::default() };
            self.publisher.publish(&self.config.kafka.topic, record)
        });
        futures::future::try_join_all(records).await?;
        Ok(())
    }

    /// Publishes events `from..to` of `tenants` tenants.
    pub(crate) async fn produce_events(
        &self,
        range: std::ops::Range<usize>,
        tenants: usize,
    ) -> Result<()> {
        let event = |n| Self::event(n, &format!("t-{}", n % tenants)).to_string().into_bytes();
        self.produce(range.map(event)).await
    }

    /// Every stored row as (tenant, bucket, event id, producer's id), without canaries.
    pub(crate) async fn rows(&self) -> Result<Vec<(String, String, uuid::Uuid, Option<String>)>> {
        let mut rows = Vec::new();
        for class in ingest::layout::CLASSES {
            let query = format!(
                "SELECT tenant_id, date_bucket, event_id, source_id FROM {}.{}",
                self.config.cassandra.keyspace, class.table
            );
            type Stored = (String, String, scylla::value::CqlTimeuuid, Option<String>);
            let pager = self.db.session.query_iter(query, ()).await?;
            let mut stream = pager.rows_stream::<Stored>()?;
            while let Some(row) = stream.try_next().await? {
                let (tenant, bucket, id, source) = row;
                if bucket != "canary" {
                    rows.push((tenant, bucket, id.into(), source));
                }
            }
        }
        Ok(rows)
    }

    /// Waits until `count` rows are stored, and then checks that each of `count` ids is there once.
    pub(crate) async fn stored_exactly(&self, count: usize) -> Result<()> {
        until(&format!("{count} rows are stored"), async || {
            let stored = self.rows().await?.len();
            Ok(if stored >= count { Ok(()) } else { Err(format!("{stored} of {count}")) })
        })
        .await?;
        let rows = self.rows().await?;
        let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| row.3.clone()).collect();
        ensure!(rows.len() == count, "{} rows instead of {count}", rows.len());
        ensure!(ids.len() == count, "{} distinct ids in {count} rows", ids.len());
        Ok(())
    }

    /// A consumer that joins no group.
    fn reader(&self, group: &str) -> Result<BaseConsumer> {
        Ok(self.config.kafka.cluster().client().set("group.id", group).create()?)
    }

    /// All dead letters now in the topic.
    pub(crate) fn dead_letters(&self) -> Result<Vec<Message>> {
        use rdkafka::message::{Headers as _, Message as _};
        let topic = &self.config.kafka.dead_letter_topic;
        let consumer = self.reader("it-dead-letters")?;
        let mut list = TopicPartitionList::new();
        let mut left = 0;
        for partition in 0..self.config.kafka.partitions {
            let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
            left += high - low;
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        let mut letters = Vec::new();
        while left > 0 {
            let message = consumer.poll(PATIENCE).context("the topic went silent")??;
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            letters.push(Message {
                topic: topic.clone(),
                partition: message.partition(),
                offset: message.offset(),
                timestamp: message.timestamp().to_millis(),
                key: message.key().map(Bytes::copy_from_slice),
                payload: message.payload().map(Bytes::copy_from_slice),
                headers: headers
                    .map(|h| {
                        (h.key.to_owned(), Bytes::copy_from_slice(h.value.unwrap_or_default()))
                    })
                    .collect(),
            });
            left -= 1;
        }
        Ok(letters)
    }

    /// The reasons of all dead letters, sorted.
    pub(crate) fn reasons(&self) -> Result<Vec<String>> {
        let letters = self.dead_letters()?;
        let mut reasons: Vec<_> =
            letters.iter().map(|letter| header_of(letter, header::REASON)).collect();
        reasons.sort_unstable();
        Ok(reasons)
    }

    /// The offset behind the last record of each partition of the source topic.
    pub(crate) fn ends(&self) -> Result<Vec<i64>> {
        let consumer = self.reader(&self.config.kafka.group)?;
        let topic = &self.config.kafka.topic;
        let end = |partition| Ok(consumer.fetch_watermarks(topic, partition, PATIENCE)?.1);
        (0..self.config.kafka.partitions).map(end).collect()
    }

    /// The sum of the group's committed offsets.
    pub(crate) fn committed(&self) -> Result<i64> {
        let consumer = self.reader(&self.config.kafka.group)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..self.config.kafka.partitions {
            list.add_partition(&self.config.kafka.topic, partition);
        }
        let committed = consumer.committed_offsets(list, PATIENCE)?;
        let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        Ok(committed.elements().iter().map(|element| offset(element.offset())).sum())
    }

    /// Runs a command of the binary with this world's configuration and `extra` keys.
    pub(crate) fn command(
        &self,
        arguments: &[&str],
        extra: &[(&str, &str)],
    ) -> Result<(Option<i32>, String)> {
        let extra = extra.iter().map(|(k, v)| (format!("{}{k}", ingest::config::ENV_PREFIX), *v));
        let output = Command::new(binary("ingest")?)
            .args(arguments)
            .envs(self.env.iter().cloned())
            .envs(extra)
            .output()?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&text).into_owned()))
    }

    /// The configuration of its processes.
    pub(crate) fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// Starts a process of ingest and waits until it is ready.
    pub(crate) async fn ingest(&self) -> Result<Process> {
        Process::start("ingest", ingest::config::ENV_PREFIX, &self.env).await
    }

    /// As [`World::ingest`], on these ports.
    pub(crate) async fn ingest_on(&self, ports: [u16; 2]) -> Result<Process> {
        let outputs = [Stdio::inherit(), Stdio::inherit()];
        Process::start_on(ports, "ingest", ingest::config::ENV_PREFIX, &self.env, outputs).await
    }
}

/// A header of a dead letter, as text.
pub(crate) fn header_of(letter: &Message, name: &str) -> String {
    let found = letter.headers.iter().find(|(header, _)| header == name);
    found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

/// Runs `deploy/local/engines` on the run's engines.
pub(crate) fn engines(arguments: &[&str]) -> Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let state = engine("TRIAD_STATE")?;
    let mut command = Command::new(root.join("deploy/local/engines"));
    let status = command.args(arguments).args(["--state", &state]).status()?;
    ensure!(status.success(), "engines {arguments:?}: {status}");
    Ok(())
}

/// Asks until the answer is `Ok`, at most [`PATIENCE`]; the last `Err` says what was missing.
pub(crate) async fn until(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Result<(), String>>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let missing = match ask().await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(missing)) => missing,
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            bail!("waited in vain until {what}: {missing}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

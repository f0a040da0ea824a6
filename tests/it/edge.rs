//! The harness of `authz-edge`: tenants of its own on the shared graph, topics of its own.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use service_kit::bus::{
    KafkaConfig, KafkaFollower, KafkaPublisher, Publisher, PublisherOptions, Record, apply_topics,
};
use service_kit::config::Source;

use crate::process::{Process, binary};
use crate::world::{PATIENCE, engine};

const PREFIX: &str = authz_edge::config::ENV_PREFIX;

/// Edges that share a graph and a topic of changes.
pub(crate) struct Edges {
    env: Vec<(String, String)>,
    /// A name that no other test has: tenants begin with it.
    pub(crate) own: String,
    config: authz_edge::Config,
}

impl Edges {
    /// Schema and topics are there; `overrides` are configuration keys as in the environment.
    pub(crate) async fn new(overrides: &[(&str, &str)]) -> Result<Self> {
        let run = uuid::Uuid::new_v4().simple().to_string();
        let own = format!("t{}", &run[..10]);
        let settings = [
            ("DGRAPH__ALPHA_ADDRESSES", engine("TRIAD_DGRAPH")?),
            ("KAFKA__BROKERS", engine("TRIAD_KAFKA")?),
            ("KAFKA__CHANGES_TOPIC", format!("{own}.changes")),
            ("KAFKA__AUDIT_TOPIC", format!("{own}.audit")),
            ("KAFKA__REPLICATION", "1".to_owned()),
            ("KAFKA__MIN_INSYNC_REPLICAS", "1".to_owned()),
            ("SYNC__TOPIC", format!("{own}.identity")),
            ("SYNC__DEAD_LETTER_TOPIC", format!("{own}.identity.dlq")),
            ("SYNC__GROUP", format!("{own}.sync")),
            ("EXT_AUTHZ__LISTEN", "127.0.0.1:0".to_owned()),
            ("TELEMETRY__FILTER", "error".to_owned()),
        ];
        let mut env: Vec<_> =
            settings.into_iter().map(|(key, value)| (format!("{PREFIX}{key}"), value)).collect();
        env.extend(overrides.iter().map(|(k, v)| (format!("{PREFIX}{k}"), (*v).to_owned())));
        let config: authz_edge::Config = service_kit::config::load(&Source {
            defaults: authz_edge::config::DEFAULTS,
            file: None,
            env_prefix: PREFIX,
            env: env.clone(),
        })?;
        config.validate()?;
        let mut topics = authz_edge::topics::specs(&config);
        // In production they are ingest's and identity-admin's.
        for others in [&config.kafka.audit_topic, &config.sync.topic] {
            topics.push(service_kit::bus::TopicSpec { name: others.clone(), ..topics[0].clone() });
        }
        apply_topics(&config.kafka.cluster(), &topics).await?;
        let edges = Self { env, own, config };
        authz_edge::graph::schema::apply(&edges.graph()?).await?;
        Ok(edges)
    }

    /// The graph that all edges share.
    pub(crate) fn graph(&self) -> Result<authz_edge::graph::GraphDb> {
        Ok(authz_edge::graph::GraphDb::dgraph(&self.config.dgraph.options())?)
    }

    /// A tenant of this test.
    pub(crate) fn tenant(&self, name: &str) -> String {
        format!("{}-{name}", self.own)
    }

    /// Publishes identity changes of a tenant as identity-admin will: in order, keyed by tenant.
    pub(crate) async fn identities(
        &self,
        tenant: &str,
        changes: &[(u64, &str, Value)],
    ) -> Result<()> {
        self.publish(&self.config.sync.topic, tenant, changes).await
    }

    /// The same into the dead letters: what a build that knows more finds there.
    pub(crate) async fn letters(&self, tenant: &str, changes: &[(u64, &str, Value)]) -> Result<()> {
        self.publish(&self.config.sync.dead_letter_topic, tenant, changes).await
    }

    async fn publish(
        &self,
        topic: &str,
        tenant: &str,
        changes: &[(u64, &str, Value)],
    ) -> Result<()> {
        let options = PublisherOptions {
            client_id: "it".to_owned(),
            max_buffer_kib: 1024,
            timeout: Duration::from_secs(30),
            max_message_bytes: 1 << 20,
        };
        let publisher = KafkaPublisher::new(&self.config.kafka.cluster(), options)?;
        for (seq, kind, data) in changes {
            let value = json!({"event_id": uuid::Uuid::new_v4(), "tenant_id": tenant, "seq": seq,
                "type": kind, "occurred_at": chrono::Utc::now(), "data": data});
            let (key, payload) = (tenant.to_owned().into(), value.to_string().into());
            let record = Record { key: Some(key), payload, ..Record::default() };
            publisher.publish(topic, record).await?;
        }
        Ok(())
    }

    /// The topics' cluster, for an operator.
    pub(crate) fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.config.kafka.cluster().client().create()?)
    }

    /// Where it is.
    pub(crate) fn cluster(&self) -> KafkaConfig {
        self.config.kafka.cluster()
    }

    /// Topic of fences and watermarks.
    pub(crate) fn changes_topic(&self) -> &str {
        &self.config.kafka.changes_topic
    }

    /// Topic of identity changes.
    pub(crate) fn sync_topic(&self) -> &str {
        &self.config.sync.topic
    }

    /// Topic of audit events.
    pub(crate) fn audit_topic(&self) -> &str {
        &self.config.kafka.audit_topic
    }

    /// The offset behind the last record of each partition of a topic.
    pub(crate) fn ends(&self, topic: &str) -> Result<Vec<i64>> {
        let consumer = self.onlooker()?;
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let partitions = metadata.topics()[0].partitions().iter();
        let end = |id| Ok(consumer.fetch_watermarks(topic, id, PATIENCE)?.1);
        partitions.map(|partition| end(partition.id())).collect()
    }

    /// How many members the group has that reads identity changes.
    pub(crate) fn members(&self) -> Result<usize> {
        let groups = self.onlooker()?.fetch_group_list(Some(&self.config.sync.group), PATIENCE)?;
        Ok(groups.groups().iter().map(|group| group.members().len()).sum())
    }

    /// A client that asks, and reads nothing.
    fn onlooker(&self) -> Result<BaseConsumer> {
        let mut client = self.config.kafka.cluster().client();
        Ok(client.set("group.id", format!("{}.onlooker", self.own)).create()?)
    }

    /// Follows the audit events from now on.
    pub(crate) async fn follow_audit(&self) -> Result<KafkaFollower> {
        Ok(KafkaFollower::begin(&self.config.kafka.cluster(), &self.config.kafka.audit_topic)
            .await?)
    }

    /// The program with this test's configuration.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = Command::new(binary("authz-edge")?);
        command.envs(self.env.iter().cloned());
        Ok(command)
    }

    /// The configuration of its processes.
    pub(crate) fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// Starts an edge and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<Edge> {
        Ok(Edge(Process::start("authz-edge", PREFIX, &self.env).await?))
    }

    /// A process of an edge on these ports.
    pub(crate) async fn start_on(&self, ports: [u16; 2]) -> Result<Process> {
        let outputs = [Stdio::inherit(), Stdio::inherit()];
        Process::start_on(ports, "authz-edge", PREFIX, &self.env, outputs).await
    }
}

/// One process of authz-edge, and what is asked of it.
pub(crate) struct Edge(Process);

/// An answer: its status, body and consistency token.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) token: String,
}

impl Edge {
    /// One that was started already.
    pub(crate) fn of(process: Process) -> Self {
        Self(process)
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        &self.0
    }

    /// Where it answers.
    pub(crate) fn url(&self, path: &str) -> String {
        self.0.url(path)
    }

    /// A request to be completed.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.0.client.request(method, self.0.url(path))
    }

    /// One request.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let token = answer.headers().get("triad-consistency-token");
        let token = token.and_then(|token| token.to_str().ok()).unwrap_or_default().to_owned();
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, body, token })
    }

    /// A write that must be done; its token.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<String> {
        let answer = self.ask(Method::PUT, path, &[], Some(body)).await?;
        ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
        Ok(answer.token)
    }

    /// A deletion that must be done; its token.
    pub(crate) async fn delete(&self, path: &str) -> Result<String> {
        let answer = self.ask(Method::DELETE, path, &[], None).await?;
        ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
        Ok(answer.token)
    }

    /// A list of writes, whatever becomes of it.
    pub(crate) async fn try_write(&self, tenant: &str, list: &Value) -> Result<Answer> {
        let path = format!("/v1/tenants/{tenant}/relationships");
        self.ask(Method::POST, &path, &[], Some(list)).await
    }

    /// Relationships that must be written; the token.
    pub(crate) async fn write(&self, tenant: &str, op: &str, all: &[Value]) -> Result<String> {
        let writes: Vec<_> = all.iter().map(|r| json!({"op": op, "relationship": r})).collect();
        let answer = self.try_write(tenant, &json!({"writes": writes})).await?;
        ensure!(answer.status == StatusCode::OK, "{} {}", answer.status, answer.body);
        Ok(answer.token)
    }

    /// A check that must be answered.
    pub(crate) async fn check(&self, tenant: &str, question: &Value) -> Result<bool> {
        let answer = self.try_check(tenant, question).await?;
        ensure!(answer.status == StatusCode::OK, "{} {}", answer.status, answer.body);
        answer.body["decision"].as_bool().context("no decision")
    }

    /// A check, whatever becomes of it.
    pub(crate) async fn try_check(&self, tenant: &str, question: &Value) -> Result<Answer> {
        let path = format!("/v1/tenants/{tenant}/check");
        self.ask(Method::POST, &path, &[], Some(question)).await
    }

    /// The sum of a metric over its labels that contain `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> Result<f64> {
        self.0.metric(name, label).await
    }

    /// kill -9, where it stands.
    pub(crate) fn strike(&self) -> Result<()> {
        self.0.signal("KILL")
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self) -> Result<()> {
        self.0.signal("STOP")
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) -> Result<()> {
        self.0.signal("CONT")
    }

    /// SIGTERM; the process must end in order.
    pub(crate) async fn stop(self) -> Result<()> {
        self.0.stop().await
    }

    /// kill -9.
    pub(crate) fn kill(self) -> Result<()> {
        self.0.kill()
    }
}

/// A question.
pub(crate) fn question(subject: &str, action: &str, resource: (&str, &str)) -> Value {
    json!({"subject": {"type": "user", "id": subject}, "action": {"name": action},
           "resource": {"type": resource.0, "id": resource.1}})
}

/// Somebody belongs to a team.
pub(crate) fn member(type_: &str, id: &str, team: &str) -> Value {
    json!({"relation": "member_of", "subject": {"type": type_, "id": id}, "team": team})
}

/// Somebody has a role, on something or (`null`) everywhere.
pub(crate) fn role(type_: &str, id: &str, role: &str, on: &Value) -> Value {
    let mut relationship =
        json!({"relation": "has_role", "subject": {"type": type_, "id": id}, "role": role});
    if !on.is_null() {
        relationship["on"] = on.clone();
    }
    relationship
}

/// A resource is below another.
pub(crate) fn below(child: (&str, &str), parent: (&str, &str)) -> Value {
    json!({"relation": "parent", "resource": {"type": child.0, "id": child.1},
           "parent": {"type": parent.0, "id": parent.1}})
}

//! `identity-admin` on MySQL: a database of its own for each test, and what is asked of the service.

pub(crate) mod credentials;
mod faults;
mod import;
mod lives;
mod migrations;
pub(crate) mod people;
mod races;
pub(crate) mod relay;
mod repeats;
mod scim;
mod snapshot;
mod surface;

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use contracts::identity::Change;
use identity_admin::db::{self, Db, Dsn, Place, Value as Param};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use service_kit::bus::apply_topics;
use service_kit::config::Source;

use crate::process::{Process, binary};
use crate::world::engine;

const PREFIX: &str = identity_admin::config::ENV_PREFIX;

/// A database of a test, and how services reach it.
pub(crate) struct Identities {
    env: Vec<(String, String)>,
    pub(crate) place: Place,
    /// The test's own connections.
    pub(crate) db: Db,
}

impl Identities {
    /// A database whose schema is up to date; `overrides` are configuration keys as in the environment.
    pub(crate) async fn new(overrides: &[(&str, &str)]) -> Result<Self> {
        let identities = Self::empty(overrides)?;
        db::migrate(&identities.place).await?;
        Ok(identities)
    }

    /// A database that is not there yet.
    pub(crate) fn empty(overrides: &[(&str, &str)]) -> Result<Self> {
        let run = uuid::Uuid::new_v4().simple().to_string();
        let url = format!("{}it_{}", engine("TRIAD_MYSQL")?, &run[..12]);
        let mut env = vec![
            (format!("{PREFIX}MYSQL__DSN"), url.clone()),
            (format!("{PREFIX}TELEMETRY__FILTER"), "error,librdkafka=off,rdkafka=off".to_owned()),
            // Nobody listens there: what is committed stays in the outbox, to be looked at.
            (format!("{PREFIX}KAFKA__BROKERS"), "127.0.0.1:1".to_owned()),
            (format!("{PREFIX}KAFKA__PRODUCER_TIMEOUT_MS"), "1000".to_owned()),
        ];
        env.extend(overrides.iter().map(|(k, v)| (format!("{PREFIX}{k}"), (*v).to_owned())));
        let place = Place::MySql(Dsn::parse(&url).map_err(anyhow::Error::msg)?);
        let db = Db::new(&patient(&place));
        Ok(Self { env, place, db })
    }

    /// As [`Identities::new`], with topics of its own on the engines' Kafka.
    pub(crate) async fn with_kafka(overrides: &[(&str, &str)]) -> Result<Self> {
        let brokers = engine("TRIAD_KAFKA")?;
        let own = uuid::Uuid::new_v4().simple().to_string();
        let (changes, audit) = (format!("i{own}.changes"), format!("i{own}.audit"));
        let kafka = [
            ("KAFKA__BROKERS", brokers.as_str()),
            ("KAFKA__PRODUCER_TIMEOUT_MS", "30000"),
            ("KAFKA__CHANGES_TOPIC", &changes),
            ("KAFKA__AUDIT_TOPIC", &audit),
            ("KAFKA__PARTITIONS", "3"),
            ("KAFKA__REPLICATION", "1"),
            ("KAFKA__MIN_INSYNC_REPLICAS", "1"),
        ];
        let all: Vec<_> = kafka.into_iter().chain(overrides.iter().copied()).collect();
        let identities = Self::new(&all).await?;
        let config = identities.config()?;
        let mut topics = identity_admin::topics::specs(&config);
        // In production it is ingest's.
        topics.push(service_kit::bus::TopicSpec { name: audit.clone(), ..topics[0].clone() });
        apply_topics(&config.kafka.cluster(), &topics).await?;
        Ok(identities)
    }

    /// The same database, for services that are configured otherwise.
    pub(crate) fn with(&self, overrides: &[(&str, &str)]) -> Self {
        let mut env = self.env.clone();
        env.extend(overrides.iter().map(|(k, v)| (format!("{PREFIX}{k}"), (*v).to_owned())));
        Self { env, place: self.place.clone(), db: self.db.clone() }
    }

    /// The same on connections of its own: those of before know no database once theirs was dropped.
    pub(crate) fn reconnected(&self) -> Self {
        let (env, place) = (self.env.clone(), self.place.clone());
        let db = Db::new(&patient(&place));
        Self { env, place, db }
    }

    /// The configuration as services of this test have it.
    pub(crate) fn config(&self) -> Result<identity_admin::Config> {
        Ok(service_kit::config::load(&Source {
            defaults: identity_admin::config::DEFAULTS,
            file: None,
            env_prefix: PREFIX,
            env: self.env.clone(),
        })?)
    }

    /// The configuration of its processes.
    pub(crate) fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// The program with this test's configuration.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = Command::new(binary("identity-admin")?);
        command.envs(self.env.iter().cloned());
        Ok(command)
    }

    /// Starts the service and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<Service> {
        Ok(Service(Process::start("identity-admin", PREFIX, &self.env).await?))
    }

    /// A process of the service on these ports.
    pub(crate) async fn start_on(&self, ports: [u16; 2]) -> Result<Process> {
        let outputs = [Stdio::inherit(), Stdio::inherit()];
        Process::start_on(ports, "identity-admin", PREFIX, &self.env, outputs).await
    }

    /// As [`Identities::start`], with everything that it logs in a file.
    pub(crate) async fn start_logging(&self, to: &std::path::Path) -> Result<Service> {
        let file = std::fs::File::create(to)?;
        let outputs = [file.try_clone()?.into(), file.into()];
        let process = Process::start_telling("identity-admin", PREFIX, &self.env, outputs).await?;
        Ok(Service(process))
    }

    /// One number that a statement finds.
    pub(crate) async fn count(&self, sql: &'static str, params: &[Param]) -> Result<i64> {
        let row = self.db.row(sql, params).await?.context("no row")?;
        Ok(row.int("n")?)
    }

    /// The changes of a tenant in the outbox: numbered from 1 without gaps, as far as the tenant counts, each
    /// with its audit event.
    pub(crate) async fn changes(&self, tenant: &str) -> Result<Vec<Change>> {
        let sql = "SELECT topic, seq, payload FROM outbox WHERE tenant_id = ? ORDER BY id";
        let mut changes = Vec::new();
        let mut audited = Vec::new();
        for row in self.db.rows(sql, &[tenant.into()]).await? {
            let payload = row.text("payload")?;
            if row.text("topic")? == "changes" {
                let change = Change::parse(payload.as_bytes())?;
                ensure!(i64::try_from(change.seq)? == row.int("seq")?, "{payload}");
                changes.push(change);
            } else {
                audited.push(serde_json::from_str::<Value>(&payload)?);
            }
        }
        ensure!(changes.len() == audited.len(), "{} changes, {}", changes.len(), audited.len());
        for (number, (change, event)) in (1..).zip(changes.iter().zip(&audited)) {
            ensure!(change.seq == number && change.tenant_id.as_str() == tenant, "{change:?}");
            ensure!(event["action"] == change.kind.name(), "{event}");
            ensure!(event["details"]["seq"] == number && event["tenant_id"] == tenant, "{event}");
        }
        let sql = "SELECT seq AS n FROM tenant_changes WHERE tenant_id = ?";
        let counted = self.count(sql, &[tenant.into()]).await?;
        ensure!(usize::try_from(counted)? == changes.len(), "{counted} and {}", changes.len());
        Ok(changes)
    }
}

/// How a test reaches its database: it waits where the service would give up.
pub(crate) fn patient(place: &Place) -> db::Options {
    db::Options {
        place: place.clone(),
        max_open: 8,
        max_idle: 8,
        max_lifetime: Duration::from_secs(3600),
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(60),
        lock_timeout: Duration::from_secs(30),
    }
}

/// One process of identity-admin, and what is asked of it.
pub(crate) struct Service(Process);

/// Everything of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The answer, which must have that status.
    pub(crate) fn must(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "not {status}: {} {}", self.status, self.body);
        Ok(self)
    }

    /// The fields at fault.
    pub(crate) fn faults(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().into_iter().flatten();
        errors.filter_map(|error| error["field"].as_str()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> Result<String> {
        Ok(self.body["id"].as_str().context("no id")?.to_owned())
    }
}

impl Service {
    /// One that was started already.
    pub(crate) fn of(process: Process) -> Self {
        Self(process)
    }

    /// One request; a body of null is none.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Result<Answer> {
        let mut request = self.0.client.request(method, self.0.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.ask(Method::GET, path, &[], Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.ask(Method::POST, path, &[], body).await
    }

    pub(crate) async fn patch(&self, path: &str, etag: &str, body: Value) -> Result<Answer> {
        let headers = [("if-match", etag)];
        let headers = if etag.is_empty() { &[][..] } else { &headers[..] };
        self.ask(Method::PATCH, path, headers, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Answer> {
        self.ask(Method::DELETE, path, &[], Value::Null).await
    }

    pub(crate) async fn put(&self, path: &str) -> Result<Answer> {
        self.ask(Method::PUT, path, &[], Value::Null).await
    }

    /// With an Idempotency-Key.
    pub(crate) async fn keyed(&self, path: &str, key: &str, body: Value) -> Result<Answer> {
        self.ask(Method::POST, path, &[("idempotency-key", key)], body).await
    }

    /// A tenant, whose first administrator is `admin@` it.
    pub(crate) async fn tenant(&self, id: &str) -> Result<Answer> {
        let body = json!({"id": id, "name": format!("{id} Ltd"),
            "administrator": {"email": format!("admin@{id}.example")}});
        self.post("/v1/tenants", body).await?.must(201)
    }

    /// A user of a tenant; its id.
    pub(crate) async fn user(&self, tenant: &str, name: &str) -> Result<String> {
        let body = json!({"email": format!("{name}@{tenant}.example")});
        self.post(&format!("/v1/tenants/{tenant}/users"), body).await?.must(201)?.id()
    }

    /// A team of a tenant; its id.
    pub(crate) async fn team(&self, tenant: &str, name: &str) -> Result<String> {
        let body = json!({"name": name});
        self.post(&format!("/v1/tenants/{tenant}/teams"), body).await?.must(201)?.id()
    }

    /// Every entry of a list, page by page of three.
    pub(crate) async fn list(&self, path: &str, query: &str) -> Result<Vec<Value>> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}?limit=3{query}{cursor}")).await?.must(200)?.body;
            all.extend(page["items"].as_array().context("no items")?.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Where it answers.
    pub(crate) fn url(&self, path: &str) -> String {
        self.0.url(path)
    }

    /// The process, for signals and metrics.
    pub(crate) fn process(&self) -> &Process {
        &self.0
    }

    /// kill -9.
    pub(crate) fn kill(self) -> Result<()> {
        self.0.kill()
    }

    /// SIGTERM; the process must end in order.
    pub(crate) async fn stop(self) -> Result<()> {
        self.0.stop().await
    }
}

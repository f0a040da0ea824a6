//! The test bed: engines of our own, a database for the service and one for the bare driver, and the service.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use hyper::Method;
use identity_admin::db::{self, migrate};
use serde_json::{Value, json};
use service_kit::bus::{TopicSpec, apply_topics};
use service_kit::config::Source;
use tokio::process::Command;

use super::{Known, TENANTS, tenant};
use crate::bench::drive::{Pace, drive};
use crate::bench::turns::in_turns;
use crate::check::link::{Ask, Endpoint};
use crate::child::Service;
use crate::cli::IdentityBenchArgs;
use crate::deploy::Local;
use crate::latency::median;
use crate::scrape;
use crate::stop::Stop;

const PREFIX: &str = identity_admin::config::ENV_PREFIX;
/// For what is asked beside the load.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where the engines are, and what services are told.
#[derive(Clone)]
pub(crate) struct Place {
    pub(super) state: PathBuf,
    /// Of the service's database.
    pub(crate) own: String,
    /// Of the database that the bare driver has.
    pub(super) bare: String,
    environment: Vec<(String, String)>,
    pub(super) config: Arc<identity_admin::Config>,
    /// Dgraph's alphas.
    pub(super) alphas: Vec<String>,
    pub(super) brokers: Vec<String>,
}

/// See the module.
pub(crate) struct Bed {
    pub(super) args: IdentityBenchArgs,
    pub(super) stop: Stop,
    local: Option<Local>,
    place: Option<Place>,
}

/// A running `identity-admin`.
pub(crate) struct Admin {
    service: Service,
    pub(super) client: reqwest::Client,
    pub(crate) endpoint: Endpoint,
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

impl Bed {
    pub(crate) fn new(args: &IdentityBenchArgs, stop: &Stop) -> anyhow::Result<Self> {
        let binary = args.launch().binary;
        let shown = binary.display();
        ensure!(binary.is_file(), "{shown} is no file: build it or give --identity-admin");
        Ok(Self { args: args.clone(), stop: stop.clone(), local: None, place: None })
    }

    /// The engines, with topics, schemas and the first credentials.
    pub(crate) async fn place(&mut self) -> anyhow::Result<Place> {
        if let Some(place) = &self.place {
            return Ok(place.clone());
        }
        let state = std::env::temp_dir().join(format!("triad-bench-{}", std::process::id()));
        let local = self.local.insert(Local::new(state.clone()));
        local.start("kafka,mysql,dgraph", &[]).await?;
        let names = ["TRIAD_KAFKA", "TRIAD_MYSQL", "TRIAD_DGRAPH"];
        let [brokers, mysql, alphas] = local.addresses(names).await?;
        let mysql = mysql.first().context("no MySQL")?;
        let (own, bare) = (format!("{mysql}bench"), format!("{mysql}bench_bare"));
        let secrets = state.join("secrets.json").display().to_string();
        let given = [
            ("mysql.dsn", own.clone()),
            ("kafka.brokers", brokers.join(",")),
            ("kafka.replication", "1".to_owned()),
            ("kafka.min_insync_replicas", "1".to_owned()),
            ("http.trusted_proxies", "[\"127.0.0.0/8\"]".to_owned()),
            ("secrets_file", secrets),
            ("telemetry.filter", "warn".to_owned()),
        ];
        let given = given.iter().map(|(key, value)| (variable(key), value.clone()));
        let asked = self.args.settings.iter().map(|(key, value)| (variable(key), value.clone()));
        let environment: Vec<_> = given.chain(asked).collect();
        let config: identity_admin::Config = service_kit::config::load(&Source {
            defaults: identity_admin::config::DEFAULTS,
            file: None,
            env_prefix: PREFIX,
            env: environment.clone(),
        })?;
        config.validate()?;
        for dsn in [&own, &bare] {
            migrate(&db::Place::MySql(db::Dsn::parse(dsn).map_err(anyhow::Error::msg)?)).await?;
        }
        let mut topics = identity_admin::topics::specs(&config);
        // In production it is ingest's.
        topics.push(TopicSpec { name: config.kafka.audit_topic.clone(), ..topics[0].clone() });
        apply_topics(&config.kafka.cluster(), &topics).await?;
        let config = Arc::new(config);
        let place = Place { state, own, bare, environment, config, alphas, brokers };
        self.place = Some(place.clone());
        self.command(&["bootstrap", "--out", &place.state.display().to_string()]).await?;
        let admin = self.admin().await?;
        for number in 0..TENANTS {
            let id = tenant(number);
            let body = json!({"id": id, "name": id,
                "administrator": {"email": format!("admin@{id}.example")}});
            admin.post("/v1/tenants", &body).await?;
        }
        admin.stop().await?;
        Ok(place)
    }

    /// Runs a command of `identity-admin` to its end; what it said.
    pub(super) async fn command(&mut self, words: &[&str]) -> anyhow::Result<String> {
        let environment = self.place.as_ref().context("no engines yet")?.environment.clone();
        let mut command = Command::new(self.args.launch().binary);
        command.args(words).envs(environment).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(self.limit(), command.output()).await;
        let output = output.context("time is up")??;
        let refused = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words:?}: {} {refused}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A service that is ready.
    pub(crate) async fn admin(&mut self) -> anyhow::Result<Admin> {
        let environment = Box::pin(self.place()).await?.environment;
        let client = scrape::client(TIMEOUT)?;
        let mut service = Service::identity(&self.args.launch(), environment)?;
        service.ready(&client).await?;
        let endpoint = Endpoint::new(&format!("http://{}", service.http), None, false)?;
        Ok(Admin { service, client, endpoint })
    }

    pub(super) fn pace(&self) -> Pace {
        let connections = usize::from(self.args.connections);
        Pace { connections, span: self.args.span(), rate: None }
    }

    /// How long the bench may still take.
    pub(super) fn limit(&self) -> Duration {
        self.stop.deadline().saturating_duration_since(Instant::now())
    }

    /// Does `pair` as often as there are to be pairs and as there is time for; at least [`FEWEST`] times.
    pub(super) async fn in_turns(
        &mut self,
        until: Instant,
        mut pair: impl AsyncFnMut(&mut Self, u64) -> anyhow::Result<Value>,
    ) -> anyhow::Result<Vec<Value>> {
        let (pairs, stop) = (self.args.pairs.max(1), self.stop.clone());
        in_turns(pairs, &stop, until, async |turn| pair(self, turn).await).await
    }

    /// Stops the engines and deletes their data.
    pub(crate) async fn down(&mut self) -> anyhow::Result<()> {
        self.place = None;
        match self.local.take() {
            Some(local) => local.reset().await,
            None => Ok(()),
        }
    }
}

/// The `value`s of runs under another name, for a second figure of the same runs.
pub(super) fn renamed(runs: &[Value], name: &str) -> (f64, Vec<Value>) {
    let values = runs.iter().filter_map(|run| run[name].as_f64());
    let measured = median(values.clone().collect());
    (measured, values.map(|value| json!({ "value": value })).collect())
}

impl Admin {
    pub(crate) fn pid(&self) -> u32 {
        self.service.pid()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.http)
    }

    /// Its admin listener.
    pub(super) fn looked_at(&self) -> std::net::SocketAddr {
        self.service.admin
    }

    /// What it tells of itself.
    pub(super) async fn metrics(&self) -> anyhow::Result<String> {
        scrape::text(&self.client, self.service.admin).await
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.service.stop().await
    }

    /// One request that must succeed.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(reqwest::Method::POST, path, body).await
    }

    pub(super) async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let answer = self.client.request(method, self.url(path)).json(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Users of all tenants, made by HTTP.
    pub(super) async fn users(&self, count: u64) -> anyhow::Result<Arc<Vec<Known>>> {
        let made = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (endpoint, kept) = (self.endpoint.clone(), Arc::clone(&made));
        let make = move |_| {
            let id = uuid::Uuid::new_v4();
            let tenant = tenant(u64::from(id.as_fields().0) % TENANTS);
            create(&endpoint, &tenant, &format!("{id}@known.example"))
        };
        // At a rate, so that as many are made as are wanted, or a few less.
        let span = Duration::from_secs_f64(count as f64 / 250.0);
        let pace = Pace { connections: 8, span, rate: Some(250.0) };
        drive(&self.endpoint, pace, make, move |_, answer| {
            let view: Value = serde_json::from_slice(&answer.body)?;
            let text = |name: &str| view[name].as_str().map(str::to_owned).context("no user");
            let known =
                Known { tenant: text("tenant_id")?, id: text("id")?, email: text("email")? };
            kept.lock().map_err(|_| anyhow::anyhow!("a caller ended"))?.push(known);
            Ok(())
        })
        .await?;
        let made = made.lock().map_err(|_| anyhow::anyhow!("a caller ended"))?.clone();
        Ok(Arc::new(made))
    }
}

/// A request of a load.
pub(crate) fn ask(endpoint: &Endpoint, method: Method, path: &str, body: impl Into<Bytes>) -> Ask {
    // Paths are made here, of ids.
    let uri = endpoint.uri(path).unwrap_or_default();
    endpoint.ask(method, &uri, body.into())
}

/// The creation of a user, with a key that tells a repeat.
pub(crate) fn create(endpoint: &Endpoint, tenant: &str, email: &str) -> Ask {
    let path = format!("/v1/tenants/{tenant}/users");
    let mut ask = ask(endpoint, Method::POST, &path, json!({ "email": email }).to_string());
    if let Ok(key) = uuid::Uuid::new_v4().to_string().parse() {
        ask.headers_mut().insert("idempotency-key", key);
    }
    ask
}

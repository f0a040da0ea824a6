//! One running `ingest`: started the same way by `main`, by tests and by `standalone`.

use std::sync::Arc;
use std::time::Duration;

use service_kit::admin;
use service_kit::auth::{Verifier, follow_revocations};
use service_kit::bus::{Bus, KafkaPublisher, died, warn_of_topics};
use service_kit::health::{Component, Health};
use service_kit::http::serve;
use service_kit::shutdown::Shutdown;
use service_kit::tls::{Acceptor, Listener, Protocol};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::config::Index;
use crate::destination::ToTopic;
use crate::http::{self, Api};
use crate::layout::promotion::{Promoter, RowCounts};
use crate::layout::registry::Registry;
use crate::metrics::SinkMetrics;
use crate::pipeline::{self, DeadLetters, Parts};
use crate::query::cassandra::{CassandraStore, Filters};
use crate::sink::schema;
use crate::sink::session::Cassandra;
use crate::sink::skip::GranuleWriter;
use crate::sink::{Sink, Statements};
use crate::source::Source;
use crate::{Config, Error, skip, topics};

/// Where the service listens; bound by the caller, so that tests can take free ports.
pub struct Listeners {
    /// The public routes.
    pub http: TcpListener,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: TcpListener,
}

/// Between attempts to reach the engines at start.
const RETRY: Duration = Duration::from_secs(1);

/// Runs until `shutdown` has drained: readiness goes first, requests and batches in flight complete,
/// and what was written is committed, within `drain_deadline_ms`.
///
/// Engines that do not answer yet are waited for, not ready meanwhile.
///
/// # Errors
/// What no waiting mends: configuration, listeners that fail, and a Kafka producer that is dead.
pub async fn run(
    config: Config,
    listeners: Listeners,
    render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    shutdown: Shutdown,
) -> Result<(), Error> {
    config.validate()?;
    let tls = Acceptor::start(&config.http.tls, "http.tls", "http", Protocol::Http1)?;
    let http = Listener::new(listeners.http, tls);
    let admin = Listener::new(listeners.admin, config.admin.acceptor()?);
    let health = Health::new();
    // Not ready in between either, while parts of it are not there yet.
    let starting = health.component("start");
    let routes = admin::router(health.clone(), render_metrics);
    // The admin listener outlives the drain, so that probes see it.
    let admin = tokio::spawn(admin::serve(admin, routes));
    let outcome = serve_until_drained(&config, http, &health, &starting, &shutdown).await;
    admin.abort();
    outcome
}

async fn serve_until_drained(
    config: &Config,
    listener: Listener,
    health: &Health,
    starting: &Component,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let Some(stores) = wait_for_stores(config, health, shutdown).await? else { return Ok(()) };
    let publisher = Arc::new(publisher(config, "triad-ingest")?);
    let bus = Bus::Kafka(config.kafka.cluster());
    tokio::spawn(warn_of_topics(bus.clone(), topics::specs(config)));
    let verifier = Verifier::start(&config.auth, shutdown.clone()).await?;
    // What is answered during the drain hears of revocations as ever.
    let (last_trigger, last_answered) = Shutdown::new();
    follow_revocations(&verifier, bus, health.component("revocations"), last_answered);
    // A dead producer drains as a signal does.
    let (drain_trigger, draining) = Shutdown::new();
    let registry_task =
        stores.registry.keep_fresh(health.component("layout_registry"), draining.clone());
    let interval = Duration::from_secs(config.layout.promote_interval_seconds.max(1));
    let promoter =
        stores.promoter.map(|promoter| tokio::spawn(promoter.run(interval, draining.clone())));
    let sink = Sink::new(
        stores.db.clone(),
        stores.statements,
        SinkMetrics::default(),
        health.component("cassandra"),
    );
    let dead_letters = DeadLetters::new(
        Arc::clone(&publisher),
        config.kafka.dead_letter_topic.clone(),
        topics::max_dead_letter_bytes(config),
        health.component("dead_letters"),
    );
    let (registry, counts) = (stores.registry.clone(), stores.counts);
    let parts = Parts { sink, skip: stores.skip, dead_letters, registry, counts };
    let (records, pipeline) = pipeline::start(config, parts);
    let source = Source::start(config, records, health.component("kafka"))?;
    let store = store(config, stores.db, stores.skip_since).await;
    let registry = stores.registry;
    let destination =
        ToTopic { publisher: Arc::clone(&publisher), topic: config.kafka.topic.clone() };
    let api = Api::new(config, destination, verifier, store, move || registry.current())?;
    info!(http = %listener.local_addr()?, topic = config.kafka.topic, "serving");

    let options = config.http_options();
    let routes = http::router(api);
    let served = tokio::spawn(serve(listener, routes, options, draining));
    starting.ready();
    let dead = tokio::select! {
        () = shutdown.draining() => None,
        reason = died(publisher.as_ref()) => Some(reason),
    };
    if let Some(reason) = &dead {
        // Without dead letters nothing gets past a refused record: whoever supervises us starts anew.
        error!(reason, "the Kafka producer is dead");
    }
    health.drain();
    drain_trigger.trigger();
    info!("draining");
    let drained = drain(source, pipeline, served, &publisher, config);
    if tokio::time::timeout(config.drain_deadline(), drained).await.is_err() {
        warn!("the drain deadline passed; what was not committed is read again");
    }
    last_trigger.trigger();
    registry_task.abort();
    if let Some(promoter) = promoter {
        promoter.abort();
    }
    match dead {
        Some(reason) => Err(Error::Producer(reason)),
        None => Ok(()),
    }
}

async fn drain(
    source: Source,
    pipeline: JoinHandle<()>,
    http: JoinHandle<std::io::Result<()>>,
    publisher: &KafkaPublisher,
    config: &Config,
) {
    let source = async {
        source.stop().await;
        if pipeline.await.is_err() {
            warn!("the pipeline ended early");
        }
    };
    let (_, served) = tokio::join!(source, http);
    if let Ok(Err(error)) = served {
        warn!(%error, "public listener");
    }
    if let Err(error) = publisher.flush(config.drain_deadline()).await {
        warn!(%error, "flush");
    }
}

/// What was read or prepared in Cassandra.
struct Stores {
    db: Cassandra,
    registry: Registry,
    statements: Statements,
    counts: Arc<RowCounts>,
    skip: Option<GranuleWriter>,
    /// Rows from this time on are in the skip index; `None` without one.
    skip_since: Option<i64>,
    /// `None` when tenants are not promoted by their rates.
    promoter: Option<Promoter>,
}

async fn wait_for_stores(
    config: &Config,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<Option<Stores>, Error> {
    // Registered once, however often it is tried: each registration must become ready.
    let engines = health.component("engines");
    let skip = (config.cassandra.index == Index::Skip).then(|| health.component("skip_index"));
    loop {
        match open_stores(config, skip.as_ref()).await {
            Ok(stores) => {
                engines.ready();
                return Ok(Some(stores));
            }
            Err(
                error @ (Error::Config(_)
                | Error::Connect(crate::sink::session::ConnectError::Config(_))),
            ) => {
                return Err(error);
            }
            Err(error) => {
                warn!(%error, "not ready yet");
                engines.not_ready(error.to_string());
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = shutdown.draining() => return Ok(None),
        }
    }
}

async fn open_stores(config: &Config, skip: Option<&Component>) -> Result<Stores, Error> {
    let db = Cassandra::connect(&config.cassandra).await?;
    check_schema(&db).await?;
    let statements = Statements::prepare(&db).await?;
    let registry = Registry::open(&db, &config.layout, &config.limits).await?;
    let counts = Arc::<RowCounts>::default();
    let promoter = if config.layout.promote {
        let (registry, counts) = (registry.clone(), Arc::clone(&counts));
        Some(Promoter::open(&db, registry, counts, &config.layout).await?)
    } else {
        None
    };
    let (skip, skip_since) = match skip {
        Some(health) => {
            let writer = GranuleWriter::prepare(&db, health.clone()).await?;
            (Some(writer), schema::skip_since(&db).await?)
        }
        None => (None, None),
    };
    Ok(Stores { db, registry, statements, counts, skip, skip_since, promoter })
}

/// What reads are answered from.
async fn store(config: &Config, db: Cassandra, skip_since: Option<i64>) -> CassandraStore {
    let filters = match (config.cassandra.index, skip_since) {
        (Index::Skip, Some(since)) => {
            let linger = i64::try_from(config.pipeline.index_linger_ms).unwrap_or(i64::MAX / 2);
            Filters::Skip { since, tail: linger.saturating_add(skip::SLACK_MS) }
        }
        (Index::Skip, None) => {
            warn!(
                "the skip index is not in the schema: `ingest schema apply`; filters read ranges"
            );
            Filters::Ranges
        }
        (Index::Sai, _) => Filters::Sai,
        (Index::None, _) => Filters::Ranges,
    };
    let store = CassandraStore::new(db, filters);
    if let Err(error) = store.warm_up().await {
        // Prepared again when first used.
        warn!(%error, "statements of reads");
    }
    store
}

/// The schema must be this release's; fewer replicas than production wants are said.
async fn check_schema(db: &Cassandra) -> Result<(), Error> {
    let found = schema::version(db, &db.keyspace).await?;
    if found != Some(schema::VERSION) {
        let wanted = schema::VERSION;
        return Err(Error::Command(format!(
            "schema version {found:?}, not {wanted}: schema apply"
        )));
    }
    let replication = schema::replication_of(db, &db.keyspace).await?.unwrap_or_default();
    let factors = replication.values().filter_map(|value| value.parse::<u32>().ok());
    if factors.min().is_none_or(|least| least < 3) {
        warn!(?replication, "keyspace {}: fewer than three replicas", db.keyspace);
    }
    Ok(())
}

/// A producer as configured; brokers know it by `client_id`.
pub(crate) fn publisher(config: &Config, client_id: &str) -> Result<KafkaPublisher, Error> {
    Ok(KafkaPublisher::new(&config.kafka.cluster(), topics::publisher(config, client_id))?)
}

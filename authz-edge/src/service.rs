//! One running `authz-edge`: started the same way by `main`, by tests and by `standalone`.

use std::sync::Arc;
use std::time::Duration;

use contracts::TenantId;
use service_kit::admin;
use service_kit::auth::Verifier;
use service_kit::bus::{KafkaPublisher, PublisherOptions, died};
use service_kit::health::Health;
use service_kit::http::{HttpOptions, serve};
use service_kit::shutdown::{Shutdown, ShutdownTrigger};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::audit::DecisionAudit;
use crate::check::Checker;
use crate::check::fences::Fences;
use crate::check::freshness::Freshness;
use crate::clock::Clock;
use crate::config::SyncMode;
use crate::ext_authz::ExtAuthz;
use crate::graph::read::Reader;
use crate::graph::schema::{self, Meta};
use crate::graph::write::Written;
use crate::graph::{Dgraph, GraphError};
use crate::grpc::{self, GrpcOptions};
use crate::http::{self, Api};
use crate::sync::changes::Source;
use crate::sync::identity::Consumer;
use crate::sync::lag;
use crate::sync::relay::{self, Relay};
use crate::{Config, Error};

/// Where the service listens; bound by the caller, so that tests can take free ports.
pub struct Listeners {
    /// The public routes.
    pub http: TcpListener,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: TcpListener,
    /// Envoy's gRPC service, if it is served.
    pub ext_authz: Option<TcpListener>,
}

/// Between attempts to reach the engines at start.
const RETRY: Duration = Duration::from_secs(1);
/// Between looks at what is cached, for gauges, and at the graph's epoch.
const LOOK: Duration = Duration::from_secs(5);
/// Between rounds of sweeping.
const SWEEP: Duration = Duration::from_secs(30);
/// How long a transaction may be under way, and so how long a deleted node's mark is kept.
const SETTLED: chrono::Duration = chrono::Duration::minutes(10);

/// Runs until `shutdown` has drained.
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
    let health = Health::new();
    let routes = admin::router(health.clone(), render_metrics);
    // The admin listener outlives the drain, so that probes see it.
    let admin = tokio::spawn(admin::serve(listeners.admin, routes));
    let (http, grpc) = (listeners.http, listeners.ext_authz);
    let outcome = serve_until_drained(&config, http, grpc, &health, &shutdown).await;
    admin.abort();
    outcome
}

async fn serve_until_drained(
    config: &Config,
    listener: TcpListener,
    grpc: Option<TcpListener>,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let graph = Arc::new(Dgraph::new(&config.dgraph.options())?);
    let Some(meta) = wait_for_graph(&graph, health, shutdown).await? else { return Ok(()) };
    let publisher = Arc::new(publisher(config)?);
    let verifier = Verifier::start(&config.auth, shutdown.clone()).await?;
    let (fences, freshness) = (Arc::<Fences>::default(), Arc::<Freshness>::default());
    freshness.set_epoch(meta.epoch);
    let clock = Clock::system();
    let reader = Reader::new(Arc::clone(&graph), config.sync.mode.strangers());
    let checker = Checker::new(
        reader,
        Arc::clone(&fences),
        Arc::clone(&freshness),
        clock.clone(),
        config.checker(),
    );
    let checker = Arc::new(checker);
    let wake = Arc::new(Notify::new());
    let (drain_trigger, draining) = Shutdown::new();
    let changes = Source {
        kafka: config.kafka.cluster(),
        topic: config.kafka.changes_topic.clone(),
        fences,
        freshness,
        clock: clock.clone(),
        health: health.component("authz_changes"),
    };
    let changes = tokio::spawn(changes.run(draining.clone()));
    let relay = Relay {
        graph: Arc::clone(&graph),
        publisher: Arc::clone(&publisher),
        epoch: meta.epoch,
        options: relay_options(config),
        wake: Arc::clone(&wake),
        health: health.component("relay"),
    };
    let relay = tokio::spawn(relay.run(draining.clone()));
    let sync = start_sync(config, &graph, &publisher, health, &draining, {
        let (checker, wake) = (Arc::clone(&checker), Arc::clone(&wake));
        move |tenant: &TenantId, written: &Written| {
            checker.wrote(tenant, written);
            wake.notify_one();
        }
    });
    lag::watch(config, &config.kafka.cluster(), &checker.shared().freshness, &clock, &draining)?;
    let housekeeping = tokio::spawn(keep_house(Arc::clone(&checker), Arc::clone(&graph)));
    let (audit, publishing) = DecisionAudit::new(
        &config.decision_audit,
        Arc::clone(&publisher),
        &config.kafka.audit_topic,
    );
    let (last_answered, all_answered) = Shutdown::new();
    let publishing = publishing.map(|publishing| tokio::spawn(publishing.run(all_answered)));
    let (checks, callers) = (Arc::clone(&checker), verifier.clone());
    let ext_authz = Arc::new(ExtAuthz::new(&config.ext_authz, checks, callers, audit.clone())?);
    let options = http::Options {
        max_body_bytes: config.http.max_body_bytes,
        ownership: config.sync.mode.ownership(),
        public_url: config.http.public_url.clone(),
    };
    let api = Arc::new(Api { checker, graph, verifier, options, audit, wake });
    info!(http = %listener.local_addr()?, epoch = %meta.epoch, "serving");
    let routes = http::router(api).merge(http::ext_authz::router(Arc::clone(&ext_authz)));
    let grpc = grpc.map(|listener| {
        let options = GrpcOptions::new(&config.ext_authz, config.drain_deadline());
        tokio::spawn(grpc::serve(listener, ext_authz, options, draining.clone()))
    });
    let served = tokio::spawn(serve(listener, routes, http_options(config), draining));
    let dead = tokio::select! {
        () = shutdown.draining() => None,
        reason = died(publisher.as_ref()) => Some(reason),
    };
    if let Some(reason) = &dead {
        error!(reason, "the Kafka producer is dead");
    }
    health.drain();
    drain_trigger.trigger();
    info!("draining");
    let audited = Audited { last_answered, publishing };
    drain(config, served, grpc, relay, audited, &publisher).await;
    changes.abort();
    housekeeping.abort();
    if let Some(sync) = sync {
        sync.abort();
    }
    dead.map_or(Ok(()), |reason| Err(Error::Producer(reason)))
}

async fn drain(
    config: &Config,
    served: JoinHandle<std::io::Result<()>>,
    grpc: Option<JoinHandle<Result<(), tonic::transport::Error>>>,
    relay: JoinHandle<()>,
    mut audited: Audited,
    publisher: &KafkaPublisher,
) {
    let all = async {
        if let Ok(Err(error)) = served.await {
            warn!(%error, "public listener");
        }
        if let Some(grpc) = grpc
            && let Ok(Err(error)) = grpc.await
        {
            warn!(%error, "ext_authz listener");
        }
        audited.publish().await;
        // What it has not published another replica, or the next start, does.
        if relay.await.is_err() {
            warn!("the relay ended early");
        }
        if let Err(error) = publisher.flush(config.drain_deadline()).await {
            warn!(%error, "flush");
        }
    };
    if tokio::time::timeout(config.drain_deadline(), all).await.is_err() {
        warn!("the drain deadline passed");
    }
    audited.give_up().await;
}

/// Decisions that are still to be published.
struct Audited {
    /// Triggered when no listener answers any more.
    last_answered: ShutdownTrigger,
    publishing: Option<JoinHandle<()>>,
}

impl Audited {
    async fn publish(&mut self) {
        self.last_answered.trigger();
        if let Some(publishing) = &mut self.publishing
            && publishing.await.is_err()
        {
            warn!("the decision audit ended early");
        }
        self.publishing = None;
    }

    /// What is left is counted as failed.
    async fn give_up(self) {
        if let Some(publishing) = self.publishing {
            publishing.abort();
            // An aborted task is an error; it is gone then, which is what is waited for.
            let _ = publishing.await;
        }
    }
}

fn http_options(config: &Config) -> HttpOptions {
    HttpOptions {
        max_connections: config.http.max_connections,
        header_read_timeout: Duration::from_millis(config.http.header_read_timeout_ms),
        drain_deadline: config.drain_deadline(),
    }
}

fn relay_options(config: &Config) -> relay::Options {
    relay::Options {
        changes_topic: config.kafka.changes_topic.clone(),
        partitions: config.kafka.partitions,
        audit_topic: config.kafka.audit_topic.clone(),
        interval: Duration::from_millis(config.relay.interval_ms),
        batch: config.relay.batch,
    }
}

async fn wait_for_graph(
    graph: &Dgraph,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<Option<Meta>, Error> {
    let component = health.component("dgraph");
    loop {
        let waiting = match schema::meta(graph).await {
            Ok(Some(meta)) if meta.version == schema::VERSION => {
                component.ready();
                return Ok(Some(meta));
            }
            Ok(found) => {
                let version = found.map(|meta| meta.version);
                format!("schema version {version:?}, not {}: schema apply", schema::VERSION)
            }
            Err(error) => error.to_string(),
        };
        warn!(waiting, "not ready yet");
        component.not_ready(waiting);
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = shutdown.draining() => return Ok(None),
        }
    }
}

/// Applies identity changes, where identities come from elsewhere. What is under way at a drain is
/// applied again by whoever comes next.
fn start_sync(
    config: &Config,
    graph: &Arc<Dgraph>,
    publisher: &Arc<KafkaPublisher>,
    health: &Health,
    draining: &Shutdown,
    written: impl Fn(&TenantId, &Written) + Send + Sync + 'static,
) -> Option<JoinHandle<()>> {
    if config.sync.mode != SyncMode::Identity {
        return None;
    }
    let consumer = Consumer {
        graph: Arc::clone(graph),
        publisher: Arc::clone(publisher),
        options: config.sync.options(),
        health: health.component("identity_sync"),
    };
    let (cluster, draining) = (config.kafka.cluster(), draining.clone());
    Some(tokio::spawn(async move {
        if let Err(error) = consumer.run(&cluster, draining, written).await {
            error!(%error, "identity sync ended");
        }
    }))
}

/// Gauges, the graph's epoch, and what was deleted.
async fn keep_house(checker: Arc<Checker<Reader>>, graph: Arc<Dgraph>) {
    let mut swept = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        checker.observe();
        match schema::meta(&graph).await {
            Ok(Some(meta)) => checker.shared().freshness.set_epoch(meta.epoch),
            Ok(None) => checker.shared().freshness.clear("schema"),
            // Who does not answer has not changed, as far as we know; entries die by themselves.
            Err(_) => {}
        }
        if swept.elapsed() > SWEEP {
            swept = tokio::time::Instant::now();
            sweep(&graph).await;
        }
    }
}

async fn sweep(graph: &Dgraph) {
    let writer =
        crate::graph::write::Writer { graph, ownership: crate::graph::write::Ownership::Anyone };
    loop {
        let settled = (chrono::Utc::now() - SETTLED).timestamp_micros();
        match writer.sweep(settled).await {
            Ok(swept) if swept.edges > 0 => {}
            Ok(_) => return,
            Err(error @ GraphError::Refused(_)) => {
                error!(%error, "sweeping");
                return;
            }
            Err(_) => return,
        }
    }
}

/// A producer as configured.
fn publisher(config: &Config) -> Result<KafkaPublisher, Error> {
    let options = PublisherOptions {
        client_id: "triad-authz".to_owned(),
        max_buffer_kib: config.kafka.producer_buffer_kib,
        timeout: Duration::from_millis(config.kafka.producer_timeout_ms),
        max_message_bytes: 1 << 20,
    };
    Ok(KafkaPublisher::new(&config.kafka.cluster(), options)?)
}

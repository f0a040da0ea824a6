//! One running `authz-edge`: started the same way by `main`, by tests and by `standalone`.

mod drain;
mod housekeeping;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use contracts::TenantId;
use futures::future::BoxFuture;
use service_kit::auth::{Verifier, follow_revocations};
use service_kit::bus::{Bus, BusPublisher, PublisherOptions, died, warn_of_topics};
#[cfg(feature = "engines")]
use service_kit::health::Component;
use service_kit::health::Health;
use service_kit::rate::Rates;
use service_kit::shutdown::{Shutdown, ShutdownTrigger};
use service_kit::tls::Listener;
#[cfg(feature = "engines")]
use service_kit::tls::{Acceptor, Protocol};
#[cfg(feature = "engines")]
use service_kit::{admin, http::serve};
#[cfg(feature = "engines")]
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tracing::error;
#[cfg(feature = "engines")]
use tracing::{info, warn};

use crate::audit::DecisionAudit;
use crate::check::Checker;
use crate::check::fences::Fences;
use crate::check::freshness::Freshness;
use crate::clock::Clock;
use crate::config::SyncMode;
use crate::ext_authz::ExtAuthz;
use crate::graph::GraphDb;
use crate::graph::read::Reader;
#[cfg(feature = "engines")]
use crate::graph::schema;
use crate::graph::schema::Meta;
use crate::graph::write::Written;
use crate::grpc::{self, GrpcOptions};
use crate::http::{self, Api, Hot};
use crate::sync::changes::Source;
use crate::sync::identity::Consumer;
use crate::sync::lag;
use crate::sync::relay::audit::Events;
use crate::sync::relay::{self, Relay};
use crate::{Config, Error, metrics, topics};
pub use drain::Listening;
use housekeeping::keep_house;

/// Where the service listens; bound by the caller, so that tests can take free ports.
#[cfg(feature = "engines")]
pub struct Listeners {
    /// The public routes.
    pub http: TcpListener,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: TcpListener,
    /// Envoy's gRPC service, if it is served.
    pub ext_authz: Option<TcpListener>,
}

/// Between attempts to reach the engines at start.
#[cfg(feature = "engines")]
const RETRY: Duration = Duration::from_secs(1);

/// Runs until `shutdown` has drained.
///
/// Engines that do not answer yet are waited for, not ready meanwhile.
///
/// # Errors
/// What no waiting mends: configuration, listeners that fail, and a Kafka producer that is dead.
#[cfg(feature = "engines")]
pub async fn run(
    config: Config,
    listeners: Listeners,
    render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    shutdown: Shutdown,
) -> Result<(), Error> {
    config.validate()?;
    let tls = Acceptor::start(&config.http.tls, "http.tls", "http", Protocol::Http1)?;
    let http = Listener::new(listeners.http, tls);
    let grpc = match listeners.ext_authz {
        None => None,
        Some(tcp) => Some(Listener::new(tcp, config.ext_authz.acceptor()?)),
    };
    let admin = Listener::new(listeners.admin, config.admin.acceptor()?);
    let health = Health::new();
    // Not ready in between either, while parts of it are not there yet.
    let starting = health.component("start");
    let routes = admin::router(health.clone(), render_metrics);
    // The admin listener outlives the drain, so that probes see it.
    let admin = tokio::spawn(admin::serve(admin, routes));
    let outcome = serve_until_drained(&config, http, grpc, &health, &starting, &shutdown).await;
    admin.abort();
    outcome
}

#[cfg(feature = "engines")]
async fn serve_until_drained(
    config: &Config,
    listener: Listener,
    grpc: Option<Listener>,
    health: &Health,
    starting: &Component,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let graph = Arc::new(GraphDb::dgraph(&config.dgraph.options())?);
    let Some(meta) = wait_for_graph(&graph, health, shutdown).await? else { return Ok(()) };
    let bus = Bus::Kafka(config.kafka.cluster());
    let running = Running::start(config, graph, meta, bus, health, shutdown).await?;
    let (drain_trigger, draining) = Shutdown::new();
    info!(http = %listener.local_addr()?, epoch = %meta.epoch, "serving");
    let service = running.service(running.routes());
    let served = tokio::spawn(serve(listener, service, config.http_options(), draining.clone()));
    let grpc = grpc.map(|listener| tokio::spawn(running.grpc(config, listener, draining)));
    starting.ready();
    let dead = tokio::select! {
        () = shutdown.draining() => None,
        reason = running.died() => Some(reason),
    };
    if let Some(reason) = &dead {
        error!(reason, "the Kafka producer is dead");
    }
    health.drain();
    drain_trigger.trigger();
    info!("draining");
    running.drain(config, Listening { served, grpc }).await;
    dead.map_or(Ok(()), |reason| Err(Error::Producer(reason)))
}

/// All that runs of a service but its listeners.
pub struct Running {
    api: Arc<Api>,
    ext_authz: Arc<ExtAuthz<Reader>>,
    /// Of fences, and of audit events.
    publishers: [Arc<BusPublisher>; 2],
    /// Triggered when no listener answers any more.
    last_answered: ShutdownTrigger,
    relay: JoinHandle<()>,
    events: JoinHandle<()>,
    decisions: Option<JoinHandle<()>>,
    /// Ended when all else is.
    keeping: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts what works on `graph`, as its [`Meta`] says that it is, and makes what answers.
    ///
    /// Boxed, so that all of it is compiled in this crate: an `async fn` is compiled in each crate that awaits it,
    /// optimised as that one is.
    ///
    /// # Errors
    /// A bad configuration.
    pub fn start<'a>(
        config: &'a Config,
        graph: Arc<GraphDb>,
        meta: Meta,
        bus: Bus,
        health: &'a Health,
        shutdown: &'a Shutdown,
    ) -> BoxFuture<'a, Result<Self, Error>> {
        Box::pin(async move {
            let publisher = Arc::new(producer(config, &bus, "triad-authz")?);
            // Its own buffer and connections: a topic that takes nothing must hold up no fence.
            let auditor = Arc::new(producer(config, &bus, "triad-authz-audit")?);
            tokio::spawn(warn_of_topics(bus.clone(), topics::specs(config)));
            let verifier = Verifier::start(&config.auth, shutdown.clone()).await?;
            // What is answered during the drain hears of revocations as ever.
            let (last_trigger, last_answered) = Shutdown::new();
            let heard = health.component("authz_token_revocations");
            follow_revocations(&verifier, bus.clone(), heard, last_answered.clone());
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
            let changes = Source {
                bus: bus.clone(),
                topic: config.kafka.changes_topic.clone(),
                fences,
                freshness: Arc::clone(&freshness),
                clock: clock.clone(),
                refused_after: config.checker().fail_closed_after,
                health: health.component("authz_changes"),
            };
            // What is answered during the drain is as fresh as ever.
            let changes = tokio::spawn(changes.run(last_answered.clone()));
            let (fenced, to_audit) = mpsc::channel(relay::audit::WAITING);
            let events = Events {
                graph: Arc::clone(&graph),
                publisher: Arc::clone(&auditor),
                topic: config.kafka.audit_topic.clone(),
                batch: config.relay.batch,
                clock: clock.clone(),
                fenced: to_audit,
            };
            let events = tokio::spawn(events.run());
            let relay = Relay {
                graph: Arc::clone(&graph),
                publisher: Arc::clone(&publisher),
                freshness,
                clock: clock.clone(),
                options: relay_options(config),
                wake: Arc::clone(&wake),
                fenced,
                health: health.component("relay"),
            };
            let relay = tokio::spawn(relay.run(last_answered.clone()));
            let sync = start_sync(config, &graph, &bus, &publisher, health, shutdown, {
                let (checker, wake) = (Arc::clone(&checker), Arc::clone(&wake));
                move |tenant: &TenantId, written: &Written| {
                    checker.wrote(tenant, written);
                    wake.notify_one();
                }
            });
            lag::watch(config, &bus, &checker.shared().freshness, &clock, shutdown)?;
            let housekeeping = tokio::spawn(keep_house(Arc::clone(&checker), Arc::clone(&graph)));
            let topic = &config.kafka.audit_topic;
            let (audit, publishing) =
                DecisionAudit::new(&config.decision_audit, Arc::clone(&auditor), topic);
            let decisions =
                publishing.map(|publishing| tokio::spawn(publishing.run(last_answered)));
            let rates = Arc::new(Rates::new(config.rate, metrics::rate_limited()));
            let (checks, callers) = (Arc::clone(&checker), verifier.clone());
            let (section, limits) = (&config.ext_authz, Arc::clone(&rates));
            let ext_authz = ExtAuthz::new(section, checks, callers, audit.clone(), limits)?;
            let ext_authz = Arc::new(ext_authz);
            let options = http::Options {
                ownership: config.sync.mode.ownership(),
                public_url: config.http.public_url.clone(),
            };
            let bodies = config.http.bodies();
            let api = Api { checker, graph, verifier, options, bodies, rates, audit, wake };
            let api = Arc::new(api);
            let keeping = [changes, housekeeping].into_iter().chain(sync).collect();
            Ok(Self {
                api,
                ext_authz,
                publishers: [publisher, auditor],
                last_answered: last_trigger,
                relay,
                events,
                decisions,
                keeping,
            })
        })
    }

    /// The public routes, Envoy's HTTP form among them.
    pub fn routes(&self) -> Router {
        let routes = http::router(Arc::clone(&self.api));
        routes.merge(http::ext_authz::router(Arc::clone(&self.ext_authz)))
    }

    /// What answers: `routes`, [`Running::routes`] among them, behind the hot path.
    #[must_use]
    pub fn service(&self, routes: Router) -> Hot {
        http::service(Arc::clone(&self.api), routes)
    }

    /// Serves Envoy's gRPC form until the drain.
    pub fn grpc(
        &self,
        config: &Config,
        listener: Listener,
        draining: Shutdown,
    ) -> impl Future<Output = Result<(), tonic::transport::Error>> + Send + use<> {
        let options = GrpcOptions::new(&config.ext_authz, &config.http_options());
        grpc::serve(listener, Arc::clone(&self.ext_authz), options, draining)
    }

    /// Waits until nothing can be published any more, and says why.
    pub async fn died(&self) -> String {
        let [publisher, auditor] = &self.publishers;
        tokio::select! {
            reason = died(publisher.as_ref()) => reason,
            reason = died(auditor.as_ref()) => reason,
        }
    }
}

fn relay_options(config: &Config) -> relay::Options {
    relay::Options {
        changes_topic: config.kafka.changes_topic.clone(),
        interval: Duration::from_millis(config.relay.interval_ms),
        batch: config.relay.batch,
    }
}

#[cfg(feature = "engines")]
async fn wait_for_graph(
    graph: &GraphDb,
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
    graph: &Arc<GraphDb>,
    bus: &Bus,
    publisher: &Arc<BusPublisher>,
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
    let (bus, draining) = (bus.clone(), draining.clone());
    Some(tokio::spawn(async move {
        if let Err(error) = consumer.run(&bus, draining, written).await {
            error!(%error, "identity sync ended");
        }
    }))
}

/// A producer as configured; brokers know it by `client_id`.
fn producer(config: &Config, bus: &Bus, client_id: &str) -> Result<BusPublisher, Error> {
    let options = PublisherOptions {
        client_id: client_id.to_owned(),
        max_buffer_kib: config.kafka.producer_buffer_kib,
        timeout: Duration::from_millis(config.kafka.producer_timeout_ms),
        max_message_bytes: 1 << 20,
    };
    Ok(bus.publisher(options)?)
}

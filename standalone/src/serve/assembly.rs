//! The stores, the bus and the services, in the order in which they start and end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use authz_edge::graph::embedded::Embedded;
use authz_edge::graph::{GraphDb, schema};
use axum::Router;
use chrono::Utc;
use identity_admin::db::Db;
use identity_admin::embedded::Installation;
use service_kit::bus::Bus;
use service_kit::bus::local::{Kind, LocalBus};
use service_kit::embedded::{Disk, Folder};
use service_kit::health::Health;
use service_kit::http::HttpOptions;
use service_kit::shutdown::{Shutdown, ShutdownTrigger};
use service_kit::tls::Listener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::ServeError;
use super::config::{Config, Services};
use crate::moved;

/// Kept of identity changes: more than a token's life, for revocations; identity sync keeps its own place.
const CHANGES_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Kept of dead letters.
const LETTERS_KEPT: Duration = Duration::from_secs(28 * 86_400);
/// Between looks at what topics need not keep.
const TRIM: Duration = Duration::from_secs(600);

/// What everything rests on.
pub(crate) struct Stores {
    pub(crate) db: Db,
    pub(crate) graph: Arc<GraphDb>,
    pub(crate) bus: LocalBus,
    meta: schema::Meta,
    is_new: bool,
}

impl Stores {
    /// Opens what is in the folder, and makes what is missing of it; `services` are told where their secrets are.
    pub(crate) async fn open(
        services: &mut Services,
        folder: &Folder,
        disk: &Disk,
    ) -> Result<Self, ServeError> {
        let bus = LocalBus::open(disk, topics(services))?;
        let Installation { db, is_new, .. } =
            Installation::open(folder.path(), &mut services.identity).await?;
        let (graph, meta) = graph(&services.authz, disk).await?;
        Ok(Self { db, graph: Arc::new(graph), bus, meta, is_new })
    }
}

/// Everything that runs.
pub(crate) struct Assembly {
    services: Services,
    stores: Stores,
    identity: identity_admin::Running,
    authz: authz_edge::Running,
    routes: Router,
    /// Of the audit routes.
    last_answered: ShutdownTrigger,
    /// Ended when nobody is answered any more.
    keeping: Vec<JoinHandle<()>>,
    /// Last of all: what was submitted is on it then.
    disk: Disk,
    folder: Folder,
}

impl Assembly {
    /// Takes the folder, opens what is in it, and starts the services.
    pub(super) async fn start(
        config: &Config,
        health: &Health,
        shutdown: &Shutdown,
    ) -> Result<Self, ServeError> {
        let services = config.services()?;
        let folder = Folder::take(&config.data_dir)?;
        moved::refuse(folder.path())?;
        let disk = Disk::open(&folder)?;
        Self::on(services, folder, disk, health, shutdown).await
    }

    /// The same on a folder that this process has.
    pub(crate) async fn on(
        mut services: Services,
        folder: Folder,
        disk: Disk,
        health: &Health,
        shutdown: &Shutdown,
    ) -> Result<Self, ServeError> {
        let stores = Stores::open(&mut services, &folder, &disk).await?;
        let (bus, any) = (&stores.bus, Bus::Local(stores.bus.clone()));
        // First: it takes the audit events of the others.
        let audit = ingest::embedded::start(&services.ingest, &disk, bus, health, shutdown).await?;
        let authz = authz_edge::Running::start(
            &services.authz,
            Arc::clone(&stores.graph),
            stores.meta,
            any.clone(),
            health,
            shutdown,
        )
        .await?;
        let identity = identity_admin::Running::start(
            &services.identity,
            stores.db.clone(),
            any,
            health,
            shutdown,
        )
        .await?;
        // What none of them has is answered once, by the hot path's fallback.
        let [audit_routes, identity_routes] =
            [audit.routes, identity.routes()].map(Router::reset_fallback);
        let routes = authz.routes().merge(audit_routes).merge(identity_routes);
        let trimming = tokio::spawn(trim(bus.clone()));
        let (keeping, last_answered) = (vec![audit.retaining, trimming], audit.last_answered);
        Ok(Self { services, stores, identity, authz, routes, last_answered, keeping, disk, folder })
    }

    /// Whether the folder was made now.
    pub(super) fn is_new(&self) -> bool {
        self.stores.is_new
    }

    /// What it rests on.
    #[cfg(feature = "engines")]
    pub(crate) fn stores(&self) -> &Stores {
        &self.stores
    }

    pub(super) fn http_options(&self) -> HttpOptions {
        self.services.authz.http_options()
    }

    /// What answers all public routes.
    pub(super) fn service(&self) -> authz_edge::http::Hot {
        self.authz.service(self.routes.clone())
    }

    /// Envoy's gRPC form, until the drain.
    pub(super) fn grpc(
        &self,
        listener: Listener,
        draining: Shutdown,
    ) -> impl Future<Output = Result<(), tonic::transport::Error>> + Send + use<> {
        self.authz.grpc(&self.services.authz, listener, draining)
    }

    /// Waits until nothing can be written any more, and says why.
    pub(super) async fn died(&self) -> String {
        tokio::select! {
            reason = self.identity.died() => reason,
            reason = self.authz.died() => reason,
        }
    }

    /// Ends all of it, once the drain has begun; the folder goes to who goes on with it.
    pub(crate) async fn drain(
        self,
        served: JoinHandle<std::io::Result<()>>,
        grpc: Option<JoinHandle<Result<(), tonic::transport::Error>>>,
        is_dead: bool,
    ) -> (Folder, Disk) {
        let Self { services, identity, authz, last_answered, keeping, disk, folder, .. } = self;
        let until = Instant::now() + services.identity.drain_deadline();
        let listening = authz_edge::Listening { served, grpc };
        authz.drain(&services.authz, listening).await;
        last_answered.trigger();
        // What it still relays is taken by the others' stores, which stay open.
        identity.drain(until, is_dead).await;
        keeping.iter().for_each(JoinHandle::abort);
        (folder, disk)
    }
}

/// What is published, and how it is kept.
fn topics(services: &Services) -> Vec<(&str, Kind)> {
    let (authz, identity) = (&services.authz, &services.identity.kafka);
    vec![
        (&identity.changes_topic, Kind::Durable(CHANGES_KEPT)),
        (&authz.sync.dead_letter_topic, Kind::Durable(LETTERS_KEPT)),
        // Fences mean nothing to a process that begins with an empty cache.
        (&authz.kafka.changes_topic, Kind::Passing),
        (&services.ingest.kafka.topic, Kind::Sunk),
        (&services.ingest.kafka.dead_letter_topic, Kind::Durable(LETTERS_KEPT)),
    ]
}

async fn graph(
    config: &authz_edge::Config,
    disk: &Disk,
) -> Result<(GraphDb, schema::Meta), ServeError> {
    let timeout = Duration::from_millis(config.dgraph.timeout_ms);
    let embedded = Embedded::open(disk, timeout).await.map_err(authz_edge::Error::from)?;
    let graph = GraphDb::Embedded(embedded);
    let meta = schema::apply(&graph).await.map_err(authz_edge::Error::from)?;
    Ok((graph, meta))
}

async fn trim(bus: LocalBus) {
    loop {
        tokio::time::sleep(TRIM).await;
        if let Err(error) = bus.trim(Utc::now()).await {
            tracing::warn!(%error, "what topics need not keep stays for now");
        }
    }
}

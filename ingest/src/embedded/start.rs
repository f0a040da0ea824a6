//! One running `ingest` on a disk.

use std::sync::Arc;

use axum::Router;
use futures::future::BoxFuture;
use service_kit::auth::{Verifier, follow_revocations};
use service_kit::bus::Bus;
use service_kit::bus::local::LocalBus;
use service_kit::embedded::Disk;
use service_kit::health::Health;
use service_kit::shutdown::{Shutdown, ShutdownTrigger};
use tokio::task::JoinHandle;

use super::AuditStore;
use crate::http::{self, Api};
use crate::{Config, Error, topics};

/// What runs, for whoever serves the routes.
pub struct Started {
    /// The public routes.
    pub routes: Router,
    /// What deletes old rows, until the drain.
    pub retaining: JoinHandle<()>,
    /// To be triggered when nothing is answered any more: until then revocations are heard of.
    pub last_answered: ShutdownTrigger,
}

/// Opens the store, takes the source topic's records, and makes the routes.
///
/// Boxed, so that all of it is compiled in this crate: an `async fn` is compiled in each crate that awaits it,
/// optimised as that one is.
///
/// # Errors
/// A bad configuration, and the disk's.
pub fn start<'a>(
    config: &'a Config,
    disk: &'a Disk,
    bus: &'a LocalBus,
    health: &'a Health,
    shutdown: &'a Shutdown,
) -> BoxFuture<'a, Result<Started, Error>> {
    Box::pin(async move {
        let any = Bus::Local(bus.clone());
        let dead_letters = any.publisher(topics::publisher(config, "triad-ingest"))?;
        let store = AuditStore::open(config, disk, dead_letters)
            .map_err(|error| Error::Command(error.to_string()))?;
        bus.sink(&config.kafka.topic, Arc::new(store.clone()));
        let verifier = Verifier::start(&config.auth, shutdown.clone()).await?;
        // What is answered during the drain hears of revocations as ever.
        let (last_answered, answered) = Shutdown::new();
        follow_revocations(&verifier, any, health.component("audit_revocations"), answered);
        let layouts = store.layouts();
        let layouts = move || Some(Arc::clone(&layouts));
        let api = Api::new(config, store.clone(), verifier, store.clone(), layouts)?;
        let retaining = tokio::spawn(store.retain(shutdown.clone()));
        Ok(Started { routes: http::router(api), retaining, last_answered })
    })
}

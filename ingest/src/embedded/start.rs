//! One running `ingest` on a disk.

use std::sync::Arc;

use axum::Router;
use service_kit::auth::{Verifier, follow_revocations};
use service_kit::bus::local::LocalBus;
use service_kit::bus::{Bus, PublisherOptions};
use service_kit::embedded::Disk;
use service_kit::health::Health;
use service_kit::shutdown::Shutdown;
use tokio::task::JoinHandle;

use super::AuditStore;
use crate::http::{self, Api};
use crate::query::cursor::CursorKey;
use crate::query::{self, Engine};
use crate::{Config, Error, topics};

/// What runs, for whoever serves the routes.
pub struct Started {
    /// The public routes.
    pub routes: Router,
    /// What deletes old rows, until the drain.
    pub retaining: JoinHandle<()>,
}

/// Opens the store, takes the source topic's records, and makes the routes.
///
/// # Errors
/// A bad configuration, and the disk's.
pub async fn start(
    config: &Config,
    disk: &Disk,
    bus: &LocalBus,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<Started, Error> {
    let any = Bus::Local(bus.clone());
    let options = PublisherOptions {
        client_id: "triad-ingest".to_owned(),
        max_buffer_kib: config.kafka.producer_buffer_kib,
        timeout: std::time::Duration::from_millis(config.kafka.producer_timeout_ms),
        max_message_bytes: topics::max_uncompressed_bytes(config),
    };
    let publisher = Arc::new(any.publisher(options)?);
    let store = AuditStore::open(config, disk, (*publisher).clone())
        .map_err(|error| Error::Command(error.to_string()))?;
    bus.sink(&config.kafka.topic, Arc::new(store.clone()));
    let verifier = Verifier::start(&config.auth, shutdown.clone()).await?;
    follow_revocations(&verifier, any, health.component("audit_revocations"), shutdown.clone());
    let layouts = store.layouts();
    let options = query::Options::new(&config.query, &config.limits);
    let engine = Engine::new(store.clone(), move || Some(Arc::clone(&layouts)), options);
    let cursors = CursorKey::from_config(&config.query, &mut rand::rng())?;
    let options = http::Options::new(config);
    let api = Api { publisher, verifier, engine: Arc::new(engine), cursors, options };
    let retaining = tokio::spawn(store.retain(shutdown.clone()));
    Ok(Started { routes: http::router(api), retaining })
}

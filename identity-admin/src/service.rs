//! One running `identity-admin`: started the same way by `main`, by tests and by `standalone`.

use std::sync::Arc;
use std::time::Duration;

use service_kit::admin;
use service_kit::auth::{Verifier, follow_revocations};
use service_kit::bus::{KafkaPublisher, died};
use service_kit::health::{Component, Health};
use service_kit::http::serve;
use service_kit::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};
use uuid::Uuid;

use crate::change::{self, Core};
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::db::{self, Db};
use crate::http::{self, Api};
use crate::oauth::{self, OAuth};
use crate::relay::Relay;
use crate::{Config, Error, metrics};

/// Where the service listens; bound by the caller, so that tests can take free ports.
pub struct Listeners {
    /// The public routes.
    pub http: TcpListener,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: TcpListener,
}

/// Between looks at the database: whether it answers, its version, the pool, the outbox.
const LOOK: Duration = Duration::from_secs(1);

/// Runs until `shutdown` has drained.
///
/// A database that does not answer yet, or is at another version, is waited for, not ready meanwhile;
/// requests are answered with 503 then.
///
/// # Errors
/// What no waiting mends: configuration, and listeners that fail.
pub async fn run(
    config: Config,
    listeners: Listeners,
    render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    shutdown: Shutdown,
) -> Result<(), Error> {
    config.validate()?;
    let health = Health::new();
    let component = health.component("mysql");
    let routes = admin::router(health.clone(), render_metrics);
    // The admin listener outlives the drain, so that probes see it.
    let admin = tokio::spawn(admin::serve(listeners.admin, routes));
    let db = Db::new(&config.mysql.options()?);
    let verifier = Verifier::start(&config.auth, shutdown.clone()).await?;
    let (cluster, heard) = (config.kafka.cluster(), health.component("revocations"));
    follow_revocations(&verifier, cluster, heard, shutdown.clone());
    let credentials = config.credentials()?;
    let core = Arc::new(Core {
        secrets: credentials.as_ref().map(|credentials| Arc::clone(&credentials.secrets)),
        ..Core::new(db.clone(), Clock::system(), config.answers_live())
    });
    let publisher = KafkaPublisher::new(&config.kafka.cluster(), config.kafka.publisher())?;
    let holder = Uuid::now_v7().to_string();
    let relay =
        Relay::new(Arc::clone(&core), publisher.clone(), config.relay_options(), holder.clone());
    let (end_relay, relay_drains) = Shutdown::new();
    let mut relaying = tokio::spawn(relay.run(relay_drains, config.drain_deadline()));
    let watch = tokio::spawn(watch(db.clone(), component));
    let sweep = Duration::from_secs(config.idempotency.sweep_seconds);
    let sweeping = tokio::spawn(crate::sweep::sweep(Arc::clone(&core), sweep));
    let (oauth, keeping) = match credentials {
        Some(credentials) => {
            let (oauth, keeping) = tokens(&config, Arc::clone(&core), credentials, holder);
            (Some(oauth), keeping)
        }
        None => (None, Vec::new()),
    };
    let routes = http::router(Api::new(core, verifier, config.api_options(), oauth));
    info!(http = %listeners.http.local_addr()?, "serving");
    let (trigger, draining) = Shutdown::new();
    let served = tokio::spawn(serve(listeners.http, routes, config.http_options(), draining));
    let dead = tokio::select! {
        () = shutdown.draining() => None,
        reason = died(&publisher) => Some(reason),
    };
    let until = Instant::now() + config.drain_deadline();
    health.drain();
    info!("draining");
    trigger.trigger();
    let served = served.await;
    // Behind the last mutation. What is left then is the next process's.
    end_relay.trigger();
    if dead.is_some() || timeout_at(until, &mut relaying).await.is_err() {
        relaying.abort();
    }
    sweeping.abort();
    keeping.iter().for_each(JoinHandle::abort);
    watch.abort();
    if timeout_at(until, db.close()).await.is_err() {
        warn!("transactions outlasted the drain deadline");
    }
    admin.abort();
    if let Some(reason) = dead {
        return Err(Error::Command(format!("the Kafka producer is dead for good: {reason}")));
    }
    match served {
        Ok(served) => Ok(served?),
        Err(error) => Err(Error::Command(error.to_string())),
    }
}

/// What issues tokens, and what keeps it going.
fn tokens(
    config: &Config,
    core: Arc<Core>,
    credentials: Credentials,
    holder: String,
) -> (OAuth, Vec<JoinHandle<()>>) {
    let signing = Arc::new(oauth::Signing::new(config.rotation()));
    let (journal, storing) = oauth::journal(Arc::clone(&core));
    let (keys, looking_up) = oauth::keys(core.db.clone());
    let secrets = Arc::clone(&credentials.secrets);
    let rotating = oauth::rotate(core, secrets, Arc::clone(&signing), holder);
    let oauth = OAuth {
        credentials,
        signing,
        journal,
        keys,
        issuer: config.tokens.issuer.clone(),
        audience: config.auth.audience.clone(),
        life: chrono::Duration::seconds(config.tokens.life_seconds.into()),
        people: config.people(),
    };
    (oauth, vec![tokio::spawn(storing), tokio::spawn(looking_up), tokio::spawn(rotating)])
}

/// Keeps readiness and gauges up to date.
async fn watch(db: Db, component: Component) {
    loop {
        match db.version().await {
            Ok(version) if version == db::VERSION => component.ready(),
            Ok(version) => component.not_ready(format!(
                "schema version {version}, not {}: identity-admin migrate",
                db::VERSION
            )),
            Err(error) => component.not_ready(error.to_string()),
        }
        metrics::pool(&db);
        if let Ok(level) = change::outbox_level(&db, &Clock::system()).await {
            metrics::outbox(level);
        }
        tokio::time::sleep(LOOK).await;
    }
}

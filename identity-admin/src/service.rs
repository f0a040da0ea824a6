//! One running `identity-admin`: started the same way by `main`, by tests and by `standalone`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::future::BoxFuture;
use service_kit::auth::{Verifier, follow_revocations};
use service_kit::bus::{Bus, BusPublisher, died};
use service_kit::health::{Component, Health};
use service_kit::shutdown::{Shutdown, ShutdownTrigger};
#[cfg(feature = "engines")]
use service_kit::tls::{Acceptor, Listener, Protocol};
#[cfg(feature = "engines")]
use service_kit::{admin, http::serve};
#[cfg(feature = "engines")]
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
#[cfg(feature = "engines")]
use tracing::info;
use tracing::warn;
use uuid::Uuid;

use crate::change::{self, Core};
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::db::{self, Db, Schema};
use crate::http::{self, Api};
use crate::oauth::{self, OAuth};
use crate::relay::Relay;
use crate::{Config, Error, metrics};

/// Where the service listens; bound by the caller, so that tests can take free ports.
#[cfg(feature = "engines")]
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
    let admin = Listener::new(listeners.admin, config.admin.acceptor()?);
    let health = Health::new();
    // Not ready in between either, while parts of it are not there yet.
    let starting = health.component("start");
    let routes = admin::router(health.clone(), render_metrics);
    // The admin listener outlives the drain, so that probes see it.
    let admin = tokio::spawn(admin::serve(admin, routes));
    let db = Db::new(&config.mysql.options()?);
    let bus = Bus::Kafka(config.kafka.cluster());
    let running = Running::start(&config, db, bus, &health, &shutdown).await?;
    info!(http = %http.local_addr()?, "serving");
    let (trigger, draining) = Shutdown::new();
    let routes = running.routes();
    let served = tokio::spawn(serve(http, routes, config.http_options(), draining));
    starting.ready();
    let dead = tokio::select! {
        () = shutdown.draining() => None,
        reason = running.died() => Some(reason),
    };
    let until = Instant::now() + config.drain_deadline();
    health.drain();
    info!("draining");
    trigger.trigger();
    let served = served.await;
    running.drain(until, dead.is_some()).await;
    admin.abort();
    if let Some(reason) = dead {
        return Err(Error::Command(format!("the Kafka producer is dead for good: {reason}")));
    }
    match served {
        Ok(served) => Ok(served?),
        Err(error) => Err(Error::Command(error.to_string())),
    }
}

/// All that runs of a service but its listeners.
pub struct Running {
    routes: Router,
    db: Db,
    publisher: BusPublisher,
    end_relay: ShutdownTrigger,
    relaying: JoinHandle<()>,
    /// Ended when nobody is answered any more.
    keeping: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts what works on `db`, and makes the routes. `health` waits for a database that does not answer yet
    /// or is at another version.
    ///
    /// Boxed, so that all of it is compiled in this crate: an `async fn` is compiled in each crate that awaits it,
    /// optimised as that one is.
    ///
    /// # Errors
    /// A bad configuration.
    pub fn start<'a>(
        config: &'a Config,
        db: Db,
        bus: Bus,
        health: &'a Health,
        shutdown: &'a Shutdown,
    ) -> BoxFuture<'a, Result<Self, Error>> {
        Box::pin(async move {
            let component = health.component("identity_database");
            let verifier = Verifier::start(&config.auth, shutdown.clone()).await?;
            // What is answered during the drain hears of revocations as ever.
            let (end_relay, relay_drains) = Shutdown::new();
            let heard = health.component("identity_revocations");
            follow_revocations(&verifier, bus.clone(), heard, relay_drains.clone());
            let credentials = config.credentials()?;
            let core = Arc::new(Core {
                secrets: credentials.as_ref().map(|credentials| Arc::clone(&credentials.secrets)),
                ..Core::new(db.clone(), Clock::system(), config.answers_live())
            });
            let publisher = bus.publisher(config.kafka.publisher())?;
            let holder = Uuid::now_v7().to_string();
            let options = config.relay_options();
            let relay = Relay::new(Arc::clone(&core), publisher.clone(), options, holder.clone());
            let relaying = tokio::spawn(relay.run(relay_drains, config.drain_deadline()));
            let sweep = Duration::from_secs(config.idempotency.sweep_seconds);
            let mut keeping = vec![
                tokio::spawn(watch(db.clone(), component)),
                tokio::spawn(crate::sweep::sweep(Arc::clone(&core), sweep)),
            ];
            let oauth = credentials.map(|credentials| {
                let (oauth, tasks) = tokens(config, Arc::clone(&core), credentials, holder);
                keeping.extend(tasks);
                oauth
            });
            let routes = http::router(Api::new(core, verifier, config.api_options(), oauth));
            Ok(Self { routes, db, publisher, end_relay, relaying, keeping })
        })
    }

    /// The public routes.
    pub fn routes(&self) -> Router {
        self.routes.clone()
    }

    /// Waits until nothing can be published any more, and says why.
    pub async fn died(&self) -> String {
        died(&self.publisher).await
    }

    /// Ends it, behind the last answer. What is left to be relayed then, and anyhow when publishing `is_dead`, is
    /// the next process's.
    pub async fn drain(mut self, until: Instant, is_dead: bool) {
        self.end_relay.trigger();
        if is_dead || timeout_at(until, &mut self.relaying).await.is_err() {
            self.relaying.abort();
        }
        self.keeping.iter().for_each(JoinHandle::abort);
        if timeout_at(until, self.db.close()).await.is_err() {
            warn!("transactions outlasted the drain deadline");
        }
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

/// Keeps readiness and gauges up to date. Who has been ready goes on while the next release's migrations, which only
/// add, are run and stand; who starts then does not, unless they say that they serve it.
async fn watch(db: Db, component: Component) {
    let mut began = false;
    loop {
        let found = db.schema().await;
        let is_none = found.as_ref().is_ok_and(|schema| schema.version == 0);
        let migrating = began && is_none && is_migrating(&db).await;
        match found {
            Ok(schema) if schema.serves() => {
                began = true;
                component.ready();
            }
            Ok(Schema { version, .. }) if migrating || (began && version > db::VERSION) => {
                component.ready();
            }
            Ok(Schema { version, .. }) => component.not_ready(format!(
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

/// Whether a database without a version has one all the same, half-way to the next.
async fn is_migrating(db: &Db) -> bool {
    let begun = db.row("SELECT COUNT(*) AS n FROM _sqlx_migrations", &[]).await;
    begun.is_ok_and(|row| row.is_some_and(|row| row.int("n").is_ok_and(|n| n > 0)))
}

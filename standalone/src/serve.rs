//! The process: the three services' own code, on embedded stores.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | its keys, and the services' configurations that follow |
//! | `assembly` | the stores, the bus and the services, in the order in which they start and end |
//! | `welcome` | what a person reads at the start |

pub(crate) mod assembly;
pub mod config;
mod error;
mod welcome;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use service_kit::admin;
use service_kit::health::Health;
use service_kit::http::serve;
use service_kit::shutdown::{Shutdown, on_signal};
use service_kit::tls::{Acceptor, Listener, Protocol};
use tokio::net::TcpListener;
use tracing::{info, warn};

pub use error::ServeError;

use assembly::Assembly;
use config::{Auth, Config};

use crate::client::demo::{self, DemoArgs};
use crate::client::{self, ClientError, Command, Global, Secret};

/// How to serve.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServeArgs {
    /// A YAML file that overrides the defaults (`triad config` prints them)
    #[arg(long, short, value_name = "FILE", env = "TRIAD_STANDALONE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where everything is kept [default: ./triad-data]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Address of all routes [default: 127.0.0.1:8100]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Address of probes and metrics [default: 127.0.0.1:8200]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
    /// Let everybody do everything; loopback only
    #[arg(long)]
    pub no_auth: bool,
    /// Make a small company to play with, unless it is there
    #[arg(long)]
    pub demo: bool,
}

impl ServeArgs {
    fn load(self) -> Result<Config, ServeError> {
        let mut config = Config::load(self.config.as_deref(), std::env::vars().collect())?;
        if let Some(data_dir) = self.data_dir {
            config.data_dir = data_dir;
        }
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if let Some(listen) = self.admin_listen {
            config.admin.listen = listen;
        }
        if self.no_auth {
            config.auth = Auth::Off;
        }
        Ok(config)
    }
}

/// Serves until a signal.
///
/// # Errors
/// A configuration, a folder or an address that cannot be had; nothing was changed then.
pub async fn run(args: ServeArgs) -> Result<(), ServeError> {
    let demo = args.demo;
    let mut config = args.load()?;
    service_kit::telemetry::install_tracing(&config.telemetry)?;
    let render = install_metrics()?;
    let (trigger, shutdown) = Shutdown::new();
    on_signal(trigger);
    // Before the folder is touched: an address that is taken is told first.
    let listeners = Listeners::bind(&mut config).await?;
    let health = Health::new();
    // Nothing is ready before all have said what they wait for.
    let assembling = health.component("stores");
    let probes = admin::router(health.clone(), Arc::new(render));
    let admin = tokio::spawn(admin::serve(listeners.admin, probes));
    let assembly = Assembly::start(&config, &health, &shutdown).await?;
    assembling.ready();
    let (drain_trigger, draining) = Shutdown::new();
    let options = assembly.http_options();
    if let Some(own) = listeners.own {
        tokio::spawn(serve(own, assembly.service(), options, draining.clone()));
    }
    let public = listeners.public;
    let served = tokio::spawn(serve(public, assembly.service(), options, draining.clone()));
    let grpc = listeners.grpc.map(|listener| tokio::spawn(assembly.grpc(listener, draining)));
    say(&welcome::text(&config, assembly.is_new()));
    info!(listen = %config.listen, "serving");
    // Here and not in a task of its own: a command of the client stays on its thread.
    let demo = Box::pin(async {
        if demo {
            make_demo(&config).await;
        }
        std::future::pending().await
    });
    let dead = tokio::select! {
        () = shutdown.draining() => None,
        reason = assembly.died() => Some(reason),
        never = demo => never,
    };
    health.drain();
    drain_trigger.trigger();
    info!("draining");
    let drained = tokio::time::timeout(
        std::time::Duration::from_millis(config.drain_deadline_ms.saturating_mul(2)),
        assembly.drain(served, grpc, dead.is_some()),
    );
    if drained.await.is_err() {
        warn!("the drain deadline passed");
    }
    admin.abort();
    dead.map_or(Ok(()), |reason| Err(ServeError::Dead(reason)))
}

/// As `triad demo` would, once; what it says is for the person who started it.
async fn make_demo(config: &Config) {
    let key = std::fs::read_to_string(config.key_file("admin")).unwrap_or_default();
    let global = Global {
        server: Some(config.own_url()),
        token: (config.auth == Auth::Tokens).then(|| Secret::from(key.trim_end().to_owned())),
        ..Global::default()
    };
    let command = Command::Demo(DemoArgs { id: demo::DEFAULT.to_owned() });
    match client::run(command, &global, clap::Command::default).await {
        Ok(_) => {}
        Err(ClientError::Answered(answered)) if answered.status == 409 => {
            say(&format!("The demo's tenant, {}, is there already.", demo::DEFAULT));
        }
        Err(error) => warn!(%error, "the demo"),
    }
}

/// Where the process listens.
struct Listeners {
    public: Listener,
    admin: Listener,
    grpc: Option<Listener>,
    /// Where the process asks itself, when the public one speaks TLS: its certificate names the process for others.
    own: Option<Listener>,
}

impl Listeners {
    /// Binds all, and notes in `config` where they are: a port of 0 is any that is free.
    async fn bind(config: &mut Config) -> Result<Self, ServeError> {
        let tls = |listener, protocol| Acceptor::start(&config.tls, "tls", listener, protocol);
        let http = tls("http", Protocol::Http1)?;
        let public = bind("listen", config.listen).await?;
        let admin = bind("admin.listen", config.admin.listen).await?;
        let admin = Listener::new(admin, config.admin.acceptor()?);
        let grpc = match config.ext_authz_listen {
            Some(address) => {
                let tcp = bind("ext_authz_listen", address).await?;
                Some(Listener::new(tcp, tls("ext_authz", Protocol::Http2)?))
            }
            None => None,
        };
        let own = if config.tls.is_on() {
            Some(bind("tls", (Ipv4Addr::LOCALHOST, 0).into()).await?)
        } else {
            None
        };
        config.listen = public.local_addr()?;
        config.own = own.as_ref().map(TcpListener::local_addr).transpose()?;
        Ok(Self { public: Listener::new(public, http), admin, grpc, own: own.map(Listener::from) })
    }
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| ServeError::Bind { key, address, error })
}

fn install_metrics() -> Result<impl Fn() -> String + Send + Sync + 'static, ServeError> {
    let mut buckets = ingest::metrics::buckets();
    buckets.extend(authz_edge::metrics::buckets());
    buckets.extend(identity_admin::metrics::buckets());
    let render = service_kit::telemetry::install_metrics(&buckets)
        .map_err(|error| ServeError::Other(error.to_string()))?;
    ingest::metrics::describe();
    authz_edge::metrics::describe();
    identity_admin::metrics::describe();
    Ok(render)
}

/// Results go to standard output; everything else is logged.
#[allow(clippy::print_stdout, reason = "what the person who started it reads")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

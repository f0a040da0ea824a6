//! The command line.

mod graph;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use contracts::TenantId;
use service_kit::bus::{Bus, apply_topics};
use service_kit::config::Source;
use service_kit::shutdown::{Shutdown, on_signal};
use tokio::io::BufReader;
use tokio::net::TcpListener;

use crate::graph::write::{Ownership, Writer};
use crate::graph::{GraphDb, schema};
use crate::sync::identity;
use crate::{Config, Error, Listeners, config, metrics, topics};

/// With nothing more to read for so long, all parked changes were read.
const QUIET: Duration = Duration::from_secs(10);

/// Permission checks on a Dgraph graph, answered from a cache that is never stale beyond a bound.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// A YAML file; the environment (TRIAD_AUTHZ__…) overrides it.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM (the default).
    Serve,
    /// Print the commented default configuration.
    Config,
    /// The topics that authz-edge owns.
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// The Dgraph schema.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Identity changes.
    #[command(subcommand)]
    Sync(SyncCommand),
    /// A tenant's graph as a file, and back.
    #[command(subcommand)]
    Graph(graph::GraphCommand),
    /// Make a tenant's identities what a snapshot says, and go on from its change; checks go on
    /// meanwhile.
    Rebuild {
        /// The tenant.
        #[arg(long)]
        tenant: String,
        /// The snapshot (NDJSON), as identity-admin streams it; - is standard input.
        #[arg(long, default_value = "-")]
        snapshot: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum SyncCommand {
    /// Apply what was parked, once its cause is mended.
    Retry,
}

#[derive(Debug, Subcommand)]
enum TopicsCommand {
    /// Create what is missing and bring settings up to date; can be repeated.
    Apply,
}

#[derive(Debug, Subcommand)]
enum SchemaCommand {
    /// Create what is missing; can be repeated.
    Apply {
        /// Print the schema instead of applying it.
        #[arg(long)]
        print: bool,
    },
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// [`Error`], whose exit code the process ends with.
    pub async fn run(self) -> Result<(), Error> {
        if matches!(self.command, Some(Command::Config)) {
            say(config::DEFAULTS.trim_end());
            return Ok(());
        }
        let config = load(self.config.as_deref())?;
        match self.command.unwrap_or(Command::Serve) {
            Command::Serve => serve(config).await,
            Command::Config => Ok(()),
            Command::Topics(TopicsCommand::Apply) => {
                for outcome in
                    apply_topics(&config.kafka.cluster(), &topics::specs(&config)).await?
                {
                    say(&outcome.to_string());
                }
                Ok(())
            }
            Command::Sync(SyncCommand::Retry) => retry(&config).await,
            Command::Graph(command) => command.run(&config).await,
            Command::Rebuild { tenant, snapshot } => rebuild(&config, &tenant, &snapshot).await,
            Command::Schema(SchemaCommand::Apply { print: true }) => {
                say(schema::SCHEMA.trim_end());
                Ok(())
            }
            Command::Schema(SchemaCommand::Apply { print: false }) => {
                let graph = GraphDb::dgraph(&config.dgraph.options())?;
                let meta = schema::apply(&graph).await?;
                say(&format!("the graph is at version {}, epoch {}", meta.version, meta.epoch));
                Ok(())
            }
        }
    }
}

async fn retry(config: &Config) -> Result<(), Error> {
    let graph = GraphDb::dgraph(&config.dgraph.options())?;
    let health = service_kit::health::Health::new().component("identity_sync");
    let (bus, options) = (Bus::Kafka(config.kafka.cluster()), config.sync.options());
    let retried = identity::retry(&graph, &bus, &options, &health, QUIET).await?;
    say(&format!(
        "{} read: {} changes applied, {} still cannot be, {} tenants wait for other changes",
        retried.read, retried.applied, retried.poison, retried.stopped
    ));
    Ok(())
}

async fn rebuild(config: &Config, tenant: &str, snapshot: &std::path::Path) -> Result<(), Error> {
    let tenant = TenantId::parse(tenant).map_err(|error| Error::Command(error.to_string()))?;
    let graph = GraphDb::dgraph(&config.dgraph.options())?;
    let writer = Writer { graph: &graph, ownership: Ownership::Sync };
    let rebuilt = if snapshot == std::path::Path::new("-") {
        crate::sync::rebuild::rebuild(&writer, &tenant, BufReader::new(tokio::io::stdin())).await
    } else {
        let file = tokio::fs::File::open(snapshot).await?;
        crate::sync::rebuild::rebuild(&writer, &tenant, BufReader::new(file)).await
    };
    let rebuilt = rebuilt.map_err(|error| Error::Command(error.to_string()))?;
    say(&format!(
        "{tenant} is as of change {}: {} subjects, {} memberships, {} lines skipped",
        rebuilt.seq, rebuilt.subjects, rebuilt.memberships, rebuilt.skipped
    ));
    Ok(())
}

fn load(file: Option<&std::path::Path>) -> Result<Config, Error> {
    let config: Config = service_kit::config::load(&Source {
        defaults: config::DEFAULTS,
        file,
        env_prefix: config::ENV_PREFIX,
        env: std::env::vars().collect(),
    })?;
    config.validate()?;
    Ok(config)
}

async fn serve(config: Config) -> Result<(), Error> {
    service_kit::telemetry::install_tracing(&config.telemetry)?;
    let render = service_kit::telemetry::install_metrics(&metrics::buckets())
        .map_err(|error| Error::Command(error.to_string()))?;
    metrics::describe();
    let ext_authz = match config.ext_authz.listen {
        Some(address) => Some(TcpListener::bind(address).await?),
        None => None,
    };
    let listeners = Listeners {
        http: TcpListener::bind(config.http.listen).await?,
        admin: TcpListener::bind(config.admin.listen).await?,
        ext_authz,
    };
    let (trigger, shutdown) = Shutdown::new();
    on_signal(trigger);
    crate::run(config, listeners, Arc::new(render), shutdown).await
}

/// Results of commands go to standard output; everything else is logged.
#[allow(clippy::print_stdout)]
fn say(line: &str) {
    println!("{line}");
}

//! The command line: serving, and the explicit steps of an operator.

mod dlq;
mod layout;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use service_kit::bus::apply_topics;
use service_kit::config::Source;
use service_kit::shutdown::{Shutdown, on_signal};
use tokio::net::TcpListener;

use crate::sink::schema;
use crate::sink::session::Cassandra;
use crate::{Config, Error, Listeners, config, metrics, topics};

/// Audit events: from Kafka in batches into time-bucketed Cassandra partitions, and back by range.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// A YAML file that overrides the defaults (`ingest config` prints them).
    #[arg(long, short, global = true, env = "TRIAD_INGEST_CONFIG")]
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
    /// The topics that ingest owns.
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// The Cassandra schema.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Where tenants' events are stored.
    #[command(subcommand)]
    Layout(layout::LayoutCommand),
    /// Dead letters.
    #[command(subcommand)]
    Dlq(dlq::DlqCommand),
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
        /// Print the statements instead of executing them.
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
            Command::Topics(TopicsCommand::Apply) => topics_apply(&config).await,
            Command::Schema(SchemaCommand::Apply { print: true }) => {
                for statement in schema::statements(&config.cassandra) {
                    say(&format!("{statement};"));
                }
                say("-- Rows from this time on are in the skip index; 0 in a new keyspace.");
                say(&format!("{};", schema::skip_note(&config.cassandra)));
                Ok(())
            }
            Command::Schema(SchemaCommand::Apply { print: false }) => {
                let db = Cassandra::connect(&config.cassandra).await?;
                schema::apply(&db, &config.cassandra).await?;
                say(&format!("{} is at version {}", db.keyspace, schema::VERSION));
                Ok(())
            }
            Command::Layout(command) => command.run(&config).await,
            Command::Dlq(command) => command.run(&config).await,
        }
    }
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
    let listeners = Listeners {
        http: TcpListener::bind(config.http.listen).await?,
        admin: TcpListener::bind(config.admin.listen).await?,
    };
    let (trigger, shutdown) = Shutdown::new();
    on_signal(trigger);
    crate::run(config, listeners, Arc::new(render), shutdown).await
}

async fn topics_apply(config: &Config) -> Result<(), Error> {
    for outcome in apply_topics(&config.kafka.cluster(), &topics::specs(config)).await? {
        say(&outcome.to_string());
    }
    Ok(())
}

/// Results of commands go to standard output; everything else is logged.
#[allow(clippy::print_stdout)]
fn say(line: &str) {
    println!("{line}");
}

//! The command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, Subcommand};
use service_kit::bus::apply_topics;
use service_kit::config::Source;
use service_kit::shutdown::{Shutdown, on_signal};
use tokio::net::TcpListener;

use crate::{Config, Error, Listeners, config, db, metrics, topics};

/// Tenants, users, service accounts and teams on MySQL, with every change delivered.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// A YAML file; the environment (TRIAD_IDENTITY__…) overrides it.
    #[arg(long, global = true, env = "TRIAD_IDENTITY_CONFIG")]
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
    /// Create the database if it is missing and bring its schema up to date; can be repeated.
    Migrate,
    /// The topic that identity-admin owns.
    #[command(subcommand)]
    Topics(TopicsCommand),
}

#[derive(Debug, Subcommand)]
enum TopicsCommand {
    /// Create what is missing and bring settings up to date; can be repeated.
    Apply,
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
            Command::Migrate => migrate(&config).await,
            Command::Topics(TopicsCommand::Apply) => {
                let specs = topics::specs(&config);
                for outcome in apply_topics(&config.kafka.cluster(), &specs).await? {
                    say(&outcome.to_string());
                }
                Ok(())
            }
        }
    }
}

async fn migrate(config: &Config) -> Result<(), Error> {
    let dsn = config.mysql.options()?.dsn;
    let migrated = db::migrate(&dsn).await?;
    say(&match migrated.from {
        from if from == migrated.to => format!("{dsn} is at version {from}"),
        from => format!("{dsn} was at version {from} and is at {}", migrated.to),
    });
    Ok(())
}

fn load(file: Option<&Path>) -> Result<Config, Error> {
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

/// Results of commands go to standard output; everything else is logged.
#[allow(clippy::print_stdout)]
fn say(line: &str) {
    println!("{line}");
}

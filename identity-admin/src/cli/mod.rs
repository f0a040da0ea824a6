//! The command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, Subcommand};
use contracts::TenantId;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use service_kit::bus::apply_topics;
use service_kit::config::Source;
use service_kit::shutdown::{Shutdown, on_signal};
use tokio::net::TcpListener;

use crate::change::{self, Core};
use crate::clock::Clock;
use crate::credentials::Secrets;
use crate::db::Db;
use crate::import::{self, Format};
use crate::relay::parked;
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
    /// Make the first credentials: the file of secrets, a service account that may do everything, whose key is
    /// printed once, and one for each service, whose keys go into files.
    Bootstrap {
        /// Where files go; they are made so that their owner alone may read them.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make many users and memberships of a tenant from a file; what is there already stays as it is. What becomes
    /// of each row is a line of the results; called again, it goes on where it was interrupted.
    Import {
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// The file.
        #[arg(long)]
        input: PathBuf,
        /// How it is written; by its name without.
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// What became of each row, as NDJSON; INPUT.results.ndjson without.
        #[arg(long)]
        results: Option<PathBuf>,
        /// Rows of one transaction. The same when it is called again.
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=5000))]
        batch: u16,
    },
    /// Raise the numbers of changes, after the database was restored to an earlier state: what was told since has
    /// numbers that must not come again. Every listener then needs a snapshot (docs/backup.md).
    Renumber {
        /// Of one tenant; of all without.
        #[arg(long)]
        tenant: Option<String>,
        /// By more than a tenant can have had changes since.
        #[arg(long, default_value_t = 1_000_000_000, value_parser = clap::value_parser!(u32).range(1..))]
        by: u32,
    },
    /// What Kafka will never take: it is parked, and a parked change stops its tenant's changes.
    #[command(subcommand)]
    Outbox(OutboxCommand),
}

#[derive(Debug, Subcommand)]
enum OutboxCommand {
    /// List what is parked: id, topic, tenant, seq, bytes, since when, why.
    List,
    /// Try a parked row again, after Kafka's limit was raised.
    Retry {
        /// As `list` shows it.
        id: i64,
    },
    /// Give a parked row up: a change is published as `change.skipped` with its number, an audit event
    /// without its details.
    Skip {
        /// As `list` shows it.
        id: i64,
        /// Why, for the audit trail and whoever reads the changes.
        #[arg(long)]
        reason: String,
    },
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
            Command::Bootstrap { out } => bootstrap(config, &out).await,
            Command::Import { tenant, input, format, results, batch } => {
                let is_csv = input.extension().is_some_and(|ending| ending == "csv");
                let known = if is_csv { Format::Csv } else { Format::Ndjson };
                let options =
                    import::Options { format: format.unwrap_or(known), batch: batch.into() };
                import_file(&config, &tenant, &input, results, options).await
            }
            Command::Renumber { tenant, by } => renumber(&config, tenant.as_deref(), by).await,
            Command::Outbox(command) => command.run(&config).await,
        }
    }
}

impl OutboxCommand {
    async fn run(self, config: &Config) -> Result<(), Error> {
        let db = Db::new(&config.mysql.options()?);
        let core = Core::new(db, Clock::system(), config.answers_live());
        let (id, done) = match self {
            Self::List => {
                for row in parked::list(&core).await? {
                    let parked::Parked { id, topic, tenant, seq, bytes, since, error } = row;
                    say(&format!("{id}\t{topic}\t{tenant}\t{seq}\t{bytes}\t{since:?}\t{error}"));
                }
                return Ok(());
            }
            Self::Retry { id } => (id, parked::retry(&core, id).await?),
            Self::Skip { id, reason } => (id, parked::skip(&core, id, &reason).await?),
        };
        if done {
            return Ok(());
        }
        Err(Error::Command(format!("{id} is not parked: identity-admin outbox list")))
    }
}

async fn bootstrap(mut config: Config, folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder)?;
    let file = config.secrets_file.get_or_insert_with(|| folder.join("secrets.json")).clone();
    if Secrets::create(&file)? {
        say(&format!("secrets: {} (secrets_file, for every replica)", file.display()));
    }
    let credentials = config.credentials()?;
    let credentials = credentials.ok_or_else(|| Error::Command("no secrets_file".to_owned()))?;
    let db = Db::new(&config.mysql.options()?);
    let core = Core::new(db, Clock::system(), config.answers_live());
    let made = crate::bootstrap::bootstrap(&core, &credentials, folder).await?;
    for file in made.files {
        say(&format!("key of a service: {}", file.display()));
    }
    say(&format!("client id of the administrator: {}", made.client_id));
    say(&format!("its API key, which is not told again: {}", made.key));
    Ok(())
}

async fn import_file(
    config: &Config,
    tenant: &str,
    input: &Path,
    results: Option<PathBuf>,
    options: import::Options,
) -> Result<(), Error> {
    let tenant = TenantId::parse(tenant).map_err(|error| Error::Command(error.to_string()))?;
    let results = results.unwrap_or_else(|| {
        let mut name = input.as_os_str().to_owned();
        name.push(".results.ndjson");
        name.into()
    });
    let db = Db::new(&config.mysql.options()?);
    let core = Core::new(db, Clock::system(), config.answers_live());
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
    if let Ok(style) =
        ProgressStyle::with_template("{msg:>8} [{bar:40}] {human_pos}/{human_len} {per_sec} {eta}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    let bar = bar.with_message("importing");
    let done = import::import(&core, &tenant, (input, &results), options, &bar).await?;
    let import::Imported { resumed_behind, rows, created, refused } = done;
    say(&format!(
        "{tenant}: {rows} rows behind {resumed_behind}, {created} of them made something, {refused} were refused; \
         each has a line in {}",
        results.display()
    ));
    Ok(())
}

async fn renumber(config: &Config, tenant: Option<&str>, by: u32) -> Result<(), Error> {
    let tenant = tenant.map(TenantId::parse).transpose();
    let tenant = tenant.map_err(|error| Error::Command(error.to_string()))?;
    let db = Db::new(&config.mysql.options()?);
    let core = Core::new(db, Clock::system(), config.answers_live());
    let raised = change::renumber(&core, tenant.as_ref(), by).await?;
    if raised == 0 {
        return Err(Error::Command("nothing was renumbered: no such tenant".to_owned()));
    }
    say(&format!("the changes of {raised} tenants go on {by} numbers later"));
    Ok(())
}

async fn migrate(config: &Config) -> Result<(), Error> {
    let place = config.mysql.options()?.place;
    let migrated = db::migrate(&place).await?;
    say(&match migrated.from {
        from if from == migrated.to => format!("{place} is at version {from}"),
        from => format!("{place} was at version {from} and is at {}", migrated.to),
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

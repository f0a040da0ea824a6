//! `triad migrate-to`: from one folder into the real engines. See `docs/adr/0024-moving-on.md`.
//!
//! | module | what it holds |
//! |---|---|
//! | `config` | where to |
//! | `progress` | how far it came, so that it can go on |
//! | `here` | the folder: locked, settled, and not changed any more |
//! | `secrets` | the files that keys mean nothing without |
//! | `identity` | tables into MySQL |
//! | `graph` | each tenant's graph into Dgraph, as of its last identity change |
//! | `topics` | what services hear of by topic |
//! | `audit` | events through Kafka into Cassandra |
//! | `tell` | what the person who migrates reads |

mod audit;
mod config;
mod error;
mod graph;
mod here;
mod identity;
mod progress;
mod secrets;
mod tell;
mod topics;

use std::path::PathBuf;

pub use error::MigrateError;

use chrono::Utc;
use here::{Held, Here};
use progress::Saved;
use tell::{Counted, tell};

use crate::serve;
use crate::serve::config::Services;

/// Where from and where to.
#[derive(Debug, Clone, clap::Args)]
pub struct MigrateArgs {
    /// A YAML file with the sections `ingest`, `authz` and `identity`: what each service is to be started with. Their
    /// variables (TRIAD_INGEST__…, TRIAD_AUTHZ__…, TRIAD_IDENTITY__…) override it
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
    /// What is moved [default: ./triad-data]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// The configuration that it was served with, if it had one
    #[arg(long, value_name = "FILE", env = "TRIAD_STANDALONE_CONFIG")]
    pub standalone_config: Option<PathBuf>,
    /// Schemas and topics are there: check them, and change nothing of them
    #[arg(long)]
    pub no_schema: bool,
}

/// Copies everything, and verifies it. Called again after whatever ended it, it goes on.
///
/// # Errors
/// [`MigrateError`]; what was copied stays.
pub async fn run(args: MigrateArgs) -> Result<(), MigrateError> {
    let env: Vec<_> = std::env::vars().collect();
    let targets = config::load_targets(&args.config, &env)?;
    let mut config = serve::config::Config::load(args.standalone_config.as_deref(), env)?;
    if let Some(data_dir) = args.data_dir {
        config.data_dir = data_dir;
    }
    config.telemetry.filter = "error".to_owned();
    service_kit::telemetry::install_tracing(&config.telemetry)?;
    let here = Held::take(config)?;
    let mut saved = Saved::load(here.folder.path())?;
    if let Some(at) = saved.state.finished_at {
        tell(&format!("{} was moved on {at}; nothing is left to do", here.folder.path().display()));
        return Ok(());
    }
    begin(&targets, &mut saved)?;
    let there = There { targets, is_applied: !args.no_schema };
    let identity = identity::Target::open(&there, &saved).await?;
    let here = Box::pin(here.settled(&mut saved)).await?;
    audit::topics(&there).await?;
    let mut all = Vec::new();
    secrets::carry(&here, &there.targets)?;
    all.extend(identity::carry(&here, &identity, &mut saved).await?);
    all.push(graph::carry(&here, &there, &identity, &mut saved).await?);
    topics::carry(&here, &there.targets, &mut saved).await?;
    all.push(audit::carry(&here, &there, &mut saved).await?);
    saved.state.finished_at = Some(Utc::now());
    saved.save()?;
    end(&here, &all);
    Ok(())
}

/// Where everything goes.
struct There {
    targets: Services,
    /// Whether schemas and topics are made.
    is_applied: bool,
}

/// Notes where it goes, before anything is written there: what is found there later is its own.
fn begin(targets: &Services, saved: &mut Saved) -> Result<(), MigrateError> {
    let place = targets.identity.mysql.options()?.place;
    let (events, keyspace) = (&targets.ingest.kafka.topic, &targets.ingest.cassandra.keyspace);
    let alphas = targets.authz.dgraph.alphas().join(",");
    let target = format!("{place}; dgraph {alphas}; kafka {events}; cassandra {keyspace}");
    if saved.is_begun() && saved.state.target != target {
        return Err(MigrateError::Refused(format!(
            "this migration goes to another place: {}. Go on there, or begin anew: delete migration.json",
            saved.state.target
        )));
    }
    saved.state.target = target;
    saved.save()
}

fn end(here: &Here, all: &[Counted]) {
    serve::say(&tell::table(all));
    let scratch = here.folder.path().join("migration");
    if let Err(error) = std::fs::remove_dir(&scratch) {
        tell(&format!("{} can be deleted: {error}", scratch.display()));
    }
    let folder = here.folder.path().display();
    tell(&format!(
        "\nEverything is there and verified. Start the three services with the sections of your configuration.\n\
         Do not serve {folder} any more: what it is told from now on is told to nobody else. The services' own API \
         keys, and the administrator's, are in {folder}/credentials; keep it until you have them."
    ));
}

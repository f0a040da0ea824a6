//! `authz-edge graph …`.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use contracts::{ConsistencyToken, TenantId};

use super::say;
use crate::config::SyncMode;
use crate::graph::pages::tenants;
use crate::graph::write::{Author, Ownership, Writer};
use crate::graph::{GraphDb, schema};
use crate::transfer::export::Export;
use crate::transfer::import::{self, Checked, Import, Imported};
use crate::transfer::{TransferError, bar};
use crate::{Config, Error};

/// A transfer's request carries thousands of things: it may take longer than a check.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the files of a folder are called behind their tenant.
const EXTENSION: &str = "ndjson";

#[derive(Debug, Subcommand)]
pub(super) enum GraphCommand {
    /// Have a tenant's graph be what a file says, besides what is there already. Repeating it changes
    /// nothing; a file that was interrupted goes on behind its checkpoint (FILE.checkpoint).
    Import(ImportArgs),
    /// Write a tenant's graph as it is at one moment: roles, subjects, resources, relationships, without
    /// those that have expired. The same graph gives the same lines. One that was interrupted begins anew,
    /// with --all with the first tenant: it is one moment of the graph, which does not keep what old moments
    /// need, and a file that is there already may be of an older one.
    Export(ExportArgs),
}

#[derive(Debug, Args)]
struct Whose {
    /// One tenant's.
    #[arg(long, conflicts_with = "all", required_unless_present = "all")]
    tenant: Option<String>,
    /// That of every tenant: a folder of files, one each, named TENANT.ndjson.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    whose: Whose,
    /// Where to; - is standard output. A file has its name once it is whole (FILE.partial before). With
    /// --all a folder, in which each file is one moment of its own.
    #[arg(long, default_value = "-")]
    output: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    whose: Whose,
    /// What `graph export` wrote, for this tenant or another one; - is standard input. A file is checked
    /// to its end before anything is written, a stream as it comes. With --all a folder, whose files are
    /// all checked first; each is for the tenant that it names.
    #[arg(long, default_value = "-")]
    input: PathBuf,
    /// Check the input, and write nothing.
    #[arg(long)]
    check: bool,
    /// Leave out subjects and memberships: identity sync brings them (sync.mode identity).
    #[arg(long)]
    skip_identities: bool,
    /// Leave out roles of subjects that are not there: those that were deleted before identities were restored,
    /// or made after that.
    #[arg(long)]
    skip_missing: bool,
    /// Lines of one transaction.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u16).range(1..=5000))]
    batch: u16,
    /// Transactions at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    in_flight: u16,
}

impl GraphCommand {
    pub(super) async fn run(self, config: &Config) -> Result<(), Error> {
        match self {
            Self::Import(args) => args.run(config).await,
            Self::Export(args) => args.run(config).await,
        }
    }
}

fn failed(path: &Path, error: TransferError) -> Error {
    match error {
        TransferError::Graph(error) => Error::Graph(error),
        other => Error::Command(format!("{}: {other}", path.display())),
    }
}

fn tenant(text: &str) -> Result<TenantId, Error> {
    TenantId::parse(text).map_err(|error| Error::Command(error.to_string()))
}

fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

fn no_folder() -> Error {
    Error::Command("--all is of a folder: name one".to_owned())
}

/// The graph, with time for large requests.
async fn connect(config: &Config) -> Result<(GraphDb, schema::Meta), Error> {
    let mut options = config.dgraph.options();
    options.timeout = options.timeout.max(PATIENCE);
    let graph = GraphDb::dgraph(&options)?;
    match schema::meta(&graph).await? {
        Some(meta) if meta.version == schema::VERSION => Ok((graph, meta)),
        _ => Err(Error::Command("the schema is not that of this version: schema apply".to_owned())),
    }
}

impl ExportArgs {
    async fn run(self, config: &Config) -> Result<(), Error> {
        let Some(tenant) = self.whose.tenant.as_deref().map(tenant).transpose()? else {
            return self.all(config).await;
        };
        let (graph, meta) = connect(config).await?;
        let export = Export { graph: &graph, epoch: meta.epoch, tenant: &tenant };
        if is_stream(&self.output) {
            let written = export.write(tokio::io::stdout(), &std::env::temp_dir()).await;
            return written.map(drop).map_err(|error| failed(&self.output, error));
        }
        file(&export, &self.output).await
    }

    async fn all(&self, config: &Config) -> Result<(), Error> {
        if is_stream(&self.output) {
            return Err(no_folder());
        }
        let (graph, meta) = connect(config).await?;
        std::fs::create_dir_all(&self.output)?;
        for tenant in &tenants(&graph).await? {
            let export = Export { graph: &graph, epoch: meta.epoch, tenant };
            file(&export, &self.output.join(format!("{tenant}.{EXTENSION}"))).await?;
        }
        Ok(())
    }
}

async fn file(export: &Export<'_>, path: &Path) -> Result<(), Error> {
    let counts = export.file(path).await.map_err(|error| failed(path, error))?;
    say(&format!("{}: {counts}", export.tenant));
    Ok(())
}

impl ImportArgs {
    async fn run(self, config: &Config) -> Result<(), Error> {
        let Some(tenant) = self.whose.tenant.as_deref().map(tenant).transpose()? else {
            return self.all(config).await;
        };
        if is_stream(&self.input) && !self.check {
            return self.stream(config, &tenant).await;
        }
        let checked = checked(&self.input).await?;
        self.files(config, vec![(self.input.clone(), tenant, checked)]).await
    }

    async fn all(&self, config: &Config) -> Result<(), Error> {
        let mut files = vec![];
        for path in inputs(&self.input)? {
            let checked = checked(&path).await?;
            files.push((path, checked.header.tenant.clone(), checked));
        }
        self.files(config, files).await
    }

    /// Files that are sound, one after the other.
    async fn files(
        &self,
        config: &Config,
        files: Vec<(PathBuf, TenantId, Checked)>,
    ) -> Result<(), Error> {
        if self.check {
            for (_, _, checked) in &files {
                say(&format!("{} has {}", checked.header.tenant, checked.counts));
            }
            return Ok(());
        }
        let (graph, meta) = connect(config).await?;
        for (path, tenant, checked) in &files {
            let import = self.import(config, &graph, tenant, meta, Some(checked));
            let imported = import.file(path, checked).await;
            report(tenant, meta, &imported.map_err(|error| failed(path, error))?);
        }
        Ok(())
    }

    async fn stream(&self, config: &Config, tenant: &TenantId) -> Result<(), Error> {
        let (graph, meta) = connect(config).await?;
        let import = self.import(config, &graph, tenant, meta, None);
        let input = BufReader::with_capacity(1 << 20, std::io::stdin());
        let imported = import.stream(input).await;
        report(tenant, meta, &imported.map_err(|error| failed(&self.input, error))?);
        Ok(())
    }

    fn import<'a>(
        &self,
        config: &Config,
        graph: &'a GraphDb,
        tenant: &'a TenantId,
        meta: schema::Meta,
        checked: Option<&Checked>,
    ) -> Import<'a> {
        let ownership = match config.sync.mode {
            SyncMode::Identity => Ownership::Sync,
            SyncMode::None => Ownership::Anyone,
        };
        let options = import::Options {
            batch: self.batch.into(),
            in_flight: self.in_flight.into(),
            skip_identities: self.skip_identities,
            skip_missing: self.skip_missing,
        };
        let author = Author::system(chrono::Utc::now());
        let bar = bar("lines", checked.map(|checked| checked.counts.total()));
        let writer = Writer { graph, ownership };
        Import { writer, epoch: meta.epoch, tenant, author, options, bar }
    }
}

/// The exported files of a folder.
fn inputs(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if is_stream(folder) {
        return Err(no_folder());
    }
    let named = |error| failed(folder, TransferError::Io(error));
    let mut paths = vec![];
    for entry in std::fs::read_dir(folder).map_err(named)? {
        let path = entry.map_err(named)?.path();
        if path.extension().is_some_and(|of| of == EXTENSION) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Error::Command(format!("{} has no .{EXTENSION} file", folder.display())));
    }
    paths.sort();
    Ok(paths)
}

async fn checked(path: &Path) -> Result<Checked, Error> {
    let input = path.to_owned();
    let check = move || match is_stream(&input) {
        true => import::check(std::io::stdin()),
        false => import::check(std::fs::File::open(&input)?),
    };
    let checked = tokio::task::spawn_blocking(check).await;
    let checked = checked.map_err(|error| Error::Command(error.to_string()))?;
    checked.map_err(|error| failed(path, error))
}

fn report(tenant: &TenantId, meta: schema::Meta, imported: &Imported) {
    let Imported { resumed_behind, lines, written, skipped, revision } = *imported;
    if resumed_behind > 0 {
        say(&format!("went on behind {resumed_behind} lines"));
    }
    let token = ConsistencyToken::Graph { epoch: meta.epoch, revision }.encode(tenant);
    say(&format!(
        "{tenant}: {lines} lines, {written} of them were not so yet, {skipped} left out; visible from {token}"
    ));
}

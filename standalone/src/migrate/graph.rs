//! Graphs: each tenant's identities as of its last change, then all else of it, then both sides compared.
//!
//! What the embedded graph has of users and teams came from the same changes, so the tenant is rebuilt from the
//! snapshot of the database that it now has, and sync goes on behind that change. Roles, resources and bindings come
//! by the transfer's file. A tenant that was deleted is suspended for ever, as it is here; what it had stays behind.

mod compare;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use authz_edge::graph::read::{Reader, Strangers};
use authz_edge::graph::schema::{self, Meta};
use authz_edge::graph::write::{Author, Ownership, Writer};
use authz_edge::graph::{Graph as _, GraphDb, pages};
use authz_edge::sync::rebuild::rebuild;
use authz_edge::transfer::export::Export;
use authz_edge::transfer::format::Counts;
use authz_edge::transfer::import::{self, Import};
use authz_edge::transfer::{TransferError, bar};
use chrono::Utc;
use contracts::TenantId;
use contracts::identity::{SnapshotLine, TenantStatus};
use identity_admin::snapshot;
use tokio::io::{AsyncWriteExt as _, BufReader};

use super::here::Here;
use super::identity::{self, Target};
use super::progress::Saved;
use super::tell::{Counted, tell};
use super::{MigrateError, There};

/// A request that reads or writes much may take so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A whole tenant is read within this.
const SNAPSHOT: Duration = Duration::from_secs(3600);
/// Lines of one transaction, and transactions at once, as `authz-edge graph import` has them.
const BATCH: usize = 2000;
const IN_FLIGHT: usize = 4;

/// A tenant that goes.
enum Going {
    /// It is in the database, at this change.
    Living(u64),
    /// It was deleted by this change.
    Deleted(u64),
    /// Identities know nothing of it.
    Unknown,
}

struct Graphs<'a> {
    from: &'a GraphDb,
    epoch: contracts::GraphEpoch,
    to: Arc<GraphDb>,
    meta: Meta,
    identity: &'a Target,
    scratch: PathBuf,
}

/// Copies what is not there yet, tenant by tenant.
pub(super) async fn carry(
    here: &Here,
    there: &There,
    identity: &Target,
    saved: &mut Saved,
) -> Result<Counted, MigrateError> {
    let graphs = Graphs::open(here, there, identity).await?;
    let all = graphs.going().await?;
    graphs.claim(&all, saved).await?;
    for (tenant, going) in &all {
        if saved.state.graphs.contains_key(tenant.as_str()) {
            continue;
        }
        let counts = graphs.tenant(tenant, going).await?;
        saved.state.graphs.insert(tenant.as_str().to_owned(), counts);
        saved.save()?;
    }
    let sum: u64 = saved.state.graphs.values().map(Counts::total).sum();
    tell(&format!(
        "graphs: {sum} lines of {} tenants, verified; a new epoch, {}",
        all.len(),
        graphs.meta.epoch
    ));
    let relationships = saved.state.graphs.values().map(|counts| counts.relationships).sum();
    Ok(Counted { what: "relationships", copied: relationships, verified: relationships })
}

impl<'a> Graphs<'a> {
    async fn open(
        here: &'a Here,
        there: &There,
        identity: &'a Target,
    ) -> Result<Self, MigrateError> {
        let mut options = there.targets.authz.dgraph.options();
        options.timeout = options.timeout.max(PATIENCE);
        let to = GraphDb::dgraph(&options)?;
        let meta = if there.is_applied {
            Some(schema::apply(&to).await?)
        } else {
            schema::meta(&to).await?
        };
        let meta = meta.filter(|meta| meta.version == schema::VERSION).ok_or_else(|| {
            MigrateError::Refused(
                "Dgraph has not the schema of this version: authz-edge schema apply".to_owned(),
            )
        })?;
        let own = schema::meta(&here.stores.graph).await?;
        let epoch = own.map_or(contracts::GraphEpoch(0), |own| own.epoch);
        let scratch = here.scratch()?;
        Ok(Self { from: &here.stores.graph, epoch, to: Arc::new(to), meta, identity, scratch })
    }

    async fn going(&self) -> Result<Vec<(TenantId, Going)>, MigrateError> {
        let living = identity::tenants(&self.identity.0).await?;
        let names: BTreeSet<_> = living.iter().map(|(tenant, _)| tenant.clone()).collect();
        let ever = identity::sequences(&self.identity.0).await?;
        let known: BTreeSet<_> = ever.iter().map(|(tenant, _)| tenant.clone()).collect();
        let deleted = ever.into_iter().filter(|(tenant, _)| !names.contains(tenant));
        let unknown = pages::tenants(self.from).await?;
        let unknown = unknown.into_iter().filter(|tenant| !known.contains(tenant));
        let living = living.into_iter().map(|(tenant, seq)| (tenant, Going::Living(seq)));
        let deleted = deleted.map(|(tenant, seq)| (tenant, Going::Deleted(seq)));
        Ok(living.chain(deleted).chain(unknown.map(|tenant| (tenant, Going::Unknown))).collect())
    }

    /// Refuses a graph that has something of these tenants, unless this migration wrote it.
    async fn claim(
        &self,
        all: &[(TenantId, Going)],
        saved: &mut Saved,
    ) -> Result<(), MigrateError> {
        match saved.state.epoch {
            Some(epoch) if epoch == self.meta.epoch => return Ok(()),
            Some(_) => {
                let why = "Dgraph was emptied since this migration began; begin anew: empty the rest, too, and delete \
                           migration.json";
                return Err(MigrateError::Refused(why.to_owned()));
            }
            None => {}
        }
        let there = pages::tenants(&self.to).await?;
        let reader = Reader::new(Arc::clone(&self.to), Strangers::Barred);
        for (tenant, _) in all {
            if there.contains(tenant) || reader.applied(tenant).await?.0 > 0 {
                return Err(MigrateError::Refused(format!(
                    "Dgraph has a graph of {tenant}, and no migration of this folder wrote it"
                )));
            }
        }
        saved.state.epoch = Some(self.meta.epoch);
        saved.save()
    }

    async fn tenant(&self, tenant: &TenantId, going: &Going) -> Result<Counts, MigrateError> {
        let seq = match going {
            Going::Living(seq) | Going::Deleted(seq) => *seq,
            Going::Unknown => 0,
        };
        if !matches!(going, Going::Unknown) {
            self.identities(tenant, going).await?;
        }
        if matches!(going, Going::Deleted(_)) {
            return Ok(Counts::default());
        }
        let counts = self.rest(tenant).await?;
        let reader = Reader::new(Arc::clone(&self.to), Strangers::Barred);
        let (applied, _) = reader.applied(tenant).await?;
        if applied != seq {
            let why = format!("the graph of {tenant} is as of change {applied}, not {seq}");
            return Err(MigrateError::Differs(why));
        }
        Ok(counts)
    }

    /// Users, service accounts, teams and memberships.
    async fn identities(&self, tenant: &TenantId, going: &Going) -> Result<(), MigrateError> {
        let path = self.scratch.join(format!("{tenant}.snapshot"));
        let written = match going {
            Going::Deleted(seq) => self.nothing(&path, tenant, *seq).await,
            _ => self.snapshot(&path, tenant).await,
        };
        written?;
        let failed = |error| MigrateError::Rebuild { tenant: tenant.as_str().to_owned(), error };
        let file =
            tokio::fs::File::open(&path).await.map_err(MigrateError::file(path.display()))?;
        let writer = Writer { graph: &self.to, ownership: Ownership::Sync };
        rebuild(&writer, tenant, BufReader::new(file)).await.map_err(failed)?;
        remove(&path)
    }

    async fn snapshot(&self, path: &Path, tenant: &TenantId) -> Result<(), MigrateError> {
        let failed = || MigrateError::file(path.display());
        let lines = snapshot::stream(&self.identity.0, tenant, SNAPSHOT).await;
        let lines = lines.map_err(MigrateError::identity(format!("the snapshot of {tenant}")))?;
        let gone = || MigrateError::Differs(format!("the tenant {tenant} is not there"));
        let mut lines = lines.ok_or_else(gone)?;
        let mut file = tokio::fs::File::create(path).await.map_err(failed())?;
        while let Some(some) = lines.recv().await {
            file.write_all(&some.map_err(failed())?).await.map_err(failed())?;
        }
        file.flush().await.map_err(failed())
    }

    /// A tenant without anybody, that may do nothing.
    async fn nothing(&self, path: &Path, tenant: &TenantId, seq: u64) -> Result<(), MigrateError> {
        let header = SnapshotLine::Header {
            tenant_id: tenant.clone(),
            seq,
            status: TenantStatus::Suspended,
        };
        let mut text = String::new();
        for line in [header, SnapshotLine::End { count: 0 }] {
            text +=
                &serde_json::to_string(&line).map_err(|e| MigrateError::Refused(e.to_string()))?;
            text.push('\n');
        }
        tokio::fs::write(path, text).await.map_err(MigrateError::file(path.display()))
    }

    /// Roles, resources, bindings; and all of it compared.
    async fn rest(&self, tenant: &TenantId) -> Result<Counts, MigrateError> {
        let failed = |error: TransferError| MigrateError::Transfer {
            tenant: tenant.as_str().to_owned(),
            error,
        };
        let path = self.scratch.join(format!("{tenant}.ndjson"));
        // One that has its name is whole; an import that was broken off goes on with it.
        if !path.exists() {
            let export = Export { graph: self.from, epoch: self.epoch, tenant };
            export.file(&path).await.map_err(failed)?;
        }
        let checked = {
            let path = path.clone();
            let check = move || import::check(std::fs::File::open(path)?);
            let checked = tokio::task::spawn_blocking(check).await;
            checked.map_err(|error| MigrateError::Refused(error.to_string()))?.map_err(failed)?
        };
        let import = Import {
            writer: Writer { graph: &self.to, ownership: Ownership::Sync },
            epoch: self.meta.epoch,
            tenant,
            author: Author::system(Utc::now()),
            options: import::Options {
                batch: BATCH,
                in_flight: IN_FLIGHT,
                skip_identities: true,
                skip_missing: false,
            },
            bar: bar("lines", Some(checked.counts.total())),
        };
        import.file(&path, &checked).await.map_err(failed)?;
        let found = self.scratch.join(format!("{tenant}.found"));
        let export = Export { graph: &self.to, epoch: self.meta.epoch, tenant };
        export.file(&found).await.map_err(failed)?;
        let compared = compare::files(&path, &found, Utc::now());
        let counts = compared.map_err(MigrateError::file(path.display()))?;
        let counts = counts.map_err(|line| {
            MigrateError::Differs(format!(
                "the graph of {tenant}, kept in {}: {line}",
                self.scratch.display()
            ))
        })?;
        remove(&path)?;
        remove(&found)?;
        Ok(counts)
    }
}

fn remove(path: &Path) -> Result<(), MigrateError> {
    std::fs::remove_file(path).map_err(MigrateError::file(path.display()))
}

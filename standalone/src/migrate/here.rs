//! The folder that is left: locked from here on, and not changed any more once everything that waited is done.
//!
//! Changes that wait in outboxes, and identity changes that the graph does not have yet, are what two stores do not
//! agree on yet. The services themselves finish them, without listeners; what is copied is then one state.

use std::path::PathBuf;
use std::time::Duration;

use authz_edge::graph::read::{Reader, Strangers};
use authz_edge::graph::{Graph as _, outbox};
use contracts::TenantId;
use ingest::embedded::AuditStore;
use service_kit::bus::{Bus, PublisherOptions};
use service_kit::embedded::{Disk, Folder};
use service_kit::health::Health;
use service_kit::shutdown::Shutdown;
use tokio::time::Instant;

use super::progress::Saved;
use super::tell::tell;
use super::{MigrateError, identity};
use crate::serve::ServeError;
use crate::serve::assembly::{Assembly, Stores};
use crate::serve::config::{Auth, Config, Services};

/// Without anything getting done for so long, something is in the way.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// A deployment whose folder this process has.
pub(super) struct Held {
    config: Config,
    pub(super) folder: Folder,
}

/// One that says the same whenever it is asked.
pub(super) struct Here {
    pub(super) folder: Folder,
    pub(super) services: Services,
    pub(super) stores: Stores,
    pub(super) audit: AuditStore,
    /// Closed last.
    _disk: Disk,
}

impl Held {
    /// Takes the folder of a deployment, before anything of it is read.
    pub(super) fn take(mut config: Config) -> Result<Self, MigrateError> {
        if !config.data_dir.join("identity.db").exists() {
            let folder = config.data_dir.display();
            return Err(MigrateError::Refused(format!("there is no deployment in {folder}")));
        }
        // Nobody is answered, and so nobody is verified.
        config.auth = Auth::Off;
        config.listen = ([127, 0, 0, 1], 0).into();
        let folder = Folder::take(&config.data_dir)?;
        Ok(Self { config, folder })
    }

    /// Has everything that waits be done, and opens what there is then.
    pub(super) async fn settled(self, saved: &mut Saved) -> Result<Here, MigrateError> {
        let Self { config, mut folder } = self;
        let mut services = config.services().map_err(ServeError::from)?;
        let mut disk = Disk::open(&folder)?;
        if saved.state.settled.is_none() {
            let again = config.services().map_err(ServeError::from)?;
            (folder, disk) = Box::pin(settle(again, folder, disk)).await?;
        }
        let stores = Stores::open(&mut services, &folder, &disk).await?;
        let options = PublisherOptions {
            client_id: String::new(),
            max_buffer_kib: 0,
            timeout: Duration::ZERO,
            max_message_bytes: 0,
        };
        let nobody = Bus::Local(stores.bus.clone()).publisher(options)?;
        let audit = AuditStore::open(&services.ingest, &disk, nobody)?;
        let here = Here { folder, services, stores, audit, _disk: disk };
        here.hold(saved).await?;
        Ok(here)
    }
}

impl Here {
    /// Notes what it is when it settled; it must be the same ever after.
    async fn hold(&self, saved: &mut Saved) -> Result<(), MigrateError> {
        if let Some(left) = left(&self.stores, &self.services).await? {
            return Err(self.changed(&left));
        }
        let found = identity::state(&self.stores.db).await?;
        match &saved.state.settled {
            Some(settled) if *settled == found => Ok(()),
            Some(_) => Err(self.changed("it was served since")),
            None => {
                saved.state.settled = Some(found);
                saved.save()
            }
        }
    }

    fn changed(&self, why: &str) -> MigrateError {
        MigrateError::Refused(format!(
            "{} is not any more what part of it was copied from ({why}). Begin anew: empty the MySQL database, Dgraph \
             and the keyspace, and delete migration.json",
            self.folder.path().display()
        ))
    }

    /// Where files are until the end.
    pub(super) fn scratch(&self) -> Result<PathBuf, MigrateError> {
        let path = self.folder.path().join("migration");
        std::fs::create_dir_all(&path).map_err(MigrateError::file(path.display()))?;
        Ok(path)
    }
}

/// Runs the services until nothing waits.
async fn settle(
    services: Services,
    folder: Folder,
    disk: Disk,
) -> Result<(Folder, Disk), MigrateError> {
    tell("here: what waits is being done");
    let (trigger, shutdown) = Shutdown::new();
    let health = Health::new();
    let looked = services.authz.sync.clone();
    let assembly = Assembly::on(services, folder, disk, &health, &shutdown).await?;
    let (mut begun, mut last) = (Instant::now(), None);
    loop {
        let found = waiting(assembly.stores(), &looked.group, &looked.topic).await?;
        match &found {
            None => break,
            found if *found != last => begun = Instant::now(),
            Some(left) if begun.elapsed() > PATIENCE => {
                let why = format!(
                    "{left}, and nothing gets done about it: serve it, and mend that first"
                );
                return Err(MigrateError::Refused(why));
            }
            Some(_) => {}
        }
        last = found;
        tokio::time::sleep(LOOK).await;
    }
    trigger.trigger();
    let nobody = tokio::spawn(async { Ok(()) });
    Ok(assembly.drain(nobody, None, false).await)
}

async fn left(stores: &Stores, services: &Services) -> Result<Option<String>, MigrateError> {
    let sync = &services.authz.sync;
    waiting(stores, &sync.group, &sync.topic).await
}

/// What waits: to be published, or for the graph; `None` when nothing does.
async fn waiting(
    stores: &Stores,
    group: &str,
    topic: &str,
) -> Result<Option<String>, MigrateError> {
    let rows = identity::outbox(&stores.db).await?;
    if rows > 0 {
        return Ok(Some(format!("{rows} rows wait in the outbox of identities")));
    }
    let read = Bus::Local(stores.bus.clone()).group(group, topic)?.positions().await?;
    let unread = |position: &service_kit::bus::GroupPosition| {
        position.end - position.committed.unwrap_or(position.begin)
    };
    let unread: i64 = read.iter().map(unread).sum();
    if unread > 0 {
        return Ok(Some(format!("{unread} identity changes wait for the graph")));
    }
    let reader = Reader::new(std::sync::Arc::clone(&stores.graph), Strangers::Barred);
    for (tenant, seq) in identity::sequences(&stores.db).await? {
        let (applied, _) = reader.applied(&tenant).await?;
        if applied != seq {
            return Ok(Some(behind(&tenant, applied, seq)));
        }
    }
    let changes: u64 = outbox::depth(&stores.graph).await?.iter().sum();
    Ok((changes > 0).then(|| format!("{changes} changes wait in the outbox of the graph")))
}

fn behind(tenant: &TenantId, applied: u64, seq: u64) -> String {
    format!("the graph of {tenant} is as of identity change {applied}, and there are {seq}")
}

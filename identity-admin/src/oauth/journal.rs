//! Audit events of tokens: stored before the answer, many with one commit.
//!
//! While one insert is under way, those who come queue; the next insert takes all of them. So nobody waits for
//! company, and under load a commit is shared.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::TenantId;
use contracts::audit::AuditEvent;
use tokio::sync::{mpsc, oneshot};

use crate::change::{Core, store_events};
use crate::db::DbError;

/// Events of one insert.
const BATCH: usize = 256;
/// Events that wait; beyond it, those who come are told to come again.
const QUEUE: usize = 4096;

/// An event whose storing is waited for.
struct Entry {
    tenant: TenantId,
    at: DateTime<Utc>,
    event: AuditEvent,
    stored: oneshot::Sender<Result<(), DbError>>,
}

/// Where events are handed in.
#[derive(Debug, Clone)]
pub(crate) struct Journal(mpsc::Sender<Entry>);

/// A journal, and what stores its events for as long as it is polled.
pub(crate) fn journal(core: Arc<Core>) -> (Journal, impl Future<Output = ()> + Send) {
    let (send, receive) = mpsc::channel(QUEUE);
    (Journal(send), keep(core, receive))
}

impl Journal {
    /// Stores an event; it will be published.
    ///
    /// # Errors
    /// [`DbError::Saturated`] when too many wait, and what the database brings: then nothing is known to be
    /// stored, and whatever it would tell of must not be done.
    pub(crate) async fn record(
        &self,
        tenant: TenantId,
        at: DateTime<Utc>,
        event: AuditEvent,
    ) -> Result<(), DbError> {
        let (stored, answer) = oneshot::channel();
        let entry = Entry { tenant, at, event, stored };
        self.0.try_send(entry).map_err(|_| DbError::Saturated)?;
        let ended = || DbError::Lost("the journal has ended".to_owned());
        answer.await.map_err(|_| ended())?
    }
}

async fn keep(core: Arc<Core>, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::with_capacity(BATCH);
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        let events = batch.iter().map(|entry| (&entry.tenant, entry.at, &entry.event));
        let done = store_events(&core.db, events).await;
        core.committed.notify_one();
        for entry in batch.drain(..) {
            // Who left does not hear of it.
            let _ = entry.stored.send(done.clone());
        }
    }
}

//! Deleting rows whose life is over. Reads leave them out already.

use std::time::Duration;

use chrono::Utc;
use service_kit::embedded::{Changes, DiskError, Space};
use service_kit::shutdown::Shutdown;

use super::{AuditStore, key};
use crate::layout::CLASSES;

/// Between rounds.
const REST: Duration = Duration::from_secs(600);
/// Rows of one write.
const AT_ONCE: usize = 2048;

impl AuditStore {
    /// Deletes what is over, now and then, until the drain.
    pub async fn retain(self, shutdown: Shutdown) {
        loop {
            if let Err(error) = self.delete_old(Utc::now().timestamp_millis()).await {
                tracing::warn!(%error, "rows whose life is over stay for now");
            }
            tokio::select! {
                () = tokio::time::sleep(REST) => {}
                () = shutdown.draining() => return,
            }
        }
    }

    /// Deletes what is over at `now` (milliseconds), and counts it. Costs a seek for each tenant.
    ///
    /// # Errors
    /// The disk's; what was deleted before stays deleted.
    pub(super) async fn delete_old(&self, now: i64) -> Result<usize, DiskError> {
        let mut gone = 0;
        for (table, class) in self.0.tables.iter().zip(&CLASSES) {
            let before = now - i64::from(class.days) * 86_400_000;
            let mut from = Vec::new();
            loop {
                let table = table.clone();
                let seek = move || old(&table, from, before);
                let seek = tokio::task::spawn_blocking(seek).await;
                let found = seek.map_err(|error| DiskError::Failed(error.to_string()))??;
                gone += found.count;
                if !found.changes.is_empty() {
                    self.0.disk.write(found.changes).await?;
                }
                match found.next {
                    Some(next) => from = next,
                    None => break,
                }
            }
        }
        Ok(gone)
    }
}

struct Found {
    changes: Changes,
    count: usize,
    /// Where to go on; `None` at the end.
    next: Option<Vec<u8>>,
}

/// The old rows of the first tenant from a key on, as far as they fit into one write.
fn old(table: &Space, from: Vec<u8>, before: i64) -> Result<Found, DiskError> {
    let mut found = Found { changes: Changes::new(), count: 0, next: None };
    let Some((first, _)) = table.range(from..).next().transpose()? else { return Ok(found) };
    let tenant = key::tenant(&first).to_vec();
    let end = key::from_time(&String::from_utf8_lossy(&tenant), before);
    if *first >= *end {
        found.next = Some(key::behind(&tenant));
        return Ok(found);
    }
    for pair in table.range(first.to_vec()..end).take(AT_ONCE) {
        let (key, _) = pair?;
        found.next = Some(key.to_vec());
        found.changes.delete(table, key);
        found.count += 1;
    }
    if found.count < AT_ONCE {
        found.next = Some(key::behind(&tenant));
    }
    Ok(found)
}

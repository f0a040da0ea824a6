//! Deletes rows whose life is over. Nothing depends on it but space: whoever reads such a row looks at its time.

use std::sync::Arc;
use std::time::Duration;

use crate::change::Core;
use crate::db::{DbError, params};
use crate::metrics;

/// Tables with an `expires_at` and an index on it.
pub(crate) const TABLES: [&str; 5] =
    ["idempotency_keys", "login_attempts", "refresh_tokens", "device_grants", "revocations"];
/// Rows deleted at once, so that a sweep holds no lock for long.
const BATCH: i64 = 500;

/// Sweeps every `interval`, for as long as it runs.
pub(crate) async fn sweep(core: Arc<Core>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        for table in TABLES {
            match once(&core, table).await {
                Ok(swept) => metrics::swept(table, swept),
                // The next round is the retry.
                Err(error) => tracing::warn!(%error, table, "sweeping"),
            }
        }
    }
}

/// Sweeps one of [`TABLES`]; how many rows.
///
/// # Errors
/// What the database brings.
pub(crate) async fn once(core: &Core, table: &str) -> Result<u64, DbError> {
    let now = core.clock.now();
    let mut swept = 0;
    loop {
        // The end of a batch is a time, as databases do not delete with a limit in the same words.
        let sql = format!(
            "SELECT expires_at FROM {table} WHERE expires_at <= ? ORDER BY expires_at LIMIT 1 OFFSET ?"
        );
        let further = core.db.row(sql, params![now, BATCH]).await?;
        let until = further.as_ref().map_or(Ok(now), |row| row.time("expires_at"))?;
        let sql = format!("DELETE FROM {table} WHERE expires_at <= ?");
        swept += core.db.execute(sql, params![until]).await?;
        if further.is_none() {
            return Ok(swept);
        }
    }
}

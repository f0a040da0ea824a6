//! What Cassandra tells of itself by CQL, in virtual tables (`system_views`): there is no client for JMX here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use ingest::sink::session::Cassandra;
use scylla::value::CqlValue;
use serde::Serialize;

use crate::stop::Stop;

/// Between looks.
const BETWEEN: Duration = Duration::from_secs(2);

/// What it said at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Look {
    /// The largest partition of each table of the keyspace, in MiB, rounded up, as compaction last saw it.
    pub(super) max_partition_mib: BTreeMap<String, i64>,
    /// Compactions under way, and those that wait.
    pub(super) compacting: i64,
    pub(super) compactions_pending: i64,
}

impl Look {
    /// Whether nothing is compacted, and nothing waits to be.
    pub(super) fn is_quiet(&self) -> bool {
        self.compacting + self.compactions_pending == 0
    }
}

/// Looks now.
pub(super) async fn look(db: &Cassandra) -> anyhow::Result<Look> {
    let sizes = "SELECT keyspace_name, table_name, mebibytes FROM system_views.max_partition_size";
    let mut look = Look::default();
    let found = db.session.query_unpaged(sizes, ()).await?.into_rows_result()?;
    for row in found.rows::<(String, String, CqlValue)>()? {
        let (keyspace, table, size) = row?;
        let size = number(&size).context("mebibytes are no number")?;
        if keyspace == db.keyspace && size > 0 {
            look.max_partition_mib.insert(table, size);
        }
    }
    let pools = "SELECT name, active_tasks, pending_tasks FROM system_views.thread_pools";
    let found = db.session.query_unpaged(pools, ()).await?.into_rows_result()?;
    for row in found.rows::<(String, CqlValue, CqlValue)>()? {
        let (name, active, pending) = row?;
        if name == "CompactionExecutor" {
            look.compacting = number(&active).context("active_tasks is no number")?;
            look.compactions_pending = number(&pending).context("pending_tasks is no number")?;
        }
    }
    Ok(look)
}

/// Waits until nothing is compacted any more, `limit` at most; what it said last. What was written is compacted behind it,
/// and half-written files are no rows.
pub(super) async fn until_compacted(
    db: &Cassandra,
    limit: Duration,
    stop: &Stop,
) -> anyhow::Result<Look> {
    let begun = Instant::now();
    let mut quiet = 0;
    loop {
        stop.check()?;
        let look = look(db).await?;
        // Once may be between two.
        quiet = if look.is_quiet() { quiet + 1 } else { 0 };
        if quiet > 1 || begun.elapsed() > limit {
            return Ok(look);
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

fn number(value: &CqlValue) -> Option<i64> {
    value.as_bigint().or_else(|| value.as_int().map(i64::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_either_width_are_read() {
        assert_eq!(number(&CqlValue::Int(7)), Some(7));
        assert_eq!(number(&CqlValue::BigInt(1 << 40)), Some(1 << 40));
        assert_eq!(number(&CqlValue::Text("7".to_owned())), None);
    }
}

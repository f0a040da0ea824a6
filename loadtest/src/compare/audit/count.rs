//! How many rows a keyspace holds: counted by Cassandra, token range by token range.

use std::time::Duration;

use anyhow::Context;
use ingest::layout::ClassId;
use ingest::sink::session::Cassandra;

use crate::stop::Stop;
use crate::verify::range;

/// Of one range.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Rows of all classes.
///
/// # Errors
/// When Cassandra does not answer.
pub(super) async fn rows(db: &Cassandra, stop: &Stop) -> anyhow::Result<u64> {
    let mut all = 0;
    for class in ClassId::all() {
        let (keyspace, table) = (&db.keyspace, class.class().table);
        let text = format!(
            "SELECT COUNT(*) FROM {keyspace}.{table} \
             WHERE token(tenant_id, date_bucket) > ? AND token(tenant_id, date_bucket) <= ?"
        );
        let mut select = db.session.prepare(text).await.context("preparing a count")?;
        select.set_is_idempotent(true);
        select.set_consistency(db.consistency);
        select.set_request_timeout(Some(TIMEOUT));
        for bounds in (0..).map_while(range) {
            stop.check()?;
            let found = db.session.execute_unpaged(&select, bounds).await?.into_rows_result()?;
            let (count,) = found.first_row::<(i64,)>()?;
            all += count.unsigned_abs();
        }
    }
    Ok(all)
}

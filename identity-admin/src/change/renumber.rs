//! Numbers that do not come again, after the database was restored to an earlier state.
//!
//! Listeners have applied changes that the database does not know any more, and pass over what bears their numbers. So
//! numbers go on behind all that were ever told. Listeners find a gap, stop, and begin anew from a snapshot.

use contracts::TenantId;

use super::Core;
use crate::db::{DbError, params};

/// Raises the number of the last change of every tenant, or of one; of how many tenants. It may be done while the
/// service runs: a mutation comes before it or after it.
///
/// # Errors
/// As [`crate::db::Db::execute`].
pub async fn renumber(core: &Core, tenant: Option<&TenantId>, by: u32) -> Result<u64, DbError> {
    let by = i64::from(by);
    match tenant {
        Some(tenant) => {
            let sql = "UPDATE tenant_changes SET seq = seq + ? WHERE tenant_id = ?";
            core.db.execute(sql, params![by, tenant]).await
        }
        None => core.db.execute("UPDATE tenant_changes SET seq = seq + ?", params![by]).await,
    }
}

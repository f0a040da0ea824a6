//! Scopes: what principals may ask their tokens for. Held as rows; nobody grants one that they lack.

mod mutations;
pub(crate) mod routes;

use std::collections::BTreeSet;

use contracts::{Scope, TenantId};

pub(crate) use routes::routes;

use crate::change::{Refused, Write};
use crate::db::{DbError, Tx, Value, params};

/// Who holds scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder<'a> {
    /// A person.
    User(&'a str),
    /// A program.
    ServiceAccount(&'a str),
    /// A key of a program: what it may do of what its program may.
    ApiKey(&'a str),
}

impl<'a> Holder<'a> {
    /// The column that names it, and its id.
    fn column(self) -> (&'static str, &'a str) {
        match self {
            Self::User(id) => ("user_id", id),
            Self::ServiceAccount(id) => ("service_account_id", id),
            Self::ApiKey(id) => ("api_key_id", id),
        }
    }
}

/// Scopes by their names.
///
/// # Errors
/// A name that is none.
pub(crate) fn parse(names: &[String]) -> Result<Vec<Scope>, &'static str> {
    let scopes: Option<BTreeSet<_>> = names.iter().map(|name| Scope::parse(name)).collect();
    Ok(scopes.ok_or("not a list of known scopes")?.into_iter().collect())
}

/// What somebody holds.
pub(crate) async fn held(
    tx: &mut Tx,
    tenant: &TenantId,
    holder: Holder<'_>,
) -> Result<BTreeSet<Scope>, DbError> {
    let (column, id) = holder.column();
    let sql = format!("SELECT scope FROM principal_scopes WHERE tenant_id = ? AND {column} = ?");
    let rows = tx.rows(sql, params![tenant, id]).await?;
    let known = |row: &crate::db::Row| Ok(Scope::parse(&row.text("scope")?));
    let scopes: Result<Vec<Option<Scope>>, DbError> = rows.iter().map(known).collect();
    Ok(scopes?.into_iter().flatten().collect())
}

/// Gives scopes to somebody who does not hold them.
pub(crate) async fn grant(
    write: &mut Write<'_>,
    holder: Holder<'_>,
    scopes: &[Scope],
) -> Result<(), Refused> {
    if scopes.is_empty() {
        return Ok(());
    }
    let (column, id) = holder.column();
    let rows = vec!["(?, ?, ?, ?)"; scopes.len()].join(", ");
    let sql = format!(
        "INSERT INTO principal_scopes (tenant_id, {column}, scope, created_at) VALUES {rows}"
    );
    let row = |scope: &Scope| -> [Value; 4] {
        [write.tenant.into(), id.into(), scope.as_str().into(), write.now.into()]
    };
    let values: Vec<_> = scopes.iter().flat_map(row).collect();
    Ok(write.tx.execute(sql, &values).await.map(drop)?)
}

/// Takes all scopes from somebody.
async fn clear(write: &mut Write<'_>, holder: Holder<'_>) -> Result<(), Refused> {
    let (column, id) = holder.column();
    let sql = format!("DELETE FROM principal_scopes WHERE tenant_id = ? AND {column} = ?");
    Ok(write.tx.execute(sql, params![write.tenant, id]).await.map(drop)?)
}

//! Rows of memberships.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use contracts::TenantId;

use super::member::{Kind, MemberView};
use crate::db::{DbError, Row, Tx, Value, params};
use crate::http::{self, Listing, Sort};

/// Those of a team, in the order in which they were added.
pub(super) static LIST: Listing = Listing {
    name: "team_members",
    columns: "id, team_id, user_id, service_account_id, member_team_id, created_at",
    table: "team_members",
    bound: "tenant_id = ? AND team_id = ?",
    key: http::Kind::Int,
    sorts: &[Sort { name: "added_at", column: "id", kind: http::Kind::Int }],
    filters: &[],
};

/// A page of all of a tenant, team by team.
pub(crate) const SNAPSHOT: &str = "SELECT id, team_id, user_id, service_account_id, member_team_id, created_at \
     FROM team_members WHERE tenant_id = ? AND (team_id > ? OR (team_id = ? AND id > ?)) \
     ORDER BY team_id, id LIMIT ?";

/// What others are told of the membership of a row.
pub(crate) fn told(row: &Row) -> Result<contracts::identity::Membership, DbError> {
    MemberView::of(row)?.told()
}

impl MemberView {
    /// Of a row of [`LIST`].
    pub(super) fn of(row: &Row) -> Result<Self, DbError> {
        for kind in Kind::ALL {
            if let Some(id) = row.opt_text(kind.column())? {
                let (team_id, added_at) = (row.text("team_id")?, row.time("created_at")?);
                return Ok(Self { team_id, kind, id, added_at });
            }
        }
        Err(DbError::Refused("a membership of nobody".to_owned()))
    }
}

/// A membership, and since when it is.
pub(super) async fn get(
    tx: &mut Tx,
    tenant: &TenantId,
    team: &str,
    (kind, id): (Kind, &str),
) -> Result<Option<MemberView>, DbError> {
    let sql = format!(
        "SELECT id, team_id, user_id, service_account_id, member_team_id, created_at \
         FROM team_members WHERE tenant_id = ? AND team_id = ? AND {} = ?",
        kind.column()
    );
    tx.row(sql, params![tenant, team, id]).await?.as_ref().map(MemberView::of).transpose()
}

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: &TenantId,
    member: &MemberView,
) -> Result<(), DbError> {
    let MemberView { team_id, kind, id, added_at } = member;
    let sql = format!(
        "INSERT INTO team_members (tenant_id, team_id, {}, created_at) VALUES (?, ?, ?, ?)",
        kind.column()
    );
    tx.execute(sql, params![tenant, team_id, id, *added_at]).await.map(drop)
}

pub(super) async fn delete(
    tx: &mut Tx,
    tenant: &TenantId,
    team: &str,
    (kind, id): (Kind, &str),
) -> Result<(), DbError> {
    let sql = format!(
        "DELETE FROM team_members WHERE tenant_id = ? AND team_id = ? AND {} = ?",
        kind.column()
    );
    tx.execute(sql, params![tenant, team, id]).await.map(drop)
}

/// Whether `inner` is `outer`, or in it through any depth of memberships.
pub(super) async fn contains(
    tx: &mut Tx,
    tenant: &TenantId,
    outer: &str,
    inner: &str,
) -> Result<bool, DbError> {
    // UNION keeps each team once, so that it ends whatever the data hold.
    let sql = "WITH RECURSIVE below (id) AS ( \
                 SELECT t.id FROM teams t WHERE t.tenant_id = ? AND t.id = ? \
                 UNION \
                 SELECT m.member_team_id FROM team_members m JOIN below b ON m.team_id = b.id \
                 WHERE m.tenant_id = ? AND m.member_team_id IS NOT NULL \
               ) SELECT id FROM below WHERE id = ?";
    Ok(tx.row(sql, params![tenant, outer, tenant, inner]).await?.is_some())
}

/// A team that has a membership more or less is another version of itself.
pub(super) async fn touch(
    tx: &mut Tx,
    tenant: &TenantId,
    team: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let sql =
        "UPDATE teams SET version = version + 1, updated_at = ? WHERE tenant_id = ? AND id = ?";
    tx.execute(sql, params![now, tenant, team]).await.map(drop)
}

/// Which of some pairs of team and user are memberships.
pub(super) async fn of_users(
    tx: &mut Tx,
    tenant: &TenantId,
    pairs: &[(String, String)],
) -> Result<HashSet<(String, String)>, DbError> {
    if pairs.is_empty() {
        return Ok(HashSet::new());
    }
    let users: BTreeSet<&str> = pairs.iter().map(|(_, user)| user.as_str()).collect();
    let places = vec!["?"; users.len()].join(", ");
    let sql = format!(
        "SELECT team_id, user_id FROM team_members WHERE tenant_id = ? AND user_id IN ({places})"
    );
    let mut values: Vec<Value> = vec![tenant.into()];
    values.extend(users.into_iter().map(Value::from));
    let rows = tx.rows(sql, &values).await?;
    rows.iter().map(|row| Ok((row.text("team_id")?, row.text("user_id")?))).collect()
}

/// Memberships of users that are not there yet.
pub(super) async fn insert_users(
    tx: &mut Tx,
    tenant: &TenantId,
    pairs: &[(String, String)],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    // A statement takes only so many parameters.
    for pairs in pairs.chunks(1000) {
        let rows = vec!["(?, ?, ?, ?)"; pairs.len()].join(", ");
        let sql = format!(
            "INSERT INTO team_members (tenant_id, team_id, user_id, created_at) VALUES {rows}"
        );
        let row = |(team, user): &(String, String)| -> [Value; 4] {
            [tenant.into(), team.into(), user.into(), now.into()]
        };
        let values: Vec<Value> = pairs.iter().flat_map(row).collect();
        tx.execute(sql, &values).await?;
    }
    Ok(())
}

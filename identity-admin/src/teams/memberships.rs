//! Rows of memberships.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use contracts::TenantId;

use super::member::{Kind, MemberView};
use crate::db::{DbError, Row, Tx, Value, params, places};
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

/// A page of all of a tenant, team by team. The first comparison is what SQLite finds the place by.
pub(crate) const SNAPSHOT: &str = "SELECT id, team_id, user_id, service_account_id, member_team_id, created_at \
     FROM team_members WHERE tenant_id = ? \
     AND team_id >= ? AND (team_id > ? OR (team_id = ? AND id > ?)) ORDER BY team_id, id LIMIT ?";

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

/// A team and every team that it is in, through any depth of memberships.
pub(super) async fn around(
    tx: &mut Tx,
    tenant: &TenantId,
    team: &str,
) -> Result<HashSet<String>, DbError> {
    // UNION keeps each team once, so that it ends whatever the data hold. CROSS JOIN has SQLite look up the memberships
    // of each, and not all of the tenant's; to MySQL it is a JOIN.
    let sql = "WITH RECURSIVE above (id) AS ( \
                 SELECT t.id FROM teams t WHERE t.tenant_id = ? AND t.id = ? \
                 UNION \
                 SELECT m.team_id FROM above a \
                 CROSS JOIN team_members m ON m.member_team_id = a.id \
                 WHERE m.tenant_id = ? \
               ) SELECT id FROM above";
    let rows = tx.rows(sql, params![tenant, team, tenant]).await?;
    rows.iter().map(|row| row.text("id")).collect()
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
    let places = places(users.len());
    let sql = format!(
        "SELECT team_id, user_id FROM team_members WHERE tenant_id = ? AND user_id IN ({places})"
    );
    let mut values: Vec<Value> = vec![tenant.into()];
    values.extend(users.into_iter().map(Value::from));
    let rows = tx.rows(sql, &values).await?;
    rows.iter().map(|row| Ok((row.text("team_id")?, row.text("user_id")?))).collect()
}

/// Memberships, pairs of team and member, that are not there yet.
pub(super) async fn insert_all(
    tx: &mut Tx,
    tenant: &TenantId,
    kind: Kind,
    pairs: &[(String, String)],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    // A statement takes only so many parameters.
    for pairs in pairs.chunks(1000) {
        let rows = vec!["(?, ?, ?, ?)"; pairs.len()].join(", ");
        let sql = format!(
            "INSERT INTO team_members (tenant_id, team_id, {}, created_at) VALUES {rows}",
            kind.column()
        );
        let row = |(team, member): &(String, String)| -> [Value; 4] {
            [tenant.into(), team.into(), member.into(), now.into()]
        };
        let values: Vec<Value> = pairs.iter().flat_map(row).collect();
        tx.execute(sql, &values).await?;
    }
    Ok(())
}

/// The ids of those of a kind that a team holds, among some or all.
pub(super) async fn held(
    tx: &mut Tx,
    tenant: &TenantId,
    team: &str,
    kind: Kind,
    among: Option<&[String]>,
) -> Result<BTreeSet<String>, DbError> {
    let column = kind.column();
    let all = format!(
        "SELECT {column} AS member FROM team_members \
         WHERE tenant_id = ? AND team_id = ? AND {column} IS NOT NULL"
    );
    let ids =
        |rows: Vec<Row>| rows.iter().map(|row| row.text("member")).collect::<Result<Vec<_>, _>>();
    let Some(among) = among else {
        return Ok(ids(tx.rows(all, params![tenant, team]).await?)?.into_iter().collect());
    };
    let mut held = BTreeSet::new();
    for some in among.chunks(1000) {
        let sql = format!("{all} AND {column} IN ({})", places(some.len()));
        let mut values: Vec<Value> = vec![tenant.into(), team.into()];
        values.extend(some.iter().map(Value::from));
        held.extend(ids(tx.rows(sql, &values).await?)?);
    }
    Ok(held)
}

/// Takes members of a kind out of a team.
pub(super) async fn delete_all(
    tx: &mut Tx,
    tenant: &TenantId,
    team: &str,
    kind: Kind,
    members: &[String],
) -> Result<(), DbError> {
    for some in members.chunks(1000) {
        let sql = format!(
            "DELETE FROM team_members WHERE tenant_id = ? AND team_id = ? AND {} IN ({})",
            kind.column(),
            places(some.len())
        );
        let mut values: Vec<Value> = vec![tenant.into(), team.into()];
        values.extend(some.iter().map(Value::from));
        tx.execute(sql, &values).await?;
    }
    Ok(())
}

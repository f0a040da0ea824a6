//! Many members of one team at once, as part of a mutation: users and teams, told apart by their ids.

use std::collections::BTreeSet;

use contracts::identity::ChangeKind;

use super::member::{Kind, MemberView};
use super::memberships;
use super::mutations::RING;
use crate::change::{Refused, Write};
use crate::db::{DbError, Value, places};

/// Kinds that are found by their ids alone.
const KINDS: [(Kind, &str); 2] = [(Kind::User, "users"), (Kind::Team, "teams")];

/// Puts users and teams into a team; whether any of them was not in it yet.
///
/// # Errors
/// An id that nobody has, and a team that would come to be in itself.
pub(crate) async fn enter(
    write: &mut Write<'_>,
    team: &str,
    ids: &BTreeSet<String>,
) -> Result<bool, Refused> {
    let (mut unknown, mut entered) = (ids.clone(), false);
    for (kind, table) in KINDS {
        let asked: Vec<String> = unknown.iter().cloned().collect();
        let there = existing(write, table, &asked).await?;
        unknown.retain(|id| !there.contains(id));
        let there: Vec<String> = there.into_iter().collect();
        let held = memberships::held(write.tx, write.tenant, team, kind, Some(&there)).await?;
        let new: Vec<String> = there.into_iter().filter(|id| !held.contains(id)).collect();
        if kind == Kind::Team && !new.is_empty() {
            let around = memberships::around(write.tx, write.tenant, team).await?;
            if new.iter().any(|id| around.contains(id)) {
                return Err(RING);
            }
        }
        let pairs: Vec<_> = new.iter().map(|id| (team.to_owned(), id.clone())).collect();
        memberships::insert_all(write.tx, write.tenant, kind, &pairs, write.now).await?;
        entered |= !new.is_empty();
        tell(write, team, kind, new, true)?;
    }
    match unknown.is_empty() {
        true => Ok(entered),
        false => Err(Refused::invalid("members", "names nobody whom the tenant has")),
    }
}

/// Takes some users and teams, or all of them, out of a team; whether any of them was in it.
///
/// # Errors
/// What the database brings.
pub(crate) async fn leave(
    write: &mut Write<'_>,
    team: &str,
    ids: Option<&BTreeSet<String>>,
) -> Result<bool, Refused> {
    let ids: Option<Vec<String>> = ids.map(|ids| ids.iter().cloned().collect());
    let mut left = false;
    for (kind, _) in KINDS {
        let held = memberships::held(write.tx, write.tenant, team, kind, ids.as_deref()).await?;
        let gone: Vec<String> = held.into_iter().collect();
        memberships::delete_all(write.tx, write.tenant, team, kind, &gone).await?;
        left |= !gone.is_empty();
        tell(write, team, kind, gone, false)?;
    }
    Ok(left)
}

/// The users and teams in a team.
///
/// # Errors
/// What the database brings.
pub(crate) async fn inside(write: &mut Write<'_>, team: &str) -> Result<BTreeSet<String>, Refused> {
    let mut all = BTreeSet::new();
    for (kind, _) in KINDS {
        all.extend(memberships::held(write.tx, write.tenant, team, kind, None).await?);
    }
    Ok(all)
}

async fn existing(
    write: &mut Write<'_>,
    table: &str,
    ids: &[String],
) -> Result<BTreeSet<String>, DbError> {
    let mut there = BTreeSet::new();
    for some in ids.chunks(1000) {
        let places = places(some.len());
        let sql = format!("SELECT id FROM {table} WHERE tenant_id = ? AND id IN ({places})");
        let mut values: Vec<Value> = vec![write.tenant.into()];
        values.extend(some.iter().map(Value::from));
        for row in write.tx.rows(sql, &values).await? {
            there.insert(row.text("id")?);
        }
    }
    Ok(there)
}

fn tell(
    write: &mut Write<'_>,
    team: &str,
    kind: Kind,
    ids: Vec<String>,
    entered: bool,
) -> Result<(), DbError> {
    for id in ids {
        let told = MemberView { team_id: team.to_owned(), kind, id, added_at: write.now }.told()?;
        write.changed(if entered {
            ChangeKind::TeamMemberAdded(told)
        } else {
            ChangeKind::TeamMemberRemoved(told)
        });
    }
    Ok(())
}

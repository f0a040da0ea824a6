//! Roles: put as a whole, stored as the difference.

use std::collections::BTreeMap;

use contracts::TenantId;
use serde::Deserialize;
use serde_json::Value;

use super::super::client::{Answer, Mode};
use super::super::dql::{HasUid, Uid, literal, literals};
use super::super::read::scope;
use super::super::store::GraphError;
use super::draft::{Draft, Id};
use super::{Author, WriteError, Writer, Written};
use crate::model::{Key, Permission, ResourceRef, Role, Scope};

/// All that a permission's node holds.
const PERMISSION: [&str; 6] = [
    "Permission.role",
    "Permission.action",
    "Permission.scope",
    "Permission.onType",
    "Permission.onResource",
    "Permission.condition",
];

/// A role and whether it was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRole {
    /// Whether it is new.
    pub created: bool,
}

#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    role: Vec<RoleRow>,
    #[serde(default)]
    targets: Vec<Target>,
}

/// A role in an answer that has [`ROLE`].
#[derive(Deserialize)]
pub(in crate::graph) struct RoleRow {
    pub(in crate::graph) uid: Uid,
    #[serde(default)]
    version: i64,
    #[serde(rename = "Role.name")]
    name: Option<String>,
    #[serde(rename = "Role.hasPermission", default)]
    permissions: Vec<PermissionRow>,
}

/// What a query asks of a role.
pub(in crate::graph) const ROLE: &str = "uid version Role.name Role.hasPermission { uid
  Permission.action Permission.scope Permission.onType Permission.condition
  Permission.onResource { uid xid } }";

impl RoleRow {
    /// As it is put and got.
    pub(in crate::graph) fn role(&self, tenant: &TenantId) -> Role {
        let permissions = self.permissions.iter().filter_map(|p| p.permission(tenant)).collect();
        Role { name: self.name.clone(), permissions }.normal()
    }

    /// Permissions of any kind, also such as grant nothing any more.
    pub(in crate::graph) fn edges(&self) -> usize {
        self.permissions.len()
    }
}

#[derive(Deserialize)]
struct PermissionRow {
    #[serde(flatten)]
    node: HasUid,
    #[serde(rename = "Permission.action")]
    action: String,
    #[serde(rename = "Permission.scope")]
    scope: String,
    #[serde(rename = "Permission.onType")]
    on_type: Option<String>,
    #[serde(rename = "Permission.onResource")]
    on_resource: Option<Target>,
    #[serde(rename = "Permission.condition")]
    condition: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    uid: Uid,
    /// None when it was deleted.
    xid: Option<String>,
}

impl PermissionRow {
    /// `None` when its resource is gone: it grants nothing and is replaced.
    fn permission(&self, tenant: &TenantId) -> Option<Permission> {
        let on = match self.scope.as_str() {
            scope::ALL => Scope::All,
            scope::TYPE => Scope::Type(self.on_type.clone()?),
            _ => {
                let key = Key::from_text(self.on_resource.as_ref()?.xid.clone()?);
                let (_, type_, id) = key.parts(tenant)?;
                Scope::Resource(ResourceRef::new(type_, id))
            }
        };
        Some(Permission { action: self.action.clone(), on, condition: self.condition.clone() })
    }
}

fn query(key: &Key, targets: &[Key]) -> String {
    let targets = match targets {
        [] => String::new(),
        some => {
            let keys = literals(some.iter().map(Key::as_str));
            format!("targets(func: eq(xid, {keys})) {{ uid xid }}")
        }
    };
    format!("{{ role(func: eq(xid, {key})) {{ {ROLE} }} {targets} }}", key = literal(key.as_str()))
}

fn target(tenant: &TenantId, on: &Scope) -> Option<Key> {
    match on {
        Scope::Resource(resource) => Some(Key::resource(tenant, &resource.type_, &resource.id)),
        _ => None,
    }
}

/// The role as it is stored. Its conditions are compiled where nobody waits for a check.
async fn checked(role: Role) -> Result<Role, WriteError> {
    let checking = tokio::task::spawn_blocking(move || role.check().map(|()| role.normal()));
    let died = |_| GraphError::Unavailable("checking a role died".to_owned());
    Ok(checking.await.map_err(died)??)
}

impl Writer<'_> {
    /// Makes a role, or replaces its permissions.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn put_role(
        &self,
        tenant: &TenantId,
        id: &str,
        role: &Role,
        author: &Author,
    ) -> Result<(Written, StoredRole), WriteError> {
        crate::model::key::check_id("role", id)?;
        let role = checked(role.clone()).await?;
        let key = Key::role(tenant, id);
        let targets: Vec<_> =
            role.permissions.iter().filter_map(|p| target(tenant, &p.on)).collect();
        let plan = |answer: &Answer| {
            let rows: Rows = answer.read()?;
            let mut draft = Draft::default();
            let created = rows.role.is_empty();
            let difference = replace(&mut draft, tenant, &key, &rows, &role)?;
            if !draft.changes_nothing() {
                let details = difference.details(role.permissions.len());
                draft.event(tenant, author, "authz.role.put", ("role", id), details);
            }
            Ok((draft, StoredRole { created }))
        };
        self.transact(tenant, &query(&key, &targets), plan).await
    }

    /// Deletes a role; who had it has it no more, also when one of that name is made anew.
    ///
    /// # Errors
    /// `Missing` when there is none.
    pub async fn delete_role(
        &self,
        tenant: &TenantId,
        id: &str,
        author: &Author,
    ) -> Result<Written, WriteError> {
        let key = Key::role(tenant, id);
        let plan = |answer: &Answer| {
            let rows: Rows = answer.read()?;
            let Some(found) = rows.role.first() else {
                return Err(WriteError::Missing { what: format!("role {id}") });
            };
            let mut draft = Draft::default();
            let node = Id::Stored(found.uid.0);
            draft.int(node, "version", found.version + 1);
            draft.bury(node, &key, author.at.timestamp_micros());
            draft.event(tenant, author, "authz.role.deleted", ("role", id), []);
            Ok((draft, ()))
        };
        Ok(self.transact(tenant, &query(&key, &[]), plan).await?.0)
    }

    /// A role as it is stored.
    ///
    /// # Errors
    /// As [`super::super::GraphDb::query`].
    pub async fn get_role(&self, tenant: &TenantId, id: &str) -> Result<Option<Role>, GraphError> {
        let query = query(&Key::role(tenant, id), &[]);
        let answer = self.graph.query(Mode::Strict, &query, &[]).await?;
        let rows: Rows = answer.read()?;
        Ok(rows.role.first().map(|row| row.role(tenant)))
    }
}

/// Permissions of one side of a difference that an audit event tells, in bytes of JSON.
const TOLD_BYTES: usize = 4096;

/// Permissions that came and went.
#[derive(Default)]
struct Difference<'a> {
    added: Vec<&'a Permission>,
    removed: Vec<Permission>,
}

impl Difference<'_> {
    /// For the audit trail, with how many there are now; what is too much is counted.
    fn details(&self, permissions: usize) -> Vec<(&'static str, Value)> {
        let (added, added_more) = told(self.added.iter().copied());
        let (removed, removed_more) = told(self.removed.iter());
        let mut details =
            vec![("permissions", permissions.into()), ("added", added), ("removed", removed)];
        let left_out = added_more + removed_more;
        if left_out > 0 {
            details.push(("left_out", left_out.into()));
        }
        details
    }
}

/// As many as there is room for, and how many there is none for.
fn told<'a>(permissions: impl Iterator<Item = &'a Permission>) -> (Value, usize) {
    let (mut told, mut room, mut left_out) = (Vec::new(), TOLD_BYTES, 0);
    for permission in permissions {
        let one = serde_json::to_value(permission).unwrap_or_default();
        match room.checked_sub(one.to_string().len()) {
            Some(left) => {
                room = left;
                told.push(one);
            }
            None => left_out += 1,
        }
    }
    (Value::Array(told), left_out)
}

/// Drafts a role of a graph that is made as a whole, from the nodes that its permissions are about.
pub(super) fn make(
    draft: &mut Draft,
    tenant: &TenantId,
    key: &Key,
    role: &Role,
    targets: &BTreeMap<Key, u64>,
) -> Result<Id, GraphError> {
    let target =
        |(key, uid): (&Key, &u64)| Target { uid: Uid(*uid), xid: Some(key.as_str().to_owned()) };
    let rows = Rows { role: Vec::new(), targets: targets.iter().map(target).collect() };
    // What is not there is made first.
    let node = draft.next();
    replace(draft, tenant, key, &rows, role)?;
    Ok(node)
}

/// The nodes that its permissions are about.
pub(super) fn targets(tenant: &TenantId, role: &Role) -> impl Iterator<Item = Key> {
    role.permissions.iter().filter_map(|permission| target(tenant, &permission.on))
}

/// Drafts what makes the stored role the wanted one.
fn replace<'a>(
    draft: &mut Draft,
    tenant: &TenantId,
    key: &Key,
    rows: &Rows,
    role: &'a Role,
) -> Result<Difference<'a>, GraphError> {
    let found = rows.role.first();
    let mut stored = BTreeMap::new();
    let mut dead = Vec::new();
    for row in found.iter().flat_map(|row| &row.permissions) {
        match row.permission(tenant) {
            Some(permission) => {
                stored.insert(permission, row.node.uid);
            }
            None => dead.push(row.node.uid),
        }
    }
    let missing: Vec<_> = role.permissions.iter().filter(|p| stored.remove(*p).is_none()).collect();
    let surplus: Vec<_> = stored.values().copied().chain(dead).collect();
    let renamed = found.is_none_or(|row| row.name != role.name);
    if missing.is_empty() && surplus.is_empty() && !renamed {
        return Ok(Difference::default());
    }
    let node = match found {
        Some(row) => Id::Stored(row.uid.0),
        None => draft.keyed(tenant, key),
    };
    draft.int(node, "version", found.map_or(1, |row| row.version + 1));
    match &role.name {
        Some(name) => draft.text(node, "Role.name", name),
        None => draft.remove_all(node, "Role.name"),
    }
    for permission in surplus {
        drop_permission(draft, node, Id::Stored(permission.0));
    }
    let mut targets: BTreeMap<Key, Id> = rows
        .targets
        .iter()
        .filter_map(|target| Some((Key::from_text(target.xid.clone()?), Id::Stored(target.uid.0))))
        .collect();
    for permission in &missing {
        add_permission(draft, tenant, node, permission, &mut targets);
    }
    draft.change(key.clone());
    Ok(Difference { added: missing, removed: stored.into_keys().collect() })
}

/// Removes a permission from its role, with all that its node holds.
pub(super) fn drop_permission(draft: &mut Draft, role: Id, permission: Id) {
    draft.remove_edge(role, "Role.hasPermission", permission);
    draft.remove_every(permission, &PERMISSION);
}

fn add_permission(
    draft: &mut Draft,
    tenant: &TenantId,
    role: Id,
    permission: &Permission,
    targets: &mut BTreeMap<Key, Id>,
) {
    let node = draft.node();
    draft.edge(role, "Role.hasPermission", node);
    draft.edge(node, "Permission.role", role);
    draft.text(node, "Permission.action", &permission.action);
    if let Some(condition) = &permission.condition {
        draft.text(node, "Permission.condition", condition);
    }
    match &permission.on {
        Scope::All => draft.text(node, "Permission.scope", scope::ALL),
        Scope::Type(type_) => {
            draft.text(node, "Permission.scope", scope::TYPE);
            draft.text(node, "Permission.onType", type_);
        }
        Scope::Resource(resource) => {
            draft.text(node, "Permission.scope", scope::RESOURCE);
            let key = Key::resource(tenant, &resource.type_, &resource.id);
            let target = *targets.entry(key.clone()).or_insert_with(|| draft.keyed(tenant, &key));
            draft.edge(node, "Permission.onResource", target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_what_changed_of_a_role_as_far_as_there_is_room() {
        let permission = |action: String| Permission { action, on: Scope::All, condition: None };
        let (few, one) = ([permission("read".to_owned())], permission("write".to_owned()));
        let difference = Difference { added: vec![&one], removed: few.to_vec() };
        let told = serde_json::to_value(difference.details(3)).unwrap();
        let expected = serde_json::json!([
            ["permissions", 3], ["added", [{"action": "write"}]], ["removed", [{"action": "read"}]],
        ]);
        assert_eq!(told, expected);
        let many: Vec<_> = (0..1000).map(|n| permission(format!("action-{n}"))).collect();
        let all = Difference { added: many.iter().collect(), removed: many.clone() }.details(1000);
        let size: usize = all.iter().map(|(_, value)| value.to_string().len()).sum();
        assert!(size < 3 * TOLD_BYTES, "{size}");
        let told = all[1].1.as_array().unwrap().len() + all[2].1.as_array().unwrap().len();
        assert_eq!(all[3], ("left_out", (2000 - told).into()));
    }
}

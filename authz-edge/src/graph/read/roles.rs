//! Roles as views hold them: equal ones once, however many subjects have them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::Deserialize;

use super::super::dql::{HasUid, Uid};
use crate::model::condition::Compiler;
use crate::model::view::{Covers, Grant, Node, RoleGrants};

/// Dead entries are swept when there are this many more than at the last sweep.
const SWEEP: usize = 1024;

/// A permission in an answer.
#[derive(Deserialize)]
pub(super) struct PermissionRow<'a> {
    #[serde(rename = "Permission.role")]
    role: Option<HasUid>,
    #[serde(rename = "Permission.action", borrow)]
    action: Cow<'a, str>,
    #[serde(rename = "Permission.scope", borrow)]
    scope: Cow<'a, str>,
    #[serde(rename = "Permission.onType", borrow)]
    on_type: Option<Cow<'a, str>>,
    #[serde(rename = "Permission.onResource")]
    on_resource: Option<HasUid>,
    #[serde(rename = "Permission.condition", borrow)]
    condition: Option<Cow<'a, str>>,
}

/// The scope of a stored permission, said explicitly: an edge that is swept must not make it wider.
pub(in crate::graph) mod scope {
    pub(in crate::graph) const ALL: &str = "all";
    pub(in crate::graph) const TYPE: &str = "type";
    pub(in crate::graph) const RESOURCE: &str = "resource";
}

impl PermissionRow<'_> {
    pub(super) fn covers(&self) -> Covers {
        match (&*self.scope, &self.on_type, self.on_resource) {
            (scope::ALL, ..) => Covers::All,
            (scope::TYPE, Some(type_), _) => Covers::Type((&**type_).into()),
            (scope::RESOURCE, _, Some(node)) => Covers::Node(Node(node.uid.0)),
            _ => Covers::Nothing,
        }
    }

    /// `None` when its condition does not compile: then it grants nothing.
    fn grant(&self, compiler: &Compiler) -> Option<Grant> {
        let condition = match &self.condition {
            None => None,
            Some(text) => match compiler.compile(text) {
                Ok(condition) => Some(condition),
                Err(error) => {
                    tracing::warn!(%error, "a stored condition does not compile and grants nothing");
                    return None;
                }
            },
        };
        Some(Grant { covers: self.covers(), condition })
    }

    fn write_to(&self, hasher: &mut blake3::Hasher) {
        let node = self.on_resource.map_or(0, |node| node.uid.0);
        let texts =
            [Some(&self.action), Some(&self.scope), self.on_type.as_ref(), self.condition.as_ref()];
        hasher.update(&node.to_le_bytes());
        for text in texts {
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            hasher.update(&length.to_le_bytes());
            hasher.update(text.map_or(&[], |text| text.as_bytes()));
        }
    }
}

/// Roles that live in some view, by content.
#[derive(Default)]
pub(super) struct RoleCache {
    known: Mutex<Known>,
    compiler: Compiler,
}

#[derive(Default)]
struct Known {
    roles: HashMap<[u8; 32], Weak<RoleGrants>>,
    swept_at: usize,
}

impl RoleCache {
    /// The grants of each role; those that a view has already are that view's. Conditions are compiled
    /// only for new ones.
    pub(super) fn grants(&self, rows: Vec<PermissionRow<'_>>) -> BTreeMap<Uid, Arc<RoleGrants>> {
        let mut by_role = BTreeMap::<Uid, Vec<PermissionRow<'_>>>::new();
        for row in rows {
            if let Some(role) = row.role {
                by_role.entry(role.uid).or_default().push(row);
            }
        }
        by_role.into_iter().map(|(role, rows)| (role, self.role(&rows))).collect()
    }

    fn role(&self, rows: &[PermissionRow<'_>]) -> Arc<RoleGrants> {
        let mut hasher = blake3::Hasher::new();
        rows.iter().for_each(|row| row.write_to(&mut hasher));
        let hash = *hasher.finalize().as_bytes();
        if let Some(known) = self.lock().roles.get(&hash).and_then(Weak::upgrade) {
            return known;
        }
        let grants =
            rows.iter().filter_map(|row| Some(((&*row.action).into(), row.grant(&self.compiler)?)));
        let made = Arc::new(RoleGrants::new(grants));
        let mut known = self.lock();
        if known.roles.len() > known.swept_at + SWEEP {
            known.roles.retain(|_, role| role.strong_count() > 0);
            known.swept_at = known.roles.len();
        }
        known.roles.insert(hash, Arc::downgrade(&made));
        made
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(json: &str) -> Vec<PermissionRow<'_>> {
        serde_json::from_str(json).unwrap()
    }

    const ROLE: &str = r#"[{"Permission.role":{"uid":"0x1"},"Permission.action":"read",
        "Permission.scope":"resource"}]"#;

    #[test]
    fn equal_roles_are_held_once_and_a_swept_scope_covers_nothing() {
        let cache = RoleCache::default();
        let (first, second) = (cache.grants(rows(ROLE)), cache.grants(rows(ROLE)));
        let (first, second) = (&first[&Uid(1)], &second[&Uid(1)]);
        assert!(Arc::ptr_eq(first, second));
        assert_eq!(first.of("read")[0].covers, Covers::Nothing);
        let other = cache.grants(rows(&ROLE.replace("resource", "all")));
        assert_eq!(other[&Uid(1)].of("read")[0].covers, Covers::All);
    }

    #[test]
    fn a_condition_that_does_not_compile_grants_nothing() {
        let with = ROLE.replace("\"resource\"", "\"all\",\"Permission.condition\":\"1 +\"");
        let role = RoleCache::default().grants(rows(&with));
        assert!(role[&Uid(1)].of("read").is_empty());
    }
}

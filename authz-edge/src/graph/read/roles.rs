//! Roles as views hold them: equal ones once, however many subjects have them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::Deserialize;

use super::super::dql::{HasUid, Uid};
use super::super::store::GraphError;
use crate::model::Condition;
use crate::model::condition::Compiler;
use crate::model::view::{Covers, Grant, Node, RoleGrants};

/// Dead entries are swept when there are this many more than at the last sweep.
const SWEEP: usize = 1024;

/// Bytes of conditions that are compiled where they are needed: some hundred microseconds as a rule, some
/// milliseconds at worst. More go to a thread of their own.
const AT_ONCE: usize = 2 * crate::model::condition::MAX_BYTES;

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

    /// The bytes of its condition.
    pub(super) fn condition_bytes(&self) -> usize {
        self.condition.as_ref().map_or(0, |text| text.len())
    }

    /// `None` when its condition does not compile: then it grants nothing.
    fn grant(&self, compiled: &Compiled) -> Option<Grant> {
        let condition = match &self.condition {
            None => None,
            Some(text) => Some(compiled.get(&**text)?.clone()),
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

/// Conditions by their texts: each once, however many permissions have it.
type Compiled = HashMap<String, Condition>;

fn compile(compiler: &Compiler, texts: BTreeSet<String>) -> Compiled {
    let compiled = texts.into_iter().filter_map(|text| match compiler.compile(&text) {
        Ok(condition) => Some((text, condition)),
        Err(error) => {
            tracing::warn!(%error, "a stored condition does not compile and grants nothing");
            None
        }
    });
    compiled.collect()
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

/// One role's permissions in an answer, and the hash of them.
struct Rows<'a> {
    rows: Vec<PermissionRow<'a>>,
    hash: [u8; 32],
}

impl<'a> Rows<'a> {
    fn new(rows: Vec<PermissionRow<'a>>) -> Self {
        let mut hasher = blake3::Hasher::new();
        rows.iter().for_each(|row| row.write_to(&mut hasher));
        Self { rows, hash: *hasher.finalize().as_bytes() }
    }

    fn texts(&self) -> impl Iterator<Item = String> {
        self.rows.iter().filter_map(|row| Some(row.condition.as_deref()?.to_owned()))
    }
}

impl RoleCache {
    /// The grants of each role; those that a view has already are that view's. Conditions are compiled
    /// only for new ones, and not on this thread when they are many.
    ///
    /// # Errors
    /// `Unavailable` when that thread dies.
    pub(super) async fn grants(
        &self,
        rows: Vec<PermissionRow<'_>>,
    ) -> Result<BTreeMap<Uid, Arc<RoleGrants>>, GraphError> {
        let mut by_role = BTreeMap::<Uid, Vec<PermissionRow<'_>>>::new();
        for row in rows {
            if let Some(role) = row.role {
                by_role.entry(role.uid).or_default().push(row);
            }
        }
        let (mut found, mut new) = (BTreeMap::new(), Vec::new());
        for (role, rows) in by_role {
            let rows = Rows::new(rows);
            match self.known(&rows.hash) {
                Some(known) => _ = found.insert(role, known),
                None => new.push((role, rows)),
            }
        }
        let compiled =
            self.compile(new.iter().flat_map(|(_, rows)| rows.texts()).collect()).await?;
        found.extend(new.into_iter().map(|(role, rows)| (role, self.make(&rows, &compiled))));
        Ok(found)
    }

    async fn compile(&self, texts: BTreeSet<String>) -> Result<Compiled, GraphError> {
        if texts.iter().map(String::len).sum::<usize>() <= AT_ONCE {
            return Ok(compile(&self.compiler, texts));
        }
        let compiler = self.compiler.clone();
        let compiled = tokio::task::spawn_blocking(move || compile(&compiler, texts)).await;
        compiled.map_err(|_| GraphError::Unavailable("compiling conditions died".to_owned()))
    }

    fn known(&self, hash: &[u8; 32]) -> Option<Arc<RoleGrants>> {
        self.lock().roles.get(hash).and_then(Weak::upgrade)
    }

    fn make(&self, rows: &Rows<'_>, compiled: &Compiled) -> Arc<RoleGrants> {
        let grants = rows.rows.iter();
        let grants = grants.filter_map(|row| Some(((&*row.action).into(), row.grant(compiled)?)));
        let made = Arc::new(RoleGrants::new(grants));
        let mut known = self.lock();
        if known.roles.len() > known.swept_at + SWEEP {
            known.roles.retain(|_, role| role.strong_count() > 0);
            known.swept_at = known.roles.len();
        }
        known.roles.insert(rows.hash, Arc::downgrade(&made));
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

    #[tokio::test]
    async fn equal_roles_are_held_once_and_a_swept_scope_covers_nothing() {
        let cache = RoleCache::default();
        let first = cache.grants(rows(ROLE)).await.unwrap();
        let second = cache.grants(rows(ROLE)).await.unwrap();
        let (first, second) = (&first[&Uid(1)], &second[&Uid(1)]);
        assert!(Arc::ptr_eq(first, second));
        assert_eq!(first.of("read")[0].covers, Covers::Nothing);
        let role = ROLE.replace("resource", "all");
        let other = cache.grants(rows(&role)).await.unwrap();
        assert_eq!(other[&Uid(1)].of("read")[0].covers, Covers::All);
    }

    fn conditional(texts: &[String]) -> String {
        let row = |text: &String| {
            serde_json::json!({"Permission.role": {"uid": "0x1"}, "Permission.action": "read",
                "Permission.scope": "all", "Permission.condition": text})
        };
        serde_json::Value::from_iter(texts.iter().map(row)).to_string()
    }

    #[tokio::test]
    async fn a_condition_that_does_not_compile_grants_nothing() {
        let role = conditional(&["1 +".to_owned()]);
        let role = RoleCache::default().grants(rows(&role)).await.unwrap();
        assert!(role[&Uid(1)].of("read").is_empty());
    }

    #[tokio::test]
    async fn many_conditions_are_compiled_beside_this_thread_and_equal_ones_once() {
        let texts: Vec<_> = (0..1000).map(|n| format!("context.number == {}", n / 2)).collect();
        let (cache, role) = (RoleCache::default(), conditional(&texts));
        let mut made = Box::pin(cache.grants(rows(&role)));
        assert!(futures::poll!(&mut made).is_pending());
        let made = made.await.unwrap();
        let conditions = made[&Uid(1)].of("read").iter().map(|g| g.condition.as_ref().unwrap());
        let texts_made: Vec<_> = conditions.clone().map(Condition::text).collect();
        assert_eq!(texts_made, texts);
        let (all, each) =
            (conditions.clone().map(Condition::share), conditions.map(Condition::weight));
        assert!(all.sum::<usize>() <= each.sum::<usize>() / 2);
    }
}

//! The views: one request for a whole subject, or for some of its parts; one for a resource.
//!
//! A subject's closure is one `@recurse` in a var block, which follows each edge once however the teams
//! are nested or cycle; what hangs on it are var blocks as well, so that nothing is sent twice. See
//! `docs/adr/0009-graph-queries.md` for what this costs beside the seed's `@cascade`.

mod roles;
mod trace;

pub(super) use roles::scope;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::{Revision, TenantId};
use serde::Deserialize;

use roles::RoleCache;

use super::client::{Answer, GraphDb, Mode};
use super::dql::{HasUid, Uid};
use super::store::{
    Graph, GraphError, MAX_ITEMS, MAX_VIEW_BYTES, Part, Parts, Reading, ResourceReading,
    SubjectReading, Whole,
};
use crate::model::Properties;
use crate::model::key::{Key, ResourceRef, SubjectRef, SubjectType};
use crate::model::parts::{Closure, Grants};
use crate::model::view::{
    Covers, Holding, Micros, NEVER, Node, ResourceView, Standing, SubjectView,
};

/// One more than may be held: who gets so many knows that there are more.
const FIRST: usize = MAX_ITEMS + 1;

/// One more than one holder may have of roles that apply everywhere and for ever.
const ROLES: usize = 1 + 256;

/// Who the subject is.
const SELF: &str = "
  tenant(func: eq(xid, $t)) { Tenant.suspended }
  subject(func: uid(S)) { uid Subject.inactive attributes }";

/// What holders hold, and the roles in it. Placeholders: HOLDERS, MORE (roles), FIRST, ROLES.
const HELD: &str = "
  holders(func: uid(HOLDERS), first: FIRST) { uid xid Team.hasRole (first: ROLES) { uid } }
  scoped(func: uid(B), first: FIRST) {
    Binding.holder { uid } Binding.role { uid } Binding.onResource { uid } Binding.expiresAt
  }
  wide(func: uid(C), first: FIRST) {
    Binding.holder { uid } Binding.role { uid } Binding.onType Binding.expiresAt
  }
  roles(func: uid(R, Q MORE), first: FIRST) { uid xid }";

/// What roles permit. Placeholders: FIRST.
const PERMISSIONS: &str = "
  permissions(func: uid(P), first: FIRST) {
    Permission.role { uid } Permission.action Permission.scope Permission.onType
    Permission.onResource { uid } Permission.condition
  }";

/// What a question's closure yields. Placeholders: FIRST.
const NARROWED_BLOCKS: &str = "
  plain(func: uid(R), first: FIRST) { uid }
  scoped(func: uid(B), first: FIRST) { Binding.role { uid } Binding.onResource { uid } Binding.expiresAt }
  wide(func: uid(C), first: FIRST) { Binding.role { uid } Binding.onType Binding.expiresAt }
  roles(func: uid(R, Q), first: FIRST) { uid xid }";

/// Placeholders: LIVING.
const CLOSURE: &str = "
  S as var(func: eq(xid, $s))
  W as var(func: eq(xid, $w))
  var(func: uid(S)) @recurse(loop: false) { T as User.memberOf LIVING }";

/// Everything that holders hold. Placeholders: HOLDERS, MORE (roles), LIVING.
const WHOLE: &str = "
  var(func: uid(HOLDERS)) {
    R as Team.hasRole LIVING
    B as Team.hasBinding
    C as Team.hasWideBinding
  }
  var(func: uid(B, C)) { Q as Binding.role LIVING }
  var(func: uid(R, Q MORE)) { P as Role.hasPermission }";

/// Placeholders: MORE (roles), FIRST.
const ROLES_ALONE: &str = "
  var(func: uid(MORE)) { P as Role.hasPermission }
  roles(func: uid(MORE), first: FIRST) { uid xid }";

/// What it holds that may answer one question: from the resource's side where bindings name resources,
/// so that the cost is that of the resource's bindings and not of the subject's.
const NARROWED: &str = "
  E as var(func: eq(xid, $r))
  var(func: uid(E)) @recurse(loop: false) { F as Resource.parent @filter(has(xid)) }
  H as var(func: uid(S, W, T))
  var(func: uid(E, F)) { B as ~Binding.onResource @filter(uid_in(Binding.holder, uid(H))) }
  var(func: uid(H)) {
    R as Team.hasRole @filter(has(xid))
    C as Team.hasWideBinding
  }
  var(func: uid(B, C)) { Q as Binding.role @filter(has(xid)) }
  var(func: uid(R, Q)) { P as Role.hasPermission @filter(eq(Permission.action, $a)) }";

/// Placeholders: FIRST, LIVING.
const LINEAGE: &str = "query q($r: string) {
  S as var(func: eq(xid, $r))
  var(func: uid(S)) @recurse(loop: false) { A as Resource.parent LIVING }
  lineage(func: uid(S, A), first: FIRST) { uid xid }
  resource(func: uid(S)) { attributes }
}";

/// What is deleted has no key: nothing leads through it, also before its edges are swept.
const LIVING: &str = "@filter(has(xid))";

/// A query that follows every edge, and the same one that passes nothing deleted, which costs Dgraph a task
/// more for each level. The second is asked when the first has met something deleted: seldom, and only until
/// that is swept.
struct Query {
    all: String,
    living: String,
}

impl Query {
    fn new(text: &str) -> Self {
        Self { all: text.replace("LIVING", ""), living: text.replace("LIVING", LIVING) }
    }
}

/// Whose roles it has, alone. Placeholders: FIRST.
const HOLDERS_ALONE: &str = "
  holders(func: uid(S, W, T), first: FIRST) { uid xid }";

/// The queries as they are sent.
struct Queries {
    whole: Query,
    closure: Query,
    narrowed: String,
    lineage: Query,
}

impl Default for Queries {
    fn default() -> Self {
        let head = "$s: string, $w: string, $t: string";
        let whole = held(&format!("{WHOLE}{SELF}{HELD}{PERMISSIONS}"), "S, W, T", "");
        let narrowed = limited(&format!("{NARROWED}{SELF}{NARROWED_BLOCKS}{PERMISSIONS}"));
        Self {
            whole: Query::new(&format!("query q({head}) {{{CLOSURE}{whole}\n}}")),
            closure: Query::new(&limited(&format!(
                "query q({head}) {{{CLOSURE}{SELF}{HOLDERS_ALONE}\n}}"
            ))),
            narrowed: format!("query q({head}, $r: string, $a: string) {{{CLOSURE}{narrowed}\n}}")
                .replace("LIVING", LIVING),
            lineage: Query::new(&limited(LINEAGE)),
        }
    }
}

fn limited(text: &str) -> String {
    text.replace("FIRST", &FIRST.to_string()).replace("ROLES", &ROLES.to_string())
}

/// A query's blocks about those holders, and roles beside those that they have.
fn held(text: &str, holders: &str, more: &str) -> String {
    limited(text).replace("HOLDERS", holders).replace("MORE", more)
}

/// The query of some parts. There is no such thing as no holders in a query.
fn parts_query(holders: &[Node], roles: &[Node]) -> String {
    let list = |nodes: &[Node]| {
        nodes.iter().map(|node| format!("{:#x}", node.0)).collect::<Vec<_>>().join(", ")
    };
    let (holders, roles) = (list(holders), list(roles));
    let blocks = match (&*holders, &*roles) {
        ("", roles) => held(&format!("{ROLES_ALONE}{PERMISSIONS}"), "", roles),
        (holders, "") => held(&format!("{WHOLE}{HELD}{PERMISSIONS}"), holders, ""),
        (holders, roles) => {
            held(&format!("{WHOLE}{HELD}{PERMISSIONS}"), holders, &format!(", {roles}"))
        }
    };
    // Roles that were deleted are told by their rows, which have no key.
    format!("{{{blocks}\n}}").replace("LIVING", "")
}

/// Whether subjects that the graph does not know are barred: they are where sync brings them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strangers {
    /// Nobody but who was brought by sync.
    Barred,
    /// They have what everyone of their type has.
    Everyone,
}

#[derive(Deserialize)]
struct SubjectAnswer<'a> {
    #[serde(default)]
    tenant: Vec<TenantRow>,
    #[serde(default)]
    subject: Vec<SubjectRow>,
    #[serde(default, borrow)]
    holders: Vec<HolderRow<'a>>,
    #[serde(default)]
    plain: Vec<HasUid>,
    #[serde(default)]
    scoped: Vec<Binding>,
    #[serde(default)]
    wide: Vec<Binding>,
    #[serde(default, borrow)]
    roles: Vec<Named<'a>>,
    #[serde(default, borrow)]
    permissions: Vec<roles::PermissionRow<'a>>,
}

#[derive(Deserialize)]
struct TenantRow {
    #[serde(rename = "Tenant.suspended", default)]
    suspended: bool,
}

#[derive(Deserialize)]
struct SubjectRow {
    #[serde(rename = "Subject.inactive", default)]
    inactive: bool,
    #[serde(default)]
    attributes: Option<String>,
}

/// A node; one that was deleted has no key.
#[derive(Deserialize)]
struct Named<'a> {
    uid: Uid,
    #[serde(borrow, default)]
    xid: Option<Cow<'a, str>>,
}

impl Named<'_> {
    fn key(&self) -> Option<Key> {
        self.xid.as_deref().map(Key::from_text)
    }
}

/// Whom an answer is about, whatever else is in it.
#[derive(Deserialize)]
struct Met<'a> {
    #[serde(default, borrow)]
    holders: Vec<Named<'a>>,
    #[serde(default, borrow)]
    roles: Vec<Named<'a>>,
    #[serde(default, borrow)]
    lineage: Vec<Named<'a>>,
}

#[derive(Deserialize)]
struct HolderRow<'a> {
    uid: Uid,
    #[serde(borrow, default)]
    xid: Option<Cow<'a, str>>,
    #[serde(rename = "Team.hasRole", default)]
    roles: Vec<HasUid>,
}

#[derive(Deserialize)]
struct Binding {
    #[serde(rename = "Binding.holder")]
    holder: Option<HasUid>,
    #[serde(rename = "Binding.role")]
    role: Option<HasUid>,
    #[serde(rename = "Binding.onResource")]
    on_resource: Option<HasUid>,
    #[serde(rename = "Binding.onType")]
    on_type: Option<Box<str>>,
    #[serde(rename = "Binding.expiresAt")]
    expires_at: Option<Micros>,
}

impl HolderRow<'_> {
    fn key(&self) -> Option<Key> {
        self.xid.as_deref().map(Key::from_text)
    }
}

/// A role that is held everywhere and for ever.
fn everywhere(role: &HasUid) -> (Node, Holding) {
    (Node(role.uid.0), Holding { covers: Covers::All, until: NEVER })
}

impl Binding {
    /// What one on a resource covers.
    fn scoped(&self) -> Covers {
        self.on_resource.map_or(Covers::Nothing, |to| Covers::Node(Node(to.uid.0)))
    }

    /// What any other covers.
    fn wide(&self) -> Covers {
        self.on_type.clone().map_or(Covers::All, Covers::Type)
    }
}

#[derive(Deserialize)]
struct LineageAnswer<'a> {
    #[serde(default, borrow)]
    lineage: Vec<Named<'a>>,
    #[serde(default)]
    resource: Vec<SubjectRow>,
}

#[derive(Deserialize)]
struct AppliedAnswer {
    #[serde(default)]
    tenant: Vec<AppliedRow>,
}

#[derive(Deserialize)]
struct AppliedRow {
    #[serde(rename = "Tenant.seq", default)]
    seq: u64,
}

/// Who asks for views.
pub struct Reader {
    /// The cluster.
    pub graph: Arc<GraphDb>,
    /// What unknown subjects may.
    pub strangers: Strangers,
    queries: Queries,
    traces: trace::Queries,
    roles: RoleCache,
}

impl Reader {
    /// Of a cluster.
    #[must_use]
    pub fn new(graph: Arc<GraphDb>, strangers: Strangers) -> Self {
        let (queries, traces) = (Queries::default(), trace::Queries::default());
        Self { graph, strangers, queries, traces, roles: RoleCache::default() }
    }
}

impl Graph for Reader {
    async fn subject(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        mode: Mode,
    ) -> Result<SubjectReading, GraphError> {
        let keys = SubjectKeys::new(tenant, subject);
        let answer = self.living(mode, &self.queries.whole, &keys.vars()).await?;
        let found: SubjectAnswer<'_> = answer.read()?;
        let revision = answer.revision;
        if found.is_too_large() {
            // What made it so large is anywhere in the tenant.
            return Ok(Reading { revision, visited: vec![Key::anything(tenant)], view: None });
        }
        let (keys, closure) = (visited(&found, &keys), self.closure_of(&found));
        let parts = self.held(tenant, found).await?;
        let visited = keys.iter().chain(parts.keys()).cloned().collect();
        Ok(Reading { revision, visited, view: Some(Whole { closure, keys, parts }) })
    }

    async fn closure(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        mode: Mode,
    ) -> Result<Reading<Option<Closure>>, GraphError> {
        let keys = SubjectKeys::new(tenant, subject);
        let answer = self.living(mode, &self.queries.closure, &keys.vars()).await?;
        let found: SubjectAnswer<'_> = answer.read()?;
        let view = (!found.is_too_large()).then(|| self.closure_of(&found));
        Ok(Reading { revision: answer.revision, visited: visited(&found, &keys), view })
    }

    async fn parts(
        &self,
        tenant: &TenantId,
        holders: &[Node],
        roles: &[Node],
        mode: Mode,
    ) -> Result<Reading<Parts>, GraphError> {
        let answer = self.graph.query(mode, &parts_query(holders, roles), &[]).await?;
        let found: SubjectAnswer<'_> = answer.read()?;
        let too_large = found.is_too_large();
        let view = if too_large { Parts::default() } else { self.held(tenant, found).await? };
        let visited = view.keys().cloned().collect();
        Ok(Reading { revision: answer.revision, visited, view })
    }

    /// What it depends on is anything in the tenant: who asks this has too many teams to name them.
    async fn narrowed(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        action: &str,
        resource: &ResourceRef,
        mode: Mode,
    ) -> Result<Reading<SubjectView>, GraphError> {
        let keys = SubjectKeys::new(tenant, subject);
        let resource = Key::resource(tenant, &resource.type_, &resource.id);
        let mut vars = keys.vars().to_vec();
        vars.extend([("$r", resource.as_str()), ("$a", action)]);
        let answer = self.graph.query(mode, &self.queries.narrowed, &vars).await?;
        let found: SubjectAnswer<'_> = answer.read()?;
        if found.holds_too_much() {
            let limit = format!(
                "{subject} has more than {MAX_ITEMS} bindings or {MAX_VIEW_BYTES} bytes of conditions \
                 for one question"
            );
            return Err(GraphError::Limit(limit));
        }
        let view = self.view(found).await?;
        Ok(Reading { revision: answer.revision, visited: vec![Key::anything(tenant)], view })
    }

    async fn resource(
        &self,
        tenant: &TenantId,
        resource: &ResourceRef,
        mode: Mode,
    ) -> Result<ResourceReading, GraphError> {
        let key = Key::resource(tenant, &resource.type_, &resource.id);
        let vars = [("$r", key.as_str())];
        let answer = self.living(mode, &self.queries.lineage, &vars).await?;
        lineage(tenant, resource, &key, &answer, &answer.read()?)
    }

    async fn applied(&self, tenant: &TenantId) -> Result<(u64, Revision), GraphError> {
        let dql = "query q($t: string) { tenant(func: eq(xid, $t)) { Tenant.seq } }";
        let key = Key::tenant(tenant);
        let answer = self.graph.query(Mode::Strict, dql, &[("$t", key.as_str())]).await?;
        let found: AppliedAnswer = answer.read()?;
        Ok((found.tenant.first().map_or(0, |tenant| tenant.seq), answer.revision))
    }
}

impl Reader {
    /// The answer in which nothing was met that is deleted.
    async fn living(
        &self,
        mode: Mode,
        query: &Query,
        vars: &[(&str, &str)],
    ) -> Result<Answer, GraphError> {
        let answer = self.graph.query(mode, &query.all, vars).await?;
        let Met { holders, roles, lineage } = answer.read()?;
        if [holders, roles, lineage].iter().flatten().all(|row| row.xid.is_some()) {
            return Ok(answer);
        }
        self.graph.query(mode, &query.living, vars).await
    }

    fn closure_of(&self, found: &SubjectAnswer<'_>) -> Closure {
        Closure {
            standing: standing(found, self.strangers),
            attributes: found.attributes(),
            holders: found.holders.iter().map(|row| Node(row.uid.0)).collect(),
        }
    }

    /// What is held, by holder and by role.
    async fn held(&self, tenant: &TenantId, found: SubjectAnswer<'_>) -> Result<Parts, GraphError> {
        let by_holder = found.holders.iter();
        let mut held: BTreeMap<Uid, Vec<_>> =
            by_holder.map(|row| (row.uid, row.roles.iter().map(everywhere).collect())).collect();
        for (holder, holding) in found.bindings() {
            // A binding that a later team of that name took over is not the former one's.
            if let Some(list) = holder.and_then(|holder| held.get_mut(&holder.uid)) {
                list.push(holding);
            }
        }
        let holders = found.holders.iter().filter_map(|row| {
            let key = row.key().and_then(|key| key.holdings(tenant));
            Some(Part { node: Node(row.uid.0), key, part: held.remove(&row.uid)?.into() })
        });
        Ok(Parts { holders: holders.collect(), roles: self.role_parts(found).await? })
    }

    async fn role_parts(&self, found: SubjectAnswer<'_>) -> Result<Vec<Part<Grants>>, GraphError> {
        let mut grants = self.roles.grants(found.permissions).await?;
        let roles = found.roles.iter().map(|row| {
            // A role that was deleted has no key any more.
            let part = grants.remove(&row.uid).filter(|_| row.xid.is_some());
            Part { node: Node(row.uid.0), key: row.key(), part }
        });
        Ok(roles.collect())
    }

    /// A view for one question, whoever of the holders holds what.
    async fn view(&self, found: SubjectAnswer<'_>) -> Result<SubjectView, GraphError> {
        let closure = self.closure_of(&found);
        let bindings = found.bindings().map(|(_, holding)| holding);
        let held = found.plain.iter().map(everywhere).chain(bindings).collect();
        let roles = self.role_parts(found).await?;
        let roles = roles.into_iter().map(|role| (role.node, role.part));
        Ok(SubjectView::compose(&closure, [&held], roles))
    }
}

fn standing(found: &SubjectAnswer<'_>, strangers: Strangers) -> Standing {
    if found.tenant.iter().any(|tenant| tenant.suspended) {
        return Standing::Barred;
    }
    match found.subject.first() {
        Some(subject) if subject.inactive => Standing::Barred,
        Some(_) => Standing::Active,
        // Also who was deleted: its key is gone, and it is a stranger again.
        None if strangers == Strangers::Everyone => Standing::Active,
        None => Standing::Unknown,
    }
}

/// The external keys that a subject's question begins with.
struct SubjectKeys {
    subject: Key,
    everyone: Key,
    tenant: Key,
}

impl SubjectKeys {
    fn new(tenant: &TenantId, subject: &SubjectRef) -> Self {
        let everyone = match subject.type_ {
            // There is no such node: a team is not everyone of its type.
            SubjectType::Team => Key::anything(tenant),
            type_ => Key::everyone(tenant, type_),
        };
        let (type_, tenant_key) = (subject.type_, Key::tenant(tenant));
        Self { subject: Key::subject(tenant, type_, &subject.id), everyone, tenant: tenant_key }
    }

    fn vars(&self) -> [(&'static str, &str); 3] {
        [
            ("$s", self.subject.as_str()),
            ("$w", self.everyone.as_str()),
            ("$t", self.tenant.as_str()),
        ]
    }
}

/// A resource's view, and the keys that it depends on.
fn lineage(
    tenant: &TenantId,
    resource: &ResourceRef,
    key: &Key,
    answer: &Answer,
    found: &LineageAnswer<'_>,
) -> Result<ResourceReading, GraphError> {
    if found.lineage.len() > MAX_ITEMS {
        let limit = format!("{resource} has more than {MAX_ITEMS} ancestors");
        return Err(GraphError::Limit(limit));
    }
    let mut types = vec![Box::<str>::from(resource.type_.as_str())];
    let mut visited = vec![key.clone()];
    for ancestor in found.lineage.iter().filter_map(Named::key) {
        if let Some((_, type_, _)) = ancestor.parts(tenant) {
            types.push(type_.into());
        }
        if ancestor != *key {
            visited.push(ancestor);
        }
    }
    let lineage = found.lineage.iter().map(|row| Node(row.uid.0)).collect();
    let stored = found.resource.first().and_then(|row| attributes(row.attributes.as_deref()));
    let view = ResourceView::new(stored, lineage, types);
    Ok(Reading { revision: answer.revision, visited, view })
}

/// What a closure depends on.
fn visited(found: &SubjectAnswer<'_>, keys: &SubjectKeys) -> Vec<Key> {
    let mut visited: Vec<_> = found.holders.iter().filter_map(HolderRow::key).collect();
    // Also when the graph does not know them yet.
    visited.extend([keys.subject.clone(), keys.everyone.clone(), keys.tenant.clone()]);
    visited.sort_unstable();
    visited.dedup();
    visited
}

impl SubjectAnswer<'_> {
    fn is_too_large(&self) -> bool {
        let roles = || self.holders.iter().map(|row| row.roles.len());
        self.holders.len() > MAX_ITEMS
            || self.holds_too_much()
            || roles().any(|roles| roles >= ROLES)
            || roles().sum::<usize>() > 4 * MAX_ITEMS
    }

    /// What is held by bindings, and by whom.
    fn bindings(&self) -> impl Iterator<Item = (Option<HasUid>, (Node, Holding))> {
        let scoped = self.scoped.iter().map(|binding| (binding, binding.scoped()));
        let wide = self.wide.iter().map(|binding| (binding, binding.wide()));
        scoped.chain(wide).filter_map(|(binding, covers)| {
            let until = binding.expires_at.unwrap_or(NEVER);
            Some((binding.holder, (Node(binding.role?.uid.0), Holding { covers, until })))
        })
    }

    fn attributes(&self) -> Option<Arc<Properties>> {
        attributes(self.subject.first()?.attributes.as_deref())
    }

    fn holds_too_much(&self) -> bool {
        let lists = [self.plain.len(), self.scoped.len(), self.wide.len(), self.roles.len()];
        let conditions = self.permissions.iter().map(roles::PermissionRow::condition_bytes);
        lists.into_iter().chain([self.permissions.len()]).any(|found| found > MAX_ITEMS)
            // Compiled they are larger still; whoever has so many need not be compiled to know.
            || conditions.sum::<usize>() > MAX_VIEW_BYTES
    }
}

fn attributes(stored: Option<&str>) -> Option<Arc<Properties>> {
    // What was stored was an object.
    serde_json::from_str(stored?).ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_query_is_sent_with_a_placeholder_in_it() {
        let (one, two) = ([Node(1)], [Node(2), Node(0x3a)]);
        let (whole, traces) = (Queries::default(), trace::Queries::default());
        let parts = [parts_query(&one, &[]), parts_query(&[], &two), parts_query(&two, &one)];
        let views = [&whole.whole, &whole.closure, &whole.lineage];
        let views = views.into_iter().flat_map(|query| [&query.all, &query.living]);
        let all = views.chain([&whole.narrowed, &traces.whole, &traces.narrowed]).chain(&parts);
        for query in all {
            for placeholder in ["FIRST", "ROLES", "EDGES", "HOLDERS", "MORE", "LIVING", "uid()"] {
                assert!(!query.contains(placeholder), "{placeholder} in {query}");
            }
            assert_eq!(query.matches('{').count(), query.matches('}').count(), "{query}");
        }
        assert!(parts[1].contains("roles(func: uid(0x2, 0x3a)") && !parts[1].contains("holders"));
        assert!(parts[2].contains("holders(func: uid(0x2, 0x3a)"));
        assert!(parts[2].contains("roles(func: uid(R, Q , 0x1)"));
    }

    #[test]
    fn a_subject_without_a_key_is_a_stranger_or_nobody() {
        let standing = |json: &str, strangers| {
            standing(&serde_json::from_str::<SubjectAnswer<'_>>(json).unwrap(), strangers)
        };
        let (nobody, known) = (r#"{"subject":[]}"#, r#"{"subject":[{"uid":"0x1"}]}"#);
        let inactive = r#"{"subject":[{"uid":"0x1","Subject.inactive":true}]}"#;
        let suspended = r#"{"tenant":[{"Tenant.suspended":true}],"subject":[]}"#;
        for (strangers, of_nobody) in
            [(Strangers::Barred, Standing::Unknown), (Strangers::Everyone, Standing::Active)]
        {
            assert_eq!(standing(nobody, strangers), of_nobody);
            assert_eq!(standing(known, strangers), Standing::Active);
            assert_eq!(standing(inactive, strangers), Standing::Barred);
            assert_eq!(standing(suspended, strangers), Standing::Barred);
        }
    }
}

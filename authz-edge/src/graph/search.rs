//! Candidates of searches: who and what the evaluator is to be asked about.
//!
//! A candidate is never a result by itself. What is read here may be too much (expired bindings,
//! conditions that do not hold) but not too little, and comes in the order of node ids, so that a
//! position in one list is one in every other.

use contracts::{Revision, TenantId};
use serde::Deserialize;

use super::client::{GraphDb, Mode};
use super::dql::Uid;
use super::store::{GraphError, MAX_ITEMS};
use crate::model::key::{Key, ResourceRef, SubjectRef, SubjectType};

/// The most resources that candidates are taken from by following bindings; beyond it, walking the
/// list of the type is no dearer, since following begins anew with each page.
const MAX_NAMED: usize = 10_000;

/// Somebody or something to ask about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its place in the order.
    pub node: u64,
    /// What it is.
    pub key: Key,
}

/// A part of the candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// The graph's time of the read.
    pub revision: Revision,
    /// By node; fewer than were asked for when there are no more.
    pub found: Vec<Candidate>,
}

#[derive(Deserialize)]
struct Row {
    uid: Uid,
    xid: String,
}

#[derive(Deserialize)]
struct ListAnswer {
    #[serde(default)]
    page: Vec<Row>,
}

#[derive(Deserialize)]
struct Counted {
    count: usize,
}

#[derive(Deserialize)]
struct NamedAnswer {
    #[serde(default)]
    wide: Vec<Counted>,
    #[serde(default)]
    named: Vec<Counted>,
    #[serde(default)]
    page: Vec<Row>,
}

#[derive(Deserialize)]
struct ActionAnswer {
    #[serde(default)]
    actions: Vec<ActionRow>,
}

#[derive(Deserialize)]
struct ActionRow {
    #[serde(rename = "Permission.action")]
    action: String,
}

fn candidates(revision: Revision, rows: Vec<Row>) -> Candidates {
    let candidate = |row: Row| Candidate { node: row.uid.0, key: Key::from_text(row.xid) };
    Candidates { revision, found: rows.into_iter().map(candidate).collect() }
}

/// At most `first` members of a list ([`Key::subjects`], [`Key::resources`]) whose nodes follow `after`.
/// The read is strict: nothing that was committed before is missing.
///
/// # Errors
/// As [`GraphDb::query`].
pub async fn listed(
    graph: &GraphDb,
    list: &str,
    after: u64,
    first: usize,
) -> Result<Candidates, GraphError> {
    let dql = format!(
        "query q($l: string) {{
           page(func: eq(listed, $l), first: {first}, after: {after:#x}) {{ uid xid }} }}"
    );
    let answer = graph.query(Mode::Strict, &dql, &[("$l", list)]).await?;
    let found: ListAnswer = answer.read()?;
    Ok(candidates(answer.revision, found.page))
}

/// Who holds what, as far as roles: `S W T` hold `R` everywhere, `B` on resources, `C` otherwise.
const HOLDINGS: &str = "
  S as var(func: eq(xid, $s))
  W as var(func: eq(xid, $w))
  var(func: uid(S)) @recurse(loop: false) { T as User.memberOf @filter(has(xid)) }
  H as var(func: uid(S, W, T))
  var(func: uid(H)) {
    R as Team.hasRole @filter(has(xid))
    C as Team.hasWideBinding
  }";

/// At most `first` resources of a type after node `after` that bindings or permissions name or that are
/// below named ones; `None` when the subject may have the action on resources that nothing names, or
/// when too many are named: then the candidates are the list of the type.
///
/// # Errors
/// As [`GraphDb::query`].
pub async fn named(
    graph: &GraphDb,
    tenant: &TenantId,
    (subject, action, type_): (&SubjectRef, &str, &str),
    after: u64,
    first: usize,
) -> Result<Option<Candidates>, GraphError> {
    let dql = named_query(after, first);
    let (of, everyone) = keys(tenant, subject);
    let list = Key::resources(tenant, type_);
    let vars = [("$s", of.as_str()), ("$w", everyone.as_str()), ("$a", action), ("$l", &list)];
    let answer = match graph.query(Mode::Strict, &dql, &vars).await {
        Ok(answer) => answer,
        // What is below the named ones is more than Dgraph follows in one request.
        Err(GraphError::Refused(reason)) if reason.contains("edge limit") => return Ok(None),
        Err(error) => return Err(error),
    };
    let found: NamedAnswer = answer.read()?;
    let count = |rows: &[Counted]| rows.first().map_or(0, |row| row.count);
    if count(&found.wide) > 0 || count(&found.named) > MAX_NAMED {
        return Ok(None);
    }
    Ok(Some(candidates(answer.revision, found.page)))
}

/// Nothing is followed from a role that is held on a resource and lacks the action.
fn named_query(after: u64, first: usize) -> String {
    let more = MAX_NAMED + 1;
    format!(
        "query q($s: string, $w: string, $a: string, $l: string) {{{HOLDINGS}
  var(func: uid(H)) {{ B as Team.hasBinding }}
  var(func: uid(C)) {{ Q as Binding.role @filter(has(xid)) }}
  var(func: uid(B)) {{ O as Binding.role @filter(has(xid)) }}
  var(func: uid(R, Q)) {{ P as Role.hasPermission @filter(eq(Permission.action, $a)) }}
  var(func: uid(O)) {{ K as Role.hasPermission @filter(eq(Permission.action, $a)) }}
  var(func: uid(K)) {{ G as Permission.role }}
  var(func: uid(B)) @filter(uid_in(Binding.role, uid(G))) {{ N as Binding.onResource }}
  var(func: uid(P)) {{ M as Permission.onResource }}
  var(func: uid(N, M)) @recurse(loop: false) {{ D as ~Resource.parent (first: {more}) }}
  wide(func: uid(P)) @filter(NOT eq(Permission.scope, \"resource\")) {{ count(uid) }}
  named(func: uid(N, M, D)) {{ count(uid) }}
  page(func: uid(N, M, D), first: {first}, after: {after:#x}) @filter(eq(listed, $l)) {{ uid xid }}
}}"
    )
}

/// The actions of every permission that may matter for a resource, for subjects that are too large for
/// a view; sorted, each once.
///
/// # Errors
/// `Limit` for more than [`MAX_ITEMS`] permissions; else as [`GraphDb::query`].
pub async fn actions(
    graph: &GraphDb,
    tenant: &TenantId,
    subject: &SubjectRef,
    resource: &ResourceRef,
) -> Result<(Revision, Vec<String>), GraphError> {
    let more = MAX_ITEMS + 1;
    let dql = format!(
        "query q($s: string, $w: string, $r: string) {{{HOLDINGS}
  E as var(func: eq(xid, $r))
  var(func: uid(E)) @recurse(loop: false) {{ F as Resource.parent @filter(has(xid)) }}
  var(func: uid(E, F)) {{ B as ~Binding.onResource @filter(uid_in(Binding.holder, uid(H))) }}
  var(func: uid(B, C)) {{ Q as Binding.role @filter(has(xid)) }}
  var(func: uid(R, Q)) {{ P as Role.hasPermission }}
  actions(func: uid(P), first: {more}) {{ Permission.action }}
}}"
    );
    let (of, everyone) = keys(tenant, subject);
    let on = Key::resource(tenant, &resource.type_, &resource.id);
    let vars = [("$s", of.as_str()), ("$w", everyone.as_str()), ("$r", on.as_str())];
    let answer = graph.query(Mode::Strict, &dql, &vars).await?;
    let found: ActionAnswer = answer.read()?;
    if found.actions.len() > MAX_ITEMS {
        let limit = format!("{subject} has more than {MAX_ITEMS} permissions for one resource");
        return Err(GraphError::Limit(limit));
    }
    let mut actions: Vec<String> = found.actions.into_iter().map(|row| row.action).collect();
    actions.sort_unstable();
    actions.dedup();
    Ok((answer.revision, actions))
}

/// The subject's key, and that of everyone of its type.
fn keys(tenant: &TenantId, subject: &SubjectRef) -> (Key, Key) {
    let everyone = match subject.type_ {
        // Nothing has this key: a team is not everyone of its type.
        SubjectType::Team => Key::anything(tenant),
        type_ => Key::everyone(tenant, type_),
    };
    (Key::subject(tenant, subject.type_, &subject.id), everyone)
}

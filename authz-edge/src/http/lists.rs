//! Lists: `GET …/roles`, `…/resources/{type}`, `…/subjects/{type}`, `…/relationships`, in pages.
//!
//! A page has `limit` entries or fewer, and a `cursor` unless it is the last; one with few entries, or none,
//! need not be the last. What stays as it is from the first page to the last is listed once, what was
//! deleted before a page is asked for is not in it. What is written between two pages may be in the rest
//! or not; a role held everywhere whose end is set or taken away counts as written anew, and may come
//! twice.

mod filter;

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use contracts::{Revision, Scope, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use service_kit::Problem;
use tokio::sync::{Semaphore, SemaphorePermit};

use self::filter::RelationshipsForm;
use super::cursor::Binding;
use super::extract::Path;
use super::{Api, RETRY_SECONDS, TOKEN, graph_problem, problem};
use crate::graph::list::relationships::{Page, Position};
use crate::graph::list::{self, Listed};
use crate::model::key::{EVERYONE, check_id};
use crate::model::{Key, Relationship, SubjectType};

/// Entries of a page whose request does not say.
const DEFAULT_LIMIT: usize = 100;
/// The most entries of a page.
const MAX_LIMIT: usize = 1000;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/tenants/{tenant}/roles", get(roles))
        .route("/v1/tenants/{tenant}/relationships", get(relationships))
        .route("/v1/tenants/{tenant}/resources/{type}", get(resources))
        .route("/v1/tenants/{tenant}/subjects/{type}", get(subjects))
        .layer(Extension(Turns(Arc::new(Semaphore::new(AT_ONCE)))))
}

/// Lists at once: all of their reads are strict, and must not take those of checks.
const AT_ONCE: usize = 16;

#[derive(Clone)]
struct Turns(Arc<Semaphore>);

impl Turns {
    fn take(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let busy = |_| Problem::unavailable("too many lists at once", RETRY_SECONDS);
        self.0.try_acquire().map_err(busy)
    }
}

/// Which page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageForm {
    limit: Option<usize>,
    cursor: Option<String>,
}

type Asked<T> = Result<Query<T>, QueryRejection>;

fn form<T>(asked: Asked<T>) -> Result<T, Problem> {
    asked.map(|Query(form)| form).map_err(|rejection| Problem::bad_request(rejection.body_text()))
}

fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(DEFAULT_LIMIT);
    if limit == 0 || limit > MAX_LIMIT {
        return Err(Problem::bad_request(format!("limit: a page has 1 to {MAX_LIMIT} entries")));
    }
    Ok(limit)
}

/// The caller's tenant, once what a token names is there. Reads are strict: there is nothing else to wait
/// for.
async fn caller(api: &Api, headers: &HeaderMap, tenant: &str) -> Result<TenantId, Problem> {
    let (_, tenant) = api.authorize(headers, tenant, Scope::AuthzWrite).await?;
    let at_least = api.at_least(headers, None, &tenant)?;
    api.checker.need(&tenant, at_least).await.map_err(|error| problem(&error))?;
    Ok(tenant)
}

/// One question in pages.
struct Paging {
    binding: Binding,
    cursor: Option<String>,
}

impl Paging {
    fn new(
        api: &Api,
        tenant: &TenantId,
        kind: &str,
        parts: &[String],
        cursor: Option<String>,
    ) -> Self {
        let epoch = api.checker.shared().freshness.epoch();
        Self { binding: Binding::new(epoch, kind, tenant, parts), cursor }
    }

    /// Where the page begins.
    fn position<T: Default>(&self, read: impl Fn(&[u8]) -> Option<T>) -> Result<T, Problem> {
        let Some(text) = &self.cursor else { return Ok(T::default()) };
        let position = self.binding.open(text).and_then(|bytes| read(&bytes));
        position.ok_or_else(|| Problem::bad_request("cursor: does not belong to this list"))
    }
}

/// A page as it is answered.
fn answer(
    api: &Api,
    tenant: &TenantId,
    (name, entries): (&str, Vec<impl Serialize>),
    cursor: Option<String>,
    revision: Revision,
) -> Response {
    let mut body = Map::from_iter([(name.to_owned(), json!(entries))]);
    body.extend(cursor.map(|cursor| ("cursor".to_owned(), Value::String(cursor))));
    ([(TOKEN, api.token(revision, tenant))], Json(Value::Object(body))).into_response()
}

/// A page of a list of nodes.
async fn members(
    api: &Api,
    tenant: &TenantId,
    list: &str,
    (name, page): (&str, PageForm),
    entry: impl Fn(&str, &Listed) -> Value,
) -> Result<Response, Problem> {
    let limit = limit(page.limit)?;
    let paging = Paging::new(api, tenant, "list", &[list.to_owned()], page.cursor);
    let after = paging.position(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)))?;
    let found = list::members(&api.graph, list, after, limit).await;
    let (revision, found) = found.map_err(|error| graph_problem(&error))?;
    let last = found.last().filter(|_| found.len() == limit);
    let cursor = last.map(|last| paging.binding.seal(&last.node.to_be_bytes()));
    let named = found.iter().filter_map(|listed| {
        let (_, _, id) = listed.key.parts(tenant).filter(|(kind, _, id)| is_one(*kind, id))?;
        Some(entry(id, listed))
    });
    Ok(answer(api, tenant, (name, named.collect()), cursor, revision))
}

/// Everyone of a type is no subject.
fn is_one(kind: char, id: &str) -> bool {
    kind != 's' || id != EVERYONE
}

async fn roles(
    State(api): State<Arc<Api>>,
    Extension(turns): Extension<Turns>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    page: Asked<PageForm>,
) -> Result<Response, Problem> {
    let tenant = caller(&api, &headers, &tenant).await?;
    let _turn = turns.take()?;
    let entry = |id: &str, role: &Listed| {
        let mut entry = json!({"id": id, "permissions": role.permissions});
        if let Some(name) = &role.name {
            entry["name"] = name.as_str().into();
        }
        entry
    };
    members(&api, &tenant, &Key::roles(&tenant), ("roles", form(page)?), entry).await
}

async fn resources(
    State(api): State<Arc<Api>>,
    Extension(turns): Extension<Turns>,
    Path((tenant, type_)): Path<(String, String)>,
    headers: HeaderMap,
    page: Asked<PageForm>,
) -> Result<Response, Problem> {
    let tenant = caller(&api, &headers, &tenant).await?;
    check_id("type", &type_).map_err(|bad| Problem::bad_request(bad.to_string()))?;
    let _turn = turns.take()?;
    let list = Key::resources(&tenant, &type_);
    let entry = |id: &str, _: &Listed| json!({"id": id});
    members(&api, &tenant, &list, ("resources", form(page)?), entry).await
}

async fn subjects(
    State(api): State<Arc<Api>>,
    Extension(turns): Extension<Turns>,
    Path((tenant, type_)): Path<(String, String)>,
    headers: HeaderMap,
    page: Asked<PageForm>,
) -> Result<Response, Problem> {
    let tenant = caller(&api, &headers, &tenant).await?;
    let type_ =
        SubjectType::parse(&type_).ok_or_else(|| Problem::not_found("no such type of subject"))?;
    let _turn = turns.take()?;
    let list = Key::subjects(&tenant, type_);
    let entry = |id: &str, found: &Listed| json!({"id": id, "active": found.active});
    members(&api, &tenant, &list, ("subjects", form(page)?), entry).await
}

/// A relationship in a list; without `expired` it has the form in which it is written.
#[derive(Serialize)]
struct Entry {
    #[serde(flatten)]
    relationship: Relationship,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    expired: bool,
}

async fn relationships(
    State(api): State<Arc<Api>>,
    Extension(turns): Extension<Turns>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    asked: Asked<RelationshipsForm>,
) -> Result<Response, Problem> {
    let tenant = caller(&api, &headers, &tenant).await?;
    let form = form(asked)?;
    let limit = limit(form.limit)?;
    let listing = form.listing(&tenant).map_err(|bad| Problem::bad_request(bad.to_string()))?;
    let paging = Paging::new(&api, &tenant, "relationships", &form.parts(), form.cursor);
    let after = paging.position(read)?;
    let _turn = turns.take()?;
    let page = list::relationships::page(&api.graph, &tenant, &listing, after, limit).await;
    let Page { found, next, revision } = page.map_err(|error| graph_problem(&error))?;
    let now = api.checker.shared().clock.micros();
    let entry = |relationship: Relationship| {
        let end = match &relationship {
            Relationship::HasRole { expires_at, .. } => *expires_at,
            _ => None,
        };
        Entry { expired: end.is_some_and(|end| end.timestamp_micros() <= now), relationship }
    };
    let entries = found.into_iter().map(entry).collect();
    let cursor = next.map(|next| paging.binding.seal(&written(next)));
    Ok(answer(&api, &tenant, ("relationships", entries), cursor, revision))
}

/// List, root, and within the root kind and node.
fn written(position: Position) -> Vec<u8> {
    let mut bytes = vec![position.list];
    bytes.extend(position.root.to_be_bytes());
    if let Some((done, behind)) = position.within {
        bytes.push(done);
        bytes.extend(behind.to_be_bytes());
    }
    bytes
}

fn read(bytes: &[u8]) -> Option<Position> {
    let (list, rest) = bytes.split_first()?;
    let (root, rest) = rest.split_first_chunk::<8>()?;
    let within = match rest.split_first() {
        None => None,
        Some((done, behind)) => Some((*done, u64::from_be_bytes(behind.try_into().ok()?))),
    };
    Some(Position { list: *list, root: u64::from_be_bytes(*root), within })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_position_is_read_as_it_was_written(
            list in any::<u8>(),
            root in any::<u64>(),
            within in prop::option::of(any::<(u8, u64)>()),
        ) {
            let position = Position { list, root, within };
            prop_assert_eq!(read(&written(position)), Some(position));
        }

        #[test]
        fn any_bytes_may_be_read(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let _ = read(&bytes);
        }
    }
}

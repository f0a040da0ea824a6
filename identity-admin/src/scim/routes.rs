//! `/scim/v2/…`. Whose users and groups they are, the token says.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use contracts::Scope;
use serde_json::Value;
use service_kit::Problem;

use super::accept::{self, Resource};
use super::asked::{Asked, Bounds};
use super::fault::{Fault, Kind};
use super::groups::Groups;
use super::patch::Operation;
use super::read::{self, Reader, Resources, Showing};
use super::schemas::{GROUP, USER};
use super::search::Found;
use super::users::Users;
use super::{PATH, bulk, discovery, patch};
use crate::change::{Answer, Condition, Mutation, Refused, Write, tag};
use crate::http::{Api, Caller, Incoming, Path, Query, not_found};

/// Members of a group in the answer to a write; those of a larger one are read by GET.
const SHOWN_BY_WRITES: usize = 1000;

pub(crate) fn routes(max_body_bytes: usize) -> Router<Arc<Api>> {
    resources()
        .route(&format!("{PATH}/Bulk"), post(bulk::run))
        .route(&format!("{PATH}/.search"), post(everything))
        .merge(discovery::routes())
        .layer(DefaultBodyLimit::max(max_body_bytes))
}

/// What an operation of a bulk request may be about.
pub(super) fn resources() -> Router<Arc<Api>> {
    of::<Users>().merge(of::<Groups>())
}

fn of<R: Writes>() -> Router<Arc<Api>> {
    let all = format!("{PATH}{}", R::TYPE.endpoint);
    let one = get(one::<R>).put(replace::<R>).patch(change::<R>).delete(delete::<R>);
    Router::new()
        .route(&all, get(list::<R>).post(create::<R>))
        .route(&format!("{all}/.search"), post(search::<R>))
        .route(&format!("{all}/{{id}}"), one)
}

/// What is done to users and groups.
pub(super) trait Writes: Resources {
    fn create(writing: Writing<'_>, resource: Resource) -> impl Answering;
    fn replace(writing: Writing<'_>, id: String, resource: Resource) -> impl Answering;
    fn patch(writing: Writing<'_>, id: String, operations: Vec<Operation>) -> impl Answering;
    fn delete(writing: Writing<'_>, id: String) -> impl Answering;
}

/// What ends in an answer.
pub(super) trait Answering: Future<Output = Result<Response, Problem>> + Send {}

impl<F: Future<Output = Result<Response, Problem>> + Send> Answering for F {}

/// A request that changes something, and how its outcome is shown.
pub(super) struct Writing<'a> {
    pub(super) api: &'a Api,
    caller: Caller,
    incoming: &'a Incoming,
    pub(super) showing: Showing,
}

impl<'a> Writing<'a> {
    fn new<R: Resources>(
        api: &'a Api,
        incoming: &'a Incoming,
        query: &[(String, String)],
    ) -> Result<Self, Problem> {
        let caller = incoming.caller_at_home(Scope::IdentityWrite)?;
        let showing = showing::<R>(api, &Asked::query(query)?)?;
        Ok(Self { api, caller, incoming, showing })
    }

    /// What the client knows of what it changes: tags here are weak.
    pub(super) fn condition(&self) -> Condition {
        condition(&self.incoming.headers, &header::IF_MATCH)
    }

    pub(super) async fn change(&self, mutation: impl Mutation) -> Result<Response, Problem> {
        self.api.change(&self.caller, self.incoming, mutation).await
    }
}

fn condition(headers: &HeaderMap, name: &HeaderName) -> Condition {
    let tags = headers.get_all(name).iter().map(|tags| tags.to_str().unwrap_or("?"));
    let tags: Vec<_> = tags
        .flat_map(|tags| tags.split(','))
        .map(|tag| {
            let tag = tag.trim();
            tag.strip_prefix("W/").unwrap_or(tag)
        })
        .collect();
    Condition::parse((!tags.is_empty()).then(|| tags.join(",")).as_deref())
}

fn showing<R: Resources>(api: &Api, asked: &Asked) -> Result<Showing, Problem> {
    let shown = asked.shown(R::TYPE)?;
    let scim = &api.options.scim;
    Ok(Showing { shown, base: scim.base(), most: scim.max_members })
}

fn bounds(api: &Api) -> Bounds {
    let options = &api.options;
    Bounds { usual: options.default_limit, most: options.max_limit, scan: options.scim.max_scan }
}

fn body(incoming: &Incoming) -> Result<Value, Fault> {
    let wrong = |error| Fault::new(Kind::InvalidSyntax, format!("the body is not JSON: {error}"));
    serde_json::from_slice(&incoming.body).map_err(wrong)
}

fn asked(incoming: &Incoming) -> Result<Asked, Fault> {
    let wrong =
        |error| Fault::new(Kind::InvalidSyntax, format!("this is no SearchRequest: {error}"));
    serde_json::from_value(body(incoming)?).map_err(wrong)
}

async fn found<R: Resources>(
    api: &Api,
    caller: &Caller,
    asked: &Asked,
) -> Result<Response, Problem> {
    let mut found = Found::default();
    add::<R>(api, caller, asked, &mut found).await?;
    Ok(Json(found.told(asked.start())).into_response())
}

async fn list<R: Resources>(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Query(query): Query,
) -> Result<Response, Problem> {
    let caller = api.caller_at_home(&headers, Scope::IdentityRead).await?;
    found::<R>(&api, &caller, &Asked::query(&query)?).await
}

async fn search<R: Resources>(
    State(api): State<Arc<Api>>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller_at_home(Scope::IdentityRead)?;
    found::<R>(&api, &caller, &asked(&incoming)?).await
}

/// Users and behind them groups, in one list (RFC 7644 section 3.4.2.1).
async fn everything(State(api): State<Arc<Api>>, incoming: Incoming) -> Result<Response, Problem> {
    let caller = incoming.caller_at_home(Scope::IdentityRead)?;
    let asked = asked(&incoming)?;
    let mut found = Found::default();
    match (asked.about(&USER), asked.about(&GROUP)) {
        (Err(fault), Err(_)) => return Err(fault.into()),
        (users, groups) => {
            if let Ok(users) = users {
                add::<Users>(&api, &caller, &users, &mut found).await?;
            }
            if let Ok(groups) = groups {
                add::<Groups>(&api, &caller, &groups, &mut found).await?;
            }
        }
    }
    Ok(Json(found.told(asked.start())).into_response())
}

/// Puts what is found of a type behind what was found.
async fn add<R: Resources>(
    api: &Api,
    caller: &Caller,
    asked: &Asked,
    found: &mut Found,
) -> Result<(), Problem> {
    let showing = showing::<R>(api, asked)?;
    let search = asked.search(R::TYPE, bounds(api))?.behind(found);
    let more = search.run::<R>(api.db(), &caller.tenant, &showing).await?;
    found.total += more.total;
    found.resources.extend(more.resources);
    Ok(())
}

async fn one<R: Resources>(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Query(query): Query,
) -> Result<Response, Problem> {
    let caller = api.caller_at_home(&headers, Scope::IdentityRead).await?;
    let showing = showing::<R>(&api, &Asked::query(&query)?)?;
    let sql = format!("SELECT {} FROM {} WHERE tenant_id = ? AND id = ?", R::COLUMNS, R::TABLE);
    let params = crate::db::params![&caller.tenant, id];
    let mut reader = Reader::Db(api.db());
    let rows = reader.rows(sql, params).await.map_err(read::ReadError::from)?;
    let row = rows.first().ok_or_else(|| not_found(R::WHAT))?;
    let view = R::view(row).map_err(read::ReadError::from)?;
    let version = [(header::ETAG, tag(R::version(&view)))];
    // Teams come and go without another version of the user.
    let is_whole = R::VERSIONED || !showing.shown.wants(R::RELATED);
    if is_whole && condition(&headers, &header::IF_NONE_MATCH).knows(R::version(&view)) {
        return Ok((StatusCode::NOT_MODIFIED, version).into_response());
    }
    let shown = read::show::<R>(&mut reader, &caller.tenant, &[view], &showing).await?;
    Ok((version, Json(shown.into_iter().next())).into_response())
}

async fn create<R: Writes>(
    State(api): State<Arc<Api>>,
    Query(query): Query,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let writing = Writing::new::<R>(&api, &incoming, &query)?;
    let resource = accept::resource(R::TYPE, body(&incoming)?)?;
    R::create(writing, resource).await
}

async fn replace<R: Writes>(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Query(query): Query,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let writing = Writing::new::<R>(&api, &incoming, &query)?;
    let resource = accept::resource(R::TYPE, body(&incoming)?)?;
    R::replace(writing, id, resource).await
}

async fn change<R: Writes>(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Query(query): Query,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let writing = Writing::new::<R>(&api, &incoming, &query)?;
    let operations = patch::read(R::TYPE, body(&incoming)?)?;
    R::patch(writing, id, operations).await
}

async fn delete<R: Writes>(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let writing = Writing::new::<R>(&api, &incoming, &[])?;
    R::delete(writing, id).await
}

/// The answer that shows a resource as its mutation leaves it.
pub(super) async fn resource_answer<R: Resources>(
    write: &mut Write<'_>,
    status: u16,
    view: R::View,
    showing: &Showing,
) -> Result<Answer, Refused> {
    let version = R::version(&view);
    let mut reader = Reader::Tx(write.tx);
    // The answer is kept for a repeat: a few are shown, thousands are not.
    let few = Showing { most: showing.most.min(SHOWN_BY_WRITES), ..showing.clone() };
    let views = [view];
    let shown = match read::show::<R>(&mut reader, write.tenant, &views, &few).await {
        Err(read::ReadError::TooMany(_)) => {
            let without = Showing { shown: few.shown.without(R::RELATED), ..few };
            read::show::<R>(&mut reader, write.tenant, &views, &without).await?
        }
        shown => shown?,
    };
    Answer::shows(status, version, &shown.into_iter().next())
}

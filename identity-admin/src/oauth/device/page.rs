//! `/device`: where a person enters the short code, logs in, and allows or denies what a program asks for.
//!
//! Nothing is remembered between requests, so no other site can make a browser allow anything for its person: that
//! takes the password each time. What another site makes a browser ask is not looked at.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::Markup;

use super::html::{self, Consent};
use super::{codes, store};
use crate::credentials::Password;
use crate::db::DbError;
use crate::http::{Api, Posted, Query, unbroken};
use crate::logins::{self, Begun, Given, NotIn, Person, log_in};
use crate::oauth::{Form, OAuth};
use crate::users;

/// Where it is.
pub(super) const PATH: &str = "/device";

/// Shows the form for a code or, with one, what it asks for.
#[utoipa::path(
    get, path = "/device", tag = "tokens",
    params(("user_code" = Option<String>, Query, description = "The short code.")),
    responses(
        (status = 200, description = "A page for people.", content_type = "text/html", body = String),
        (status = 403, description = "Another page asked, not a person.", content_type = "text/html", body = String),
        (status = 404, description = "No such code, with the form for another.", content_type = "text/html", body = String),
        (status = 429, description = "Wrong too often.", content_type = "text/html", body = String),
    )
)]
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    Query(query): Query,
    posted: Posted,
) -> Response {
    let code = query.iter().find(|(name, _)| name == "user_code").map(|(_, value)| value.as_str());
    let Some(code) = code.filter(|code| !code.is_empty()) else {
        return page(StatusCode::OK, html::code(None));
    };
    if is_foreign(&posted.headers) {
        return refused();
    }
    match look(&api, &posted, code).await {
        Ok((_, consent)) => page(StatusCode::OK, html::consent(&consent, None)),
        Err(answer) => answer,
    }
}

/// Takes a person's answer.
#[utoipa::path(
    post, path = "/device", tag = "tokens",
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "`user_code`; `decision`: `allow` or `deny`; to allow, `tenant`, `name` and `password`."),
    responses(
        (status = 200, description = "It was answered.", content_type = "text/html", body = String),
        (status = 400, description = "Nobody of that name and password, with the form for another try.", content_type = "text/html", body = String),
        (status = 403, description = "The form was another site's.", content_type = "text/html", body = String),
        (status = 404, description = "No such code, with the form for another.", content_type = "text/html", body = String),
        (status = 429, description = "Wrong too often.", content_type = "text/html", body = String),
        (status = 503, description = "Too many log in, or the database does not answer.", content_type = "text/html", body = String),
    )
)]
pub(crate) async fn answer(State(api): State<Arc<Api>>, posted: Posted) -> Response {
    if is_foreign(&posted.headers) || is_forged(&posted.headers) {
        return refused();
    }
    let decided = async move {
        let Ok(form) = posted.form() else {
            return page(StatusCode::BAD_REQUEST, html::code(None));
        };
        match decide(&api, &posted, &form).await {
            Ok(answer) | Err(answer) => answer,
        }
    };
    unbroken(decided).await.unwrap_or_else(unavailable)
}

async fn decide(api: &Api, posted: &Posted, form: &Form) -> Result<Response, Response> {
    let given = |name| form.get(name).unwrap_or_default();
    let (short, consent) = look(api, posted, given("user_code")).await?;
    let oauth = api.oauth().map_err(|_| unavailable())?;
    if form.get("decision") != Some("allow") {
        return match store(api, oauth, &short, None).await.map_err(|error| failed(&error))? {
            true => Ok(page(StatusCode::OK, html::denied())),
            false => Err(unknown()),
        };
    }
    let password = Password::new(given("password"));
    let by = Given { tenant: given("tenant"), name: given("name"), password: &password };
    let person = log_in(api, posted, &by).await.map_err(|why| {
        let consent = Consent { tenant: by.tenant.to_owned(), name: by.name.to_owned(), ..consent };
        not_in(api, &why, &consent)
    })?;
    match store(api, oauth, &short, Some(&person)).await.map_err(|error| failed(&error))? {
        true => Ok(page(StatusCode::OK, html::allowed())),
        false => Err(unknown()),
    }
}

/// Stores an answer: of a person, unless their password was changed since they logged in, or that it is denied.
/// `false` when there is nothing to answer any more.
async fn store(
    api: &Api,
    oauth: &OAuth,
    short: &str,
    by: Option<&Person>,
) -> Result<bool, DbError> {
    let (mut tx, now) = (api.db().begin().await?, api.core.clock.now());
    let secrets = &oauth.credentials.secrets;
    let stored = async {
        if let Some(Person { tenant, user, hash }) = by
            && !users::is_still(&mut tx, tenant, user, hash).await?
        {
            return Ok(false);
        }
        let allowed = by.map(|person| (&person.tenant, person.user.as_str()));
        store::answer(&mut tx, secrets, (short, now), allowed).await
    };
    let stored = stored.await;
    tx.end(stored).await
}

/// What the code asks for. A wrong one counts against where it comes from: codes are short (section 5.1).
async fn look(api: &Api, posted: &Posted, typed: &str) -> Result<(String, Consent), Response> {
    let oauth = api.oauth().map_err(|_| unavailable())?;
    let (db, now) = (api.db(), api.core.clock.now());
    let attempt = logins::source_id(posted.source);
    // What is no code at all is a slip, and guesses nothing.
    let short = codes::typed(typed).ok_or_else(unknown)?;
    let locked = |until| too_many(html::code(Some(html::LOCKED)), now, until);
    // First, and for every code: who is locked out does not hear, by any means, that one is right.
    let standing = logins::is_locked(db, &attempt, now).await.map_err(|error| failed(&error))?;
    if let Begun::Locked(until) = standing {
        return Err(locked(until));
    }
    let found = find(api, oauth, &short).await.map_err(|error| failed(&error))?;
    if let Some(found) = found {
        return Ok(found);
    }
    let counted = logins::begin(db, &attempt, &oauth.people.lock_out, now).await;
    match counted.map_err(|error| failed(&error))? {
        Begun::Locked(until) => Err(locked(until)),
        Begun::Counted(_) => Err(unknown()),
    }
}

/// Whether a browser asks on behalf of another page, an image of it perhaps: that counts against nobody. Browsers
/// say so themselves (Fetch Metadata), others do not ask so.
fn is_foreign(headers: &HeaderMap) -> bool {
    let says = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    says("sec-fetch-dest").is_some_and(|dest| dest != "document")
}

/// Whether the form was another site's.
fn is_forged(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

fn refused() -> Response {
    page(StatusCode::FORBIDDEN, html::code(None))
}

async fn find(api: &Api, oauth: &OAuth, short: &str) -> Result<Option<(String, Consent)>, DbError> {
    let now = api.core.clock.now();
    let asked = store::open(api.db(), &oauth.credentials.secrets, short, now).await?;
    Ok(asked.map(|asked| {
        let scopes = asked.scopes.iter().map(|scope| scope.as_str()).collect();
        let (tenant, name) = (String::new(), String::new());
        let consent =
            Consent { code: codes::shown(short), client: asked.client_id, scopes, tenant, name };
        (short.to_owned(), consent)
    }))
}

fn not_in(api: &Api, why: &NotIn, consent: &Consent) -> Response {
    match why {
        NotIn::Wrong => page(StatusCode::BAD_REQUEST, html::consent(consent, Some(html::WRONG))),
        NotIn::Locked(until) => {
            let now = api.core.clock.now();
            too_many(html::consent(consent, Some(html::LOCKED)), now, *until)
        }
        NotIn::Busy => unavailable(),
        NotIn::Db(error) => failed(error),
    }
}

fn unknown() -> Response {
    page(StatusCode::NOT_FOUND, html::code(Some(html::UNKNOWN)))
}

fn failed(error: &DbError) -> Response {
    tracing::warn!(%error, "answering a person");
    unavailable()
}

fn unavailable() -> Response {
    let mut answer = page(StatusCode::SERVICE_UNAVAILABLE, html::unavailable());
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn too_many(
    markup: Markup,
    now: chrono::DateTime<chrono::Utc>,
    until: chrono::DateTime<chrono::Utc>,
) -> Response {
    let mut answer = page(StatusCode::TOO_MANY_REQUESTS, markup);
    let seconds = (until - now).num_seconds().max(1);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

/// A page that nothing may be put around or into, and that nobody keeps.
fn page(status: StatusCode, markup: Markup) -> Response {
    let policy = format!(
        "default-src 'none'; style-src '{}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        html::style_hash()
    );
    let mut headers = HeaderMap::new();
    let mut put = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(header::CONTENT_TYPE, "text/html; charset=utf-8");
    put(header::CONTENT_SECURITY_POLICY, &policy);
    put(header::X_FRAME_OPTIONS, "DENY");
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::REFERRER_POLICY, "no-referrer");
    put(header::CACHE_CONTROL, "no-store");
    (status, headers, markup.into_string()).into_response()
}

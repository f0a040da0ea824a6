//! `POST /oauth2/device_authorization` (RFC 8628 section 3.1): a program asks for a person's consent.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contracts::Scope;
use serde_json::json;

use super::store::New;
use super::{codes, page, store};
use crate::db::DbError;
use crate::http::{Api, Posted};
use crate::logins;
use crate::oauth::{Fault, OAuth, issue, uncached};

/// Tries of a short code that nobody else has: one is enough but for one request in billions.
const TRIES: usize = 4;

/// Makes a pair of codes: the short one for a person to enter at `verification_uri`, the long one to fetch the token
/// with once the person has answered.
#[utoipa::path(
    post, path = "/oauth2/device_authorization", tag = "tokens",
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "`client_id`, and `scope`; without it, all that the person may."),
    responses(
        (status = 200, description = "`device_code`, `user_code`, `verification_uri`, `verification_uri_complete`, `expires_in`, `interval`.", body = Value),
        (status = 400, description = "`error` and `error_description`, as RFC 6749 has them.", body = Value),
        (status = 401, description = "No client of that id.", body = Value),
        (status = 429, description = "Too many of one address wait for an answer.", body = Value),
    )
)]
pub(crate) async fn authorize(
    State(api): State<Arc<Api>>,
    posted: Posted,
) -> Result<Response, Fault> {
    let oauth = api.oauth()?;
    let form = posted.form()?;
    let client_id = oauth.people.client(&form)?;
    let scopes: BTreeSet<Scope> = match form.get("scope") {
        Some(asked) => issue::scopes(asked)?,
        None => Scope::ALL.iter().copied().collect(),
    };
    let (long, short) = ask(&api, oauth, &posted, (client_id, &scopes)).await?;
    let shown = codes::shown(&short);
    let uri = format!("{}{}", oauth.issuer.trim_end_matches('/'), page::PATH);
    let complete = format!("{uri}?user_code={shown}");
    let body = json!({"device_code": long, "user_code": shown, "verification_uri": uri,
        "verification_uri_complete": complete, "expires_in": oauth.people.device_life.num_seconds(),
        "interval": oauth.people.interval_seconds});
    Ok((uncached(), Json(body)).into_response())
}

/// Stores the request; its long and its short code.
async fn ask(
    api: &Api,
    oauth: &OAuth,
    posted: &Posted,
    (client_id, scopes): (&str, &BTreeSet<Scope>),
) -> Result<(String, String), Fault> {
    let secrets = &oauth.credentials.secrets;
    let source = logins::source_id(posted.source);
    let now = api.core.clock.now();
    for _ in 0..TRIES {
        let long = codes::long(secrets).map_err(|_| Fault::server())?;
        let short = codes::short(secrets).map_err(|_| Fault::server())?;
        let new = New {
            long: &long,
            short: &short,
            source: &source,
            client_id,
            scopes,
            interval_seconds: oauth.people.interval_seconds,
            now,
            expires_at: now + oauth.people.device_life,
        };
        match store::insert(api.db(), secrets, &new).await {
            Ok(true) => return Ok((long, short)),
            Ok(false) => {
                let description = "too many requests of this address wait for their answers";
                let status = StatusCode::TOO_MANY_REQUESTS;
                return Err(Fault::new(status, "temporarily_unavailable", description));
            }
            Err(DbError::Duplicate { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Fault::unavailable())
}

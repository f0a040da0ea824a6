//! `POST /oauth2/token` (RFC 6749): a service account with its API key as its secret (section 4.4), and people by
//! what they allowed a client (section 6, RFC 8628).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use contracts::audit::Status;
use serde_json::{Value, json};

use super::client::{Proof, Standing};
use super::issue::{Holder, granted, issue};
use super::keys::Client;
use super::{Fault, Form, OAuth, device, refresh};
use crate::change::said;
use crate::http::{Api, Posted, unbroken};
use crate::metrics::{self, Asked};

/// Issues an access token: to a service account that proves itself with one of its API keys, as HTTP Basic or in
/// the form; to a client that a person allowed to act for them, once (`device_code`) and again (`refresh_token`).
/// That it was issued is in the audit trail before the answer is.
#[utoipa::path(
    post, path = "/oauth2/token", tag = "tokens",
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "`grant_type=client_credentials`; `grant_type=refresh_token` with `refresh_token` and \
            `client_id`; or `grant_type=urn:ietf:params:oauth:grant-type:device_code` with `device_code` and \
            `client_id`. `scope` asks for less than all."),
    responses(
        (status = 200, description = "`access_token`, `token_type`, `expires_in`, `scope`, and for people `refresh_token`.", body = Value),
        (status = 400, description = "`error` and `error_description`, as RFC 6749 has them.", body = Value),
        (status = 401, description = "Nobody who is known.", body = Value),
        (status = 429, description = "The tenant is above its rate.", body = Value),
    ),
    security(("client" = []))
)]
pub(crate) async fn token(State(api): State<Arc<Api>>, posted: Posted) -> Result<Response, Fault> {
    let begun = std::time::Instant::now();
    let answered = unbroken(async move { answer(&api, &posted).await }).await;
    let answered = answered.unwrap_or_else(|| Err(Fault::server()));
    let outcome = match &answered {
        Ok(_) => Asked::Issued,
        Err(fault) if fault.status.is_server_error() => Asked::Failed,
        Err(_) => Asked::Refused,
    };
    metrics::token(outcome, begun);
    answered
}

async fn answer(api: &Api, posted: &Posted) -> Result<Response, Fault> {
    let form = posted.form()?;
    match form.get("grant_type") {
        Some("client_credentials") => of_client(api, posted, &form).await,
        Some("refresh_token") => refresh::grant(api, posted, &form).await,
        Some(device::GRANT_TYPE) => device::grant(api, posted, &form).await,
        Some(_) => {
            let description = "not one of grant_types_supported";
            let error = "unsupported_grant_type";
            Err(Fault::new(StatusCode::BAD_REQUEST, error, description))
        }
        None => Err(Fault::request("grant_type is missing")),
    }
}

async fn of_client(api: &Api, posted: &Posted, form: &Form) -> Result<Response, Fault> {
    let oauth = api.oauth()?;
    let proof = Proof::read(&posted.headers, form)?.ok_or_else(Fault::client)?;
    let now = api.core.clock.now();
    let client = match proof.check(api, oauth, now).await? {
        Standing::Good(client) => client,
        Standing::Void(client, why) => {
            let details = [("key_id", json!(client.key)), ("reason", json!(why))];
            audit(oauth, posted, now, &client, (Status::Denied, "token.refused"), &details).await?;
            return Err(Fault::client());
        }
        Standing::Unknown => return Err(Fault::client()),
    };
    let above = |_| {
        let description = "the tenant is above its rate";
        Fault::new(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", description)
    };
    api.rates.take(&client.tenant, 1).map_err(above)?;
    let scopes = granted(&client.scopes, form.get("scope"))?;
    let holder = Holder {
        tenant: &client.tenant,
        subject: client.subject(),
        client_id: &client.account,
        scopes: &scopes,
        ends: client.expires_at,
    };
    let issued = issue(oauth, holder, now)?;
    let details = [
        ("key_id", json!(client.key)),
        ("jti", json!(issued.claims.jti)),
        ("scope", json!(issued.claims.scope)),
        ("grant_type", json!("client_credentials")),
    ];
    audit(oauth, posted, now, &client, (Status::Success, "token.issued"), &details).await?;
    Ok(issued.answer(None))
}

/// Stores what was done, or refused, for the trail.
async fn audit(
    oauth: &OAuth,
    posted: &Posted,
    at: DateTime<Utc>,
    client: &Client,
    (status, action): (Status, &str),
    details: &[(&str, Value)],
) -> Result<(), Fault> {
    let details = details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let author = posted.author(client.subject());
    let about = ("service_account", client.account.clone());
    let (_, event) = said(&client.tenant, &author, at, (action, status), about, details);
    Ok(oauth.journal.record(client.tenant.clone(), at, event).await?)
}

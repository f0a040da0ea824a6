//! `POST /oauth2/token` with a device code (RFC 8628 section 3.4): has the person answered?

use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Duration, Utc};
use contracts::TenantId;
use contracts::audit::Status as Outcome;
use serde_json::json;
use uuid::Uuid;

use super::store::{self, Asked, Status};
use crate::change::store_event;
use crate::db::Tx;
use crate::http::{Api, Posted};
use crate::oauth::issue::issue;
use crate::oauth::refresh::{holder, invalid, told};
use crate::oauth::sessions::{Session, held};
use crate::oauth::{Fault, Form, OAuth, wait_for_void};

/// What it is called.
pub(in crate::oauth) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// What a client that looks too often waits longer (section 3.5).
const SLOWER: Duration = Duration::seconds(5);
/// And how long at most: nobody waits for ever.
const SLOWEST: Duration = Duration::seconds(60);

/// Fetches the token, if the person has allowed it.
pub(in crate::oauth) async fn grant(
    api: &Api,
    posted: &Posted,
    form: &Form,
) -> Result<Response, Fault> {
    let oauth = api.oauth()?;
    let client = oauth.people.client(form)?;
    let long = form.get("device_code").ok_or_else(|| Fault::request("device_code is missing"))?;
    let now = api.core.clock.now();
    let asked = store::by_long(api.db(), long).await?;
    let asked = asked.filter(|asked| asked.client_id == client).ok_or_else(invalid)?;
    if asked.expires_at <= now {
        return Err(not_yet("expired_token", "the person did not answer in time"));
    }
    let (tenant, user) = match &asked.status {
        Status::Pending => return Err(wait(api, long, &asked, now).await?),
        Status::Denied => return Err(not_yet("access_denied", "the person denied it")),
        Status::Used => return Err(invalid()),
        Status::Allowed { tenant, user } => (tenant, user),
    };
    wait_for_void(api, tenant, &format!("user:{user}")).await?;
    let now = api.core.clock.now();
    let mut tx = api.db().begin().await?;
    let fetched = fetch(oauth, posted, &mut tx, (long, &asked, tenant, user), now).await;
    let answer = tx.end(fetched).await?;
    api.core.committed.notify_one();
    Ok(answer)
}

/// Why there is no token yet, and how long the client is to wait.
async fn wait(api: &Api, long: &str, asked: &Asked, now: DateTime<Utc>) -> Result<Fault, Fault> {
    let is_early = asked.polled_at.is_some_and(|last| now - last < asked.interval);
    let interval = if is_early { (asked.interval + SLOWER).min(SLOWEST) } else { asked.interval };
    store::polled(api.db(), long, now, interval).await?;
    Ok(if is_early {
        not_yet("slow_down", "wait five seconds longer between requests")
    } else {
        not_yet("authorization_pending", "the person has not answered yet")
    })
}

async fn fetch(
    oauth: &OAuth,
    posted: &Posted,
    tx: &mut Tx,
    (long, asked, tenant, user): (&str, &Asked, &TenantId, &str),
    now: DateTime<Utc>,
) -> Result<Response, Fault> {
    let Some(held) = held(tx, tenant, user).await? else { return Err(invalid()) };
    if !store::take(tx, long).await? {
        return Err(invalid());
    }
    let session = Session {
        family: Uuid::now_v7().to_string(),
        tenant: tenant.clone(),
        user: user.to_owned(),
        client_id: asked.client_id.clone(),
        scopes: asked.scopes.clone(),
        ends: now + oauth.people.refresh_life,
    };
    let scopes = asked.scopes.intersection(&held).copied().collect();
    let refresh = session.store(tx, &oauth.credentials.secrets, now).await?;
    let issued = issue(oauth, holder(&session, &scopes), now)?;
    let details = [
        ("jti", json!(issued.claims.jti)),
        ("scope", json!(issued.claims.scope)),
        ("client_id", json!(session.client_id)),
        ("grant_type", json!("device_code")),
    ];
    let event = told(posted, (&session, now), (Outcome::Success, "token.issued"), &details);
    store_event(tx, &session.tenant, now, &event).await?;
    Ok(issued.answer(Some(&refresh)))
}

fn not_yet(error: &'static str, description: &'static str) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, error, description)
}

//! Refresh tokens (RFC 6749 section 6): exchanged for an access token and the next of their family.
//!
//! A token that was exchanged before is good for some seconds more, for clients whose answer was lost. After
//! that, somebody else has it too: the family ends, and so do the person's access tokens.

use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use contracts::audit::{AuditEvent, Status};
use contracts::identity::ChangeKind;
use serde_json::{Map, Value, json};

use super::issue::{Holder, granted, issue};
use super::sessions::{Session, hash, held, is_refresh, lock, void};
use super::{Fault, Form, OAuth, revoke};
use crate::change::{Answer, Mutation, Refused, Write, said, store_event};
use crate::db::{Db, DbError, Row, Tx, params};
use crate::http::{Api, Posted};

/// What a stored token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    Good,
    /// It ended, or its family did.
    Void,
    /// It was exchanged long ago.
    Stolen,
}

/// Exchanges a refresh token.
pub(super) async fn grant(api: &Api, posted: &Posted, form: &Form) -> Result<Response, Fault> {
    let oauth = api.oauth()?;
    let client = oauth.people.client(form)?;
    let text =
        form.get("refresh_token").ok_or_else(|| Fault::request("refresh_token is missing"))?;
    let now = api.core.clock.now();
    let (session, worth) = match stored(api.db(), oauth, text, now).await? {
        Some((session, worth)) if session.client_id == client => (session, worth),
        _ => return Err(invalid()),
    };
    match worth {
        Worth::Good => {}
        Worth::Void => {
            refuse(oauth, posted, (&session, now), "void").await?;
            return Err(invalid());
        }
        Worth::Stolen => {
            end(api, posted, &session).await?;
            return Err(invalid());
        }
    }
    super::wait_for_void(api, &session.tenant, &session.subject()).await?;
    let now = api.core.clock.now();
    let mut tx = api.db().begin().await?;
    let exchanged = exchange(oauth, posted, &mut tx, (text, &session, form), now).await;
    let answer = tx.end(exchanged).await?;
    api.core.committed.notify_one();
    Ok(answer)
}

async fn stored(
    db: &Db,
    oauth: &OAuth,
    text: &str,
    now: DateTime<Utc>,
) -> Result<Option<(Session, Worth)>, DbError> {
    if !is_refresh(text) {
        return Ok(None);
    }
    let sql = "SELECT family_id, tenant_id, user_id, client_id, scope, expires_at, rotated_at, \
               revoked_at FROM refresh_tokens WHERE token_hash = ? AND user_id IS NOT NULL";
    let Some(row) = db.row(sql, params![&hash(text)]).await? else { return Ok(None) };
    Ok(Some((Session::of(&row)?, worth(&row, oauth.people.refresh_grace, now)?)))
}

fn worth(row: &Row, grace: chrono::Duration, now: DateTime<Utc>) -> Result<Worth, DbError> {
    let rotated = row.opt_time("rotated_at")?;
    Ok(if row.opt_time("revoked_at")?.is_some() || row.time("expires_at")? <= now {
        Worth::Void
    } else if rotated.is_some_and(|rotated| now - rotated > grace) {
        Worth::Stolen
    } else {
        Worth::Good
    })
}

async fn exchange(
    oauth: &OAuth,
    posted: &Posted,
    tx: &mut Tx,
    (text, session, form): (&str, &Session, &Form),
    now: DateTime<Utc>,
) -> Result<Response, Fault> {
    let Some(held) = held(tx, &session.tenant, &session.user).await? else { return Err(invalid()) };
    // Of what was allowed, that which the person may do still.
    let allowed = session.scopes.intersection(&held).copied().collect();
    let scopes = granted(&allowed, form.get("scope"))?;
    // Compared and swapped: of two at once the second comes within the grace, if there is one. What was so when it
    // was looked at may not be so any more.
    let grace = oauth.people.refresh_grace;
    // Nothing is at or behind a time that is absent.
    let since = (!grace.is_zero()).then(|| now - grace);
    let sql = "UPDATE refresh_tokens SET rotated_at = COALESCE(rotated_at, ?) \
               WHERE token_hash = ? AND revoked_at IS NULL AND expires_at > ? \
               AND (rotated_at IS NULL OR rotated_at >= ?)";
    if tx.execute(sql, params![now, &hash(text), now, since]).await? == 0 {
        return Err(invalid());
    }
    let next = session.store(tx, &oauth.credentials.secrets, now).await?;
    let issued = issue(oauth, holder(session, &scopes), now)?;
    let details = [
        ("jti", json!(issued.claims.jti)),
        ("scope", json!(issued.claims.scope)),
        ("client_id", json!(session.client_id)),
    ];
    let event = told(posted, (session, now), (Status::Success, "token.refreshed"), &details);
    store_event(tx, &session.tenant, now, &event).await?;
    Ok(issued.answer(Some(&next)))
}

/// Who gets the access token of a session.
pub(super) fn holder<'a>(
    session: &'a Session,
    scopes: &'a std::collections::BTreeSet<contracts::Scope>,
) -> Holder<'a> {
    Holder {
        tenant: &session.tenant,
        subject: session.subject(),
        client_id: &session.client_id,
        scopes,
        ends: Some(session.ends),
    }
}

/// The audit event of something that was done with a session.
pub(super) fn told(
    posted: &Posted,
    (session, now): (&Session, DateTime<Utc>),
    (status, action): (Status, &str),
    details: &[(&str, Value)],
) -> AuditEvent {
    let mut all: std::collections::BTreeMap<_, _> =
        details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    all.insert("session".to_owned(), session.family.as_str().into());
    let author = posted.author(session.subject());
    let about = ("user", session.user.clone());
    said(&session.tenant, &author, now, (action, status), about, all).1
}

async fn refuse(
    oauth: &OAuth,
    posted: &Posted,
    about: (&Session, DateTime<Utc>),
    reason: &str,
) -> Result<(), DbError> {
    let details = [("reason", json!(reason))];
    let event = told(posted, about, (Status::Denied, "token.refused"), &details);
    oauth.journal.record(about.0.tenant.clone(), about.1, event).await
}

/// Ends a family of which somebody has a token who should not.
async fn end(api: &Api, posted: &Posted, session: &Session) -> Result<(), Fault> {
    refuse(api.oauth()?, posted, (session, api.core.clock.now()), "reused").await?;
    let details = Map::from_iter([("reason".to_owned(), "a refresh token was reused".into())]);
    let end = End { session: session.clone(), details: Some(details) };
    run(api, posted, end).await
}

/// Revokes the family of a token that its client gives back (RFC 7009). Whoever has it may.
pub(super) async fn revoke(
    api: &Api,
    posted: &Posted,
    form: &Form,
    text: &str,
) -> Result<(), Fault> {
    let oauth = api.oauth()?;
    let client = oauth.people.client(form)?;
    let now = api.core.clock.now();
    let session = match stored(api.db(), oauth, text, now).await? {
        Some((session, _)) if session.client_id == client => session,
        _ => return Ok(()),
    };
    let event = told(posted, (&session, now), (Status::Success, "token.revoked"), &[]);
    oauth.journal.record(session.tenant.clone(), now, event).await?;
    run(api, posted, End { session, details: None }).await
}

/// By nobody: the rule does it.
async fn run(api: &Api, posted: &Posted, end: End) -> Result<(), Fault> {
    let tenant = end.session.tenant.clone();
    revoke::run(api, posted, "system", &tenant, end).await
}

/// Ends a family. With `details`, the person's access tokens end as well, and everybody is told why.
struct End {
    session: Session,
    details: Option<Map<String, Value>>,
}

impl Mutation for End {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        // An exchange that is under way has stored its token then, or finds its family ended.
        lock(write.tx, write.tenant, &self.session.user).await?;
        let sql = "UPDATE refresh_tokens SET revoked_at = ? \
                   WHERE family_id = ? AND revoked_at IS NULL";
        let ended = write.tx.execute(sql, params![write.now, &self.session.family]).await?;
        if let (Some(details), true) = (&self.details, ended > 0) {
            let revoked = void(write, &self.session.subject()).await?;
            write.changed_with(ChangeKind::CredentialsRevoked(revoked), details.clone());
        }
        Ok(Answer::gone())
    }
}

/// RFC 6749 section 5.2.
pub(super) fn invalid() -> Fault {
    let description = "it is none of this client's, has ended, or was used before";
    Fault::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
}

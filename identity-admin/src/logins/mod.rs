//! Log-ins of people: a name and a password, checked so that neither the answer nor the time it takes tells whether
//! there is such a user.
//!
//! | module | what it holds |
//! |---|---|
//! | `attempts` | lock-out: how often somebody may be wrong |

mod attempts;

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use contracts::TenantId;
use contracts::audit::Status;
use serde_json::Value;

pub(crate) use attempts::{Begun, LockOut, begin, is_locked, source_id};

use attempts::succeeded;

use crate::change::said;
use crate::credentials::{Password, Passwords};
use crate::db::{Db, DbError, params};
use crate::http::{Api, Posted};
use crate::metrics::{self, LoggedIn};
use crate::oauth::OAuth;
use crate::users;

/// What somebody logs in with.
pub(crate) struct Given<'a> {
    /// Whose user; as it was typed.
    pub(crate) tenant: &'a str,
    /// User name or address.
    pub(crate) name: &'a str,
    pub(crate) password: &'a Password,
}

/// Who logged in.
pub(crate) struct Person {
    pub(crate) tenant: TenantId,
    /// Its id.
    pub(crate) user: String,
    /// Of the password that was right. Whoever acts on the log-in makes sure that it is still the user's.
    pub(crate) hash: String,
}

/// Why nobody did.
#[derive(Debug)]
pub(crate) enum NotIn {
    /// It is not told what of it was wrong.
    Wrong,
    /// Wrong too often; the time when it may be tried again.
    Locked(DateTime<Utc>),
    /// Too many passwords are checked.
    Busy,
    /// The database.
    Db(DbError),
}

impl From<DbError> for NotIn {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// Checks a name and a password. Both outcomes are in the audit trail before the answer; what is not looked at, as
/// somebody is locked out, is counted alone, so that it costs nobody anything.
///
/// # Errors
/// Why nobody is let in.
pub(crate) async fn log_in(api: &Api, posted: &Posted, given: &Given<'_>) -> Result<Person, NotIn> {
    let outcome = check(api, posted, given).await;
    metrics::logged_in(match &outcome {
        Ok(_) => LoggedIn::Succeeded,
        Err(NotIn::Wrong) => LoggedIn::Wrong,
        Err(NotIn::Locked(_)) => LoggedIn::Locked,
        Err(NotIn::Busy) => LoggedIn::Busy,
        Err(NotIn::Db(_)) => LoggedIn::Failed,
    });
    outcome
}

async fn check(api: &Api, posted: &Posted, given: &Given<'_>) -> Result<Person, NotIn> {
    let oauth = api.oauth().map_err(|_| NotIn::Busy)?;
    let passwords = &oauth.credentials.passwords;
    let (db, now) = (api.db(), api.core.clock.now());
    let tenant = TenantId::parse(given.tenant).ok();
    let attempt = attempts::id(given.tenant, given.name, posted.source);
    // Who is locked out takes nobody's place.
    if let Begun::Locked(until) = is_locked(db, &attempt, now).await? {
        return Err(NotIn::Locked(until));
    }
    // Before the attempt counts: who is told to come again was not wrong.
    let place = passwords.place().map_err(|_| NotIn::Busy)?;
    let account = match &tenant {
        Some(tenant) => users::account(db, tenant, given.name).await?,
        None => None,
    };
    let locks = match begin(db, &attempt, &oauth.people.lock_out, now).await? {
        Begun::Counted(locks) => locks,
        Begun::Locked(until) => return Err(NotIn::Locked(until)),
    };
    let trail = Trail { oauth, posted, now, tenant: known(db, tenant).await? };
    let stored = account.as_ref().map(|account| account.hash.as_str());
    let verified = passwords.verify(place, given.password, stored).await;
    let is_right = verified.map_err(|_| NotIn::Busy)?;
    match (account, trail.tenant.clone()) {
        (Some(account), Some(tenant)) if is_right && account.may_log_in => {
            succeeded(db, &attempt).await?;
            let what = (Status::Success, "login.succeeded");
            trail.record(Some(&account.id), what, BTreeMap::new()).await?;
            let renewed = match Passwords::is_outdated(&account.hash) {
                true => renew(api, passwords, (&tenant, &account), given.password).await,
                false => None,
            };
            let hash = renewed.unwrap_or(account.hash);
            Ok(Person { tenant, user: account.id, hash })
        }
        (account, _) => {
            let reason = match &account {
                None => "unknown",
                Some(_) if is_right => "inactive",
                Some(_) => "wrong",
            };
            let user = account.as_ref().map(|account| account.id.as_str());
            let mut details = BTreeMap::from([("reason".to_owned(), Value::from(reason))]);
            if let Some(until) = locks {
                details.insert("locked_until".to_owned(), until.to_rfc3339().into());
            }
            trail.record(user, (Status::Failure, "login.failed"), details).await?;
            Err(NotIn::Wrong)
        }
    }
}

/// The tenant, if there is one of that name: nobody shall fill the trail with tenants that are none.
async fn known(db: &Db, tenant: Option<TenantId>) -> Result<Option<TenantId>, DbError> {
    let Some(tenant) = tenant else { return Ok(None) };
    let row = db.row("SELECT id FROM tenants WHERE id = ?", params![&tenant]).await?;
    Ok(row.map(|_| tenant))
}

/// Where attempts are told.
struct Trail<'a> {
    oauth: &'a OAuth,
    posted: &'a Posted,
    now: DateTime<Utc>,
    tenant: Option<TenantId>,
}

impl Trail<'_> {
    /// The name that was typed is not told: it may be a password in the wrong field.
    async fn record(
        &self,
        user: Option<&str>,
        (status, action): (Status, &str),
        details: BTreeMap<String, Value>,
    ) -> Result<(), DbError> {
        let system = || TenantId::parse(TenantId::SYSTEM);
        let tenant = self.tenant.clone().map_or_else(system, Ok);
        let tenant = tenant.map_err(|error| DbError::Refused(error.to_string()))?;
        let subject = match (status, user) {
            (Status::Success, Some(user)) => format!("user:{user}"),
            _ => "anonymous".to_owned(),
        };
        let author = self.posted.author(subject);
        let about = ("user", user.unwrap_or("unknown").to_owned());
        let (_, event) = said(&tenant, &author, self.now, (action, status), about, details);
        self.oauth.journal.record(tenant, self.now, event).await
    }
}

/// Hashes a password anew whose stored hash costs something else than hashes do now. It is an improvement and
/// nothing more: whatever stands in its way, the next log-in tries again. The hash, if it is stored now.
async fn renew(
    api: &Api,
    passwords: &Passwords,
    (tenant, account): (&TenantId, &users::Account),
    password: &Password,
) -> Option<String> {
    let place = passwords.place().ok()?;
    let hash = passwords.hash(place, password).await.ok()?;
    match users::renew_hash(api.db(), tenant, account, &hash).await {
        Ok(is_stored) => is_stored.then_some(hash),
        Err(error) => {
            tracing::warn!(%error, "renewing the hash of a password");
            None
        }
    }
}

/// Those who share an address, for lock-out: a customer of IPv6 has a whole /64.
fn network(source: Option<IpAddr>) -> String {
    match source {
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Some(IpAddr::V4(address)) => address.to_string(),
        None => String::new(),
    }
}

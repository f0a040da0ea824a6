//! What people may allow, and to which clients: public ones, which have no secret to prove themselves with.

use chrono::{DateTime, Duration, Utc};
use contracts::TenantId;

use super::{Fault, Form};
use crate::db::params;
use crate::http::Api;
use crate::logins::LockOut;

/// As it is configured.
#[derive(Debug, Clone)]
pub(crate) struct People {
    /// Ids of public clients.
    pub(crate) clients: Vec<String>,
    /// Until a request for consent is too old to be answered.
    pub(crate) device_life: Duration,
    /// Between looks of a client for the answer, seconds.
    pub(crate) interval_seconds: u32,
    /// Until a person has to log in again.
    pub(crate) refresh_life: Duration,
    /// How long a refresh token that was exchanged is good nevertheless.
    pub(crate) refresh_grace: Duration,
    /// Of log-ins.
    pub(crate) lock_out: LockOut,
}

impl People {
    /// The public client of a request.
    ///
    /// # Errors
    /// `invalid_client`.
    pub(super) fn client<'a>(&self, form: &'a Form) -> Result<&'a str, Fault> {
        let id = form.get("client_id").ok_or_else(|| Fault::request("client_id is missing"))?;
        if self.clients.iter().any(|known| known == id) { Ok(id) } else { Err(Fault::client()) }
    }
}

/// Waits, a second at most, while a new token would be void from its first moment: tokens say the second in which
/// they were made, and all of a subject's may have been voided within the present one.
pub(super) async fn wait_for_void(
    api: &Api,
    tenant: &TenantId,
    subject: &str,
) -> Result<(), Fault> {
    let sql = "SELECT not_before FROM revocations \
               WHERE tenant_id = ? AND kind = 'subject' AND value = ?";
    let Some(row) = api.db().row(sql, params![tenant, subject]).await? else { return Ok(()) };
    let wait = void_for(row.time("not_before")?, api.core.clock.now());
    tokio::time::sleep(wait.to_std().unwrap_or_default()).await;
    Ok(())
}

/// How long tokens that say the second of `now` are made in vain.
fn void_for(not_before: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    let second = DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now);
    if second >= not_before {
        return Duration::zero();
    }
    // A clock that was set back is not waited for.
    (second + Duration::seconds(1) - now).clamp(Duration::zero(), Duration::seconds(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_made_in_the_second_that_voids_it() {
        let at = |millis| DateTime::from_timestamp_millis(millis).unwrap();
        assert_eq!(void_for(at(5_400), at(5_700)), Duration::milliseconds(300));
        assert_eq!(void_for(at(5_000), at(5_700)), Duration::zero());
        assert_eq!(void_for(at(4_999), at(5_000)), Duration::zero());
        assert_eq!(void_for(at(9_000), at(5_000)), Duration::seconds(1));
    }
}

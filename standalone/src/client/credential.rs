//! What proves who one is, and how access tokens are got with it and renewed in time.
//!
//! Access tokens are of minutes. A person's session is renewed by its refresh token, which is exchanged for the next
//! one each time: one process at a time does that, and keeps the next before anything else is done. An API key is
//! traded for access tokens, so that services which do not know keys take it too.

use std::fmt;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

use super::api::{Api, Bases, Call, Service};
use super::error::ClientError;
use super::profile::Store;
use super::secret::Secret;

/// How long an access token must hold on to be used.
const MARGIN: Duration = Duration::seconds(30);

/// What is kept of who one is.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Credential {
    #[serde(flatten)]
    pub(crate) root: Root,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) access: Option<Access>,
}

/// What access tokens are got with.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Root {
    /// An API key of a program.
    ApiKey { secret: Secret },
    /// A person's session.
    Session { client_id: String, refresh_token: Secret },
}

/// An access token.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Access {
    pub(crate) token: Secret,
    pub(crate) expires_at: DateTime<Utc>,
}

/// What it is; secrets are not shown.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.root {
            Root::ApiKey { .. } => "an API key",
            Root::Session { .. } => "a session",
        })
    }
}

impl Credential {
    /// An API key.
    pub(crate) fn key(secret: impl Into<Secret>) -> Self {
        Self { root: Root::ApiKey { secret: secret.into() }, access: None }
    }

    /// The access token, while it holds.
    fn fresh(&self, now: DateTime<Utc>) -> Option<&str> {
        let access = self.access.as_ref().filter(|access| access.expires_at - MARGIN > now);
        access.map(|access| access.token.reveal())
    }

    /// The form that asks for an access token.
    fn form(&self) -> Vec<(&'static str, String)> {
        match &self.root {
            Root::ApiKey { secret } => {
                vec![
                    ("grant_type", "client_credentials".to_owned()),
                    ("client_secret", secret.reveal().to_owned()),
                ]
            }
            Root::Session { client_id, refresh_token } => vec![
                ("grant_type", "refresh_token".to_owned()),
                ("client_id", client_id.clone()),
                ("refresh_token", refresh_token.reveal().to_owned()),
            ],
        }
    }

    /// Takes what the token route answered (RFC 6749 section 5.1).
    ///
    /// # Errors
    /// What is missing in it.
    pub(crate) fn take(&mut self, answer: &Value, now: DateTime<Utc>) -> Result<(), &'static str> {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        let token = text("access_token").ok_or("no access_token")?;
        let seconds = answer.get("expires_in").and_then(Value::as_i64).unwrap_or(60);
        let life = Duration::try_seconds(seconds).ok_or("expires_in is out of range")?;
        self.access = Some(Access { token: token.into(), expires_at: now + life });
        if let (Root::Session { refresh_token, .. }, Some(next)) =
            (&mut self.root, text("refresh_token"))
        {
            *refresh_token = next.into();
        }
        Ok(())
    }
}

/// What requests are proven with.
#[derive(Debug)]
pub(crate) enum Auth {
    /// Nothing.
    None,
    /// This, as it is.
    Given(Secret),
    /// What a profile keeps.
    Kept(Box<Kept>),
}

/// The credential of a profile.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) store: Store,
    pub(crate) profile: String,
    /// Where it may go: the services that it was got for.
    pub(crate) bases: Bases,
    pub(crate) credential: Mutex<Credential>,
}

impl Api {
    /// What proves the caller to a service. That of a profile goes nowhere but to the services of the profile.
    pub(crate) async fn bearer(&self, service: Service) -> Result<Option<String>, ClientError> {
        let kept = match &self.auth {
            Auth::None => return Ok(None),
            Auth::Given(token) => return Ok(Some(token.reveal().to_owned())),
            Auth::Kept(kept) if !kept.bases.has(self.bases.of(service)) => return Ok(None),
            Auth::Kept(kept) => kept,
        };
        let mut credential = kept.credential.lock().await;
        if credential.fresh(self.clock.now()).is_none() {
            *credential = self.renew(kept, &credential).await?;
        }
        Ok(credential.access.as_ref().map(|access| access.token.reveal().to_owned()))
    }

    /// Takes an access token for over that a service refused; `false` when it is not that of a profile.
    pub(crate) async fn forget(&self, refused: Option<&str>) -> bool {
        let Auth::Kept(kept) = &self.auth else { return false };
        let mut credential = kept.credential.lock().await;
        let own =
            credential.access.as_mut().filter(|access| Some(access.token.reveal()) == refused);
        own.map(|access| access.expires_at = DateTime::UNIX_EPOCH).is_some()
    }

    /// A new access token, kept before it is used. Whoever renewed it meanwhile did it for all.
    async fn renew(&self, kept: &Kept, own: &Credential) -> Result<Credential, ClientError> {
        let lock = kept.store.lock().await?;
        let mut profiles = kept.store.read()?;
        let gone = || ClientError::LoggedOut("the session was ended on this machine".to_owned());
        let profile = profiles.profiles.get_mut(&kept.profile).ok_or_else(gone)?;
        let mut credential = profile.credential.clone().ok_or_else(gone)?;
        let over = own.access.as_ref().map(|access| access.token.reveal());
        if credential.fresh(self.clock.now()).is_some_and(|token| Some(token) != over) {
            return Ok(credential);
        }
        self.trade(&mut credential).await?;
        profile.credential = Some(credential.clone());
        kept.store.write(&profiles, &lock)?;
        Ok(credential)
    }

    /// Gets an access token.
    pub(crate) async fn trade(&self, credential: &mut Credential) -> Result<(), ClientError> {
        let form = credential.form();
        let call =
            Call::post(Service::Identity, &["oauth2", "token"]).form(form).about("the login");
        let answer = match self.send(&call).await {
            Err(ClientError::Answered(answered)) if matches!(answered.status, 400 | 401) => {
                let what = match credential.root {
                    Root::ApiKey { .. } => "the API key does not hold",
                    Root::Session { .. } => "the session has ended",
                };
                return Err(ClientError::LoggedOut(format!("{what} ({})", answered.detail)));
            }
            answer => answer?,
        };
        let wrong = |why: &str| answer.malformed(why);
        credential.take(&answer.body, self.clock.now()).map_err(wrong)
    }
}

//! API keys as bearers: what identity-admin says of them (RFC 7662), remembered for a short while.

use super::{
    AuthConfig, Principal, Revocations, fetch,
    jwks::{Known, TokenCache},
};
use crate::{
    config::{ConfigError, Secret, secret_or_file},
    problem::Problem,
};
use anyhow::Context as _;
use contracts::{Scope, TenantId};
use serde::Deserialize;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Semaphore;

/// What API keys begin with.
const PREFIX: &str = "triad_";
/// How long an answer is good for, in seconds, unless a revocation is heard before.
const LIFE: u64 = 30;
/// For one question.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Questions at once: strangers who guess must not take all that identity-admin has.
const AT_ONCE: usize = 32;
/// What callers are told to wait.
const RETRY_SECONDS: u64 = 1;
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// Who asks identity-admin about keys.
pub(super) struct Introspector {
    client: reqwest::Client,
    url: reqwest::Url,
    key: Secret,
    cache: Mutex<TokenCache>,
    turns: Semaphore,
}

#[derive(Deserialize)]
struct Answer {
    active: bool,
    sub: Option<String>,
    tid: Option<TenantId>,
    #[serde(default)]
    scope: String,
    exp: Option<u64>,
    key_id: Option<String>,
}

impl Introspector {
    /// As configured; none without `introspection_url`.
    pub(super) fn new(config: &AuthConfig) -> Result<Option<Self>, ConfigError> {
        let Some(url) = &config.introspection_url else { return Ok(None) };
        let (client, url) = fetch::client(config, "auth.introspection_url", url, TIMEOUT)?;
        let file = &config.introspection_key_file;
        let key = secret_or_file("auth.introspection_key", &None, file)?;
        let key = key.ok_or_else(|| {
            ConfigError::new("auth.introspection_key_file", "introspection_url needs it")
        })?;
        let (cache, turns) = (Mutex::default(), Semaphore::new(AT_ONCE));
        Ok(Some(Self { client, url, key, cache, turns }))
    }

    /// Whether a bearer is an API key, and no token.
    pub(super) fn is_key(bearer: &str) -> bool {
        bearer.starts_with(PREFIX)
    }

    /// Whose key it is.
    ///
    /// # Errors
    /// 401 for one that lets nobody in; 503 while nobody knows.
    pub(super) async fn principal(
        &self,
        key: &str,
        revocations: &Revocations,
        now: u64,
    ) -> Result<Arc<Principal>, Problem> {
        let refused = || Problem::unauthorized("the key lets nobody in".to_owned());
        // Keys are of letters that a form does not encode.
        if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(refused());
        }
        let hash = *blake3::hash(key.as_bytes()).as_bytes();
        if let Some(principal) = TokenCache::get(&self.cache, &hash, revocations, now) {
            return Ok(principal);
        }
        let unavailable = || Problem::unavailable("API keys cannot be checked", RETRY_SECONDS);
        // Before it is asked: what is told meanwhile is looked at the next time.
        let told = revocations.told();
        let asked = async {
            let _turn = self.turns.acquire().await?;
            self.ask(key).await
        };
        let answered = tokio::time::timeout(TIMEOUT, asked).await;
        let answer = match answered.map_err(anyhow::Error::from).and_then(|asked| asked) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!("asking about an API key: {error:#}");
                return Err(unavailable());
            }
        };
        let (true, Some(subject), tenant @ Some(_)) = (answer.active, answer.sub, answer.tid)
        else {
            return Err(refused());
        };
        let scopes = answer.scope.split(' ').filter_map(Scope::parse);
        let principal = Arc::new(Principal::new(subject, tenant, scopes));
        let expires = answer.exp.map_or(now + LIFE, |ends| ends.min(now + LIFE));
        let jti = answer.key_id.map(Into::into);
        let known =
            Known { principal: Arc::clone(&principal), expires, jti, issued: Some(now), told };
        TokenCache::put(&self.cache, hash, known);
        Ok(principal)
    }

    async fn ask(&self, key: &str) -> anyhow::Result<Answer> {
        let body = format!("token={key}&client_secret={}", self.key.expose());
        let kind = "application/x-www-form-urlencoded";
        let request = self.client.post(self.url.clone()).header("content-type", kind).body(body);
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        let text = fetch::body(response, MAX_ANSWER).await?;
        serde_json::from_slice(&text).context("an answer of another form")
    }
}

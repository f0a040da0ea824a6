//! From an `Authorization` header to a [`Principal`].

use super::{
    AuthConfig, AuthMode, Principal, Revocations,
    introspection::Introspector,
    jwks::{KeySet, Known, Source, TokenCache},
};
use crate::{config::ConfigError, problem::Problem, shutdown::Shutdown};
use axum::http::HeaderValue;
use contracts::{Scope, TenantId};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use rand::Rng as _;
use serde::Deserialize;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::{Instant, sleep};

/// A longer token is refused unread, in bytes.
const MAX_TOKEN_BYTES: usize = 8 << 10;
/// The least time between two reads of the key set that callers cause: tokens with invented key ids
/// must not become load on the issuer.
const MIN_REFRESH_GAP: Duration = Duration::from_secs(10);
/// The wait between reads while no key was ever loaded, and what a caller is told to wait.
const RETRY_SECONDS: u64 = 1;
/// Between reads for those who come before any keys were read, and how often they have it tried again.
const FIRST_GAP: Duration = Duration::from_millis(100);
const FIRST_TRIES: usize = 5;

/// Verifies bearer tokens. Cheap to clone.
#[derive(Clone)]
pub struct Verifier(Mode);

#[derive(Clone)]
enum Mode {
    Off(Arc<Principal>),
    Jwt(Arc<Jwt>),
}

struct Jwt {
    source: Source,
    validation: Validation,
    leeway_seconds: u64,
    topic: Option<String>,
    revocations: Arc<Revocations>,
    introspector: Option<Introspector>,
    keys: RwLock<Option<Arc<KeySet>>>,
    last_read: tokio::sync::Mutex<Option<LastRead>>,
}

#[derive(Clone, Copy)]
struct LastRead {
    at: Instant,
    succeeded: bool,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    // Only its type: jsonwebtoken compares the value but would also accept a list.
    #[serde(rename = "iss")]
    _iss: Option<String>,
    tid: TenantId,
    #[serde(default)]
    scope: String,
    jti: Option<String>,
    iat: Option<f64>,
}

impl Verifier {
    /// Reads the keys and keeps them fresh until the drain begins. A URL is read meanwhile: who comes before
    /// it answers waits for it, and gets 503 when it does not.
    ///
    /// # Errors
    /// A bad `auth` section, or a `jwks_file` that holds no usable key.
    pub async fn start(config: &AuthConfig, shutdown: Shutdown) -> Result<Self, ConfigError> {
        config.validate()?;
        let (AuthMode::Jwt, Some(source)) = (config.mode, Source::new(config)?) else {
            let everything = Scope::ALL.iter().copied();
            let anyone = Principal::new("anonymous", config.tenant()?, everything);
            return Ok(Self(Mode::Off(Arc::new(anyone))));
        };
        let jwt = Arc::new(Jwt::new(config, source, Introspector::new(config)?));
        if jwt.source.is_file()
            && let Err(error) = jwt.refresh(None).await
        {
            return Err(ConfigError::new("auth.jwks_file", format!("{error:#}")));
        }
        let interval = Duration::from_secs(config.jwks_refresh_seconds);
        tokio::spawn(Arc::clone(&jwt).keep_fresh(interval, shutdown));
        Ok(Self(Mode::Jwt(jwt)))
    }

    /// Verifies the header's token: by hash for one seen before, else by signature (some 100 µs of
    /// CPU). A token whose key is unknown may wait for one read of the key set, 5 s at most.
    ///
    /// # Errors
    /// 401 for a missing or bad token; 503 while it cannot be told: no keys were ever loaded, or the
    /// token's key is unknown and the key set cannot be read.
    pub async fn verify(
        &self,
        authorization: Option<&HeaderValue>,
    ) -> Result<Arc<Principal>, Problem> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.verify_at(authorization, now.map_or(0, |now| now.as_secs())).await
    }

    pub(super) async fn verify_at(
        &self,
        authorization: Option<&HeaderValue>,
        now: u64,
    ) -> Result<Arc<Principal>, Problem> {
        let jwt = match &self.0 {
            Mode::Off(anyone) => return Ok(Arc::clone(anyone)),
            Mode::Jwt(jwt) => jwt,
        };
        let token = bearer(authorization)?;
        if let Some(introspector) =
            jwt.introspector.as_ref().filter(|_| Introspector::is_key(token))
        {
            return introspector.principal(token, &jwt.revocations, now).await;
        }
        let hash = *blake3::hash(token.as_bytes()).as_bytes();
        let revocations = &*jwt.revocations;
        let seen =
            jwt.keys().and_then(|keys| TokenCache::get(&keys.cache, &hash, revocations, now));
        if let Some(principal) = seen {
            return Ok(principal);
        }
        let kid = check_header(token)?;
        let keys = jwt.keys_with(&kid).await?;
        let (algorithm, key) =
            keys.find(&kid).ok_or_else(|| invalid("was signed by an unknown key"))?;
        let mut known = jwt.check(token, *algorithm, key, now)?;
        if known.is_void(revocations) {
            return Err(invalid("was revoked"));
        }
        let principal = Arc::clone(&known.principal);
        TokenCache::put(&keys.cache, hash, known);
        Ok(principal)
    }

    /// Where revocations are told, and who must hear of them; none with mode off or without a topic.
    #[must_use]
    pub fn revocations(&self) -> Option<(String, Arc<Revocations>)> {
        match &self.0 {
            Mode::Off(_) => None,
            Mode::Jwt(jwt) => Some((jwt.topic.clone()?, Arc::clone(&jwt.revocations))),
        }
    }

    /// Whether keys have been loaded, for the readiness of the service; always with mode off.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match &self.0 {
            Mode::Off(_) => true,
            Mode::Jwt(jwt) => jwt.keys().is_some(),
        }
    }

    /// Lets the next read happen now, as if enough time had passed.
    #[cfg(test)]
    pub(super) async fn forget_last_read(&self) {
        let Mode::Jwt(jwt) = &self.0 else { return };
        *jwt.last_read.lock().await = None;
    }

    #[cfg(test)]
    pub(super) fn cached_tokens(&self) -> usize {
        let Mode::Jwt(jwt) = &self.0 else { return 0 };
        jwt.keys().map_or(0, |keys| keys.cache.lock().unwrap().len())
    }
}

impl Jwt {
    fn new(config: &AuthConfig, source: Source, introspector: Option<Introspector>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[&config.audience]);
        // Presence must be asked for: a token without `aud` would pass. Times are compared here, so
        // that tests own the clock.
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        validation.validate_exp = false;
        if let Some(issuer) = &config.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        let (keys, last_read) = (RwLock::default(), tokio::sync::Mutex::default());
        Self {
            source,
            validation,
            leeway_seconds: config.leeway_seconds,
            topic: config.revocations_topic.clone(),
            revocations: Arc::default(),
            introspector,
            keys,
            last_read,
        }
    }

    fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key set, read again if it lacks `kid` and was not just read.
    async fn keys_with(&self, kid: &str) -> Result<Arc<KeySet>, Problem> {
        if let Some(keys) = self.keys().filter(|keys| keys.find(kid).is_some()) {
            return Ok(keys);
        }
        let read = match self.keys() {
            Some(_) => self.refresh(Some(MIN_REFRESH_GAP)).await,
            None => self.first().await,
        };
        match self.keys() {
            Some(keys) if read.is_ok() || keys.find(kid).is_some() => Ok(keys),
            _ => Err(Problem::unavailable("the issuer's keys cannot be read", RETRY_SECONDS)),
        }
    }

    /// Reads a first key set. An issuer that starts at the same time, in this process even, may have none for a moment.
    async fn first(&self) -> anyhow::Result<()> {
        let mut read = self.refresh(Some(FIRST_GAP)).await;
        for _ in 0..FIRST_TRIES {
            if read.is_ok() {
                break;
            }
            sleep(FIRST_GAP).await;
            read = self.refresh(Some(FIRST_GAP)).await;
        }
        read
    }

    /// Reads the key set; within `gap` of the last read it tells only how that one ended. Concurrent
    /// callers share one read.
    async fn refresh(&self, gap: Option<Duration>) -> anyhow::Result<()> {
        let mut last_read = self.last_read.lock().await;
        if let Some(last) = last_read.filter(|last| gap.is_some_and(|gap| last.at.elapsed() < gap))
        {
            anyhow::ensure!(last.succeeded, "the last read failed");
            return Ok(());
        }
        let read = self.source.read().await;
        let is_first = last_read.is_none();
        *last_read = Some(LastRead { at: Instant::now(), succeeded: read.is_ok() });
        let fresh = read.inspect_err(|error| {
            // An issuer that starts at the same time is not there yet.
            if is_first {
                tracing::info!("reading the issuer's keys: {error:#}");
            } else {
                tracing::warn!("reading the issuer's keys: {error:#}");
            }
        })?;
        if self.keys().is_none_or(|keys| !keys.same_as(&fresh)) {
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(fresh));
        }
        Ok(())
    }

    async fn keep_fresh(self: Arc<Self>, interval: Duration, shutdown: Shutdown) {
        // Unless a caller was first. A failure is logged where it happens, and the next round is the retry.
        let _ = self.refresh(Some(Duration::from_secs(RETRY_SECONDS))).await;
        loop {
            let wait =
                if self.keys().is_some() { interval } else { Duration::from_secs(RETRY_SECONDS) };
            // Replicas that started together should not ask together.
            let jittered = wait.mul_f64(rand::rng().random_range(0.8..1.0));
            tokio::select! {
                () = sleep(jittered) => {}
                () = shutdown.draining() => return,
            }
            // The failure is logged where it happens, and the next round is the retry.
            let _ = self.refresh(None).await;
        }
    }

    /// Signature, audience, issuer and times; the principal, and until when to remember it.
    fn check(
        &self,
        token: &str,
        algorithm: Algorithm,
        key: &DecodingKey,
        now: u64,
    ) -> Result<Known, Problem> {
        // The algorithm is the key's: what the header says must agree, never decide.
        let validation = Validation { algorithms: vec![algorithm], ..self.validation.clone() };
        let claims = decode::<Claims>(token, key, &validation);
        let claims = claims.map_err(|error| invalid(&format!("does not hold: {error}")))?.claims;
        let (now, leeway) = (now as f64, self.leeway_seconds as f64);
        if claims.exp + leeway <= now {
            return Err(invalid("has expired"));
        }
        if claims.nbf.is_some_and(|nbf| nbf - leeway > now) {
            return Err(invalid("is not valid yet"));
        }
        let scopes = claims.scope.split(' ').filter_map(Scope::parse);
        let principal = Arc::new(Principal::new(claims.sub, Some(claims.tid), scopes));
        Ok(Known {
            principal,
            expires: whole_seconds(claims.exp),
            jti: claims.jti.map(Into::into),
            issued: claims.iat.map(whole_seconds),
            // Nothing was asked yet.
            told: 0,
        })
    }
}

/// A time that a float may hold, cut to what a clock shows.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn whole_seconds(time: f64) -> u64 {
    time as u64
}

fn invalid(reason: &str) -> Problem {
    Problem::unauthorized(format!("the token {reason}"))
}

fn bearer(authorization: Option<&HeaderValue>) -> Result<&str, Problem> {
    let header = authorization.ok_or_else(Problem::missing_token)?;
    let header = header.to_str().map_err(|_| invalid("is not ASCII"))?;
    let (scheme, token) = header.split_once(' ').ok_or_else(Problem::missing_token)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::missing_token());
    }
    let token = token.trim();
    if token.len() > MAX_TOKEN_BYTES {
        return Err(invalid("is too long"));
    }
    Ok(token)
}

/// The id of the key that is said to have signed the token, if its header is that of an access token
/// (RFC 9068 section 4) and asks for nothing that is not understood here (RFC 7515 section 4.1.11).
fn check_header(token: &str) -> Result<String, Problem> {
    let header: Header = decode_header(token).map_err(|_| invalid("is no JWT of a known kind"))?;
    let typ = header.typ.unwrap_or_default().to_ascii_lowercase();
    if !matches!(typ.as_str(), "at+jwt" | "application/at+jwt") {
        return Err(invalid("is not of the type at+jwt"));
    }
    if header.crit.is_some() {
        return Err(invalid("has critical header fields"));
    }
    header.kid.ok_or_else(|| invalid("names no key"))
}

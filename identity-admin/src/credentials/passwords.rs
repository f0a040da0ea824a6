//! Passwords: hashed with Argon2id (RFC 9106), a few at once, so that a flood of log-ins costs neither more memory
//! nor all processors.
//!
//! A hash needs a [`Place`]: there is one for each that may be hashed now or wait for it. Who finds none is told to
//! come again. The memory that hashes work in is kept and used again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Error as PhcError, Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, ParamsBuilder, Version};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization as _;
use utoipa::ToSchema;

use super::policy::Policy;
use crate::metrics;

/// What a column has where there is no password: no password verifies against it.
pub(crate) const UNUSABLE: &str = "!";

/// What OWASP recommends for Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Of a hash and of its salt, in bytes (RFC 9106 section 3.1).
const HASH: usize = 32;
const SALT: usize = 16;
/// 1.3.
const VERSION: u32 = 19;

/// A password as somebody gave it. Nothing shows it.
#[derive(Clone, Deserialize, ToSchema)]
#[schema(value_type = String, format = Password)]
#[serde(transparent)]
pub(crate) struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Password {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text, composed (NFC), so that it does not matter which keyboard wrote it (RFC 8265 section 4.2).
    pub(super) fn composed(&self) -> String {
        self.0.nfc().collect()
    }
}

/// How many passwords are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashingOptions {
    /// At once, each on a thread of its own and in 19 MiB.
    pub at_once: usize,
    /// More of them that may wait.
    pub waiting: usize,
}

/// Too many passwords wait to be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be hashed")]
pub(crate) struct Busy;

/// Hashes passwords and checks them.
pub(crate) struct Passwords {
    /// What they must be like.
    pub(crate) policy: Policy,
    places: Arc<Semaphore>,
    hashing: Arc<Semaphore>,
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
    /// What is checked where there is no hash, so that it takes as long.
    decoy: Parts,
    random: SystemRandom,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// The right to have one password hashed, at once or after some wait.
#[derive(Debug)]
pub(crate) struct Place {
    _place: OwnedSemaphorePermit,
    hashing: Arc<Semaphore>,
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::password_queued(false);
    }
}

impl Passwords {
    pub(crate) fn new(options: HashingOptions, policy: Policy) -> Self {
        Self {
            policy,
            places: Arc::new(Semaphore::new(options.at_once + options.waiting)),
            hashing: Arc::new(Semaphore::new(options.at_once)),
            memory: Arc::default(),
            decoy: decoy(),
            random: SystemRandom::new(),
        }
    }

    /// A place, if there is one.
    pub(crate) fn place(&self) -> Result<Place, Busy> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            metrics::password_refused();
            Busy
        })?;
        metrics::password_queued(true);
        Ok(Place { _place: place, hashing: Arc::clone(&self.hashing) })
    }

    /// The hash of a new password, as it is stored.
    ///
    /// # Errors
    /// [`Busy`] without threads or random numbers, which is no state to go on in.
    pub(crate) async fn hash(&self, place: Place, password: &Password) -> Result<String, Busy> {
        let mut salt = [0; SALT];
        self.random.fill(&mut salt).map_err(|_| Busy)?;
        let salt = Salt::new(&salt).map_err(|_| Busy)?;
        let params = params();
        let output = self.work(place, password, (params.clone(), salt), "set").await?;
        text(&(params, salt, output)).ok_or(Busy)
    }

    /// Whether a password is the one of a stored hash. Without one, or with one that is none, as much is done and
    /// the answer is no.
    ///
    /// # Errors
    /// As [`Passwords::hash`].
    pub(crate) async fn verify(
        &self,
        place: Place,
        password: &Password,
        stored: Option<&str>,
    ) -> Result<bool, Busy> {
        let known = stored.and_then(parse);
        let is_known = known.is_some();
        let (params, salt, expected) = known.unwrap_or_else(|| self.decoy.clone());
        let found = self.work(place, password, (params, salt), "verify").await?;
        // `Output` compares in constant time.
        Ok(found == expected && is_known)
    }

    /// Whether a stored hash costs something else than a new one would.
    pub(crate) fn is_outdated(stored: &str) -> bool {
        parse(stored).is_none_or(|(params, _, output)| {
            let now = self::params();
            let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
            costs(&params) != costs(&now) || output.len() != HASH
        })
    }

    async fn work(
        &self,
        place: Place,
        password: &Password,
        (params, salt): (Params, Salt),
        purpose: &'static str,
    ) -> Result<Output, Busy> {
        let begun = std::time::Instant::now();
        let permit = Arc::clone(&place.hashing).acquire_owned().await.map_err(|_| Busy)?;
        metrics::password_waited(begun);
        let (password, memory) = (password.composed(), Arc::clone(&self.memory));
        // A thread goes on when nobody waits for it any more, and holds its permits until it is done.
        let done = tokio::task::spawn_blocking(move || {
            let _held = (place, permit);
            let mut blocks = lend(&memory);
            let output = compute(&password, &params, &salt, &mut blocks);
            give_back(&memory, blocks);
            output
        });
        let output = done.await.ok().flatten().ok_or(Busy)?;
        metrics::password_hashed(purpose);
        Ok(output)
    }
}

/// Memory that nobody works in now.
fn lend(memory: &Mutex<Vec<Vec<Block>>>) -> Vec<Block> {
    memory.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
}

fn give_back(memory: &Mutex<Vec<Vec<Block>>>, mut blocks: Vec<Block>) {
    // An imported hash may have needed more.
    blocks.truncate(params().block_count());
    blocks.shrink_to_fit();
    memory.lock().unwrap_or_else(PoisonError::into_inner).push(blocks);
}

fn compute(
    password: &str,
    params: &Params,
    salt: &Salt,
    blocks: &mut Vec<Block>,
) -> Option<Output> {
    if blocks.len() < params.block_count() {
        blocks.resize(params.block_count(), Block::new());
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let length = params.output_len().unwrap_or(HASH);
    Output::init_with(length, |out| {
        argon2
            .hash_password_into_with_memory(password.as_bytes(), salt, out, blocks)
            // Which of its errors it was interests nobody: all are faults of the stored hash.
            .map_err(|_| PhcError::TrailingData)
    })
    .ok()
}

/// Whether a text is a hash that passwords can be checked against.
pub(crate) fn is_hash(text: &str) -> bool {
    parse(text).is_some()
}

/// The costs of new hashes.
fn params() -> Params {
    let mut builder = ParamsBuilder::new();
    builder.m_cost(MEMORY_KIB).t_cost(PASSES).p_cost(LANES).output_len(HASH);
    builder.build().expect("the constants are within Argon2's ranges")
}

/// What a stored hash was made with, and what came out.
type Parts = (Params, Salt, Output);

/// The hash of nobody's password.
fn decoy() -> Parts {
    let salt = Salt::new(&[0; SALT]).expect("16 bytes");
    (params(), salt, Output::new(&[0; HASH]).expect("32 bytes"))
}

/// Of a hash that may have come with an import; `None` for what is none of Argon2id's.
fn parse(stored: &str) -> Option<Parts> {
    let hash = PasswordHash::new(stored).ok()?;
    let is_known = hash.algorithm == ARGON2ID_IDENT && hash.version == Some(VERSION);
    let params = Params::try_from(&hash).ok().filter(|_| is_known)?;
    Some((params, hash.salt?, hash.hash?))
}

/// As it is stored: the PHC string format.
fn text((params, salt, output): &Parts) -> Option<String> {
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(VERSION),
        params: ParamsString::try_from(params).ok()?,
        salt: Some(*salt),
        hash: Some(*output),
    };
    Some(hash.to_string())
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    fn passwords(at_once: usize, waiting: usize) -> Passwords {
        let policy = Policy::new(8, "");
        Passwords::new(HashingOptions { at_once, waiting }, policy)
    }

    async fn verify(passwords: &Passwords, password: &str, stored: Option<&str>) -> bool {
        let place = passwords.place().unwrap();
        passwords.verify(place, &Password::new(password), stored).await.unwrap()
    }

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_alone() {
        let passwords = passwords(1, 4);
        let place = passwords.place().unwrap();
        let stored = passwords.hash(place, &Password::new("caf\u{e9} au lait")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify(&passwords, "cafe\u{301} au lait", Some(&stored)).await, "another keyboard");
        assert!(!verify(&passwords, "cafe au lait", Some(&stored)).await);
        let place = passwords.place().unwrap();
        let again = passwords.hash(place, &Password::new("caf\u{e9} au lait")).await.unwrap();
        assert_ne!(stored, again, "salted");
        assert!(!Passwords::is_outdated(&stored));
    }

    #[tokio::test]
    async fn nothing_verifies_where_there_is_no_hash() {
        let passwords = passwords(1, 4);
        let decoy = text(&decoy()).unwrap();
        for stored in [None, Some(UNUSABLE), Some(""), Some("plain"), Some(decoy.as_str())] {
            for password in ["", "!", "plain", "correct horse"] {
                assert!(!verify(&passwords, password, stored).await, "{stored:?} {password}");
            }
        }
    }

    /// RFC 9106 has its vector with a secret and data; this one is of the reference implementation
    /// (phc-winner-argon2, `test.c`: version 19, 2 passes, 256 KiB).
    #[tokio::test]
    async fn a_hash_of_another_program_is_understood_and_outdated() {
        let stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$\
                      nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(verify(&passwords(1, 1), "password", Some(stored)).await);
        assert!(Passwords::is_outdated(stored));
    }

    #[tokio::test]
    async fn no_more_are_hashed_at_once_or_wait_than_there_are_places_for() {
        let passwords = passwords(1, 2);
        let places: Vec<_> = (0..3).map(|_| passwords.place().unwrap()).collect();
        assert_eq!(passwords.place().unwrap_err(), Busy);
        let password = Password::new("correct horse");
        let all = places.into_iter().map(|place| passwords.verify(place, &password, None));
        assert!(join_all(all).await.into_iter().all(|done| done == Ok(false)));
        assert_eq!(passwords.memory.lock().unwrap().len(), 1, "one worked at a time");
        drop(passwords.place().unwrap());
    }
}

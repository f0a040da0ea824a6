//! Cursors: where a page ended, sealed so that nobody can make one up or carry it elsewhere.
//!
//! A cursor is `version ‖ kind ‖ from ‖ to ‖ position ‖ tag`, base64url without padding. The tag is
//! keyed BLAKE3 over that and over the tenant, the filter and the order, which the cursor does not
//! repeat: it opens only for the query that it was made for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::EventId;
use rand::Rng;
use service_kit::config::{ConfigError, secret_or_file};
use uuid::Uuid;

use super::{Order, Position, RangeQuery, Resume, TimeRange};
use crate::config::QueryConfig;
use crate::event::Ticks;

const VERSION: u8 = 1;
/// Bytes of a tag: 2^-128 for a guess.
const TAG: usize = 16;
/// The shortest secret, in bytes.
const MIN_SECRET: usize = 32;
/// Separates this use of the secret from any other (BLAKE3's key derivation).
const CONTEXT: &str = "triad ingest 2026-11 audit cursor";

/// What the client sent is no cursor of this query: forged, cut, of another query or another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this query")]
pub struct CursorError;

/// What a cursor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The range as page one fixed it.
    pub range: TimeRange,
    /// Where the next page begins.
    pub resume: Resume,
}

/// Seals and opens cursors.
#[derive(Clone)]
pub struct CursorKey([u8; 32]);

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(***)")
    }
}

impl CursorKey {
    /// A key made of a secret.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key(CONTEXT, secret))
    }

    /// The configured key, or one for this process alone.
    ///
    /// # Errors
    /// `query.cursor_key` is given twice, unreadable or shorter than 32 bytes.
    pub fn from_config(config: &QueryConfig, rng: &mut impl Rng) -> Result<Self, ConfigError> {
        let name = "query.cursor_key";
        match secret_or_file(name, &config.cursor_key, &config.cursor_key_file)? {
            Some(secret) if secret.expose().len() < MIN_SECRET => {
                Err(ConfigError::new(name, "is shorter than 32 bytes"))
            }
            Some(secret) => Ok(Self::derive(secret.expose().as_bytes())),
            None => Ok(Self(rng.random())),
        }
    }

    /// The cursor that makes `query` go on at `resume`.
    #[must_use]
    pub fn seal(&self, query: &RangeQuery, resume: Resume) -> String {
        let mut bytes = Vec::with_capacity(2 + 8 + 8 + 24 + TAG);
        bytes.extend([VERSION, kind(resume)]);
        for ticks in [query.range.from, query.range.to] {
            bytes.extend(ticks.raw().to_be_bytes());
        }
        match resume {
            Resume::Boundary(time) => bytes.extend(time.to_be_bytes()),
            Resume::After(row) => {
                bytes.extend(row.time.to_be_bytes());
                bytes.extend(row.id.0.as_bytes());
            }
        }
        bytes.extend(self.tag(query, &bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What `text` says, if it was sealed for the tenant, filter and order of `query`. The query's own
    /// range is not looked at: the caller compares it.
    ///
    /// # Errors
    /// [`CursorError`] for everything else.
    pub fn open(&self, query: &RangeQuery, text: &str) -> Result<Cursor, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        let (body, tag) = bytes.split_last_chunk::<TAG>().ok_or(CursorError)?;
        // blake3 compares its hashes in constant time.
        if padded(*tag) != padded(self.tag(query, body)) {
            return Err(CursorError);
        }
        let mut rest = body;
        let [VERSION, kind] = take::<2>(&mut rest)? else { return Err(CursorError) };
        let from = ticks(i64::from_be_bytes(take(&mut rest)?))?;
        let to = ticks(i64::from_be_bytes(take(&mut rest)?))?;
        let time = i64::from_be_bytes(take(&mut rest)?);
        let resume = match kind {
            0 => Resume::Boundary(time),
            _ => {
                let id = EventId(Uuid::from_bytes(take(&mut rest)?));
                Resume::After(Position { time, id })
            }
        };
        Ok(Cursor { range: TimeRange { from, to }, resume })
    }

    /// Over an unambiguous encoding: every part behind its length, absent ones told from empty ones.
    fn tag(&self, query: &RangeQuery, body: &[u8]) -> [u8; TAG] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        let order = match query.order {
            Order::Newest => "newest",
            Order::Oldest => "oldest",
        };
        let texts = [Some(query.tenant.as_str()), Some(order)].into_iter();
        for part in texts.chain(query.filter.fields()) {
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            hasher.update(&length.to_le_bytes()).update(part.unwrap_or_default().as_bytes());
        }
        hasher.update(body);
        let mut tag = [0; TAG];
        tag.copy_from_slice(&hasher.finalize().as_bytes()[..TAG]);
        tag
    }
}

fn kind(resume: Resume) -> u8 {
    match resume {
        Resume::Boundary(_) => 0,
        Resume::After(_) => 1,
    }
}

fn padded(tag: [u8; TAG]) -> blake3::Hash {
    let mut hash = [0; 32];
    hash[..TAG].copy_from_slice(&tag);
    blake3::Hash::from_bytes(hash)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], CursorError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(CursorError)?;
    *bytes = rest;
    Ok(*head)
}

/// A time that this service wrote itself, so within its range.
fn ticks(raw: i64) -> Result<Ticks, CursorError> {
    let offset = u64::try_from(raw).map_err(|_| CursorError)?;
    Ok(Ticks::from_gregorian(Ticks::EPOCH.gregorian().wrapping_add(offset)))
}

#[cfg(test)]
mod tests {
    use contracts::TenantId;
    use proptest::prelude::*;

    use super::*;
    use crate::query::Filter;

    fn query(tenant: &str, filter: Filter, order: Order) -> RangeQuery {
        let tenant = TenantId::parse(tenant).unwrap();
        let (from, to) =
            (Ticks::from_millis(5), Ticks::parse("2026-11-22T14:03:07.1234567Z").unwrap());
        RangeQuery { tenant, range: TimeRange { from, to }, filter, order }
    }

    fn resume() -> impl Strategy<Value = Resume> {
        let after = (any::<i64>(), any::<u128>()).prop_map(|(time, id)| {
            Resume::After(Position { time, id: EventId(Uuid::from_u128(id)) })
        });
        prop_oneof![any::<i64>().prop_map(Resume::Boundary), after]
    }

    fn filters() -> impl Strategy<Value = Filter> {
        let field = || proptest::option::of("[ab]{0,2}");
        (field(), field(), field()).prop_map(|(actor_id, action, status)| Filter {
            actor_id,
            action,
            status,
            ..Filter::default()
        })
    }

    proptest! {
        #[test]
        fn a_cursor_opens_for_its_query_and_no_other(resume in resume(), a in filters(), b in filters()) {
            let key = CursorKey::derive(&[7; 32]);
            let asked = query("acme", a.clone(), Order::Newest);
            let text = key.seal(&asked, resume);
            let opened = Cursor { range: asked.range, resume };
            prop_assert_eq!(key.open(&asked, &text), Ok(opened));
            let other = query("acme", b.clone(), Order::Newest);
            prop_assert_eq!(key.open(&other, &text).is_ok(), a == b);
            prop_assert!(key.open(&query("acme2", a.clone(), Order::Newest), &text).is_err());
            prop_assert!(key.open(&query("acme", a, Order::Oldest), &text).is_err());
            prop_assert!(CursorKey::derive(&[8; 32]).open(&asked, &text).is_err());
        }

        #[test]
        fn one_changed_byte_or_a_cut_is_refused(resume in resume(), at: prop::sample::Index, by in 1_u8..=255) {
            let key = CursorKey::derive(&[7; 32]);
            let asked = query("acme", Filter::default(), Order::Newest);
            let mut bytes = URL_SAFE_NO_PAD.decode(key.seal(&asked, resume)).unwrap();
            let cut = URL_SAFE_NO_PAD.encode(&bytes[..at.index(bytes.len())]);
            prop_assert_eq!(key.open(&asked, &cut), Err(CursorError));
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            prop_assert_eq!(key.open(&asked, &URL_SAFE_NO_PAD.encode(bytes)), Err(CursorError));
        }

        #[test]
        fn arbitrary_text_is_refused(text in "[A-Za-z0-9_-]{0,90}|.{0,40}") {
            let asked = query("acme", Filter::default(), Order::Newest);
            prop_assert_eq!(CursorKey::derive(&[7; 32]).open(&asked, &text), Err(CursorError));
        }
    }
}

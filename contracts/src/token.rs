//! Consistency tokens: what a caller shows to be answered from a state that holds its own write.
//!
//! A token is `version ‖ type ‖ fields ‖ check`, base64url without padding, numbers big endian. The
//! check is keyed BLAKE3 over the tenant, which the token does not repeat, and over what precedes. Its
//! key is public: it tells mix-ups and damage, not forgery. A forged token says no more than "answer
//! from a later state", so what serves it must bound its wait.

use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{GraphEpoch, Revision, TenantId};

/// The header that carries a token, in requests and answers. In JSON bodies it is `at_least`.
pub const CONSISTENCY_TOKEN_HEADER: &str = "triad-consistency-token";

const VERSION: u8 = 1;
const GRAPH: u8 = 1;
const IDENTITY: u8 = 2;
/// Bytes of a check: a mix-up passes with 2^-48.
const CHECK: usize = 6;
/// Bytes of the longest token.
const LONGEST: usize = 2 + 8 + 8 + CHECK;
/// Characters of its text.
const LONGEST_TEXT: usize = LONGEST / 3 * 4;
/// Separates the check from every other hash. Not derived from this text at run time, which would
/// double the cost of each token.
const KEY: [u8; 32] = *b"triad consistency token v1\0\0\0\0\0\0";

/// Why a text is no token of this tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not the form of a token that this version knows.
    #[error("not a consistency token")]
    Malformed,
    /// Given out for another tenant, or altered.
    #[error("the consistency token does not belong to this tenant")]
    Foreign,
}

/// A state that an answer must not be older than. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsistencyToken {
    /// A state of the graph.
    Graph {
        /// The graph that the revision counts in. Whoever decodes a token compares it with its own.
        epoch: GraphEpoch,
        /// The state.
        revision: Revision,
    },
    /// A state of the tenant's identities.
    Identity {
        /// The tenant's last change in it, from 1; 0 is before any.
        seq: u64,
    },
}

impl ConsistencyToken {
    /// The token's text for `tenant`.
    #[must_use]
    pub fn encode(&self, tenant: &TenantId) -> String {
        self.text(tenant).to_string()
    }

    /// As [`encode`](Self::encode), on the stack: a check writes one into each answer.
    #[must_use]
    pub fn text(&self, tenant: &TenantId) -> TokenText {
        let mut bytes = [0; LONGEST];
        let mut length = 0;
        let mut put = |part: &[u8]| {
            bytes[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        };
        match *self {
            Self::Graph { epoch, revision } => {
                put(&[VERSION, GRAPH]);
                put(&epoch.0.to_be_bytes());
                put(&revision.0.to_be_bytes());
            }
            Self::Identity { seq } => {
                put(&[VERSION, IDENTITY]);
                put(&seq.to_be_bytes());
            }
        }
        let check = check(tenant, &bytes[..length]);
        bytes[length..length + CHECK].copy_from_slice(&check);
        let mut text = TokenText { bytes: [0; LONGEST_TEXT], length: 0 };
        text.length = URL_SAFE_NO_PAD
            .encode_slice(&bytes[..length + CHECK], &mut text.bytes)
            .expect("the text of the longest token fits");
        text
    }

    /// The token that `text` is, if it was given out for `tenant`.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] for what has not the form of a token, [`TokenError::Foreign`] for
    /// what was made for another tenant or altered.
    pub fn decode(text: impl AsRef<[u8]>, tenant: &TenantId) -> Result<Self, TokenError> {
        let text = text.as_ref();
        if text.len() > LONGEST_TEXT {
            return Err(TokenError::Malformed);
        }
        let mut bytes = [0; LONGEST];
        let length =
            URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| TokenError::Malformed)?;
        let (body, found) =
            bytes[..length].split_last_chunk::<CHECK>().ok_or(TokenError::Malformed)?;
        let [VERSION, kind, fields @ ..] = body else { return Err(TokenError::Malformed) };
        let token = match (*kind, fields.as_chunks()) {
            (GRAPH, ([epoch, revision], [])) => Self::Graph {
                epoch: GraphEpoch(u64::from_be_bytes(*epoch)),
                revision: Revision(u64::from_be_bytes(*revision)),
            },
            (IDENTITY, ([seq], [])) => Self::Identity { seq: u64::from_be_bytes(*seq) },
            _ => return Err(TokenError::Malformed),
        };
        if *found == check(tenant, body) { Ok(token) } else { Err(TokenError::Foreign) }
    }
}

/// The tenant goes behind its length, so that no tenant and body read like another's. All of it fits
/// one block of the hash.
fn check(tenant: &TenantId, body: &[u8]) -> [u8; CHECK] {
    let tenant = tenant.as_str().as_bytes();
    let mut hasher = blake3::Hasher::new_keyed(&KEY);
    hasher.update(&(tenant.len() as u64).to_be_bytes()).update(tenant).update(body);
    let mut check = [0; CHECK];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK]);
    check
}

/// The text of a token, at most 32 characters of base64url, on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenText {
    bytes: [u8; LONGEST_TEXT],
    length: usize,
}

impl AsRef<[u8]> for TokenText {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Deref for TokenText {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(self.as_ref()).expect("base64url is ASCII")
    }
}

impl fmt::Display for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenants() -> impl Strategy<Value = TenantId> {
        let text = prop_oneof!["[a-z0-9][a-z0-9-]{0,35}", Just(TenantId::SYSTEM.to_owned())];
        text.prop_map(|text| TenantId::parse(&text).unwrap())
    }

    fn tokens() -> impl Strategy<Value = ConsistencyToken> {
        prop_oneof![
            any::<(u64, u64)>().prop_map(|(epoch, revision)| ConsistencyToken::Graph {
                epoch: GraphEpoch(epoch),
                revision: Revision(revision),
            }),
            any::<u64>().prop_map(|seq| ConsistencyToken::Identity { seq }),
        ]
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        let acme = TenantId::parse("acme").unwrap();
        let of = |bytes: &[u8]| ConsistencyToken::decode(URL_SAFE_NO_PAD.encode(bytes), &acme);
        let identity = |version, kind| {
            let mut body = vec![version, kind];
            body.extend(7u64.to_be_bytes());
            let tag = check(&acme, &body);
            body.extend(tag);
            body
        };
        assert_eq!(of(&identity(VERSION, IDENTITY)), Ok(ConsistencyToken::Identity { seq: 7 }));
        // Well checked, of a version or type to come, or with the fields of another type.
        for (version, kind) in [(0, IDENTITY), (2, IDENTITY), (VERSION, 3), (VERSION, GRAPH)] {
            assert_eq!(of(&identity(version, kind)), Err(TokenError::Malformed));
        }
        for length in [0, 5, 6, 7, 8, 25, 4096] {
            assert_eq!(of(&vec![VERSION; length]), Err(TokenError::Malformed), "{length}");
        }
        let padded = format!("{}==", ConsistencyToken::Identity { seq: 7 }.encode(&acme));
        assert_eq!(ConsistencyToken::decode(padded, &acme), Err(TokenError::Malformed));
    }

    proptest! {
        #[test]
        fn a_token_survives_its_text(token in tokens(), tenant in tenants()) {
            let text = token.encode(&tenant);
            prop_assert_eq!(ConsistencyToken::decode(&text, &tenant), Ok(token));
            let stack = token.text(&tenant);
            prop_assert_eq!(&*stack, text.as_str());
            prop_assert_eq!(ConsistencyToken::decode(stack, &tenant), Ok(token));
        }

        #[test]
        fn another_tenants_token_is_foreign(
            token in tokens(), (mine, theirs) in (tenants(), tenants()),
        ) {
            prop_assume!(mine != theirs);
            let text = token.encode(&theirs);
            prop_assert_eq!(ConsistencyToken::decode(&text, &mine), Err(TokenError::Foreign));
        }

        #[test]
        fn an_altered_byte_is_refused(
            token in tokens(),
            tenant in tenants(),
            place in any::<prop::sample::Index>(),
            by in 1u8..=255,
        ) {
            let mut text = token.encode(&tenant).into_bytes();
            let place = place.index(text.len());
            text[place] ^= by;
            prop_assert!(ConsistencyToken::decode(&text, &tenant).is_err());
        }

        #[test]
        fn a_cut_or_longer_token_is_refused(
            token in tokens(), tenant in tenants(), cut in 1usize..32, more in "[A-Za-z0-9_-]{1,40}",
        ) {
            let text = token.encode(&tenant);
            let cut = &text[..text.len() - cut.min(text.len())];
            prop_assert!(ConsistencyToken::decode(cut, &tenant).is_err());
            let longer = text.clone() + &more;
            prop_assert!(ConsistencyToken::decode(longer, &tenant).is_err());
        }

        #[test]
        fn any_text_is_read_without_panic(text in any::<Vec<u8>>(), near in "[A-Za-z0-9_-]{0,33}") {
            let tenant = TenantId::parse("acme").unwrap();
            prop_assert!(ConsistencyToken::decode(text, &tenant).is_err());
            prop_assert!(ConsistencyToken::decode(near, &tenant).is_err());
        }
    }
}

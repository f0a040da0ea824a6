//! Cursors: where a page ended, bound to what was asked.
//!
//! A cursor is `version ‖ position ‖ tag`, base64url without padding. The tag is keyed BLAKE3 over that
//! and over everything that was asked for, so that a cursor goes on with its own question only. Its key is
//! the graph's epoch, which all replicas know and callers may: it tells mix-ups and damage, not forgery.
//! Whoever takes a position must therefore look for it in the caller's tenant only; a forged one skips
//! entries of the forger's own pages, no more.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::{GraphEpoch, TenantId};

const VERSION: u8 = 1;
/// Bytes of a tag.
const TAG: usize = 16;
/// The longest cursor: a name of 128 bytes with all around it, in base64.
const MAX_TEXT: usize = 256;
/// Separates this use of the epoch from any other (BLAKE3's key derivation).
const CONTEXT: &str = "triad authz-edge 2026-11 cursor";

/// A question as cursors are bound to it.
pub(super) struct Binding(blake3::Hasher);

impl Binding {
    /// Of a question: which one it is, where, and its parts in a fixed order.
    pub(super) fn new<P: AsRef<[u8]>>(
        epoch: GraphEpoch,
        kind: &str,
        tenant: &TenantId,
        parts: impl IntoIterator<Item = P>,
    ) -> Self {
        let key = blake3::derive_key(CONTEXT, &epoch.0.to_be_bytes());
        let mut hasher = blake3::Hasher::new_keyed(&key);
        // Each with its length, so that no two questions read alike.
        let mut part = |text: &[u8]| {
            hasher.update(&(text.len() as u64).to_be_bytes()).update(text);
        };
        part(kind.as_bytes());
        part(tenant.as_str().as_bytes());
        parts.into_iter().for_each(|text| part(text.as_ref()));
        Self(hasher)
    }

    /// The cursor of a position.
    pub(super) fn seal(&self, position: &[u8]) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(position);
        let tag = self.tag(&bytes);
        bytes.extend(tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a cursor; `None` if it is not one of this question.
    pub(super) fn open(&self, text: &str) -> Option<Vec<u8>> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, tag) = bytes.split_last_chunk::<TAG>()?;
        if *tag != self.tag(body) {
            return None;
        }
        match body {
            [VERSION, position @ ..] => Some(position.to_vec()),
            _ => None,
        }
    }

    fn tag(&self, body: &[u8]) -> [u8; TAG] {
        let hash = self.0.clone().update(body).finalize();
        let mut tag = [0; TAG];
        tag.copy_from_slice(&hash.as_bytes()[..TAG]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binding(epoch: u64, kind: &str, tenant: &str, parts: &[String]) -> Binding {
        Binding::new(GraphEpoch(epoch), kind, &TenantId::parse(tenant).unwrap(), parts)
    }

    proptest! {
        #[test]
        fn a_cursor_opens_for_its_question_and_no_other(
            position in prop::collection::vec(any::<u8>(), 0..32),
            a in prop::collection::vec("[ab]{0,2}", 0..4),
            b in prop::collection::vec("[ab]{0,2}", 0..4),
        ) {
            let text = binding(7, "list", "acme", &a).seal(&position);
            prop_assert_eq!(binding(7, "list", "acme", &a).open(&text), Some(position));
            prop_assert_eq!(binding(7, "list", "acme", &b).open(&text).is_some(), a == b);
            prop_assert_eq!(binding(7, "list", "other", &a).open(&text), None);
            prop_assert_eq!(binding(7, "roles", "acme", &a).open(&text), None);
            prop_assert_eq!(binding(8, "list", "acme", &a).open(&text), None);
        }

        #[test]
        fn a_damaged_cursor_does_not_open(
            position in prop::collection::vec(any::<u8>(), 0..32),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let binding = binding(7, "list", "acme", &[]);
            let mut bytes = URL_SAFE_NO_PAD.decode(binding.seal(&position)).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(binding.open(&URL_SAFE_NO_PAD.encode(bytes)), None);
        }

        #[test]
        fn any_text_may_be_opened(text in ".{0,300}") {
            prop_assert_eq!(binding(7, "list", "acme", &[]).open(&text), None);
        }
    }

    #[test]
    fn a_cursor_that_is_too_long_is_not_read() {
        let binding = binding(7, "list", "acme", &[]);
        assert_eq!(binding.open(&binding.seal(&[0; 200])), None);
    }
}

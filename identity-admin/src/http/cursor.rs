//! Cursors: where a page ended, bound to what was asked.
//!
//! A cursor is `version ‖ position ‖ tag`, base64url without padding. The tag is BLAKE3 over the position and
//! over everything that was asked for, so that a cursor goes on with its own list only. Its key is public: it
//! tells mix-ups and damage, not forgery. A position is looked for in the caller's tenant only, so a forged one
//! skips entries of the forger's own pages, no more.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;
/// Bytes of a tag.
const TAG: usize = 16;
/// The longest cursor, in characters: a name of 255 characters of four bytes, and an id.
const MAX_TEXT: usize = 2048;
/// Separates this hash from any other.
const CONTEXT: &str = "triad identity-admin 2026-11 cursor";

/// The last entry of a page: the value that it is sorted by, and its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position(pub(super) String, pub(super) String);

/// A list as cursors are bound to it.
pub(super) struct Binding(blake3::Hasher);

impl Binding {
    /// Of a list: its parts in a fixed order, each behind its length.
    pub(super) fn new<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
        }
        Self(hasher)
    }

    /// The cursor of a position.
    pub(super) fn seal(&self, position: &Position) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(serde_json::to_vec(position).unwrap_or_default());
        let tag = self.tag(&bytes);
        bytes.extend(tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a cursor; `None` if it is not one of this list.
    pub(super) fn open(&self, text: &str) -> Option<Position> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, tag) = bytes.split_last_chunk::<TAG>()?;
        if *tag != self.tag(body) {
            return None;
        }
        match body {
            [VERSION, position @ ..] => serde_json::from_slice(position).ok(),
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

    proptest! {
        #[test]
        fn a_cursor_opens_for_its_list_and_no_other(
            value in "\\PC{0,20}", id in "[a-z0-9-]{1,36}",
            a in prop::collection::vec("[ab]{0,2}", 0..4),
            b in prop::collection::vec("[ab]{0,2}", 0..4),
        ) {
            let binding = |parts: &[String]| Binding::new(parts.iter().map(String::as_str).collect::<Vec<_>>());
            let position = Position(value, id);
            let text = binding(&a).seal(&position);
            prop_assert_eq!(binding(&a).open(&text), Some(position));
            prop_assert_eq!(binding(&b).open(&text).is_some(), a == b);
        }

        #[test]
        fn a_damaged_cursor_does_not_open(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let binding = Binding::new(["users"]);
            let sealed = binding.seal(&Position("a".to_owned(), "b".to_owned()));
            let mut bytes = URL_SAFE_NO_PAD.decode(sealed).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(binding.open(&URL_SAFE_NO_PAD.encode(bytes)), None);
        }

        #[test]
        fn any_text_may_be_opened(text in ".{0,300}") {
            prop_assert_eq!(Binding::new(["users"]).open(&text), None);
        }
    }
}

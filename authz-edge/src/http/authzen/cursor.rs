//! Cursors of searches: where a page ended, bound to the search.
//!
//! A cursor is `version ‖ kind ‖ position ‖ tag`, base64url without padding. The tag is keyed BLAKE3
//! over that and over everything that was searched for, so that a cursor goes on with its own search
//! only. Its key is the graph's epoch, which all replicas know and callers may: it tells mix-ups and
//! damage, not forgery. A forged position skips candidates of the forger's own search, no more; every
//! candidate is checked, wherever a page begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::{GraphEpoch, TenantId};

use crate::check::Given;
use crate::check::search::Position;

const VERSION: u8 = 1;
/// Bytes of a tag.
const TAG: usize = 16;
/// The longest cursor: a name of 128 bytes with all around it, in base64.
const MAX_TEXT: usize = 256;
/// Separates this use of the epoch from any other (BLAKE3's key derivation).
const CONTEXT: &str = "triad authz-edge 2026-11 search cursor";

/// A search as cursors are bound to it.
pub(super) struct Binding(blake3::Hasher);

impl Binding {
    /// Of a search: which one it is, where, and its words in a fixed order.
    pub(super) fn new(
        epoch: GraphEpoch,
        search: &str,
        tenant: &TenantId,
        words: &[&str],
        given: &Given,
    ) -> Self {
        let key = blake3::derive_key(CONTEXT, &epoch.0.to_be_bytes());
        let mut hasher = blake3::Hasher::new_keyed(&key);
        // Each with its length, so that no two searches read alike.
        let mut part = |text: &[u8]| {
            hasher.update(&(text.len() as u64).to_be_bytes()).update(text);
        };
        part(search.as_bytes());
        part(tenant.as_str().as_bytes());
        words.iter().for_each(|word| part(word.as_bytes()));
        for given in [&given.subject, &given.action, &given.resource, &given.context] {
            // Properties are JSON and so have a form in it; absent ones are `null`.
            part(&serde_json::to_vec(given).unwrap_or_default());
        }
        Self(hasher)
    }

    /// The cursor of a position.
    pub(super) fn seal(&self, position: &Position) -> String {
        let mut bytes = vec![VERSION];
        match position {
            Position::Start => bytes.push(0),
            Position::Node { node, whole } => {
                bytes.push(1 + u8::from(*whole));
                bytes.extend(node.to_be_bytes());
            }
            Position::Name(name) => {
                bytes.push(3);
                bytes.extend(name.as_bytes());
            }
        }
        let tag = self.tag(&bytes);
        bytes.extend(tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a cursor; `None` if it is not one of this search.
    pub(super) fn open(&self, text: &str) -> Option<Position> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, tag) = bytes.split_last_chunk::<TAG>()?;
        if *tag != self.tag(body) {
            return None;
        }
        let [VERSION, kind, position @ ..] = body else { return None };
        match kind {
            0 => Some(Position::Start),
            1 | 2 => {
                let node = u64::from_be_bytes(position.try_into().ok()?);
                Some(Position::Node { node, whole: *kind == 2 })
            }
            _ => Some(Position::Name(std::str::from_utf8(position).ok()?.to_owned())),
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

    fn binding(tenant: &str, words: &[&str], given: &Given) -> Binding {
        let tenant = TenantId::parse(tenant).unwrap();
        Binding::new(GraphEpoch(7), "resource", &tenant, words, given)
    }

    fn position() -> impl Strategy<Value = Position> {
        prop_oneof![
            Just(Position::Start),
            (any::<u64>(), any::<bool>()).prop_map(|(node, whole)| Position::Node { node, whole }),
            "\\PC{0,32}".prop_map(Position::Name),
        ]
    }

    proptest! {
        #[test]
        fn a_cursor_opens_for_its_search_and_no_other(
            position in position(),
            a in prop::array::uniform3("[ab]{0,2}"),
            b in prop::array::uniform3("[ab]{0,2}"),
        ) {
            let words = |words: &[String; 3]| binding("acme", &words.each_ref().map(|w| &**w), &Given::default());
            let text = words(&a).seal(&position);
            prop_assert_eq!(words(&a).open(&text), Some(position));
            prop_assert_eq!(words(&b).open(&text).is_some(), a == b);
        }

        #[test]
        fn a_damaged_cursor_does_not_open(position in position(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let binding = binding("acme", &["user"], &Given::default());
            let mut bytes = URL_SAFE_NO_PAD.decode(binding.seal(&position)).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(binding.open(&URL_SAFE_NO_PAD.encode(bytes)), None);
        }

        #[test]
        fn any_text_may_be_opened(text in ".{0,80}") {
            prop_assert_eq!(binding("acme", &[], &Given::default()).open(&text), None);
        }
    }

    #[test]
    fn tenant_properties_graph_and_kind_of_search_are_part_of_it() {
        let given =
            |json: &str| Given { subject: serde_json::from_str(json).unwrap(), ..Given::default() };
        let none = Given::default();
        let text = binding("acme", &["user"], &none).seal(&Position::Start);
        assert!(binding("acme", &["user"], &none).open(&text).is_some());
        assert_eq!(binding("other", &["user"], &none).open(&text), None);
        assert_eq!(binding("acme", &["user"], &given(r#"{"role":"admin"}"#)).open(&text), None);
        let tenant = TenantId::parse("acme").unwrap();
        let other =
            |epoch, search| Binding::new(GraphEpoch(epoch), search, &tenant, &["user"], &none);
        assert_eq!(other(8, "resource").open(&text), None);
        assert_eq!(other(7, "subject").open(&text), None);
    }
}

//! Cursors of searches: [`super::super::cursor`] over a kind and a position. A forged position skips
//! candidates of the forger's own search, no more; every candidate is checked, wherever a page begins.

use contracts::{GraphEpoch, TenantId};

use super::super::cursor;
use crate::check::Given;
use crate::check::search::Position;

/// A search as cursors are bound to it.
pub(super) struct Binding(cursor::Binding);

impl Binding {
    /// Of a search: which one it is, where, and its words in a fixed order.
    pub(super) fn new(
        epoch: GraphEpoch,
        search: &str,
        tenant: &TenantId,
        words: &[&str],
        given: &Given,
    ) -> Self {
        let mut parts: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        // Properties are JSON and so have a form in it; absent ones are `null`.
        let json = |given: &_| serde_json::to_vec(given).unwrap_or_default();
        parts.extend([&given.subject, &given.action, &given.resource, &given.context].map(json));
        Self(cursor::Binding::new(epoch, search, tenant, parts))
    }

    /// The cursor of a position.
    pub(super) fn seal(&self, position: &Position) -> String {
        let mut bytes = Vec::new();
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
        self.0.seal(&bytes)
    }

    /// The position of a cursor; `None` if it is not one of this search.
    pub(super) fn open(&self, text: &str) -> Option<Position> {
        let bytes = self.0.open(text)?;
        let (kind, position) = bytes.split_first()?;
        match kind {
            0 => Some(Position::Start),
            1 | 2 => {
                let node = u64::from_be_bytes(position.try_into().ok()?);
                Some(Position::Node { node, whole: *kind == 2 })
            }
            _ => Some(Position::Name(std::str::from_utf8(position).ok()?.to_owned())),
        }
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

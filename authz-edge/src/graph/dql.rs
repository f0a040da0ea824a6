//! Texts for Dgraph: literals of queries and N-Quads.

use std::fmt::Write as _;

/// A quoted literal of DQL or RDF. Both read JSON's escapes.
pub(super) fn literal(text: &str) -> String {
    // Writing a string cannot fail.
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

/// A list of literals, for `eq(xid, […])`.
pub(super) fn literals<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut list = String::from("[");
    for (at, text) in texts.into_iter().enumerate() {
        // Writing into a String cannot fail.
        let _ = write!(list, "{}{}", if at == 0 { "" } else { "," }, literal(text));
    }
    list.push(']');
    list
}

/// Reads `0x2a`.
pub(super) fn parse_uid(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// A node id in an answer: `{"uid":"0x2a"}` or the text alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Uid(pub(super) u64);

impl<'de> serde::Deserialize<'de> for Uid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        parse_uid(&text).map(Self).ok_or_else(|| serde::de::Error::custom("no node id"))
    }
}

/// An object with a node id and nothing else of interest.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(super) struct HasUid {
    pub(super) uid: Uid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_quoted_and_node_ids_are_hexadecimal() {
        assert_eq!(literals(["a\"b", "c\\d"]), r#"["a\"b","c\\d"]"#);
        assert_eq!(parse_uid("0x2a"), Some(42));
        assert_eq!(parse_uid("2a"), None);
        assert_eq!(serde_json::from_str::<HasUid>(r#"{"uid":"0x7"}"#).unwrap().uid, Uid(7));
    }
}

//! N-Quads, as far as this crate writes them: <https://www.w3.org/TR/n-quads/>, with `*` for everything.

use std::borrow::Cow;

use super::super::dql::parse_uid;
use super::super::store::GraphError;
use super::refused;

/// A node that is there, or is made by the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Id<'a> {
    Stored(u64),
    Blank(&'a str),
}

/// What a predicate is set to, or freed of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object<'a> {
    Node(Id<'a>),
    Text(Cow<'a, str>),
    Star,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Quad<'a> {
    pub(super) subject: Id<'a>,
    pub(super) predicate: &'a str,
    pub(super) object: Object<'a>,
}

/// Reads lines.
///
/// # Errors
/// `Refused`, with the line that is none.
pub(super) fn parse(text: &str) -> Result<Vec<Quad<'_>>, GraphError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let read = |line| quad(line).ok_or_else(|| refused(format!("no N-Quad: {line}")));
    lines.map(read).collect()
}

fn quad(line: &str) -> Option<Quad<'_>> {
    let (subject, rest) = id(line)?;
    let (predicate, rest) = name(rest.trim_start())?;
    let (object, rest) = object(rest.trim_start())?;
    (rest.trim() == ".").then_some(Quad { subject, predicate, object })
}

/// What is between angle brackets.
fn name(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('<')?.split_once('>')
}

fn id(text: &str) -> Option<(Id<'_>, &str)> {
    if let Some(rest) = text.strip_prefix("_:") {
        let end = rest.find(char::is_whitespace)?;
        return (end > 0).then(|| (Id::Blank(&rest[..end]), &rest[end..]));
    }
    let (uid, rest) = name(text)?;
    Some((Id::Stored(parse_uid(uid)?), rest))
}

fn object(text: &str) -> Option<(Object<'_>, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some((Object::Star, rest));
    }
    if text.starts_with('"') {
        let end = end_of_text(text)?;
        return Some((Object::Text(unescaped(&text[..end])?), &text[end..]));
    }
    id(text).map(|(id, rest)| (Object::Node(id), rest))
}

/// Where a quoted text ends, its quotation mark included.
pub(super) fn end_of_text(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A quoted text without quotation marks and escapes, which are JSON's.
pub(super) fn unescaped(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if !inner.bytes().any(|byte| byte == b'\\' || byte < b' ') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(quoted).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::dql::literal;
    use super::*;

    #[test]
    fn values_edges_and_everything_are_told_apart() {
        let text = "_:n1 <xid> \"a \\\"b\\\" \\u0001\" .\n<0x2a> <User.memberOf> _:n1 .\n\n<0x2a> <guard> * .\n";
        let blank = Id::Blank("n1");
        let quad = |subject, predicate, object| Quad { subject, predicate, object };
        assert_eq!(
            parse(text).unwrap(),
            [
                quad(blank, "xid", Object::Text("a \"b\" \u{1}".into())),
                quad(Id::Stored(42), "User.memberOf", Object::Node(blank)),
                quad(Id::Stored(42), "guard", Object::Star),
            ]
        );
        for bad in
            ["<0x1> <p> \"a\"", "<1> <p> * .", "_: <p> * .", "<0x1> p * .", "<0x1> <p> \"a .", "x"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in ".*") {
            let line = format!("_:n <p> {} .", literal(&text));
            // A line end within a text is escaped.
            let found = parse(&line).unwrap();
            prop_assert_eq!(&found[0].object, &Object::Text(text.into()));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".*", quads in "[_:n<>0x1p \"\\\\*.]{0,40}") {
            let _ = (parse(&text), parse(&quads));
        }
    }
}

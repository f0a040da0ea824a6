//! The words of a query.

use std::borrow::Cow;

use super::nquads::{end_of_text, unescaped};

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, a number, a node's id.
    Word(&'a str),
    /// `$name`.
    Param(&'a str),
    /// A quoted text, without its escapes.
    Text(Cow<'a, str>),
    /// One of `{}()[]:,@`.
    Mark(char),
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => write!(f, "{word}"),
            Self::Param(name) => write!(f, "${name}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Mark(mark) => write!(f, "{mark}"),
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'~')
}

/// Cuts a query into words; what is none comes back as an error.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, &str> {
    let (mut tokens, mut rest) = (Vec::with_capacity(text.len() / 6), text.trim_start());
    while let Some(first) = rest.bytes().next() {
        let (token, after) = match first {
            b'"' => quoted(rest).ok_or(rest)?,
            b'$' => {
                let (name, after) = word(&rest[1..]).ok_or(rest)?;
                (Token::Param(name), after)
            }
            b'{' | b'}' | b'(' | b')' | b'[' | b']' | b':' | b',' | b'@' => {
                (Token::Mark(char::from(first)), &rest[1..])
            }
            _ => {
                let (word, after) = word(rest).ok_or(rest)?;
                (Token::Word(word), after)
            }
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn word(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !is_name(byte)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn quoted(text: &str) -> Option<(Token<'_>, &str)> {
    let (quoted, rest) = text.split_at(end_of_text(text)?);
    Some((Token::Text(unescaped(quoted)?), rest))
}

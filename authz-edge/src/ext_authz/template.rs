//! Resource ids made of what a path captured.

use super::path::{Captures, Pattern};
use crate::model::key::check_id;

/// Text with names in braces: `reports/{year}/{id}`.
#[derive(Debug)]
pub struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Name(String),
}

impl Template {
    /// Reads a template over the names of `pattern`. Two paths must never make one id, so a slash
    /// stands between any two names (no single segment holds one) and the name of the rest is last.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str, pattern: &Pattern) -> Result<Self, String> {
        let (mut pieces, mut left) = (Vec::new(), text);
        while let Some((before, after)) = left.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("{ without }")?;
            push_text(&mut pieces, before)?;
            push_name(&mut pieces, name, pattern)?;
            left = after;
        }
        push_text(&mut pieces, left)?;
        if !pieces.iter().any(|piece| matches!(piece, Piece::Name(_))) {
            check_id("id", text).map_err(|invalid| invalid.rule)?;
            if text == crate::model::key::EVERYONE {
                return Err("is no wildcard".to_owned());
            }
        }
        Ok(Self(pieces))
    }

    /// The id that a path makes.
    #[must_use]
    pub fn fill(&self, captures: &Captures<'_>) -> String {
        let value = |name: &String| {
            captures.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
        };
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Name(name) => value(name),
        });
        pieces.collect()
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) -> Result<(), String> {
    if text.contains(['{', '}']) {
        return Err("} without {".to_owned());
    }
    if !text.is_empty() {
        check_id("id", text).map_err(|invalid| invalid.rule)?;
        pieces.push(Piece::Text(text.to_owned()));
    }
    Ok(())
}

fn push_name(pieces: &mut Vec<Piece>, name: &str, pattern: &Pattern) -> Result<(), String> {
    let is_rest = |name: &str| pattern.kind(name);
    if is_rest(name).is_none() {
        return Err(format!("the path captures no {name}"));
    }
    let earlier = pieces.iter().rev().find_map(|piece| match piece {
        Piece::Name(name) => Some(name.as_str()),
        Piece::Text(_) => None,
    });
    if let Some(earlier) = earlier {
        let is_apart = matches!(pieces.last(), Some(Piece::Text(text)) if text.contains('/'));
        if !is_apart || is_rest(earlier) == Some(true) {
            return Err(format!("a / must part {earlier} and {name}, and the rest come last"));
        }
    }
    pieces.push(Piece::Name(name.to_owned()));
    Ok(())
}

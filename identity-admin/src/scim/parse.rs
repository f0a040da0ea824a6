//! How filters and paths are written (RFC 7644 figures 1 and 7).

use serde_json::Value;

use super::filter::{Filter, Operand, Operator, Test};
use super::schema::{Attribute, Kind, Place, Schema, Type};

/// The longest filter or path, in bytes.
pub(super) const LONGEST: usize = 4096;
/// The deepest nesting.
const DEEPEST: usize = 32;

/// What a PATCH operation is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Path {
    /// All of an extension.
    Extension(&'static str),
    /// An attribute or one part of it; of a list, the values that a filter finds.
    Place(Place, Option<Filter>),
}

/// A filter about resources of a type.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn filter(of: &'static Type, text: &str) -> Result<Filter, String> {
    let mut parser = Parser::new(text, Scope::Resource(of))?;
    let filter = parser.any()?;
    parser.end()?;
    Ok(filter)
}

/// A path of a PATCH operation.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn path(of: &'static Type, text: &str) -> Result<Path, String> {
    if let Some(Schema { id, .. }) = of.extension(text) {
        return Ok(Path::Extension(id));
    }
    let mut parser = Parser::new(text, Scope::Resource(of))?;
    let mut place = parser.place()?;
    let mut filter = None;
    if parser.takes("[") {
        if !place.attribute.multi {
            return parser.wrong("brackets follow a list");
        }
        filter = Some(parser.within(place)?);
        if let Some(name) = parser.rest().strip_prefix('.') {
            let part = place.attribute.part(name).ok_or_else(|| unknown(name))?;
            place.part = Some(part);
            return Ok(Path::Place(place, filter));
        }
    }
    parser.end()?;
    Ok(Path::Place(place, filter))
}

fn unknown(name: &str) -> String {
    // Long ones are cut: an error repeats no more than people read.
    let name: String = name.chars().take(64).collect();
    format!("there is no attribute {name}")
}

/// What names are looked for in.
#[derive(Clone, Copy)]
enum Scope {
    Resource(&'static Type),
    /// The parts of an attribute.
    Parts(Place),
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    scope: Scope,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, scope: Scope) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        Ok(Self { text, at: 0, depth: 0, scope })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("{what} at character {}", self.text[..self.at].chars().count() + 1))
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches(' ').len();
    }

    /// Takes a sign, if it is next.
    fn takes(&mut self, sign: &str) -> bool {
        self.space();
        let is_next = self.rest().starts_with(sign);
        self.at += if is_next { sign.len() } else { 0 };
        is_next
    }

    /// The next word: a name, an operator or a literal.
    fn word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "()[]\"".contains(c));
        &rest[..end.unwrap_or(rest.len())]
    }

    /// Takes a word, if it is next, in any case.
    fn says(&mut self, word: &str) -> bool {
        self.space();
        let is_next = self.word().eq_ignore_ascii_case(word);
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    fn end(&mut self) -> Result<(), String> {
        self.space();
        if self.rest().is_empty() { Ok(()) } else { self.wrong("something is left over") }
    }

    /// `and` binds closer than `or`.
    fn any(&mut self) -> Result<Filter, String> {
        self.joined("or", |parser| parser.joined("and", Self::one, Filter::All), Filter::Any)
    }

    fn joined(
        &mut self,
        word: &str,
        one: impl Fn(&mut Self) -> Result<Filter, String>,
        join: fn(Vec<Filter>) -> Filter,
    ) -> Result<Filter, String> {
        let first = one(self)?;
        let mut filters = vec![first];
        while self.says(word) {
            filters.push(one(self)?);
        }
        Ok(if filters.len() == 1 { filters.remove(0) } else { join(filters) })
    }

    fn one(&mut self) -> Result<Filter, String> {
        // An attribute might be called so: only before a parenthesis it negates.
        let start = self.at;
        if self.says("not") {
            if self.takes("(") {
                return Ok(Filter::Not(Box::new(self.nested(")")?)));
            }
            self.at = start;
        }
        if self.takes("(") {
            return self.nested(")");
        }
        let place = self.place()?;
        if self.takes("[") {
            let mut filter = self.within(place)?;
            // Not of the grammar, and sent all the same: a test of what was found.
            if let Some(name) = self.word().strip_prefix('.') {
                let part = place.attribute.part(name).ok_or_else(|| unknown(name))?;
                self.at += 1 + name.len();
                filter = Filter::All(vec![filter, self.test(Place { part: Some(part), ..place })?]);
            }
            return Ok(Filter::Within(place, Box::new(filter)));
        }
        self.test(place)
    }

    fn nested(&mut self, end: &str) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.wrong("it is nested too deeply");
        }
        let filter = self.any()?;
        self.depth -= 1;
        if self.takes(end) { Ok(filter) } else { self.wrong(&format!("{end} is missing")) }
    }

    /// What stands between brackets behind an attribute.
    fn within(&mut self, place: Place) -> Result<Filter, String> {
        if matches!(self.scope, Scope::Parts(_))
            || place.part.is_some()
            || place.attribute.parts().is_empty()
        {
            return self.wrong("brackets follow an attribute with parts");
        }
        let outer = std::mem::replace(&mut self.scope, Scope::Parts(place));
        let filter = self.nested("]")?;
        self.scope = outer;
        Ok(filter)
    }

    fn place(&mut self) -> Result<Place, String> {
        self.space();
        let word = self.word();
        if word.is_empty() {
            return self.wrong("an attribute is missing");
        }
        let place = match self.scope {
            Scope::Resource(of) => of.place(word),
            Scope::Parts(place) => {
                place.attribute.part(word).map(|part| Place { part: Some(part), ..place })
            }
        };
        let place = place.ok_or_else(|| unknown(word))?;
        self.at += word.len();
        Ok(place)
    }

    fn test(&mut self, mut place: Place) -> Result<Filter, String> {
        self.space();
        let word = self.word();
        let Some(operator) = Operator::parse(word) else {
            return self.wrong("an operator is missing");
        };
        self.at += word.len();
        if operator == Operator::Present {
            return Ok(Filter::Test(Test { place, operator, operand: Operand::Nothing }));
        }
        // Of what has parts, `value` is meant.
        if let Attribute { kind: Kind::Complex(_), .. } = place.leaf()
            && let Some(value) = place.attribute.part("value")
        {
            place.part = Some(value);
        }
        self.space();
        let value = self.value()?;
        let operand = Operand::of(&place, operator, &value)
            .map_err(|why| format!("{}: {why}", place.leaf().name))?;
        Ok(Filter::Test(Test { place, operator, operand }))
    }

    /// A JSON value that is no list and no object.
    fn value(&mut self) -> Result<Value, String> {
        let rest = self.rest();
        let literal = if rest.starts_with('"') { quoted(rest) } else { Some(self.word()) };
        let parsed = literal.and_then(|text| Some((text.len(), serde_json::from_str(text).ok()?)));
        match parsed {
            Some((length, value)) => {
                self.at += length;
                Ok(value)
            }
            None => self.wrong("a value is missing: texts stand between quotes"),
        }
    }
}

/// The text between quotes that a text begins with, with them.
fn quoted(text: &str) -> Option<&str> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(&text[..=at]),
            _ => {}
        }
    }
    None
}

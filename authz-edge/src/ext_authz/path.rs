//! Paths, read so strictly that no server behind can read them otherwise, and the patterns of routes.
//!
//! A path that two programs may understand differently is refused, not repaired: what is checked must
//! be what is served.

use std::borrow::Cow;

/// A longer path is refused, in bytes.
const MAX_PATH_BYTES: usize = 8 << 10;

/// A path's segments, decoded.
#[derive(Debug, PartialEq, Eq)]
pub struct Segments<'a>(Vec<Cow<'a, str>>);

impl<'a> Segments<'a> {
    /// Reads a request's target up to its query. `None` for whatever is not spelled in the one way:
    /// empty and dot segments (a trailing slash makes an empty one), `;`, a slash, backslash, percent
    /// sign, `?`, `#` or control character that is escaped, escapes of what needs none (RFC 3986
    /// section 2.3), characters that need one, and what is not UTF-8.
    #[must_use]
    pub fn parse(target: &'a str) -> Option<Self> {
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let inner = path.strip_prefix('/').filter(|_| path.len() <= MAX_PATH_BYTES)?;
        if inner.is_empty() {
            return Some(Self(Vec::new()));
        }
        inner.split('/').map(decode).collect::<Option<_>>().map(Self)
    }
}

fn decode(raw: &str) -> Option<Cow<'_, str>> {
    let text = if raw.bytes().all(stands_for_itself) {
        Cow::Borrowed(raw)
    } else {
        let mut decoded = Vec::with_capacity(raw.len());
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            decoded.push(match byte {
                b'%' => unescape(bytes.next()?, bytes.next()?)?,
                byte if stands_for_itself(byte) => byte,
                _ => return None,
            });
        }
        Cow::Owned(String::from_utf8(decoded).ok()?)
    };
    is_segment(&text).then_some(text)
}

fn unescape(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = digit(high)? << 4 | digit(low)?;
    // `%61` for `a` is the same path to some servers and another one to others.
    (!is_unreserved(byte)).then_some(byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// `pchar` of RFC 3986 without escapes and without `;`, which some servers cut a segment at.
fn stands_for_itself(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,=:@".contains(&byte)
}

/// Whether a decoded segment means the same to every server, even to one that decodes twice.
fn is_segment(text: &str) -> bool {
    let is_risky = |c: char| c.is_control() || "/\\;%?#".contains(c);
    !text.is_empty() && text != "." && text != ".." && !text.contains(is_risky)
}

/// What a route's path looks like: `/v1/docs/{id}`, or `/files/{path..}` with all that follows.
#[derive(Debug)]
pub struct Pattern {
    parts: Vec<Part>,
    /// The name of what takes one or more last segments.
    rest: Option<String>,
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Capture(String),
}

/// What a pattern's names stand for in a path.
pub type Captures<'a> = Vec<(&'a str, Cow<'a, str>)>;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('/').ok_or("must begin with /")?;
        let mut pattern = Self { parts: Vec::new(), rest: None };
        for segment in inner.split('/').filter(|_| !inner.is_empty()) {
            if pattern.rest.is_some() {
                return Err("{name..} must be the last segment".to_owned());
            }
            pattern.push(segment)?;
        }
        Ok(pattern)
    }

    fn push(&mut self, segment: &str) -> Result<(), String> {
        let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        let Some(name) = name else {
            if segment.contains(['{', '}']) || !is_segment(segment) {
                return Err(format!("`{segment}` is neither a plain segment nor {{name}}"));
            }
            self.parts.push(Part::Literal(segment.to_owned()));
            return Ok(());
        };
        let (name, is_rest) = name.strip_suffix("..").map_or((name, false), |name| (name, true));
        if !is_name(name) {
            return Err(format!("`{name}` is no name: [a-z_][a-z0-9_]*"));
        }
        if self.parts.iter().any(|part| matches!(part, Part::Capture(known) if known == name)) {
            return Err(format!("the name {name} stands twice"));
        }
        if is_rest {
            self.rest = Some(name.to_owned());
        } else {
            self.parts.push(Part::Capture(name.to_owned()));
        }
        Ok(())
    }

    /// Whether `name` stands for one segment (`Some(false)`) or for the rest (`Some(true)`).
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<bool> {
        if self.rest.as_deref() == Some(name) {
            return Some(true);
        }
        let found = |part: &Part| matches!(part, Part::Capture(known) if known == name);
        self.parts.iter().any(found).then_some(false)
    }

    /// What its names stand for in a path of its form.
    #[must_use]
    pub fn matches<'a>(&'a self, path: &'a Segments<'_>) -> Option<Captures<'a>> {
        let fits = match self.rest {
            Some(_) => path.0.len() > self.parts.len(),
            None => path.0.len() == self.parts.len(),
        };
        if !fits {
            return None;
        }
        let (head, tail) = path.0.split_at(self.parts.len());
        let mut captures = Vec::new();
        for (part, segment) in self.parts.iter().zip(head) {
            match part {
                Part::Literal(literal) if *literal == **segment => {}
                Part::Literal(_) => return None,
                Part::Capture(name) => captures.push((name.as_str(), Cow::Borrowed(&**segment))),
            }
        }
        if let Some(name) = &self.rest {
            captures.push((name, Cow::Owned(tail.join("/"))));
        }
        Some(captures)
    }
}

fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b == b'_';
    text.bytes().next().is_some_and(plain) && text.bytes().all(|b| plain(b) || b.is_ascii_digit())
}

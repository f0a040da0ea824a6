//! The JSON of one event, read in one pass into borrowed fields.
//!
//! serde's derive would tell neither a duplicate key from a wrong type nor keep unknown fields as the
//! text they were, so the object is visited by hand. Values of unknown shape stay `RawValue`: checked
//! JSON, not copied.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Reason, Rejection};

/// A JSON string, borrowed where it has no escapes; `null` is absent.
pub(super) struct Text<'a>(pub(super) Option<Cow<'a, str>>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Text(None))
    }
}

/// The top level of a record's value, before any rule on what the fields say.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) known: [Option<Cow<'a, str>>; KNOWN.len()],
    /// Sorted by key.
    pub(super) details: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// Sorted by key.
    pub(super) unknown: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// The fields that are text, in the order of [`Fields::known`].
pub(super) const KNOWN: [&str; 10] = [
    "id",
    "tenant_id",
    "event_time",
    "actor_id",
    "actor_type",
    "action",
    "resource_type",
    "resource_id",
    "status",
    "source_ip",
];

impl<'a> Fields<'a> {
    /// Reads a whole value: one JSON object and nothing behind it.
    pub(super) fn parse(text: &'a str, max_fields: usize) -> Result<Self, Rejection> {
        let mut refused = None;
        let mut json = serde_json::Deserializer::from_str(text);
        let seed = Object { max_fields, refused: &mut refused };
        let read = json.deserialize_map(seed).and_then(|fields| json.end().map(|()| fields));
        read.map_err(|error| refused.unwrap_or_else(|| syntax_or_type(&error)))
    }
}

fn syntax_or_type(error: &serde_json::Error) -> Rejection {
    let reason = if error.is_data() { Reason::WrongType } else { Reason::InvalidJson };
    // serde_json quotes the offending string in type errors: keep what people need of it.
    let mut detail = error.to_string();
    if detail.len() > 256 {
        let cut = (0..=256).rev().find(|i| detail.is_char_boundary(*i)).unwrap_or(0);
        detail.truncate(cut);
    }
    Rejection::new(reason, detail)
}

/// Visits the top level; a broken rule of ours leaves its rejection in `refused`, because a serde
/// error carries text only.
struct Object<'r> {
    max_fields: usize,
    refused: &'r mut Option<Rejection>,
}

impl Object<'_> {
    fn refuse<T, E: Error>(self, reason: Reason, detail: String) -> Result<T, E> {
        *self.refused = Some(Rejection::new(reason, detail));
        Err(E::custom(reason))
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        let (mut seen, mut details_seen) = (0_u16, false);
        while let Some(Text(key)) = map.next_key()? {
            let key = key.unwrap_or_default();
            if let Some(index) = KNOWN.iter().position(|known| *known == key) {
                if seen & (1 << index) != 0 {
                    return self.refuse(Reason::DuplicateKey, format!("{key} stands twice"));
                }
                seen |= 1 << index;
                fields.known[index] = map.next_value_seed(Named(KNOWN[index]))?.0;
            } else if key == "details" {
                if details_seen {
                    return self.refuse(Reason::DuplicateKey, "details stands twice".to_owned());
                }
                details_seen = true;
                fields.details = map.next_value_seed(Entries { name: "details" })?;
            } else {
                fields.unknown.push((key, map.next_value()?));
            }
        }
        for (name, entries) in [("details", &mut fields.details), ("event", &mut fields.unknown)] {
            if entries.len() > self.max_fields {
                let detail = format!("{name} has more than {} entries", self.max_fields);
                return self.refuse(Reason::TooManyFields, detail);
            }
            entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            if let Some(twice) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                let detail = format!("{name}: {:.64} stands twice", twice[0].0);
                return self.refuse(Reason::DuplicateKey, detail);
            }
        }
        Ok(fields)
    }
}

/// A text field whose name is in the error.
struct Named(&'static str);

impl<'de> DeserializeSeed<'de> for Named {
    type Value = Text<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        serde::Deserialize::deserialize(deserializer)
            .map_err(|error| D::Error::custom(format_args!("{}: {error}", self.0)))
    }
}

/// The entries of an object, values unread; `null` is an empty object.
struct Entries {
    name: &'static str,
}

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let name = self.name;
        deserializer
            .deserialize_any(self)
            .map_err(|error| D::Error::custom(format_args!("{name}: {error}")))
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            entries.push((key.unwrap_or_default(), map.next_value()?));
        }
        Ok(entries)
    }
}

/// A value as the text that is stored: a string as itself, everything else as its JSON text without
/// insignificant white space.
///
/// # Errors
/// [`Reason::TooDeep`] when it nests deeper than `max_depth`.
pub(super) fn value_text<'a>(
    key: &str,
    raw: &'a RawValue,
    max_depth: usize,
) -> Result<Cow<'a, str>, Rejection> {
    let json = raw.get();
    match json.as_bytes().first() {
        Some(b'"') => match json[1..json.len() - 1].contains('\\') {
            false => Ok(Cow::Borrowed(&json[1..json.len() - 1])),
            true => {
                serde_json::from_str(json).map(Cow::Owned).map_err(|error| syntax_or_type(&error))
            }
        },
        Some(b'{' | b'[') => compact(json, max_depth).map(Cow::Owned).ok_or_else(|| {
            Rejection::new(Reason::TooDeep, format!("{key:.64} nests deeper than {max_depth}"))
        }),
        _ => Ok(Cow::Borrowed(json)),
    }
}

/// `json`, known to be valid, without white space outside strings; `None` beyond `max_depth`.
pub(super) fn compact(json: &str, max_depth: usize) -> Option<String> {
    let mut out = String::with_capacity(json.len());
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for c in json.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ if in_string => {}
            '{' | '[' => {
                depth += 1;
                if depth > max_depth {
                    return None;
                }
            }
            '}' | ']' => depth -= 1,
            ' ' | '\t' | '\n' | '\r' => continue,
            _ => {}
        }
        out.push(c);
    }
    Some(out)
}

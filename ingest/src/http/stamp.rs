//! What a producer left out is written into the text of its event; nothing else of it changes.
//!
//! Values stay the text that they were: a number is never read and written again.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::event::Ticks;

/// What is written where it is missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp<'a> {
    /// From the path.
    pub(super) tenant: &'a str,
    /// Now.
    pub(super) time: Ticks,
    /// A new one.
    pub(super) id: Uuid,
}

/// The top level of an object: keys unescaped, values unread.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// Whether there is a value: `null` is none.
    fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.get() != "null")
    }

    /// The object with each of `values` in the place of its `null`, or at the end.
    fn with(&self, values: &[(&str, String)]) -> String {
        let mut missing: Vec<_> = values.iter().collect();
        let mut entries = Vec::with_capacity(self.0.len() + values.len());
        for (key, value) in &self.0 {
            let null = value.get() == "null";
            match missing.iter().position(|(name, _)| null && name == key) {
                Some(at) => entries.push((key.as_ref(), missing.remove(at).1.as_str())),
                None => entries.push((key.as_ref(), value.get())),
            }
        }
        entries.extend(missing.into_iter().map(|(name, value)| (*name, value.as_str())));
        written(&entries)
    }

    /// The object with another value under `name`.
    fn replacing(&self, name: &str, value: &str) -> String {
        let entries = self.0.iter();
        let entries =
            entries.map(|(key, old)| (key.as_ref(), if key == name { value } else { old.get() }));
        written(&entries.collect::<Vec<_>>())
    }
}

fn written(entries: &[(&str, &str)]) -> String {
    let size = entries.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
    let mut text = String::with_capacity(size);
    for (key, value) in entries {
        text.push(if text.is_empty() { '{' } else { ',' });
        if key.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            text.push_str(&quoted(key));
        } else {
            text.extend(["\"", key, "\""]);
        }
        text.push(':');
        text.push_str(value);
    }
    text.push_str(if text.is_empty() { "{}" } else { "}" });
    text
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text of `raw` with `tenant_id`, `event_time` and `id` where they were missing. In a CloudEvent
/// they are written into its `data`, unless the envelope brings an id and a time. What is no object
/// stays as it is: the decoder says why.
pub(super) fn stamp<'a>(raw: &'a RawValue, stamp: &Stamp<'_>) -> Cow<'a, str> {
    let Ok(object) = serde_json::from_str::<Object<'a>>(raw.get()) else {
        return Cow::Borrowed(raw.get());
    };
    let Some(data) = envelope_data(&object) else {
        return complete(&object, None, stamp).map_or(Cow::Borrowed(raw.get()), Cow::Owned);
    };
    let inner = serde_json::from_str::<Object<'_>>(data.get());
    match inner.ok().and_then(|inner| complete(&inner, Some(&object), stamp)) {
        None => Cow::Borrowed(raw.get()),
        Some(completed) => Cow::Owned(object.replacing("data", &completed)),
    }
}

/// As the decoder tells an envelope from an event.
fn envelope_data<'a>(object: &Object<'a>) -> Option<&'a RawValue> {
    object.get("specversion").filter(|version| version.get().starts_with("\"1."))?;
    object.get("data")
}

/// Whether `raw` is a CloudEvent with `data`.
pub(super) fn is_envelope(raw: &RawValue) -> bool {
    let object = serde_json::from_str::<Object<'_>>(raw.get());
    object.is_ok_and(|object| envelope_data(&object).is_some())
}

/// `None` when nothing is missing.
fn complete(
    object: &Object<'_>,
    envelope: Option<&Object<'_>>,
    stamp: &Stamp<'_>,
) -> Option<String> {
    let mut values = Vec::new();
    if !object.has("tenant_id") {
        values.push(("tenant_id", quoted(stamp.tenant)));
    }
    if !object.has("id") && !envelope.is_some_and(|envelope| envelope.has("id")) {
        values.push(("id", quoted(&stamp.id.to_string())));
    }
    if !object.has("event_time") && envelope.is_none_or(|envelope| envelope.get("time").is_none()) {
        values.push(("event_time", quoted(&stamp.time.to_rfc3339())));
    }
    (!values.is_empty()).then(|| object.with(&values))
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    fn stamped(text: &str) -> String {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let time = Ticks::from_millis(0);
        stamp(raw, &Stamp { tenant: "acme", time, id: ID }).into_owned()
    }

    #[test]
    fn only_what_is_missing_is_written() {
        let whole = r#"{ "tenant_id":"a", "id":"1","event_time" : "x", "action":7 }"#;
        assert_eq!(stamped(whole), whole);
        let all = format!(
            r#"{{"tenant_id":"acme","id":"{ID}","event_time":"1970-01-01T00:00:00.000Z"}}"#
        );
        assert_eq!(stamped("{}"), all);
        assert_eq!(
            stamped(r#"{"n": 1.50e+3, "id":null ,"big":12345678901234567890, "k\"\n":[ 1, {} ]}"#),
            format!(
                r#"{{"n":1.50e+3,"id":"{ID}","big":12345678901234567890,"k\"\n":[ 1, {{}} ],"tenant_id":"acme","event_time":"1970-01-01T00:00:00.000Z"}}"#
            )
        );
    }

    #[test]
    fn a_repeated_key_stays_for_the_decoder_to_refuse() {
        let twice = r#"{"id":null,"id":null,"tenant_id":"a","event_time":"x"}"#;
        let kept = format!(r#"{{"id":"{ID}","id":null,"tenant_id":"a","event_time":"x"}}"#);
        assert_eq!(stamped(twice), kept);
    }

    #[test]
    fn a_cloud_event_is_completed_inside() {
        let envelope = r#"{"specversion":"1.0","id":"e","time":"t","data":{"action":"x"}}"#;
        assert_eq!(
            stamped(envelope),
            r#"{"specversion":"1.0","id":"e","time":"t","data":{"action":"x","tenant_id":"acme"}}"#
        );
        let bare = stamped(r#"{"specversion":"1.0","data":{"tenant_id":"a"}}"#);
        assert!(bare.contains(&format!(r#""data":{{"tenant_id":"a","id":"{ID}","event_time""#)));
        for other in [r#"{"specversion":"1.0","data":[1]}"#, "[]", "7"] {
            assert_eq!(stamped(other), other);
        }
    }
}

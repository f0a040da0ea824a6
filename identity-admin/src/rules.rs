//! What the fields of a request may hold. A request is told of all its faults at once.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization as _;

use crate::change::{FieldFault, Refused};

/// The longest name, in characters.
pub const MAX_NAME: usize = 255;
/// The longest description, in characters.
pub const MAX_DESCRIPTION: usize = 1024;
/// The largest JSON object that is kept for a subject, in bytes of its shortest text.
pub const MAX_OBJECT_BYTES: usize = 16 << 10;
/// The longest e-mail address, in bytes (RFC 5321 section 4.5.3.1.3, without its brackets).
const MAX_EMAIL_BYTES: usize = 254;
/// The longest part of an address before the `@`, in bytes.
const MAX_LOCAL_BYTES: usize = 64;

/// Faults found so far.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldFault>);

impl Faults {
    /// The value, or `None` and one fault more.
    pub fn take<T>(&mut self, field: &str, value: Result<T, &'static str>) -> Option<T> {
        value.map_err(|reason| self.0.push(FieldFault::new(field, reason))).ok()
    }

    /// The request made of what was taken.
    ///
    /// # Errors
    /// All faults, if there are any.
    pub fn settle<T>(self, made: Option<T>) -> Result<T, Refused> {
        match made {
            Some(made) if self.0.is_empty() => Ok(made),
            _ => Err(Refused::Invalid(self.0)),
        }
    }
}

/// For a field of a merge patch (RFC 7396): absent, null and a value are three things.
///
/// # Errors
/// Of the type.
pub fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A name: composed (NFC), 1 to 255 characters, none of them a control, no space around it.
///
/// # Errors
/// The rule that it breaks.
pub fn name(text: &str) -> Result<String, &'static str> {
    let text: String = text.nfc().collect();
    match text.chars().count() {
        0 => Err("must not be empty"),
        n if n > MAX_NAME => Err("has more than 255 characters"),
        _ if text.chars().any(char::is_control) => Err("holds a control character"),
        // Some databases compare texts without the space at their ends.
        _ if text.trim() != text => Err("begins or ends with a space"),
        _ => Ok(text),
    }
}

/// A description: up to 1 024 characters; line breaks are the only controls.
///
/// # Errors
/// The rule that it breaks.
pub fn description(text: &str) -> Result<String, &'static str> {
    if text.chars().count() > MAX_DESCRIPTION {
        Err("has more than 1024 characters")
    } else if text.chars().any(|c| c.is_control() && c != '\n') {
        Err("holds a control character")
    } else {
        Ok(text.to_owned())
    }
}

/// An e-mail address as it is stored and compared: composed (NFC), in lower case, at most 254 bytes. What is
/// before the `@` may by RFC 5321 tell cases apart; no provider of note does, and two accounts that people
/// cannot tell apart are worse.
///
/// # Errors
/// The rule that it breaks.
pub fn email(text: &str) -> Result<String, &'static str> {
    let address: String = text.nfc().collect::<String>().to_lowercase().nfc().collect();
    let (local, domain) = address.rsplit_once('@').ok_or("is not name@domain")?;
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && c != '@';
    if local.is_empty() || local.len() > MAX_LOCAL_BYTES || !local.chars().all(plain) {
        return Err("is not name@domain");
    }
    let label = |label: &str| {
        let inner = |c: char| c.is_alphanumeric() || c == '-' || !c.is_ascii() && plain(c);
        !label.is_empty() && label.len() <= 63 && label.chars().all(inner)
    };
    if address.len() > MAX_EMAIL_BYTES || !domain.split('.').all(label) {
        return Err("is not name@domain");
    }
    Ok(address)
}

/// A user name without regard to case, for comparison.
#[must_use]
pub fn folded(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase().nfkc().collect()
}

/// Whom somebody means who types a user name: without regard to case, and to space around it, which databases
/// may not compare either.
#[must_use]
pub fn called(text: &str) -> String {
    folded(text).trim().to_owned()
}

/// A language tag as BCP 47 forms it, up to 35 characters.
///
/// # Errors
/// The rule that it breaks.
pub fn locale(text: &str) -> Result<String, &'static str> {
    let part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if text.len() <= 35 && text.split('-').all(part) {
        Ok(text.to_owned())
    } else {
        Err("is no language tag, such as en or de-AT")
    }
}

/// The name of a time zone in the form that IANA's have, up to 64 characters.
///
/// # Errors
/// The rule that it breaks.
pub fn time_zone(text: &str) -> Result<String, &'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-' | b'/');
    if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("is no name of a time zone, such as Europe/Vienna")
    }
}

/// An object that is kept as it is.
///
/// # Errors
/// The rule that it breaks.
pub fn object(value: Map<String, Value>) -> Result<Map<String, Value>, &'static str> {
    if value.keys().any(|key| key.is_empty() || key.len() > 128) {
        Err("has a name that is empty or longer than 128 bytes")
    } else if serde_json::to_string(&value).map_or(0, |text| text.len()) > MAX_OBJECT_BYTES {
        Err("is larger than 16 KiB")
    } else {
        Ok(value)
    }
}

/// A merge patch of an object (RFC 7396): null removes, objects merge, all else replaces.
pub fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match (target.get_mut(&name), value) {
            (_, Value::Null) => drop(target.remove(&name)),
            (Some(Value::Object(inner)), Value::Object(patch)) => merge(inner, patch),
            (_, Value::Object(patch)) => {
                let mut inner = Map::new();
                merge(&mut inner, patch);
                target.insert(name, inner.into());
            }
            (_, value) => drop(target.insert(name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_is_stored_in_one_form() {
        for (given, stored) in [
            ("Ada@Example.COM", "ada@example.com"),
            ("a+b.c@x.y", "a+b.c@x.y"),
            ("e\u{301}@x", "é@x"),
            ("ada@BÜCHER.example", "ada@bücher.example"),
        ] {
            assert_eq!(email(given).as_deref(), Ok(stored), "{given}");
        }
        let long = format!("{}@x.y", "a".repeat(65));
        for bad in
            ["", "a", "@x", "a@", "a b@x", "a@x..y", "a@b@c", "a@x\u{7f}", " a@x", "a@x ", &long]
        {
            assert!(email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_short_and_visible() {
        assert_eq!(name("Acme Ltd").as_deref(), Ok("Acme Ltd"));
        for bad in ["", " a", "a ", "a\nb", &"x".repeat(256)] {
            assert!(name(bad).is_err(), "{bad}");
        }
        assert!(name(&"é".repeat(255)).is_ok());
    }

    #[test]
    fn a_merge_patch_does_what_rfc_7396_shows() {
        for (target, patch, merged) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [1]}), json!({"a": {"b": {"c": null}}}), json!({"a": {"b": {}}})),
        ] {
            let (Value::Object(mut object), Value::Object(patch)) = (target, patch) else {
                panic!()
            };
            merge(&mut object, patch);
            assert_eq!(Value::Object(object), merged);
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_stored_in_the_same_form_again(text in "\\PC{1,12}@\\PC{1,12}") {
            if let Ok(address) = email(&text) {
                prop_assert_eq!(email(&address), Ok(address.clone()));
            }
        }

        #[test]
        fn folding_is_done_once(text in "\\PC{0,20}") {
            prop_assert_eq!(folded(&folded(&text)), folded(&text));
        }
    }
}

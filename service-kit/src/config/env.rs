//! The environment as a layer, read by the types that the defaults have.

use super::{ConfigError, Source, merge, parse_yaml};
use serde_json::Value;

/// A variable for a key without a default, read as YAML, which may have been meant as text.
pub(super) struct Guess {
    path: Vec<String>,
    raw: String,
}

impl Guess {
    pub(super) fn key(&self) -> String {
        self.path.join(".")
    }

    pub(super) fn read_as_text(self, merged: &mut Value) {
        set(merged, &self.path, Value::String(self.raw));
    }
}

/// Lays the variables with the source's prefix over `merged`.
pub(super) fn apply(
    defaults: &Value,
    merged: &mut Value,
    source: &Source<'_>,
) -> Result<Vec<Guess>, ConfigError> {
    let mut guesses = Vec::new();
    for (name, raw) in &source.env {
        let Some(key) = name.strip_prefix(source.env_prefix) else { continue };
        let path: Vec<String> = key.split("__").map(str::to_lowercase).collect();
        let Some(default) = find(defaults, &path) else {
            return Err(ConfigError::new(path.join("."), format!("{name} names no known key")));
        };
        let value = read(default, raw)
            .map_err(|reason| ConfigError::new(path.join("."), format!("{name}: {reason}")))?;
        if default.is_null() && !value.is_string() {
            guesses.push(Guess { path: path.clone(), raw: raw.clone() });
        }
        set(merged, &path, value);
    }
    Ok(guesses)
}

fn find<'v>(defaults: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(defaults, |value, key| value.as_object()?.get(key))
}

/// The text of a variable as a value of the default's kind. Errors never repeat the text, which may
/// be a secret.
fn read(default: &Value, raw: &str) -> Result<Value, String> {
    let yaml = || parse_yaml(raw).map_err(|_| "is not valid YAML".to_owned());
    match default {
        Value::String(_) => Ok(Value::String(raw.to_owned())),
        Value::Array(_) if raw.trim_start().starts_with('[') => yaml(),
        Value::Array(items) => raw
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| read(items.first().unwrap_or(&Value::String(String::new())), item))
            .collect(),
        Value::Object(_) => match yaml()? {
            map @ Value::Object(_) => Ok(map),
            _ => Err("must be a map, written as {key: value}".to_owned()),
        },
        // Text is the only reading left for what has no type yet and is no YAML.
        Value::Null => Ok(yaml().unwrap_or_else(|_| Value::String(raw.to_owned()))),
        Value::Bool(_) | Value::Number(_) => yaml(),
    }
}

/// Merges `value` in at `path`, making the maps on the way: a file may have set a section to null.
fn set(merged: &mut Value, path: &[String], value: Value) {
    let nested = path
        .iter()
        .rev()
        .fold(value, |value, key| Value::Object(std::iter::once((key.clone(), value)).collect()));
    merge(merged, nested);
}

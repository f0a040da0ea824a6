//! Layered configuration: an embedded YAML default, then a file, then the environment.
//!
//! The embedded default names every key; it is the schema that the environment is read by and the
//! documentation that users read. Durations are integers whose key carries the unit (`…_ms`).

mod env;
mod secret;

pub use secret::{Secret, secret_or_file};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::{fmt, path::Path};

/// The exit code for a bad configuration (`EX_USAGE` of sysexits.h).
pub const EXIT_CONFIG: u8 = 64;

/// Larger configuration and secret files are refused, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where a configuration comes from; each field overrides the one before.
#[derive(Debug)]
pub struct Source<'a> {
    /// The embedded YAML. It must name every key, with `null` for what has no default.
    pub defaults: &'a str,
    /// The user's YAML file; it may leave out what it does not change.
    pub file: Option<&'a Path>,
    /// What the service's variables begin with, with the separator: `TRIAD_INGEST__`.
    pub env_prefix: &'a str,
    /// The environment: `std::env::vars().collect()` in `main`. Other prefixes are ignored.
    pub env: Vec<(String, String)>,
}

/// A configuration that is refused: which key, and why. Shown as `kafka.brokers: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    key: String,
    reason: String,
}

impl ConfigError {
    /// A refusal of `key` (dotted, or a file's path). Neither part may hold a secret.
    pub fn new(key: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self { key: key.into(), reason: reason.to_string() }
    }

    /// The same, of a key within `section`.
    #[must_use]
    pub fn within(self, section: &str) -> Self {
        Self { key: format!("{section}.{}", self.key), ..self }
    }

    /// The dotted key, or the path of the file.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// Refuses the first `(key, value, low, high)` whose value is not within `low` to `high`, both
/// included.
///
/// # Errors
/// That key.
pub fn check_ranges<'a, T: PartialOrd + fmt::Display>(
    ranges: impl IntoIterator<Item = (&'a str, T, T, T)>,
) -> Result<(), ConfigError> {
    for (key, value, low, high) in ranges {
        let range = low..=high;
        if !range.contains(&value) {
            let reason = format!("{value} is not within {} to {}", range.start(), range.end());
            return Err(ConfigError::new(key, reason));
        }
    }
    Ok(())
}

/// Reads and merges the layers into `T`, which should carry `deny_unknown_fields` at every level.
///
/// Maps merge key by key; lists and scalars replace. In the environment `__` separates levels
/// (`TRIAD_INGEST__KAFKA__BROKERS` is `kafka.brokers`) and the default's type says how a value is
/// read: a string as it is, a list from `[a, b]` or `a,b`, a map from `{key: value}`, else YAML.
///
/// # Errors
/// An unknown key, a wrong type or unreadable YAML, by its full dotted name or its file.
pub fn load<T: DeserializeOwned>(source: &Source<'_>) -> Result<T, ConfigError> {
    load_over(source, Vec::new())
}

/// As [`load`], with maps between the default and the file: what another program changes of a service's defaults.
///
/// # Errors
/// As [`load`].
pub fn load_over<T: DeserializeOwned>(
    source: &Source<'_>,
    layers: Vec<Map<String, Value>>,
) -> Result<T, ConfigError> {
    let defaults = yaml_map(source.defaults, "the embedded default")?;
    let mut merged = defaults.clone();
    layers.into_iter().for_each(|layer| merge(&mut merged, Value::Object(layer)));
    if let Some(path) = source.file {
        let name = path.display().to_string();
        merge(&mut merged, yaml_map(&read_file(path)?, &name)?);
    }
    let mut guesses = env::apply(&defaults, &mut merged, source)?;
    loop {
        let error = match serde_path_to_error::deserialize(&merged) {
            Ok(config) => return Ok(config),
            Err(error) => error,
        };
        let key = error.path().to_string();
        // What has no default has no type to read it by: if YAML's reading does not fit, it is text.
        match guesses.iter().position(|guess| guess.key() == key) {
            Some(at) => guesses.swap_remove(at).read_as_text(&mut merged),
            None => return Err(ConfigError::new(key, error.into_inner())),
        }
    }
}

fn yaml_map(text: &str, name: &str) -> Result<Value, ConfigError> {
    match parse_yaml(text).map_err(|reason| ConfigError::new(name, reason))? {
        Value::Null => Ok(Value::Object(Map::new())),
        map @ Value::Object(_) => Ok(map),
        _ => Err(ConfigError::new(name, "must be a map of keys to values")),
    }
}

/// YAML 1.2 as far as configuration needs it: `no` is text, a repeated or merge key an error.
fn parse_yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        // A snippet would print the lines around an error, which may hold secrets.
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Option<Value>>(text, options)
        .map(Option::unwrap_or_default)
        .map_err(|error| error.to_string())
}

pub(crate) fn read_file(path: &Path) -> Result<String, ConfigError> {
    use std::io::Read as _;
    let refuse = |reason: &dyn fmt::Display| ConfigError::new(path.display().to_string(), reason);
    let file = std::fs::File::open(path).map_err(|error| refuse(&error))?;
    let mut text = String::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
    match read.map_err(|error| refuse(&error))? as u64 {
        0..=MAX_FILE_BYTES => Ok(text),
        _ => Err(refuse(&format!("is larger than {MAX_FILE_BYTES} bytes"))),
    }
}

/// `over` into `base`: maps key by key, the rest replaced. A section left empty (`kafka:`) keeps
/// the default's keys, which is what commenting all of them out means.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(below) => merge(below, value),
                    None => drop(base.insert(key, value)),
                }
            }
        }
        (Value::Object(_), Value::Null) => {}
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests;

//! Values that are never shown.

use super::{ConfigError, read_file};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, path::PathBuf};

/// A secret. `Debug`, `Display` and `Serialize` show `***`; only [`Secret::expose`] shows it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value that must not be shown.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value. Pass it on to where it is used, never to a log or an error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own error for a wrong type would repeat the value.
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(value) => Ok(Self(value)),
            _ => Err(D::Error::custom("must be a string; quote it")),
        }
    }
}

/// The secret given as `<name>` or in the file `<name>_file`, whose last newline is dropped.
///
/// # Errors
/// Both given, or a file that cannot be read, by the key's name.
pub fn secret_or_file(
    name: &str,
    inline: &Option<Secret>,
    file: &Option<PathBuf>,
) -> Result<Option<Secret>, ConfigError> {
    match (inline, file) {
        (Some(_), Some(_)) => {
            Err(ConfigError::new(name, format!("give either {name} or {name}_file, not both")))
        }
        (inline, None) => Ok(inline.clone()),
        (None, Some(path)) => {
            let text =
                read_file(path).map_err(|error| ConfigError::new(format!("{name}_file"), error))?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Ok(Some(Secret::new(text.strip_suffix('\r').unwrap_or(text))))
        }
    }
}

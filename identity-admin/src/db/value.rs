//! Parameters of statements.

use chrono::{DateTime, Utc};
use contracts::TenantId;

/// A parameter, as every database here can hold it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Absent.
    Null,
    /// A number or, as 0 and 1, a truth.
    Int(i64),
    /// Text, compared byte for byte.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A time, kept to the microsecond.
    Time(DateTime<Utc>),
}

macro_rules! from {
    ($($source:ty => |$value:ident| $made:expr),+ $(,)?) => {$(
        impl From<$source> for Value {
            fn from($value: $source) -> Self {
                $made
            }
        }
    )+};
}

from! {
    i64 => |value| Self::Int(value),
    bool => |value| Self::Int(i64::from(value)),
    &str => |value| Self::Text(value.to_owned()),
    String => |value| Self::Text(value),
    &String => |value| Self::Text(value.clone()),
    &TenantId => |value| Self::Text(value.as_str().to_owned()),
    Vec<u8> => |value| Self::Bytes(value),
    &[u8; 32] => |value| Self::Bytes(value.to_vec()),
    DateTime<Utc> => |value| Self::Time(value),
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'a> From<&'a Option<String>> for Value {
    fn from(value: &'a Option<String>) -> Self {
        value.as_deref().into()
    }
}

/// What a value that left its database may be read as; `None` if it is not that.
#[cfg(feature = "embedded")]
pub(super) trait Read: Sized {
    fn read(value: &Value) -> Option<Self>;
}

#[cfg(feature = "embedded")]
macro_rules! read {
    ($($type:ty: $($held:pat => $read:expr),+;)+) => {$(
        impl Read for $type {
            fn read(value: &Value) -> Option<Self> {
                match value {
                    $($held => $read,)+
                    _ => None,
                }
            }
        }
    )+};
}

#[cfg(feature = "embedded")]
read! {
    i64: Value::Int(number) => Some(*number);
    // Bytes, where text is compared with the space at its end.
    String: Value::Text(text) => Some(text.clone()), Value::Bytes(bytes) => String::from_utf8(bytes.clone()).ok();
    Vec<u8>: Value::Bytes(bytes) => Some(bytes.clone());
    DateTime<Utc>: Value::Int(micros) => DateTime::from_timestamp_micros(*micros);
}

#[cfg(feature = "embedded")]
impl<T: Read> Read for Option<T> {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::read(value).map(Some),
        }
    }
}

/// Places of so many parameters in a list: `?, ?, ?`.
pub(crate) fn places(number: usize) -> String {
    vec!["?"; number].join(", ")
}

/// Text that is compared byte for byte, with the space at its end: some databases compare [`Value::Text`] without.
pub(crate) fn exact(text: Option<&str>) -> Value {
    text.map(|text| text.as_bytes().to_vec()).into()
}

/// The parameters of a statement, in order.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::db::Value::from($value)),*] };
}
pub(crate) use params;

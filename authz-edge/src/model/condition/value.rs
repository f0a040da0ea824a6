//! The members that a condition reads, as values of the interpreter.

use std::collections::HashMap;
use std::sync::OnceLock;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use serde_json::Value;

use super::check::Slot;
use super::error::Undecided;
use super::inputs::Inputs;
use super::path::Found;

/// As deep as JSON parsers go; conversion and comparison recurse.
const MAX_JSON_DEPTH: usize = 128;

/// What a member of an object takes apart from its name and value: it is hashed.
const MEMBER: u64 = 2;

/// How large a value is at most, in steps (see [`super::MAX_STEPS`]) that looking at all of it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// The value with all that it contains.
    pub(super) total: u64,
    /// Its elements or keys, when iterated over.
    pub(super) len: u64,
    /// The largest of its elements, keys and members, with all that it contains.
    pub(super) item: u64,
}

impl Size {
    /// A number, a boolean.
    pub(super) const ONE: Self = Self { total: 1, len: 0, item: 0 };

    /// A string of that many bytes.
    pub(super) fn text(bytes: usize) -> Self {
        Self { total: 1 + bytes as u64 / 16, ..Self::ONE }
    }

    /// Something of that total of which nothing else is known.
    pub(super) fn within(total: u64) -> Self {
        Self { total, len: total, item: total }
    }

    fn add(&mut self, item: Size) {
        self.total = self.total.saturating_add(item.total);
        self.item = self.item.max(item.total);
    }

    fn of_members<'a>(
        members: impl Iterator<Item = (&'a str, &'a Value)>,
        depth: usize,
    ) -> Result<Self, Undecided> {
        let mut size = Self::ONE;
        for (name, value) in members {
            size.len += 1;
            size.total = size.total.saturating_add(MEMBER);
            size.add(Self::text(name.len()));
            size.add(Self::of_json(value, depth)?);
        }
        Ok(size)
    }

    fn of_json(value: &Value, depth: usize) -> Result<Self, Undecided> {
        if depth > MAX_JSON_DEPTH {
            return Err(Undecided::TooDeep);
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(Self::ONE),
            Value::String(text) => Ok(Self::text(text.len())),
            Value::Array(items) => {
                let mut size = Self { len: items.len() as u64, ..Self::ONE };
                for item in items {
                    size.add(Self::of_json(item, depth + 1)?);
                }
                Ok(size)
            }
            Value::Object(members) => {
                Self::of_members(members.iter().map(|(name, v)| (name.as_str(), v)), depth + 1)
            }
        }
    }

    fn of(found: Found<'_>) -> Result<Self, Undecided> {
        match found {
            Found::Absent => Ok(Self::ONE),
            Found::Text(text) => Ok(Self::text(text.len())),
            Found::Members(overlay) => Self::of_members(overlay.members(), 1),
            Found::Json(value) => Self::of_json(value, 0),
        }
    }
}

/// The values of a condition's slots, each converted when first used.
pub(super) struct Values<'a>(Vec<Held<'a>>);

struct Held<'a> {
    origin: Origin<'a>,
    size: Size,
    value: OnceLock<Box<dyn Val + 'a>>,
}

enum Origin<'a> {
    Input(Found<'a>),
    Has(Option<bool>),
    Constant(&'a dyn Val),
}

impl<'a> Values<'a> {
    /// Finds and measures what the slots read.
    pub(super) fn find(slots: &'a [Slot], inputs: &Inputs<'a>) -> Result<Self, Undecided> {
        let held = |slot: &'a Slot| {
            let (origin, size) = match slot {
                Slot::Read(path) => {
                    let found = path.find(inputs);
                    (Origin::Input(found), Size::of(found)?)
                }
                Slot::Has(path) => (Origin::Has(path.has(inputs)), Size::ONE),
                Slot::Constant { value, weight } => {
                    (Origin::Constant(value.as_ref()), Size { total: *weight, ..Size::ONE })
                }
            };
            Ok(Held { origin, size, value: OnceLock::new() })
        };
        slots.iter().map(held).collect::<Result<_, _>>().map(Self)
    }

    /// The size of a slot's value.
    pub(super) fn size(&self, slot: usize) -> Size {
        self.0.get(slot).map_or(Size::ONE, |held| held.size)
    }

    /// The steps that converting all of them takes.
    pub(super) fn conversion(&self) -> u64 {
        self.0.iter().fold(0, |sum, held| sum.saturating_add(held.size.total))
    }
}

impl VariableResolver for Values<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let held = self.0.get(slot_index(variable)?)?;
        Some(match held.origin {
            Origin::Input(Found::Absent) | Origin::Has(None) => return None,
            Origin::Input(found) => {
                CowVal::Borrowed(held.value.get_or_init(|| from_found(found)).as_ref())
            }
            Origin::Has(Some(true)) => CowVal::Borrowed(&CelBool::TRUE),
            Origin::Has(Some(false)) => CowVal::Borrowed(&CelBool::FALSE),
            Origin::Constant(value) => CowVal::Borrowed(value),
        })
    }
}

/// The variable that stands for a slot. No author can write one: no identifier has an `@`.
pub(super) fn slot_name(index: usize) -> String {
    format!("@{index}")
}

/// The slot that a variable stands for.
pub(super) fn slot_index(variable: &str) -> Option<usize> {
    variable.strip_prefix('@')?.parse().ok()
}

fn from_found<'a>(found: Found<'a>) -> Box<dyn Val + 'a> {
    match found {
        Found::Absent => Box::new(CelNull),
        Found::Text(text) => Box::new(CelString::from(text)),
        Found::Members(overlay) => from_members(overlay.members()),
        Found::Json(value) => from_json(value),
    }
}

fn from_members<'a>(members: impl Iterator<Item = (&'a str, &'a Value)>) -> Box<dyn Val + 'a> {
    let entry = |(name, value)| (CelMapKey::from(name), from_json(value));
    Box::new(CelMap::from(members.map(entry).collect::<HashMap<_, _>>()))
}

/// Strings are borrowed, lists and objects converted in depth: the interpreter compares its own
/// kinds only.
fn from_json<'a>(value: &'a Value) -> Box<dyn Val + 'a> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => {
            if let Some(int) = number.as_i64() {
                Box::new(CelInt::from(int))
            } else if let Some(uint) = number.as_u64() {
                Box::new(CelUInt::from(uint))
            } else {
                // Never absent, short of serde_json's arbitrary precision; NaN equals nothing.
                Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
            }
        }
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => {
            Box::new(CelList::from(items.iter().map(from_json).collect::<Vec<_>>()))
        }
        Value::Object(members) => {
            from_members(members.iter().map(|(name, value)| (name.as_str(), value)))
        }
    }
}

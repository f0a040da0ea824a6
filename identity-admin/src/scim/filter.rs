//! Filters (RFC 7644 section 3.4.2.2): what they say of a resource.
//!
//! A test of an attribute with many values holds when one of them passes it; `ne` holds when none is equal, and so
//! it does where there is no value. Texts are compared as the schema says, without regard to case unless it is
//! exact.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::schema::{Kind, Place};
use crate::rules;

/// A filter, whose names are resolved and whose values fit them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Test(Test),
    /// That one value of an attribute passes a filter as a whole.
    Within(Place, Box<Filter>),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Test {
    pub(super) place: Place,
    pub(super) operator: Operator,
    pub(super) operand: Operand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    Present,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Operator {
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "eq" => Self::Equal,
            "ne" => Self::NotEqual,
            "co" => Self::Contains,
            "sw" => Self::StartsWith,
            "ew" => Self::EndsWith,
            "pr" => Self::Present,
            "gt" => Self::Greater,
            "ge" => Self::GreaterOrEqual,
            "lt" => Self::Less,
            "le" => Self::LessOrEqual,
            _ => return None,
        })
    }

    /// Whether it asks for equality, which every kind of value has.
    pub(super) fn is_of_all(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual | Self::Present)
    }

    fn is_of_texts(self) -> bool {
        matches!(self, Self::Contains | Self::StartsWith | Self::EndsWith)
    }

    fn orders<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            _ => left == right,
        }
    }
}

/// What is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// Absence; what `pr` has, too.
    Nothing,
    /// As it is compared: in one case unless the attribute is exact.
    Text(String),
    Boolean(bool),
    Time(DateTime<Utc>),
}

impl Operand {
    /// A value as the attribute there can be compared with it.
    pub(super) fn of(
        place: &Place,
        operator: Operator,
        value: &Value,
    ) -> Result<Self, &'static str> {
        let leaf = place.leaf();
        match (value, leaf.kind) {
            (Value::Null, _) if operator.is_of_all() => Ok(Self::Nothing),
            (Value::Bool(truth), Kind::Boolean) if operator.is_of_all() => {
                Ok(Self::Boolean(*truth))
            }
            (Value::String(text), Kind::Boolean) if operator.is_of_all() => {
                // As some write it.
                let truth = text.to_ascii_lowercase().parse();
                truth.map(Self::Boolean).map_err(|_| "it is true or false")
            }
            (_, Kind::Boolean) => Err("it is true or false, and compared by eq and ne"),
            (Value::String(text), Kind::Time) if !operator.is_of_texts() => time(text)
                .map(Self::Time)
                .ok_or("it is compared with a time, as in \"2026-11-26T12:00:00Z\""),
            (Value::String(text), Kind::Text | Kind::Reference(_)) => {
                Ok(Self::Text(compared(text, leaf.exact)))
            }
            (Value::String(text), Kind::Binary) if operator.is_of_all() => {
                Ok(Self::Text(text.clone()))
            }
            (_, Kind::Time) => Err("it is a time, and compared by eq, ne, gt, ge, lt and le"),
            (_, Kind::Complex(_)) => Err("it has parts: name one of them"),
            (_, Kind::Binary) => Err("it is binary, and compared by eq and ne"),
            (_, Kind::Text | Kind::Reference(_)) => {
                Err("it is compared with a text between quotes")
            }
        }
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

fn compared(text: &str, exact: bool) -> String {
    if exact { text.to_owned() } else { rules::folded(text) }
}

impl Filter {
    /// Whether it holds for a resource.
    pub(super) fn holds(&self, resource: &Map<String, Value>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|filter| filter.holds(resource)),
            Self::Any(any) => any.iter().any(|filter| filter.holds(resource)),
            Self::Not(filter) => !filter.holds(resource),
            Self::Test(test) => test.passed(values(test.place.home(resource), &test.place)),
            Self::Within(place, filter) => {
                let found = place.home(resource).and_then(|home| home.get(place.attribute.name));
                each(found).any(|value| filter.holds_within(value))
            }
        }
    }

    /// Whether it holds for one value of the attribute that it is about.
    pub(super) fn holds_within(&self, value: &Value) -> bool {
        match self {
            Self::All(all) => all.iter().all(|filter| filter.holds_within(value)),
            Self::Any(any) => any.iter().any(|filter| filter.holds_within(value)),
            Self::Not(filter) => !filter.holds_within(value),
            // Nothing has parts of parts.
            Self::Within(_, filter) => filter.holds_within(value),
            Self::Test(test) => test.passed(part(value, &test.place).into_iter()),
        }
    }

    /// The names of the attributes that it reads.
    pub(super) fn reads(&self, name: &str) -> bool {
        match self {
            Self::All(filters) | Self::Any(filters) => {
                filters.iter().any(|filter| filter.reads(name))
            }
            Self::Not(filter) => filter.reads(name),
            Self::Test(Test { place, .. }) | Self::Within(place, _) => {
                place.extension.is_none() && place.attribute.name == name
            }
        }
    }
}

impl Test {
    fn passed<'a>(&self, mut values: impl Iterator<Item = &'a Value>) -> bool {
        match self.operator {
            Operator::Present => values.any(is_there),
            Operator::Equal => self.is_met(values),
            Operator::NotEqual => !self.is_met(values),
            _ => values.any(|value| self.compares(value)),
        }
    }

    fn is_met<'a>(&self, mut values: impl Iterator<Item = &'a Value>) -> bool {
        match self.operand {
            Operand::Nothing => !values.any(is_there),
            _ => values.any(|value| self.compares(value)),
        }
    }

    fn compares(&self, value: &Value) -> bool {
        match (&self.operand, value) {
            (Operand::Boolean(wanted), Value::Bool(truth)) => wanted == truth,
            (Operand::Time(wanted), Value::String(text)) => {
                time(text).is_some_and(|time| self.operator.orders(&time, wanted))
            }
            (Operand::Text(wanted), Value::String(text)) => {
                let text = compared(text, self.place.leaf().exact);
                match self.operator {
                    Operator::Contains => text.contains(wanted.as_str()),
                    Operator::StartsWith => text.starts_with(wanted.as_str()),
                    Operator::EndsWith => text.ends_with(wanted.as_str()),
                    operator => operator.orders(text.as_str(), wanted.as_str()),
                }
            }
            _ => false,
        }
    }
}

fn is_there(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(values) => !values.is_empty(),
        Value::Object(parts) => !parts.is_empty(),
        _ => true,
    }
}

/// The values of a list, or the one that there is.
fn each(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let (many, one) = match value {
        Some(Value::Array(values)) => (values.as_slice(), None),
        one => (&[][..], one),
    };
    many.iter().chain(one)
}

fn part<'a>(value: &'a Value, place: &Place) -> Option<&'a Value> {
    match place.part {
        None => Some(value),
        Some(part) => value.get(part.name),
    }
}

/// What stands at a place.
pub(super) fn values<'a>(
    home: Option<&'a Map<String, Value>>,
    place: &Place,
) -> impl Iterator<Item = &'a Value> {
    let found = home.and_then(|home| home.get(place.attribute.name));
    let place = *place;
    each(found).filter_map(move |value| part(value, &place))
}

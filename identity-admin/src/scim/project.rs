//! What of a resource is shown (RFC 7644 section 3.9).

use std::collections::BTreeMap;

use serde_json::Value;

use super::accept::Resource;
use super::fault::{Fault, Kind};
use super::schema::{Attribute, Returned, Type};

/// What a request wants to see.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    mode: Mode,
    /// By URI of an extension and name: whole attributes, or these parts of them.
    named: BTreeMap<(Option<&'static str>, &'static str), Named>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Usual,
    Only,
    Without,
}

#[derive(Debug, Clone)]
enum Named {
    Whole,
    Parts(Vec<&'static str>),
}

/// Names in one request, at most: more than there are.
const MOST: usize = 200;

/// Stands for all of an extension.
const ALL: &str = "";

impl Shown {
    /// From `attributes` and `excludedAttributes`, whose names are separated by commas.
    ///
    /// # Errors
    /// Both at once, and names that nothing has.
    pub(super) fn read(
        of: &'static Type,
        only: &[String],
        without: &[String],
    ) -> Result<Self, Fault> {
        let (mode, names) = match (only.is_empty(), without.is_empty()) {
            (true, true) => return Ok(Self::default()),
            (false, true) => (Mode::Only, only),
            (true, false) => (Mode::Without, without),
            (false, false) => {
                let why = "attributes and excludedAttributes exclude each other";
                return Err(Fault::new(Kind::InvalidValue, why));
            }
        };
        if names.len() > MOST {
            return Err(Fault::new(Kind::InvalidValue, format!("at most {MOST} names")));
        }
        let mut named = BTreeMap::new();
        for name in names {
            if let Some(schema) = of.extension(name) {
                named.insert((Some(schema.id), ALL), Named::Whole);
                continue;
            }
            let place = of.place(name).ok_or_else(|| {
                let name: String = name.chars().take(64).collect();
                Fault::new(Kind::InvalidPath, format!("there is no attribute {name}"))
            })?;
            let key = (place.extension, place.attribute.name);
            match (place.part, named.get_mut(&key)) {
                (Some(part), Some(Named::Parts(parts))) if parts.contains(&part.name) => {}
                (Some(part), Some(Named::Parts(parts))) => parts.push(part.name),
                (Some(part), None) => drop(named.insert(key, Named::Parts(vec![part.name]))),
                (Some(_), Some(Named::Whole)) => {}
                (None, _) => drop(named.insert(key, Named::Whole)),
            }
        }
        Ok(Self { mode, named })
    }

    /// Whether the request says anything of it.
    pub(super) fn is_asked_for(&self) -> bool {
        self.mode != Mode::Usual
    }

    /// The same without an attribute.
    pub(super) fn without(&self, name: &'static str) -> Self {
        let mut named = self.named.clone();
        match self.mode {
            Mode::Only => drop(named.remove(&(None, name))),
            Mode::Usual | Mode::Without => drop(named.insert((None, name), Named::Whole)),
        }
        let mode = if self.mode == Mode::Usual { Mode::Without } else { self.mode };
        Self { mode, named }
    }

    /// Whether an attribute beside `id` is to be seen, so that it must be read.
    pub(super) fn wants(&self, name: &'static str) -> bool {
        match (self.mode, self.named.get(&(None, name))) {
            (Mode::Usual, _) | (Mode::Only, Some(_)) | (Mode::Without, Some(Named::Parts(_))) => {
                true
            }
            (Mode::Only, None) | (Mode::Without, Some(Named::Whole)) => false,
            (Mode::Without, None) => true,
        }
    }

    /// The resource as it is shown.
    pub(super) fn of(&self, of: &'static Type, resource: Resource) -> Resource {
        let mut shown = Resource::new();
        for (name, value) in resource {
            let Some(schema) = of.extension(&name) else {
                let Some(attribute) = of.top(&name) else { continue };
                if let Some(value) = self.one(None, attribute, value) {
                    shown.insert(name, value);
                }
                continue;
            };
            let Value::Object(parts) = value else { continue };
            let parts = parts.into_iter().filter_map(|(name, value)| {
                let value = self.one(Some(schema.id), schema.attribute(&name)?, value)?;
                Some((name, value))
            });
            let parts: Resource = parts.collect();
            if !parts.is_empty() {
                shown.insert(name, parts.into());
            }
        }
        shown
    }

    fn one(
        &self,
        extension: Option<&'static str>,
        attribute: &'static Attribute,
        value: Value,
    ) -> Option<Value> {
        match attribute.returned {
            Returned::Always => return Some(value),
            Returned::Never => return None,
            Returned::Request | Returned::Default => {}
        }
        let whole = self.named.get(&(extension, ALL)).filter(|_| extension.is_some());
        let named = self.named.get(&(extension, attribute.name)).or(whole);
        match (self.mode, named) {
            (Mode::Only, None) | (Mode::Without, Some(Named::Whole)) => None,
            (Mode::Only, Some(Named::Parts(named))) => {
                Some(parts(value, &|part| named.contains(&part)))
            }
            (Mode::Without, Some(Named::Parts(named))) => {
                Some(parts(value, &|part| is_usual(attribute, part) && !named.contains(&part)))
            }
            _ => Some(parts(value, &|part| is_usual(attribute, part))),
        }
    }
}

fn is_usual(attribute: &Attribute, part: &str) -> bool {
    attribute.part(part).is_none_or(|part| part.returned != Returned::Request)
}

/// A value with some of its parts; what has none stays.
fn parts(value: Value, keep: &dyn Fn(&str) -> bool) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(|value| parts(value, keep)).collect(),
        Value::Object(all) => {
            all.into_iter().filter(|(name, _)| keep(name)).collect::<Resource>().into()
        }
        value => value,
    }
}

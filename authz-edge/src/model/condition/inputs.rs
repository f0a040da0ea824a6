//! What a condition is evaluated against.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Whose member wins where the stored attributes and the request both have it
/// (`properties.precedence`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precedence {
    /// The request's: callers are trusted to know better than the graph.
    #[default]
    Request,
    /// The stored one: callers may add members, not replace them.
    Stored,
}

/// The `properties` of a subject, resource or action: stored attributes and those of the request,
/// overlaid top-level member by member when read. Nothing is merged within a member, and a `null`
/// is a member like any other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overlay<'a> {
    first: Option<&'a Map<String, Value>>,
    second: Option<&'a Map<String, Value>>,
}

impl<'a> Overlay<'a> {
    /// Overlays `stored` and `request`, each at most 16 KiB of JSON (which callers ensure).
    #[must_use]
    pub fn new(
        stored: Option<&'a Map<String, Value>>,
        request: Option<&'a Map<String, Value>>,
        precedence: Precedence,
    ) -> Self {
        match precedence {
            Precedence::Request => Self { first: request, second: stored },
            Precedence::Stored => Self { first: stored, second: request },
        }
    }

    /// Overlay of one origin.
    #[must_use]
    pub fn of(map: Option<&'a Map<String, Value>>) -> Self {
        Self { first: map, second: None }
    }

    /// The member `name`, by precedence.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.first.and_then(|map| map.get(name)).or_else(|| self.second?.get(name))
    }

    /// Every member once, by precedence; in no particular order.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let (first, second) = (self.first, self.second);
        let shadowed = move |name: &str| first.is_some_and(|map| map.contains_key(name));
        let rest = second.into_iter().flatten().filter(move |(name, _)| !shadowed(name));
        first.into_iter().flatten().chain(rest).map(|(name, value)| (name.as_str(), value))
    }
}

/// One question, as a condition sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs<'a> {
    /// `subject.type`
    pub subject_type: &'a str,
    /// `subject.id`
    pub subject_id: &'a str,
    /// `subject.properties`
    pub subject_properties: Overlay<'a>,
    /// `resource.type`
    pub resource_type: &'a str,
    /// `resource.id`
    pub resource_id: &'a str,
    /// `resource.properties`
    pub resource_properties: Overlay<'a>,
    /// `action.name`
    pub action_name: &'a str,
    /// `action.properties`
    pub action_properties: Overlay<'a>,
    /// `context`, at most 16 KiB of JSON (which callers ensure); none is an empty object.
    pub context: Option<&'a Map<String, Value>>,
}

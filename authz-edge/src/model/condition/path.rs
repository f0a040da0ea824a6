//! Paths from a variable to the member that a condition reads, known when it is compiled.

use cel::common::ast::{Expr, LiteralValue, operators};
use serde_json::Value;

use super::error::ConditionError;
use super::inputs::{Inputs, Overlay};

/// The variables of a condition.
pub(super) const ROOTS: [&str; 4] = ["subject", "resource", "action", "context"];

/// A constant path: `resource.properties.status`, `context["request"].ip`.
#[derive(PartialEq, Eq)]
pub(super) struct Path {
    root: Root,
    keys: Vec<Box<str>>,
    /// As an author would write it.
    pub(super) text: Box<str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    SubjectType,
    SubjectId,
    SubjectProperties,
    ResourceType,
    ResourceId,
    ResourceProperties,
    ActionName,
    ActionProperties,
    Context,
}

/// What a path leads to.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    Absent,
    Text(&'a str),
    Members(Overlay<'a>),
    Json(&'a Value),
}

impl<'a> Found<'a> {
    /// The member `key` of an object.
    fn member(self, key: &str) -> Self {
        let value = match self {
            Found::Members(overlay) => overlay.get(key),
            Found::Json(value) => value.as_object().and_then(|object| object.get(key)),
            Found::Absent | Found::Text(_) => None,
        };
        value.map_or(Found::Absent, Found::Json)
    }
}

impl Path {
    /// The path that the names spell, root first.
    pub(super) fn new(names: &[&str]) -> Result<Self, ConditionError> {
        let (root, keys) = Root::of(names)?;
        let keys = keys.iter().map(|&key| key.into()).collect();
        Ok(Self { root, keys, text: names.join(".").into() })
    }

    /// What has the last member, as an author would write it.
    pub(super) fn parent(&self) -> &str {
        let last = self.keys.last().map_or(0, |key| key.len() + 1);
        &self.text[..self.text.len() - last]
    }

    /// Walks it. Costs one lookup per key.
    pub(super) fn find<'a>(&self, inputs: &Inputs<'a>) -> Found<'a> {
        self.keys.iter().fold(self.root.find(inputs), |found, key| found.member(key))
    }

    /// Whether `has` of its last member holds; none when what should have that member is absent or
    /// no object, which is an error in CEL.
    pub(super) fn has(&self, inputs: &Inputs<'_>) -> Option<bool> {
        // A member of `subject`, `resource` or `action` itself.
        let Some((last, keys)) = self.keys.split_last() else { return Some(true) };
        match keys.iter().fold(self.root.find(inputs), |found, key| found.member(key)) {
            Found::Members(overlay) => Some(overlay.get(last).is_some()),
            Found::Json(Value::Object(object)) => Some(object.contains_key(&**last)),
            Found::Absent | Found::Text(_) | Found::Json(_) => None,
        }
    }
}

impl Root {
    fn of<'n, 's>(names: &'s [&'n str]) -> Result<(Self, &'s [&'n str]), ConditionError> {
        let (root, keys) = match names {
            ["context", keys @ ..] => (Self::Context, keys),
            ["subject", "type", keys @ ..] => (Self::SubjectType, keys),
            ["subject", "id", keys @ ..] => (Self::SubjectId, keys),
            ["subject", "properties", keys @ ..] => (Self::SubjectProperties, keys),
            ["resource", "type", keys @ ..] => (Self::ResourceType, keys),
            ["resource", "id", keys @ ..] => (Self::ResourceId, keys),
            ["resource", "properties", keys @ ..] => (Self::ResourceProperties, keys),
            ["action", "name", keys @ ..] => (Self::ActionName, keys),
            ["action", "properties", keys @ ..] => (Self::ActionProperties, keys),
            _ => return Err(ConditionError::UnknownMember(names.join("."))),
        };
        if root.is_text() && !keys.is_empty() {
            return Err(ConditionError::UnknownMember(names.join(".")));
        }
        Ok((root, keys))
    }

    fn is_text(self) -> bool {
        use Root::{ActionName, ResourceId, ResourceType, SubjectId, SubjectType};
        matches!(self, SubjectType | SubjectId | ResourceType | ResourceId | ActionName)
    }

    fn find<'a>(self, inputs: &Inputs<'a>) -> Found<'a> {
        match self {
            Self::SubjectType => Found::Text(inputs.subject_type),
            Self::SubjectId => Found::Text(inputs.subject_id),
            Self::SubjectProperties => Found::Members(inputs.subject_properties),
            Self::ResourceType => Found::Text(inputs.resource_type),
            Self::ResourceId => Found::Text(inputs.resource_id),
            Self::ResourceProperties => Found::Members(inputs.resource_properties),
            Self::ActionName => Found::Text(inputs.action_name),
            Self::ActionProperties => Found::Members(inputs.action_properties),
            Self::Context => Found::Members(Overlay::of(inputs.context)),
        }
    }
}

/// The names that an expression spells, root first, if it is a chain of members from a variable:
/// `context.a`, `context["a"]`. The argument of `has` is the chain of its expansion.
pub(super) fn names(mut expr: &Expr) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    loop {
        match expr {
            Expr::Ident(root) if ROOTS.contains(&root.as_str()) => {
                names.push(root.as_str());
                names.reverse();
                return Some(names);
            }
            // `has(a.b).c` is a member of a boolean, not of `a.b`.
            Expr::Select(select) if !select.test || names.is_empty() => {
                names.push(&select.field);
                expr = &select.operand.expr;
            }
            Expr::Call(call) if call.func_name == operators::INDEX => match &call.args[..] {
                [operand, index] => {
                    let Expr::Literal(LiteralValue::String(key)) = &index.expr else { return None };
                    names.push(key.inner());
                    expr = &operand.expr;
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}

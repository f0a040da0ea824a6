//! PATCH (RFC 7644 section 3.5.2): operations, read whole before anything is changed.

use serde::Deserialize;
use serde_json::Value;

use super::accept;
use super::fault::{Fault, Kind as FaultKind};
use super::filter::Filter;
use super::parse::{self, Path};
use super::schema::{Mutability, Place, Type};

/// Operations in one request, at most.
const MOST: usize = 1000;

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Add,
    Replace,
    Remove,
}

/// One operation, whose value fits its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operation {
    pub(super) doing: Doing,
    pub(super) path: Path,
    /// Of a removal: of the values of a list those that go.
    pub(super) value: Option<Value>,
}

impl Operation {
    /// Whether it is about an attribute of that name.
    pub(super) fn is_about(&self, name: &str) -> bool {
        matches!(&self.path, Path::Place(place, _) if place.attribute.name == name)
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "Operations", alias = "operations")]
    operations: Vec<Sent>,
}

#[derive(Deserialize)]
struct Sent {
    op: String,
    path: Option<String>,
    #[serde(default)]
    value: Value,
}

/// The operations of a request.
///
/// # Errors
/// What is wrong with the first that is wrong.
pub(super) fn read(of: &'static Type, body: Value) -> Result<Vec<Operation>, Fault> {
    let wrong = |error: serde_json::Error| {
        Fault::new(FaultKind::InvalidSyntax, format!("this is no PatchOp: {error}"))
    };
    let Body { operations: sent } = serde_json::from_value(body).map_err(wrong)?;
    let mut operations = Vec::new();
    for Sent { op, path, value } in sent {
        let doing = match op.to_ascii_lowercase().as_str() {
            "add" => Doing::Add,
            "replace" => Doing::Replace,
            "remove" => Doing::Remove,
            _ => return Err(Fault::new(FaultKind::InvalidSyntax, "op is add, replace or remove")),
        };
        match path {
            Some(path) => at(of, doing, &path, value, &mut operations)?,
            None => everywhere(of, doing, value, &mut operations)?,
        }
        few(&operations)?;
    }
    Ok(operations)
}

fn few(operations: &[Operation]) -> Result<(), Fault> {
    match operations.len() {
        0..=MOST => Ok(()),
        _ => Err(Fault::new(FaultKind::TooMany, format!("at most {MOST} operations"))),
    }
}

/// Without a path the value names what it is about; what is read-only there is ignored.
fn everywhere(
    of: &'static Type,
    doing: Doing,
    value: Value,
    operations: &mut Vec<Operation>,
) -> Result<(), Fault> {
    if doing == Doing::Remove {
        return Err(Fault::new(FaultKind::NoTarget, "remove needs a path"));
    }
    let Value::Object(values) = value else {
        return Err(Fault::new(FaultKind::InvalidValue, "without a path the value is an object"));
    };
    for (name, value) in values {
        let read_only = of.top(&name).is_some_and(|a| a.mutability == Mutability::ReadOnly);
        if !read_only && !name.eq_ignore_ascii_case("schemas") {
            at(of, doing, &name, value, operations)?;
            few(operations)?;
        }
    }
    Ok(())
}

fn at(
    of: &'static Type,
    doing: Doing,
    path: &str,
    value: Value,
    operations: &mut Vec<Operation>,
) -> Result<(), Fault> {
    let path = parse::path(of, path).map_err(|why| Fault::new(FaultKind::InvalidPath, why))?;
    let (place, filter) = match path {
        Path::Place(place, filter) => (place, filter),
        Path::Extension(urn) if doing == Doing::Remove => {
            operations.push(Operation { doing, path: Path::Extension(urn), value: None });
            return Ok(());
        }
        Path::Extension(urn) => return whole(of, doing, urn, value, operations),
    };
    may_write(&place, doing)?;
    let doing = if value.is_null() && doing == Doing::Replace { Doing::Remove } else { doing };
    let (is_given, given) = (!value.is_null(), given(doing, &place, filter.as_ref(), value)?);
    let doing = match (doing, &given) {
        // Nothing is added by what is empty, and what it replaces goes.
        (Doing::Add, None) => return Ok(()),
        (Doing::Replace, None) => Doing::Remove,
        // Of the values that are named, none: not all of them.
        (Doing::Remove, None) if is_given && place.part.is_none() && filter.is_none() => {
            return Ok(());
        }
        _ => doing,
    };
    if doing == Doing::Remove && place.part.is_none() && place.attribute.required {
        return Err(Fault::new(
            FaultKind::Mutability,
            format!("{} is required", place.attribute.name),
        ));
    }
    operations.push(Operation { doing, path: Path::Place(place, filter), value: given });
    Ok(())
}

/// The value of an operation, as its place has it.
fn given(
    doing: Doing,
    place: &Place,
    filter: Option<&Filter>,
    value: Value,
) -> Result<Option<Value>, Fault> {
    match (doing, place.part) {
        // Which values go; of anything else, all of it does.
        (Doing::Remove, None) if place.attribute.multi && filter.is_none() => {
            accept::value(place.attribute, value)
        }
        (Doing::Remove, _) => Ok(None),
        _ if value.is_null() => Err(Fault::value(place.leaf().name, "has no value")),
        (_, Some(part)) => accept::value(part, value),
        (_, None) if filter.is_some() => accept::single(place.attribute, value),
        (_, None) => accept::value(place.attribute, value),
    }
}

/// An extension as an object.
fn whole(
    of: &'static Type,
    doing: Doing,
    urn: &str,
    value: Value,
    operations: &mut Vec<Operation>,
) -> Result<(), Fault> {
    let Value::Object(values) = value else {
        return Err(Fault::new(FaultKind::InvalidValue, format!("{urn} is an object")));
    };
    for (name, value) in values {
        if name != "schemas" {
            at(of, doing, &format!("{urn}:{name}"), value, operations)?;
        }
    }
    Ok(())
}

fn may_write(place: &Place, doing: Doing) -> Result<(), Fault> {
    let refuse =
        |name: &str, why: &str| Err(Fault::new(FaultKind::Mutability, format!("{name} {why}")));
    if place.attribute.mutability == Mutability::ReadOnly {
        return refuse(place.attribute.name, "is read-only");
    }
    match place.part {
        Some(part) if part.mutability == Mutability::ReadOnly => refuse(part.name, "is read-only"),
        Some(part) if part.mutability == Mutability::Immutable => {
            refuse(part.name, "never changes: add and remove whole values")
        }
        Some(_) => Ok(()),
        None if place.attribute.name == "schemas" && doing == Doing::Remove => {
            refuse("schemas", "is required")
        }
        None => Ok(()),
    }
}

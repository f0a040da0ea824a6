//! Values that clients send, as they are kept: with the names of the schema, without what is empty or not theirs to
//! say. What providers are known to send instead is understood: truths as texts, one value where a list is due, and
//! an id where an object with it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::fault::{Fault, Kind as FaultKind};
use super::schema::{Attribute, Kind, Mutability, Schema, Type};
use crate::rules::MAX_OBJECT_BYTES;

/// A resource, by the names of its schemas.
pub(super) type Resource = Map<String, Value>;

/// A whole resource, as POST and PUT send it. What is read-only is ignored.
///
/// # Errors
/// What has no place in the schema, and what does not fit it.
pub(super) fn resource(of: &'static Type, body: Value) -> Result<Resource, Fault> {
    let Value::Object(body) = body else {
        return Err(Fault::new(FaultKind::InvalidSyntax, "a resource is a JSON object"));
    };
    let mut taken = Resource::new();
    for (name, sent) in body {
        if name.eq_ignore_ascii_case("schemas") {
            is_of(of, &sent)?;
            continue;
        }
        if let Some(schema) = of.extension(&name) {
            if let Some(parts) = extension(schema, sent)? {
                put(&mut taken, schema.id, parts)?;
            }
            continue;
        }
        match of.top(&name) {
            Some(attribute) if attribute.mutability == Mutability::ReadOnly => {}
            Some(attribute) => {
                // That a list is empty is said, too.
                let empty = attribute.multi.then(|| Value::Array(Vec::new()));
                if let Some(sent) = value(attribute, sent)?.or(empty) {
                    put(&mut taken, attribute.name, sent)?;
                }
            }
            None => nothing(&name, &sent)?,
        }
    }
    if let Some(missing) = of
        .core
        .attributes
        .iter()
        .find(|a| a.required && !a.defaulted && !taken.contains_key(a.name))
    {
        return Err(Fault::value(missing.name, "is required"));
    }
    Ok(taken)
}

fn put(resource: &mut Resource, name: &str, value: impl Into<Value>) -> Result<(), Fault> {
    match resource.insert(name.to_owned(), value.into()) {
        None => Ok(()),
        Some(_) => Err(Fault::new(FaultKind::InvalidSyntax, format!("{name} is given twice"))),
    }
}

/// That a resource says it is what it is sent as.
fn is_of(of: &Type, schemas: &Value) -> Result<(), Fault> {
    let wrong = |why: String| Fault::new(FaultKind::InvalidSyntax, why);
    let schemas =
        schemas.as_array().ok_or_else(|| wrong("schemas is a list of URIs".to_owned()))?;
    // Some name more than they send.
    let is_core =
        |schema: &Value| schema.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(of.core.id));
    match schemas.iter().any(is_core) {
        true => Ok(()),
        false => Err(wrong(format!("a {} says in schemas that it is {}", of.name, of.core.id))),
    }
}

/// What is not known may be sent as long as it says nothing.
fn nothing(name: &str, sent: &Value) -> Result<(), Fault> {
    match sent {
        Value::Null => Ok(()),
        Value::Array(values) if values.is_empty() => Ok(()),
        _ => {
            let name: String = name.chars().take(64).collect();
            Err(Fault::new(FaultKind::InvalidSyntax, format!("there is no attribute {name}")))
        }
    }
}

/// The attributes of an extension.
///
/// # Errors
/// As [`value`].
pub(super) fn extension(schema: &'static Schema, sent: Value) -> Result<Option<Resource>, Fault> {
    let of = |name: &str| schema.attribute(name);
    match sent {
        Value::Null => Ok(None),
        Value::Object(sent) => parts(of, sent),
        _ => Err(Fault::new(FaultKind::InvalidSyntax, format!("{} is an object", schema.id))),
    }
}

fn parts(
    of: impl Fn(&str) -> Option<&'static Attribute>,
    sent: Map<String, Value>,
) -> Result<Option<Resource>, Fault> {
    let mut taken = Resource::new();
    for (name, sent) in sent {
        // Some say of each part of a resource what it is made of.
        if name == "schemas" {
            continue;
        }
        match of(&name) {
            Some(part) if part.mutability == Mutability::ReadOnly => {}
            Some(part) => {
                if let Some(sent) = value(part, sent)? {
                    put(&mut taken, part.name, sent)?;
                }
            }
            None => nothing(&name, &sent)?,
        }
    }
    Ok((!taken.is_empty()).then_some(taken))
}

/// A value of an attribute; `None` when it says that there is none.
///
/// # Errors
/// What does not fit.
pub(super) fn value(attribute: &'static Attribute, sent: Value) -> Result<Option<Value>, Fault> {
    if !attribute.multi {
        return single(attribute, sent);
    }
    let sent = match sent {
        Value::Array(sent) => sent,
        one => vec![one],
    };
    if sent.len() > attribute.most {
        return Err(Fault::value(attribute.name, "has too many values"));
    }
    let values = sent.into_iter().filter_map(|sent| single(attribute, sent).transpose());
    let values: Vec<_> = values.collect::<Result<_, _>>()?;
    if values.iter().filter(|value| is_primary(value)).count() > 1 {
        return Err(Fault::value(attribute.name, "has more than one that is primary"));
    }
    Ok((!values.is_empty()).then_some(values.into()))
}

/// Whether one of many values is the preferred one.
pub(super) fn is_primary(value: &Value) -> bool {
    value["primary"] == true
}

/// One value, whether the attribute has a list of them or not.
///
/// # Errors
/// What does not fit.
pub(super) fn single(attribute: &'static Attribute, sent: Value) -> Result<Option<Value>, Fault> {
    let refuse = |why: &str| Err(Fault::value(attribute.name, why));
    match (attribute.kind, sent) {
        (_, Value::Null) => Ok(None),
        (_, Value::Array(mut one)) if one.len() == 1 && !attribute.multi => {
            single(attribute, one.remove(0))
        }
        (_, Value::String(text)) if text.len() > MAX_OBJECT_BYTES => refuse("is too long"),
        (Kind::Complex(_), Value::String(id)) if attribute.part("value").is_some() => {
            complex(attribute, Map::from_iter([("value".to_owned(), id.into())]))
        }
        (Kind::Complex(_), Value::Object(sent)) => complex(attribute, sent),
        (Kind::Complex(_), _) => refuse("is an object"),
        (Kind::Boolean, Value::Bool(truth)) => Ok(Some(truth.into())),
        (Kind::Boolean, Value::String(text)) => match text.to_ascii_lowercase().parse::<bool>() {
            Ok(truth) => Ok(Some(truth.into())),
            Err(_) => refuse("is true or false"),
        },
        (Kind::Boolean, _) => refuse("is true or false"),
        (_, Value::String(text)) if text.is_empty() => Ok(None),
        (Kind::Binary, Value::String(text)) if STANDARD.decode(&text).is_err() => {
            refuse("is no base64")
        }
        (_, Value::String(text)) if text.contains('\0') => refuse("holds a control character"),
        (_, Value::String(text)) => Ok(Some(text.into())),
        _ => refuse("is a text"),
    }
}

fn complex(
    attribute: &'static Attribute,
    sent: Map<String, Value>,
) -> Result<Option<Value>, Fault> {
    let mut taken = parts(|name| attribute.part(name), sent)?.unwrap_or_default();
    refer(attribute, &mut taken)?;
    // What stands for something else must say for what: nothing is not nobody.
    let stands =
        attribute.part("value").is_some_and(|value| value.mutability == Mutability::Immutable);
    if stands && !taken.contains_key("value") {
        return Err(Fault::value(attribute.name, "has an entry without value"));
    }
    Ok((!taken.is_empty()).then(|| taken.into()))
}

/// A reference is kept by id: where it leads depends on where the service is.
fn refer(attribute: &Attribute, taken: &mut Resource) -> Result<(), Fault> {
    let Some(Value::String(reference)) = taken.remove("$ref") else { return Ok(()) };
    let behind = reference.rsplit('/').next().unwrap_or_default();
    match taken.get("value").and_then(Value::as_str) {
        Some(id) if id == behind => Ok(()),
        Some(_) => Err(Fault::value(attribute.name, "has a $ref to another than its value")),
        None => {
            taken.insert("value".to_owned(), behind.into());
            Ok(())
        }
    }
}

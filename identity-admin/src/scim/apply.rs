//! PATCH, done to a resource.

use serde_json::Value;

use super::accept::{Resource, is_primary};
use super::filter::{Filter, Operand, Operator, Test};
use super::parse::Path;
use super::patch::{Doing, Operation};
use super::schema::{Attribute, Kind, Place};
use crate::change::Refused;
use crate::rules::MAX_OBJECT_BYTES;

/// Does all of it to a resource.
///
/// # Errors
/// A replacement of what is not there.
pub(super) fn apply(operations: &[Operation], resource: &mut Resource) -> Result<(), Refused> {
    for operation in operations {
        match &operation.path {
            Path::Extension(urn) => drop(resource.remove(*urn)),
            Path::Place(place, filter) => {
                let mut within = place.extension.map(|urn| match resource.remove(urn) {
                    Some(Value::Object(parts)) => parts,
                    _ => Resource::new(),
                });
                let home = within.as_mut().unwrap_or(resource);
                do_to(operation, place, filter.as_ref(), home)?;
                fits(place.attribute, home)?;
                if let (Some(urn), Some(parts)) = (place.extension, within)
                    && !parts.is_empty()
                {
                    resource.insert(urn.to_owned(), parts.into());
                }
            }
        }
    }
    Ok(())
}

/// That an attribute may be kept as it is now. Operations are many, and each may make it longer.
fn fits(attribute: &Attribute, home: &Resource) -> Result<(), Refused> {
    let Some(value) = home.get(attribute.name) else { return Ok(()) };
    let is_long = value.as_array().is_some_and(|values| values.len() > attribute.most);
    if is_long || value.to_string().len() > MAX_OBJECT_BYTES {
        return Err(Refused::invalid(attribute.name, "would be larger than 16 KiB, or too many"));
    }
    Ok(())
}

fn do_to(
    operation: &Operation,
    place: &Place,
    filter: Option<&Filter>,
    home: &mut Resource,
) -> Result<(), Refused> {
    let name = place.attribute.name;
    if !place.attribute.multi {
        let mut present = home.remove(name);
        one(operation, place.part, &mut present);
        home.extend(present.map(|value| (name.to_owned(), value)));
        return Ok(());
    }
    let mut values = match home.remove(name) {
        Some(Value::Array(values)) => values,
        _ => Vec::new(),
    };
    let touched = match filter {
        None if place.part.is_none() => many(operation, place.attribute, &mut values),
        _ => found(operation, place, filter, &mut values)?,
    };
    only_one_primary(&mut values, &touched);
    if !values.is_empty() {
        home.insert(name.to_owned(), values.into());
    }
    Ok(())
}

/// A value that has no siblings, or a part of it.
fn one(operation: &Operation, part: Option<&Attribute>, present: &mut Option<Value>) {
    match (part, &operation.value) {
        (None, None) => *present = None,
        (None, Some(new)) => match (present.as_mut(), new) {
            // What is not named stays as it is, whatever the operation; what stands for another is another.
            (Some(Value::Object(parts)), Value::Object(new)) => {
                if new.get("value").is_some_and(|value| parts.get("value") != Some(value)) {
                    parts.clear();
                }
                parts.extend(new.clone());
            }
            _ => *present = Some(new.clone()),
        },
        (Some(part), new) => {
            let mut parts = match present.take() {
                Some(Value::Object(parts)) => parts,
                _ => Resource::new(),
            };
            match new {
                Some(new) => drop(parts.insert(part.name.to_owned(), new.clone())),
                None => drop(parts.remove(part.name)),
            }
            *present = (!parts.is_empty()).then(|| parts.into());
        }
    }
}

/// A list as a whole; where what is new stands in it.
fn many(operation: &Operation, attribute: &Attribute, values: &mut Vec<Value>) -> Vec<usize> {
    let given = operation.value.as_ref().and_then(Value::as_array).map(Vec::as_slice);
    match (operation.doing, given) {
        (Doing::Remove, None) => values.clear(),
        (Doing::Remove, Some(given)) => {
            values.retain(|value| !given.iter().any(|g| is_same(g, value)));
        }
        (Doing::Replace, given) => *values = given.unwrap_or_default().to_vec(),
        (Doing::Add, given) => {
            let before = values.len();
            for new in given.unwrap_or_default() {
                if values.len() <= attribute.most && !values.contains(new) {
                    values.push(new.clone());
                }
            }
            return (before..values.len()).collect();
        }
    }
    Vec::new()
}

/// Whether two values of a list stand for the same: they do with the same `value`, whatever else is said of it.
fn is_same(given: &Value, value: &Value) -> bool {
    match (given.get("value"), value.get("value")) {
        (Some(given), Some(value)) => given == value,
        _ => given == value,
    }
}

/// The values of a list that a filter finds, or all of them; where they stand.
fn found(
    operation: &Operation,
    place: &Place,
    filter: Option<&Filter>,
    values: &mut Vec<Value>,
) -> Result<Vec<usize>, Refused> {
    let is_meant = |value: &Value| filter.is_none_or(|filter| filter.holds_within(value));
    let mut meant: Vec<_> = values.iter().map(is_meant).collect();
    if !meant.contains(&true) {
        match (operation.doing, filter) {
            (Doing::Remove, _) => return Ok(Vec::new()),
            // Providers replace what they never added, and mean that it shall be there.
            (Doing::Replace, Some(filter)) if place.part.is_none() || !is_of_equals(filter) => {
                return Err(Refused::Unmatched("the path finds no value to replace"));
            }
            (Doing::Add | Doing::Replace, filter) => {
                meant.push(true);
                values.push(described(filter).into());
            }
        }
    }
    let replaces = operation.doing == Doing::Replace && place.part.is_none();
    let (mut left, mut touched) = (Vec::with_capacity(values.len()), Vec::new());
    for (value, is_meant) in values.drain(..).zip(meant) {
        let mut value = Some(value);
        if is_meant {
            value = value.filter(|_| !replaces);
            one(operation, place.part, &mut value);
            // An entry that loses its value is none any more.
            let stays = |value: &Value| value.get("value").is_some() || !is_value(place.part);
            value = value.filter(stays);
            touched.extend(value.is_some().then_some(left.len()));
        }
        left.extend(value);
    }
    *values = left;
    Ok(touched)
}

fn is_value(part: Option<&Attribute>) -> bool {
    part.is_some_and(|part| part.name == "value")
}

/// Whether a filter says no more than what a value is like.
fn is_of_equals(filter: &Filter) -> bool {
    match filter {
        Filter::All(all) => all.iter().all(is_of_equals),
        Filter::Test(test) => test.operator == Operator::Equal,
        _ => false,
    }
}

/// A value that a filter would find: what it asks to be equal.
fn described(filter: Option<&Filter>) -> Resource {
    let mut parts = Resource::new();
    let tests = match filter {
        Some(Filter::All(all)) => all.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    for test in tests {
        if let Filter::Test(Test { place, operator: Operator::Equal, operand }) = test
            && let Some(Attribute { name, kind, .. }) = place.part
        {
            let value: Value = match (operand, kind) {
                (Operand::Text(text), Kind::Text | Kind::Reference(_) | Kind::Binary) => {
                    text.clone().into()
                }
                (Operand::Boolean(truth), _) => (*truth).into(),
                _ => continue,
            };
            parts.insert((*name).to_owned(), value);
        }
    }
    parts
}

/// A new preferred value takes the place of the one before.
fn only_one_primary(values: &mut [Value], touched: &[usize]) {
    let Some(primary) = touched.iter().find(|at| is_primary(&values[**at])).copied() else {
        return;
    };
    for (at, value) in values.iter_mut().enumerate() {
        if at != primary && is_primary(value) {
            value["primary"] = false.into();
        }
    }
}

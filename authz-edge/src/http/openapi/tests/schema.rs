//! Whether a value fits a schema: as much of JSON Schema as the document uses.

use serde_json::Value;

use super::reading::{items, members, resolve, text};

/// Why it does not. `closed`: an object has no members that its schema does not name, as in what we answer.
pub(super) fn fits(
    document: &Value,
    schema: &Value,
    value: &Value,
    closed: bool,
) -> Result<(), String> {
    let schema = resolve(document, schema);
    let refuse = |why: &str| Err(format!("{value} {why}"));
    if let Some(choices) = schema.get("oneOf") {
        let fitting =
            items(choices).filter(|one| fits(document, one, value, closed).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { refuse(&format!("fits {fitting} of oneOf")) };
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return refuse("is another constant");
    }
    if schema.get("enum").is_some_and(|all| !items(all).any(|one| one == value)) {
        return refuse("is not listed");
    }
    let is_typed = match schema.get("type").and_then(Value::as_str) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        Some(other) => return Err(format!("no type: {other}")),
        None => true,
    };
    if !is_typed {
        return refuse("is of another type");
    }
    if let Some(missing) = items(&schema["required"]).find(|name| value.get(text(name)).is_none()) {
        return refuse(&format!("lacks {missing}"));
    }
    for (name, inner) in members(value) {
        match schema["properties"].get(name) {
            Some(schema) => fits(document, schema, inner, closed)?,
            None if schema["additionalProperties"] == false
                || (closed && is_open_by_silence(schema)) =>
            {
                return refuse(&format!("has {name} besides"));
            }
            None => {}
        }
    }
    items(value).try_for_each(|inner| fits(document, &schema["items"], inner, closed))
}

/// It names members, and does not say whether there may be others.
fn is_open_by_silence(schema: &Value) -> bool {
    schema.get("properties").is_some() && schema.get("additionalProperties").is_none()
}

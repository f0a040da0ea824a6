//! How the document is read. The tests on real engines read it so too.

use serde_json::Value;

pub(super) const METHODS: [&str; 8] =
    ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What a `$ref` refers to, or the value itself.
pub(super) fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        None => value,
        Some(to) => {
            let found = to.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
            found.unwrap_or_else(|| panic!("{to} is nowhere"))
        }
    }
}

pub(super) fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Method, and what is said of it.
pub(super) fn operations(item: &Value) -> impl Iterator<Item = (&str, &Value)> {
    METHODS.into_iter().filter_map(|method| Some((method, item.get(method)?)))
}

pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The path with the examples of its parameters.
pub(super) fn filled(document: &Value, path: &str, item: &Value) -> String {
    let mut filled = path.to_owned();
    for parameter in items(&item["parameters"]).map(|one| resolve(document, one)) {
        if parameter["in"] == "path" {
            let name = text(&parameter["name"]);
            let example = text(&parameter["example"]);
            filled = filled.replace(&format!("{{{name}}}"), example);
        }
    }
    assert!(!filled.contains('{'), "{filled}");
    filled
}

/// The query of an operation's own parameters that have an example.
pub(super) fn query(document: &Value, operation: &Value) -> String {
    let parameters = items(&operation["parameters"]).map(|one| resolve(document, one));
    let given = parameters.filter(|one| one["in"] == "query" && one.get("example").is_some());
    let pair = |one: &Value| {
        let example = &one["example"];
        let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        format!("{}={example}", text(&one["name"]))
    };
    let pairs: Vec<_> = given.map(pair).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

//! The services' descriptions, and whether a request is of them: as much of OpenAPI and JSON Schema as they use.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The description of a service.
pub(super) struct Document {
    pub(super) service: &'static str,
    document: Value,
}

/// Those of all services.
pub(super) fn documents() -> [Document; 3] {
    let read = |service, text| Document { service, document: serde_json::from_str(text).unwrap() };
    [
        read("identity", include_str!("../../../../identity-admin/openapi.json")),
        read("authz", include_str!("../../../../authz-edge/openapi.json")),
        read("audit", include_str!("../../../../ingest/openapi.json")),
    ]
}

impl Document {
    /// Whether a request is described.
    pub(super) fn check(
        &self,
        (method, path): (&str, &str),
        query: &BTreeSet<&str>,
        body: Option<&Value>,
    ) -> Result<(), String> {
        let paths = self.document["paths"].as_object().unwrap();
        let described = paths.iter().filter(|(template, _)| fits(template, path));
        let item =
            described.map(|(_, item)| item).find(|item| item.get(method.to_lowercase()).is_some());
        let item = item.ok_or("no such operation")?;
        let operation = &item[method.to_lowercase()];
        let known = [&item["parameters"], &operation["parameters"]];
        let known: Vec<_> = known.into_iter().filter_map(Value::as_array).flatten().collect();
        let known: BTreeSet<_> = known
            .iter()
            .map(|parameter| self.resolved(parameter))
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        if let Some(stranger) = query.iter().find(|name| !known.contains(**name)) {
            return Err(format!("no parameter {stranger}"));
        }
        let schema = operation.pointer("/requestBody/content/application~1json/schema");
        match (schema, body) {
            (Some(schema), Some(body)) => self.valid(schema, body, "body"),
            (None, Some(_)) => Err("it takes no JSON".to_owned()),
            (Some(_), None) => Err("it takes JSON".to_owned()),
            (None, None) => Ok(()),
        }
    }

    fn resolved<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => value,
        }
    }

    fn valid(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = self.resolved(schema);
        for any in ["oneOf", "anyOf"] {
            let Some(options) = schema[any].as_array() else { continue };
            let tried: Vec<_> =
                options.iter().map(|option| self.valid(option, value, at)).collect();
            if tried.iter().all(Result::is_err) {
                return Err(format!("{at}: none of {tried:?}"));
            }
        }
        if let Some(constant) = schema.get("const").filter(|constant| *constant != value) {
            return Err(format!("{at}: is not {constant}"));
        }
        if let Some(options) = schema["enum"].as_array()
            && !options.contains(value)
        {
            return Err(format!("{at}: is none of {options:?}"));
        }
        let types: Vec<_> = match &schema["type"] {
            Value::String(type_) => vec![type_.as_str()],
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !types.is_empty() && !types.iter().any(|type_| is(value, type_)) {
            return Err(format!("{at}: {value} is none of {types:?}"));
        }
        match value {
            Value::Object(members) => self.valid_members(schema, members, at),
            Value::Array(items) if schema.get("items").is_some() => {
                items.iter().try_for_each(|item| self.valid(&schema["items"], item, at))
            }
            _ => Ok(()),
        }
    }

    fn valid_members(
        &self,
        schema: &Value,
        members: &Map<String, Value>,
        at: &str,
    ) -> Result<(), String> {
        let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
        for required in schema["required"].as_array().into_iter().flatten() {
            if !members.contains_key(required.as_str().unwrap()) {
                return Err(format!("{at}: {required} is missing"));
            }
        }
        for (name, value) in members {
            let schema = properties.get(name).ok_or_else(|| format!("{at}: no member {name}"))?;
            self.valid(schema, value, &format!("{at}.{name}"))?;
        }
        Ok(())
    }
}

/// Whether a path is of a template.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    let one = |(template, part): (&&str, &&str)| template.starts_with('{') || template == part;
    template.len() == path.len() && template.iter().zip(&path).all(one)
}

fn is(value: &Value, type_: &str) -> bool {
    match type_ {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    }
}

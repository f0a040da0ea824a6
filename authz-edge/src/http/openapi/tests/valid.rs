//! Whether the document is one of `OpenAPI` 3.1: each object has the fields of its kind and those that it
//! must have, references lead to something of the kind that is wanted, names are used as they are declared.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document;
use super::reading::{items, members, operations, resolve};

/// Of each kind of object: its fields, `!` for required, with the kind of what they hold after a colon:
/// `[x]` for a list, `{x}` for a map, nothing for what is looked at no further.
const KINDS: &[(&str, &str)] = &[
    ("document", "openapi! info!:info tags:[tag] paths!:{item} components:components"),
    ("info", "title! description license:license version!"),
    ("license", "name! identifier"),
    ("tag", "name! description"),
    (
        "components",
        "schemas:{schema} responses:{response} parameters:{parameter} headers:{header} \
         securitySchemes:{scheme}",
    ),
    ("scheme", "type! scheme! bearerFormat description"),
    (
        "item",
        "summary description parameters:[parameter] get:operation put:operation post:operation \
         delete:operation options:operation head:operation patch:operation trace:operation",
    ),
    (
        "operation",
        "operationId! tags! summary! description security! parameters:[parameter] requestBody:body \
         responses!:{response}",
    ),
    ("parameter", "name! in! description! required schema!:schema example"),
    ("body", "required! description content!:{media}"),
    ("response", "description! headers:{header} content:{media}"),
    ("header", "description! schema!:schema example"),
    ("media", "schema!:schema example examples:{example}"),
    ("example", "summary! value!"),
    (
        "schema",
        "type description required properties:{schema} additionalProperties items:schema oneOf:[schema] \
         enum const default format pattern minimum maximum minLength maxLength minItems maxItems examples",
    ),
];

fn check(kind: &str, value: &Value, at: &str) {
    if let Some(reference) = value.get("$ref") {
        assert_eq!(members(value).count(), 1, "{at}: a reference stands alone");
        let folder = match kind {
            "schema" => "schemas".to_owned(),
            _ => format!("{kind}s"),
        };
        let to = reference.as_str().unwrap();
        assert!(to.starts_with(&format!("#/components/{folder}/")), "{at}: {to} is no {kind}");
        return;
    }
    assert!(value.is_object(), "{at} is no {kind}");
    let (_, fields) = KINDS.iter().find(|(name, _)| *name == kind).unwrap();
    let mut left: BTreeSet<_> = members(value).map(|(name, _)| name.as_str()).collect();
    for field in fields.split_whitespace() {
        let (name, inner) = field.split_once(':').unwrap_or((field, ""));
        let (name, is_required) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
        assert!(!is_required || value.get(name).is_some(), "{at} lacks {name}");
        left.remove(name);
        let Some(found) = value.get(name) else { continue };
        let at = format!("{at}/{name}");
        if let Some(inner) = inner.strip_prefix('[') {
            assert!(found.is_array(), "{at} is no list");
            items(found).for_each(|one| check(inner.trim_end_matches(']'), one, &at));
        } else if let Some(inner) = inner.strip_prefix('{') {
            assert!(found.is_object(), "{at} is no map");
            members(found).for_each(|(name, one)| {
                check(inner.trim_end_matches('}'), one, &format!("{at}/{name}"));
            });
        } else if !inner.is_empty() {
            check(inner, found, &at);
        }
    }
    assert!(left.is_empty(), "{at} has {left:?}, which no {kind} has");
}

#[test]
fn every_object_is_one_of_openapi_3_1() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    check("document", &document, "#");
}

#[test]
fn what_is_named_is_there_and_what_is_there_is_named() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        found.extend(value.get("$ref").and_then(Value::as_str));
        members(value).for_each(|(_, inner)| references(inner, found));
        items(value).for_each(|inner| references(inner, found));
    }
    let (document, mut named) = (document(), BTreeSet::new());
    references(&document, &mut named);
    let mut there = BTreeSet::new();
    for folder in ["schemas", "responses", "parameters", "headers"] {
        let all = members(&document["components"][folder]);
        there.extend(all.map(|(name, _)| format!("#/components/{folder}/{name}")));
    }
    assert_eq!(named.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), there);
}

#[test]
fn operations_have_ids_tags_scopes_and_the_parameters_of_their_paths() {
    let (document, mut ids) = (document(), BTreeSet::new());
    let tags: Vec<_> = items(&document["tags"]).map(|tag| &tag["name"]).collect();
    let scopes = |scope: &Value| contracts::Scope::parse(scope.as_str().unwrap()).is_some();
    for (path, item) in members(&document["paths"]) {
        let parameters = items(&item["parameters"]).map(|one| resolve(&document, one));
        let in_path = parameters.filter(|one| one["in"] == "path");
        let declared: Vec<_> = in_path
            .inspect(|one| assert_eq!(one["required"], true, "{path}"))
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        let used = path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
        assert_eq!(declared, used.collect::<Vec<_>>(), "{path}");
        for (method, operation) in operations(item) {
            assert!(ids.insert(operation["operationId"].to_string()), "{method} {path}");
            assert!(items(&operation["tags"]).all(|tag| tags.contains(&tag)), "{method} {path}");
            for wanted in items(&operation["security"]) {
                for (scheme, wanted) in members(wanted) {
                    assert!(document["components"]["securitySchemes"].get(scheme).is_some());
                    assert!(items(wanted).all(scopes), "{method} {path}: {wanted}");
                }
            }
            assert!(operation["responses"].get("200").is_some(), "{method} {path}");
        }
    }
}

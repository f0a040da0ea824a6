mod generate;
mod limits;
mod properties;
mod semantics;

use serde_json::{Map, Value, json};

use super::{Condition, ConditionError, Inputs, Overlay, Precedence, Undecided};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

/// Alice reads document 1, with that context.
fn holds_in(text: &str, context: Value) -> Result<bool, Undecided> {
    let subject = object(json!({ "role": "editor", "level": 3, "teams": ["a", "b"] }));
    let resource = object(json!({
        "status": "draft", "owner": "alice", "tags": ["x", "y"], "none": null,
        "limits": { "eu": 5, "us": 7.5 }
    }));
    let action = object(json!({ "force": true }));
    let context = object(context);
    let inputs = Inputs {
        subject_type: "user",
        subject_id: "alice",
        subject_properties: Overlay::of(Some(&subject)),
        resource_type: "document",
        resource_id: "1",
        resource_properties: Overlay::of(Some(&resource)),
        action_name: "read",
        action_properties: Overlay::of(Some(&action)),
        context: Some(&context),
    };
    let condition = Condition::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    condition.holds(&inputs)
}

fn holds(text: &str) -> Result<bool, Undecided> {
    holds_in(text, json!({}))
}

fn refused(text: &str) -> ConditionError {
    match Condition::compile(text) {
        Ok(_) => panic!("{text} compiled"),
        Err(error) => error,
    }
}

fn absent(path: &str) -> Result<bool, Undecided> {
    Err(Undecided::Absent(path.to_owned()))
}

#[track_caller]
fn all_hold(texts: &[&str], context: &Value) {
    for text in texts {
        assert_eq!(holds_in(text, context.clone()), Ok(true), "{text}");
    }
}

#[test]
fn a_condition_keeps_its_text_and_is_equal_to_the_same_text() {
    let condition = Condition::compile("subject.id == resource.properties.owner").unwrap();
    assert_eq!(condition.text(), "subject.id == resource.properties.owner");
    assert_eq!(condition.clone(), condition);
    assert_ne!(condition, Condition::compile("true").unwrap());
    assert!(format!("{condition:?}").contains("resource.properties.owner"));
    assert!(condition.weight() > condition.text().len());
}

#[test]
fn a_compiler_makes_the_same_conditions() {
    let compiler = super::Compiler::default();
    for text in ["true", "subject.id.size() == 0"] {
        let condition = compiler.clone().compile(text).unwrap();
        assert_eq!(condition.holds(&Inputs::default()), Ok(true), "{text}");
    }
    assert_eq!(compiler.compile("subject.name == 'x'"), Condition::compile("subject.name == 'x'"));
}

#[test]
fn conditions_are_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Condition>();
    shared::<super::Compiler>();
}

#[test]
fn precedence_decides_whose_member_wins() {
    let stored = object(json!({ "a": "stored", "b": { "x": 1 } }));
    let request = object(json!({ "a": "request", "b": { "y": 2 }, "c": null }));
    let get = |precedence, name: &str| {
        Overlay::new(Some(&stored), Some(&request), precedence).get(name).cloned()
    };
    assert_eq!(get(Precedence::Request, "a"), Some(json!("request")));
    assert_eq!(get(Precedence::Stored, "a"), Some(json!("stored")));
    assert_eq!(get(Precedence::Request, "b"), Some(json!({ "y": 2 })), "members do not merge");
    assert_eq!(get(Precedence::Stored, "b"), Some(json!({ "x": 1 })));
    assert_eq!(get(Precedence::Stored, "c"), Some(Value::Null));
    assert_eq!(get(Precedence::Stored, "d"), None);
    assert_eq!(Precedence::default(), Precedence::Request);
    assert_eq!(serde_json::from_value::<Precedence>(json!("stored")).unwrap(), Precedence::Stored);
}

#[test]
fn an_overlay_is_read_as_one_object() {
    let stored = object(json!({ "a": 1, "b": 2 }));
    let request = object(json!({ "b": 3, "c": 4 }));
    let with = |precedence, text: &str| {
        let subject_properties = Overlay::new(Some(&stored), Some(&request), precedence);
        let inputs = Inputs { subject_properties, ..Inputs::default() };
        Condition::compile(text).unwrap().holds(&inputs)
    };
    let whole = "subject.properties == {'a': 1, 'b': 3, 'c': 4} && size(subject.properties) == 3";
    assert_eq!(with(Precedence::Request, whole), Ok(true));
    assert_eq!(
        with(Precedence::Stored, "subject.properties == {'a': 1, 'b': 2, 'c': 4}"),
        Ok(true)
    );
    assert_eq!(with(Precedence::Stored, "has(subject.properties.c)"), Ok(true));
}

//! Properties: nothing panics, and preparing a condition does not change what it means.

use std::collections::HashMap;

use cel::{Context, Program};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::super::{Condition, ConditionError, Inputs, Overlay, Precedence, Undecided};
use super::{generate, object};

const MEMBERS: [&str; 5] = ["a", "b", "list", "map", "text"];

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(vec![0, 1, -1, 2, 5, i64::MIN, i64::MAX]).prop_map(Value::from),
        select(vec![0.0, -0.0, 0.5, 5.0, 1e308, -1e300, 9.3e18]).prop_map(Value::from),
        Just(Value::from(u64::MAX)),
    ]
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(vec!["", "a", "b", "5", "é", "UTC", "+23:59", "-24:00", "Asia/Tokyo", "true"]),
        select(vec![
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            "2016-12-31T23:59:60Z"
        ]),
    ]
    .prop_map(Value::from)
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![number(), text(), any::<bool>().prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(select(MEMBERS.as_slice()), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// Members of any kind, mostly overlaid by some of the kinds that conditions expect.
fn members() -> impl Strategy<Value = Map<String, Value>> {
    let mixed = btree_map(select(MEMBERS.as_slice()), tree(), 0..5);
    let usual =
        (number(), text(), vec(prop_oneof![number(), text()], 0..4), any::<bool>(), number());
    (mixed, usual, any::<u8>()).prop_map(|(mixed, (n, text, list, flag, a), mask)| {
        let usual = json!({
            "int": n, "double": 5.0, "text": text, "list": list, "bool": flag, "map": { "a": a, "b": flag }
        });
        let mut members = object(json!(mixed));
        let kept = object(usual).into_iter().enumerate().filter(|(bit, _)| mask >> bit & 3 != 0);
        members.extend(kept.map(|(_, member)| member));
        members
    })
}

fn soup() -> impl Strategy<Value = String> {
    let tokens = vec![
        "a",
        "subject",
        ".",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        "?",
        ":",
        "+",
        "-",
        "*",
        "/",
        "%",
        "!",
        "==",
        "<",
        "in",
        " ",
        "&&",
        "||",
        "'x'",
        "'",
        "\"",
        "'''",
        "r'",
        "b'",
        "\\",
        "\\u12",
        "1",
        "0x",
        "1u",
        "1.5",
        "1e",
        "true",
        "null",
        "has(",
        "a.all(x,",
        "matches('",
        "`",
        "\n",
        "//",
        "é",
        "\0",
        "@",
        "#",
        "import",
        ".a(",
        "a{b:1}",
        "duration('",
        "timestamp(",
        "@0",
        "@result",
    ];
    vec(select(tokens), 0..40).prop_map(|tokens| tokens.concat())
}

/// As the interpreter is given inputs without this module.
fn plain(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => int.into(),
            (_, Some(uint)) => uint.into(),
            _ => number.as_f64().expect("a number is one of three").into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().into(),
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect::<HashMap<_, _>>()
            .into(),
    }
}

fn interpreted(
    text: &str,
    subject: &Map<String, Value>,
    resource: &Map<String, Value>,
    context: &Map<String, Value>,
) -> Option<bool> {
    let mut variables = Context::default();
    let subject = json!({ "type": "user", "id": "a", "properties": subject });
    let resource = json!({ "type": "doc", "id": "b", "properties": resource });
    let action = json!({ "name": "read", "properties": {} });
    let context = Value::Object(context.clone());
    for (name, value) in
        [("subject", &subject), ("resource", &resource), ("action", &action), ("context", &context)]
    {
        variables.add_variable_from_value(name, plain(value));
    }
    match Program::compile(text).ok()?.execute(&variables) {
        Ok(cel::Value::Bool(holds)) => Some(holds),
        _ => None,
    }
}

proptest! {
    #[test]
    fn compiling_any_text_does_not_panic(text in "\\PC{0,200}") {
        let _ = Condition::compile(&text);
    }

    #[test]
    fn compiling_any_tokens_does_not_panic(text in soup()) {
        if let Ok(condition) = Condition::compile(&text) {
            let _ = condition.holds(&Inputs::default());
        }
    }

    #[test]
    fn any_pattern_is_refused_or_matched(pattern in "[a-c\\\\dwWsb.\\[\\]^$(){}|*+?,0-9é&:x-]{0,40}") {
        let text = format!("subject.id.matches(r'''{pattern}''')");
        match Condition::compile(&text) {
            Ok(condition) => {
                let inputs = Inputs { subject_id: "ab 1é", ..Inputs::default() };
                prop_assert!(condition.holds(&inputs).is_ok());
            }
            Err(error) => prop_assert!(matches!(error, ConditionError::Constant { .. }), "{text}: {error}"),
        }
    }

    #[test]
    fn evaluating_means_what_the_interpreter_says(
        bytes in vec(any::<u8>(), 0..80),
        subject in members(),
        resource in members(),
        context in members(),
    ) {
        let text = generate::condition(&bytes, 4);
        let Ok(condition) = Condition::compile(&text) else { return Ok(()) };
        let inputs = Inputs {
            subject_type: "user",
            subject_id: "a",
            subject_properties: Overlay::of(Some(&subject)),
            resource_type: "doc",
            resource_id: "b",
            resource_properties: Overlay::of(Some(&resource)),
            action_name: "read",
            action_properties: Overlay::default(),
            context: Some(&context),
        };
        let outcome = condition.holds(&inputs);
        // Getters count in UTC here, in the timestamp's own offset there.
        let compared = !matches!(outcome, Err(Undecided::TooCostly { .. })) && !text.contains(".get");
        if compared {
            let expected = interpreted(&text, &subject, &resource, &context);
            prop_assert_eq!(outcome.clone().ok(), expected, "{} gave {:?}", text, outcome);
        }
        if let Err(reason) = outcome {
            prop_assert!(reason.to_string().len() < 400, "{}", reason);
        }
    }

    #[test]
    fn an_overlay_is_the_merged_object(
        stored in members(),
        request in members(),
        precedence in select(vec![Precedence::Request, Precedence::Stored]),
    ) {
        let overlay = Overlay::new(Some(&stored), Some(&request), precedence);
        let (mut merged, winner) = match precedence {
            Precedence::Request => (stored.clone(), &request),
            Precedence::Stored => (request.clone(), &stored),
        };
        merged.extend(winner.clone());
        for name in MEMBERS {
            prop_assert_eq!(overlay.get(name), merged.get(name));
        }
        let listed: Vec<_> = overlay.members().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        prop_assert_eq!(listed.len(), merged.len(), "each once");
        prop_assert_eq!(Map::from_iter(listed), merged);
    }
}

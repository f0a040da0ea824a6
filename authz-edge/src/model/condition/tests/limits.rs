//! What is refused, when written and when evaluated.

use serde_json::{Value, json};

use super::super::{
    ConditionError, MAX_BYTES, MAX_DEPTH, MAX_LOOPS, MAX_NODES, MAX_STEPS, Undecided,
};
use super::{Condition, holds, holds_in, refused};

fn nested(depth: usize) -> String {
    format!("{}true{}", "(".repeat(depth), ")".repeat(depth))
}

fn loops(depth: usize) -> String {
    (0..depth).fold("true".to_owned(), |body, n| format!("[1].all(x{n}, {body})"))
}

#[test]
fn length_is_limited() {
    let text = |bytes: usize| format!("{}true", " ".repeat(bytes - 4));
    assert_eq!(Condition::compile(&text(MAX_BYTES)).unwrap().text().len(), MAX_BYTES);
    assert_eq!(refused(&text(MAX_BYTES + 1)), ConditionError::TooLong(MAX_BYTES + 1));
}

#[test]
fn depth_is_limited() {
    assert_eq!(holds(&nested(MAX_DEPTH - 1)), Ok(true));
    assert_eq!(holds(&nested(MAX_DEPTH - 2).replace('(', "!(")), Ok(true));
    let calls = |n: usize| format!("context.a{}", ".size()".repeat(n));
    let sums = |n: usize| format!("1{} > 0", " + 1".repeat(n));
    let members = |n: usize| format!("has(context{})", ".a".repeat(n));
    let choices = |n: usize| format!("{}true", "true ? true : ".repeat(n));
    let items = |n: usize| format!("{}{} == 1", "[".repeat(n), "]".repeat(n));
    for text in [
        nested(MAX_DEPTH + 1),
        nested(900),
        calls(MAX_DEPTH),
        calls(250),
        sums(MAX_DEPTH),
        sums(400),
        members(MAX_DEPTH),
        members(900),
        choices(MAX_DEPTH + 1),
        items(MAX_DEPTH + 1),
        "(".repeat(MAX_BYTES),
        "[".repeat(MAX_BYTES),
    ] {
        assert_eq!(refused(&text), ConditionError::TooDeep, "{text}");
    }
    // Chains of `&&` and `||` are balanced.
    assert_eq!(holds(&vec!["true"; 200].join(" && ")), Ok(true));
    assert_eq!(refused(&vec!["a"; 1000].join("<")), ConditionError::TooDeep);
}

#[test]
fn the_number_of_expressions_is_limited() {
    let list = |n: usize| format!("1 in [{}]", vec!["1"; n].join(","));
    assert_eq!(holds(&list(MAX_NODES - 3)), Ok(true));
    assert_eq!(refused(&list(MAX_NODES - 2)), ConditionError::TooLarge);
}

#[test]
fn macros_nest_a_little() {
    assert_eq!(holds(&loops(MAX_LOOPS)), Ok(true));
    assert_eq!(refused(&loops(MAX_LOOPS + 1)), ConditionError::TooManyLoops);
    let chained = "[1].filter(a, true).filter(b, true).filter(c, true).exists(d, d == 1)";
    assert_eq!(holds(chained), Ok(true), "one after another is not nested");
}

#[test]
fn syntax_errors_have_a_position() {
    for (text, at) in [
        ("", Some((1, 1))),
        ("subject.id = 'x'", Some((1, 12))),
        ("true &&\n  &&", Some((2, 3))),
        ("subject.?id == 'x'", None),
        ("has(1)", None),
        ("'a", None),
        ("import == 1", None),
        ("99999999999999999999 == 1", None),
    ] {
        let ConditionError::Syntax { message, position } = refused(text) else {
            panic!("{text}: {:?}", refused(text))
        };
        assert!(!message.is_empty() && message.len() <= 210, "{text}: {message}");
        assert!(at.is_none() || at == position, "{text}: {position:?}");
    }
    let shown = refused("subject.id = 'x'").to_string();
    assert!(shown.ends_with(" at 1:12"), "{shown}");
}

#[test]
fn unknown_names_are_refused() {
    use ConditionError::{UnknownFunction, UnknownMember, UnknownVariable};
    for (text, error) in [
        ("user.id == 'x'", UnknownVariable("user".into())),
        ("id == 'x'", UnknownVariable("id".into())),
        ("int == 1", UnknownVariable("int".into())),
        ("[1].all(x, y == 1)", UnknownVariable("y".into())),
        ("[1].all(x, true) && x == 1", UnknownVariable("x".into())),
        (".subject.id == 'x'", UnknownVariable(".subject".into())),
        ("subject.name == 'x'", UnknownMember("subject.name".into())),
        ("subject['name'] == 'x'", UnknownMember("subject.name".into())),
        ("has(resource.owner)", UnknownMember("resource.owner".into())),
        ("action.id == 'x'", UnknownMember("action.id".into())),
        ("subject.id.first == 'x'", UnknownMember("subject.id.first".into())),
        ("subject == resource", UnknownMember("subject".into())),
        ("subject[context.x] == 1", UnknownMember("subject".into())),
        ("now() > 1", UnknownFunction("now".into())),
        ("type(1) == 1", UnknownFunction("type".into())),
        ("dyn(1) == 1", UnknownFunction("dyn".into())),
        ("optional.none() == 1", UnknownFunction("none".into())),
        ("subject.id.lowerAscii() == ''", UnknownFunction("lowerAscii".into())),
        ("has(subject.id, 1)", UnknownFunction("has".into())),
    ] {
        assert_eq!(refused(text), error, "{text}");
    }
    for text in ["size()", "startsWith('a', 'b')", "'a'.startsWith()", "'a'.int() == 1"] {
        assert!(matches!(refused(text), ConditionError::Arguments { .. }), "{text}");
    }
}

#[test]
fn what_conditions_do_not_have_is_refused() {
    for text in [
        "b'x' == b'y'",
        "Message{a: 1} == 1",
        "[1].all(subject, true)",
        "[1].all(.x, true)",
        "'a'.matches(context.pattern)",
        "'a'.matches('a' + 'b')",
        "duration(context.d) > duration('1s')",
        "1",
        "'true'",
        "1 + 1",
        "[true]",
        "[1].map(x, x)",
    ] {
        assert!(matches!(refused(text), ConditionError::Unsupported(_)), "{text}");
    }
}

#[test]
fn constants_are_checked_when_written() {
    for text in [
        "timestamp('2026-13-01T00:00:00Z') > timestamp(0)",
        "timestamp('10000-01-01T00:00:00Z') > timestamp(0)",
        "timestamp(true) > timestamp(0)",
        "timestamp(context.now).getHours('Europe/Pari') == 9",
        "timestamp(context.now).getHours(1) == 9",
        "duration('8h 30m') > duration('1s')",
        "duration('8') > duration('1s')",
        "duration('') > duration('1s')",
        "duration('infs') > duration('1s')",
        "duration('1e9h') > duration('1s')",
        "duration('99999999999h') > duration('1s')",
        "duration('1.2.3s') > duration('1s')",
    ] {
        assert!(
            matches!(refused(text), ConditionError::Constant { .. }),
            "{text}: {}",
            refused(text)
        );
    }
}

#[test]
fn patterns_are_bounded_by_what_they_expand_to() {
    for pattern in [
        "(",
        "[a",
        "a{2,1}",
        "*",
        r"\",
        r"\p{Greek}",
        r"\pL",
        r"\B",
        "(?x)a # [\n.{400}",
        "(?i-x)a",
        "(?ix:a)",
        "a{401}",
        "(a{25}){25}",
        "a{20}{21}",
        "a{25}+{25}",
        "(a{20}|b{20}){11}",
        ".{101}",
        r"\W{101}",
        "[^a]{101}",
        "[é]{101}",
    ] {
        let text = format!("'a'.matches(r'''{pattern}''')");
        assert!(
            matches!(refused(&text), ConditionError::Constant { .. }),
            "{pattern}: {}",
            refused(&text)
        );
    }
    let long = format!("'a'.matches('{}')", "a".repeat(257));
    assert!(refused(&long).to_string().contains("limit is 256"), "{}", refused(&long));
    let uuid = r"subject.id.matches(r'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')";
    assert_eq!(holds(uuid), Ok(false));
}

/// `n` numbers.
fn numbers(n: usize) -> Value {
    json!((0..n).collect::<Vec<_>>())
}

#[test]
fn an_evaluation_is_bounded_by_the_sizes_of_what_it_reads() {
    let usual = json!({ "few": numbers(100), "many": numbers(100), "unread": "x".repeat(100_000) });
    let large = json!({
        "few": numbers(200), "many": numbers(4_000), "big": "x".repeat(16_000), "huge": numbers(200_000)
    });
    let product = "context.few.exists(x, x in context.many && x == -1)";
    assert_eq!(holds_in(product, usual), Ok(false));
    assert_eq!(holds_in("context.many.exists(x, x == -1)", large.clone()), Ok(false));
    for text in [
        product,
        "context.few.exists(x, context.many.exists(y, x + y == -1))",
        "context.few.exists(x, x == context.many)",
        "context.few.exists(x, context.many < x)",
        "context.few.exists(x, context.many[x] == 1)",
        "context.few.map(x, context.many).size() == 1",
        "context.few.map(x, true, context.many).size() == 1",
        "context.few.filter(x, context.many == [x]).size() == 1",
        "context.few.map(x, [context.many]).size() == 1",
        "context.few.map(x, {'k': context.many}).size() == 1",
        "context.few.exists(x, context.many + [x] == [])",
        "context.few.exists(x, string(context.big) == 'x')",
        "context.few.exists(x, context.big.contains('y'))",
        "context.few.exists(x, context.big.matches('y$'))",
        "context.few.exists(x, timestamp(context.big) > timestamp(0))",
        "context.few.map(x, context.big + context.big).size() == 1",
        "context.many in context.few",
        "[context.many] in context.few",
        "string(context.big) in context.few",
        "(context.few == [] ? context.few : context.many) in context.few",
        "context.huge[0] == 1",
    ] {
        let outcome = holds_in(text, large.clone());
        assert!(matches!(outcome, Err(Undecided::TooCostly { .. })), "{text}: {outcome:?}");
    }
    let shown = Undecided::TooCostly { steps: 9, limit: MAX_STEPS }.to_string();
    assert!(shown.contains("9 steps") && shown.contains(&MAX_STEPS.to_string()), "{shown}");
}

#[test]
fn growing_a_value_counts() {
    // Doubles a string of 1 000 bytes again and again.
    let doubled = |times: usize| {
        let text =
            (0..times).fold("context.s".to_owned(), |text, _| format!("[{text}].map(x, x + x)[0]"));
        format!("{text} == ''")
    };
    let context = json!({ "s": "x".repeat(1_000) });
    assert_eq!(holds_in(&doubled(3), context.clone()), Ok(false));
    let outcome = holds_in(&doubled(8), context);
    assert!(matches!(outcome, Err(Undecided::TooCostly { .. })), "{outcome:?}");
}

#[test]
fn json_deeper_than_parsers_accept_is_undecided() {
    let deep = |n: usize| (0..n).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(holds_in("context.a == [1]", json!({ "a": deep(100) })), Ok(false));
    let outcome = holds_in("context.a == [1]", json!({ "a": deep(1_000) }));
    assert_eq!(outcome, Err(Undecided::TooDeep));
    assert_eq!(
        holds_in("has(context.a)", json!({ "a": deep(1_000) })),
        Ok(true),
        "not looked into"
    );
}

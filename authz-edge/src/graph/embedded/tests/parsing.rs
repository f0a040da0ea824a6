//! What is not understood is refused by its name, and no text does harm.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::parse::parse;
use super::super::types::Types;
use super::{NOTHING, graph, write};
use crate::graph::client::CommitError;
use crate::graph::schema::SCHEMA;
use crate::graph::store::GraphError;

fn types() -> Arc<Types> {
    Arc::new(Types::default().with(SCHEMA).unwrap())
}

#[test]
fn what_is_not_understood_is_refused_by_its_name() {
    for (dql, what) in [
        ("{ q(func: uid(0x1)) @cascade { uid } }", "@cascade"),
        ("{ q(func: uid(0x1)) @recurse(loop: true) { uid } }", "@recurse(loop: true)"),
        ("{ q(func: anyofterms(xid, \"a\")) { uid } }", "anyofterms"),
        ("{ q(func: uid(0x1)) @filter(regexp(xid, \"a\")) { uid } }", "regexp"),
        ("{ q(func: uid(0x1), offset: 4) { uid } }", "offset"),
        ("{ q(func: uid(0x1), orderasc: xid) { uid } }", "orderasc"),
        ("{ q(func: eq(version, \"1\")) { uid } }", "predicate version is not indexed"),
        ("{ q(func: eq(nothing, \"1\")) { uid } }", "predicate nothing is not indexed"),
        ("{ q(func: between(xid, \"1\", \"2\")) { uid } }", "predicate xid is not indexed"),
        ("{ q(func: uid(0x1)) { ~guard { uid } } }", "guard has no reverse edges"),
        ("{ q(func: uid(0x1)) { User.memberOf } }", "nothing of User.memberOf"),
        ("{ q(func: uid(0x1)) { xid { uid } } }", "of xid"),
        ("{ q(func: uid(0x1)) @filter(eq(version, \"1\")) { uid } }", "on version"),
        ("{ q(func: uid(X)) { uid } }", "variable X is not defined"),
        ("{ X as var(func: uid(0x1)) q(func: uid(0x1)) { uid } }", "X is defined and not used"),
        ("{ q(func: uid(X)) { X as User.memberOf { uid } } }", "need each other"),
        ("{ X as var(func: uid(0x1)) X as var(func: uid(X)) q(func: uid(X)) { uid } }", "twice"),
        ("query q($n: int) { q(func: uid(0x1)) { uid } }", "type int"),
        ("{ q(func: eq(xid, $x)) { uid } }", "$x is not declared"),
        ("{ q(func: uid(0x1)) { expand(_all_) } }", "expand"),
        ("{ q(func: uid(0x1)) { min(val(x)) } }", "min"),
        ("{ q(func: uid(0x1)) { uid count(uid) } }", "a kind that is not sent"),
        ("{ q(func: uid(0x1)) { User.memberOf { count(uid) } } }", "within User.memberOf"),
        ("schema(pred: [xid]) { type }", "schema"),
        ("{ q(func: uid()) { uid } }", "uid() of nothing"),
        ("{ }", "asks nothing"),
        ("{ q(func: uid(0x1)) { uid } } more", "more"),
        ("{ q(func: uid(0x1)) { uid ", "too early"),
        ("{ q(func: uid(0x1)) { uid % } }", "% } }"),
    ] {
        let refused = parse(dql, &types()).map(|_| ()).unwrap_err();
        let GraphError::Refused(reason) = &refused else { panic!("{refused:?}") };
        assert!(reason.contains(what), "{dql}: {reason}");
    }
    let deep = format!("{{ q(func: uid(0x1)) @filter({}has(xid) }}", "(".repeat(100_000));
    assert!(parse(&deep, &types()).unwrap_err().to_string().contains("too deeply"));
    let deep = format!("{{ q(func: uid(0x1)) @filter({}has(xid)) }}", "not ".repeat(100_000));
    assert!(parse(&deep, &types()).unwrap_err().to_string().contains("too deeply"));
}

#[tokio::test]
async fn a_write_that_does_not_fit_is_refused_and_nothing_of_it_is_done() {
    let graph = graph().await;
    write(&graph, "_:n <xid> \"a\" .", "").await.unwrap();
    for (set, delete) in [
        ("_:n <unheard.of> \"b\" .", ""),
        ("_:n <version> \"b\" .", ""),
        ("_:n <Tenant.suspended> \"yes\" .", ""),
        ("_:n <User.memberOf> \"b\" .", ""),
        ("_:n <xid> _:m .", ""),
        ("_:n <xid> * .", ""),
        ("<0x9> <xid> \"b\" .", ""),
        ("<0x0> <xid> \"b\" .", ""),
        ("", "_:n <xid> * ."),
        ("", "<0x1> <xid> \"a\" ."),
        ("no quad", ""),
    ] {
        let set = format!("<0x1> <xid> \"b\" .\n{set}");
        let refused = write(&graph, &set, delete).await;
        let is_refused = matches!(refused, Err(CommitError::Graph(GraphError::Refused(_))));
        assert!(is_refused, "{set} {delete}: {refused:?}");
    }
    let (_, answer) = graph.begin("{ q(func: eq(xid, \"a\")) { uid } }").await.unwrap();
    assert_eq!(answer.read::<serde_json::Value>().unwrap()["q"][0]["uid"], "0x1");
}

/// Words of queries, in any order.
fn words() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ":",
        ",",
        "@",
        "query",
        "q",
        "$x",
        "string",
        "func",
        "uid",
        "eq",
        "has",
        "between",
        "uid_in",
        "xid",
        "listed",
        "User.memberOf",
        "~User.memberOf",
        "as",
        "var",
        "first",
        "after",
        "0x1",
        "7",
        "\"a\"",
        "filter",
        "recurse",
        "loop",
        "false",
        "and",
        "or",
        "not",
        "count",
        "sum",
        "val",
        "X",
        "\\",
        "\"",
        "é",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..60)
        .prop_map(|words| words.join(" "))
}

/// A query that is understood, with something in it changed.
fn broken() -> impl Strategy<Value = String> {
    let whole = [
        NOTHING,
        "query q($x: string) { S as var(func: eq(xid, $x)) var(func: uid(S)) @recurse(loop: false) \
         { T as User.memberOf @filter(has(xid)) } q(func: uid(S, T), first: 9, after: 0x1) { uid xid } }",
        "{ n as var(func: between(listed, \"a\", \"b\")) { c as count(Team.hasRole) } \
         s() { count: sum(val(c)) } q(func: uid(n)) @filter(not eq(xid, [\"é\", \"\\n\"])) { uid } }",
    ];
    (prop::sample::select(whole.to_vec()), any::<prop::sample::Index>(), ".{0,3}").prop_map(
        |(text, at, more)| {
            let mut chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len());
            chars.splice(at..at + 1, more.chars());
            chars.into_iter().collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![".*", words(), broken()]) {
        let _ = parse(&text, &types());
    }
}

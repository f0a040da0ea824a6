//! The shape of answers, and what pages, filters and recursions take.

use serde_json::json;

use super::{ask, asked, graph, write};
use crate::graph::embedded::Embedded;
use crate::graph::store::GraphError;

/// Two users in two teams that are in each other; a role with a permission; a binding.
const SET: &str = r#"
<0x1> <xid> "u1" .
<0x1> <listed> "l:u" .
<0x1> <Subject.inactive> "true" .
<0x1> <version> "-7" .
<0x1> <User.memberOf> <0x3> .
<0x1> <Team.hasRole> <0x5> .
<0x2> <xid> "u2" .
<0x2> <listed> "l:u" .
<0x2> <User.memberOf> <0x3> .
<0x2> <User.memberOf> <0x4> .
<0x3> <xid> "t1" .
<0x3> <listed> "l:t" .
<0x3> <User.memberOf> <0x4> .
<0x4> <listed> "l:t" .
<0x4> <User.memberOf> <0x3> .
<0x5> <xid> "r\"1\"" .
<0x5> <Role.hasPermission> <0x6> .
<0x6> <Permission.role> <0x5> .
<0x6> <Permission.action> "read" .
<0x7> <Binding.holder> <0x1> .
<0x7> <Binding.role> <0x5> .
"#;

async fn small() -> Embedded {
    let graph = graph().await;
    let made: String = (0..8).map(|n| format!("_:n{n} <deleted> \"{n}\" .\n")).collect();
    write(&graph, &made, "").await.unwrap();
    let delete: String = (1..=8).map(|n| format!("<{n:#x}> <deleted> * .\n")).collect();
    write(&graph, SET, &delete).await.unwrap();
    graph
}

#[tokio::test]
async fn answers_have_the_shape_of_dgraphs() {
    let graph = small().await;
    for (dql, expected) in [
        (
            r#"{ q(func: eq(xid, "u1")) { uid xid version Subject.inactive attributes
                 User.memberOf { uid xid } Team.hasRole { xid } Resource.parent { uid } } }"#,
            json!({"q": [{"uid": "0x1", "xid": "u1", "version": -7, "Subject.inactive": true,
                "User.memberOf": [{"uid": "0x3", "xid": "t1"}], "Team.hasRole": [{"xid": "r\"1\""}]}]}),
        ),
        // One edge is an object, of many there is a list; what has nothing of what is asked is left out.
        (
            "{ q(func: uid(0x7, 0x2)) { Binding.holder { xid } User.memberOf { xid } } }",
            json!({"q": [{"User.memberOf": [{"xid": "t1"}]}, {"Binding.holder": {"xid": "u1"}}]}),
        ),
        (
            "{ q(func: uid(0x4, 0x3)) { xid } none(func: eq(xid, [\"x\", \"y\"])) { uid } }",
            json!({"q": [{"xid": "t1"}], "none": []}),
        ),
        // A node that nobody made has its id.
        ("{ q(func: uid(0x99)) { uid } }", json!({"q": [{"uid": "0x99"}]})),
        (
            "{ q(func: eq(xid, [\"u2\", \"u1\", \"u2\"])) { xid } c(func: has(listed)) { count(uid) } }",
            json!({"q": [{"xid": "u1"}, {"xid": "u2"}], "c": [{"count": 4}]}),
        ),
        (
            "{ q(func: uid(0x3)) { ~User.memberOf (first: 2, after: 0x1) { uid }
                 members: count(~User.memberOf) n: count(Team.hasRole) } }",
            json!({"q": [{"~User.memberOf": [{"uid": "0x2"}, {"uid": "0x4"}], "members": 3, "n": 0}]}),
        ),
        (
            "{ V as var(func: between(listed, \"l:t\", \"l:u\")) { n as count(User.memberOf) }
               q(func: uid(V), first: 2, after: 0x1) { uid } s() { count: sum(val(n)) }
               c(func: uid(V)) { count: count(uid) }
               W as var(func: eq(xid, \"x\")) { m as count(User.memberOf) }
               none(func: uid(W)) { count(uid) } t() { count: sum(val(m)) } }",
            json!({"q": [{"uid": "0x2"}, {"uid": "0x3"}], "s": [{"count": 5}], "c": [{"count": 4}],
                "none": [{"count": 0}], "t": [{"count": null}]}),
        ),
        (
            "{ A as var(func: eq(xid, \"u1\"))
               var(func: uid(A)) @recurse(loop: false) { T as User.memberOf }
               L as var(func: eq(xid, \"u1\"))
               var(func: uid(L)) @recurse(loop: false) { F as User.memberOf @filter(has(xid)) }
               all(func: uid(T)) { uid } living(func: uid(F)) { uid } }",
            json!({"all": [{"uid": "0x3"}, {"uid": "0x4"}], "living": [{"uid": "0x3"}]}),
        ),
        (
            "{ U as var(func: eq(listed, \"l:u\"))
               in(func: uid(0x3, 0x4)) @filter(uid_in(~User.memberOf, uid(U)) and NOT has(xid)) { uid }
               or(func: has(listed)) @filter(eq(xid, [\"u1\", \"x\"]) or (uid(0x4) and has(listed))) { uid }
               edges(func: uid(0x2)) { User.memberOf (first: 1) @filter(not uid(0x3)) { uid } } }",
            json!({"in": [{"uid": "0x4"}], "or": [{"uid": "0x1"}, {"uid": "0x4"}],
                "edges": [{"User.memberOf": [{"uid": "0x4"}]}]}),
        ),
        // What is filtered away takes no place of a page.
        (
            "{ q(func: has(listed), first: 2, after: 0x1) @filter(has(User.memberOf)) { uid } }",
            json!({"q": [{"uid": "0x2"}, {"uid": "0x3"}]}),
        ),
        // A block may need what comes behind it.
        (
            "{ q(func: uid(X)) { uid } X as var(func: uid(Y)) Y as var(func: eq(xid, \"u2\")) }",
            json!({"q": [{"uid": "0x2"}]}),
        ),
        (
            "{ N as q(func: eq(listed, \"l:t\")) { xid } p(func: uid(N)) { uid unheard.of } }",
            json!({"q": [{"xid": "t1"}], "p": [{"uid": "0x3"}, {"uid": "0x4"}]}),
        ),
    ] {
        assert_eq!(ask(&graph, dql).await, expected, "{dql}");
    }
}

#[tokio::test]
async fn variables_come_with_the_question() {
    let graph = small().await;
    let dql = "query q($x: string, $y: string) { q(func: eq(xid, [$x, $y])) { xid } }";
    let answer = async |x, y| asked(&graph, dql, &[("$y", y), ("$x", x)]).await.unwrap().1;
    assert_eq!(answer("u1", "").await, json!({"q": [{"xid": "u1"}]}));
    assert_eq!(answer("\") {", "r\"1\"").await, json!({"q": [{"xid": "r\"1\""}]}));
    for vars in [&[("$x", "u1")][..], &[("$x", "u1"), ("$y", "u1"), ("$z", "u1")]] {
        let refused = asked(&graph, dql, vars).await;
        assert!(matches!(refused, Err(GraphError::Refused(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn what_takes_long_is_answered_all_the_same_and_what_takes_longer_is_not() {
    let graph = graph().await;
    let many: String = (0..30_000).map(|n| format!("_:n{n} <listed> \"{}\" .\n", n % 7)).collect();
    write(&graph, &many, "").await.unwrap();
    let dql = "{ q(func: has(listed)) @filter(eq(listed, \"3\")) { count(uid) } }";
    assert_eq!(ask(&graph, dql).await, json!({"q": [{"count": 4286}]}));
    let (snapshot, _) = graph.snapshot(super::NOTHING, &[]).await.unwrap();
    let late = snapshot.query(dql, &[], std::time::Duration::ZERO).await;
    assert!(matches!(late, Err(GraphError::Unavailable(_))), "{late:?}");
}

#[tokio::test]
async fn a_recursion_without_end_is_refused_as_dgraph_does() {
    let graph = graph().await;
    let nodes = 1100;
    let set: String = (0..nodes)
        .flat_map(|from| (0..nodes).map(move |to| format!("_:n{from} <User.memberOf> _:n{to} .\n")))
        .collect();
    write(&graph, &set, "").await.unwrap();
    let dql = "{ var(func: uid(0x1)) @recurse(loop: false) { T as User.memberOf } q(func: uid(T)) { uid } }";
    let refused = asked(&graph, dql, &[]).await.unwrap_err().to_string();
    assert!(refused.contains("edge limit"), "{refused}");
}

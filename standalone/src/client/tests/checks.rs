//! `check` and `explain`.

use serde_json::json;

use super::server::Reply;
use super::{Buffer, Closed, Exit, World};

#[tokio::test]
async fn the_exit_code_is_the_answer() {
    for (decision, exit, word) in [(true, Exit::Ok, "allowed"), (false, Exit::Denied, "denied")] {
        let world = World::of(json!({"decision": decision})).await;
        let ran = world.run("check user:u-1 read document:d-9").await;
        assert_eq!((ran.exit, ran.json()), (exit, json!({"decision": decision})));
        let ran = world.run("check user:u-1 read document:d-9 -o table").await;
        assert_eq!((ran.exit, ran.out.trim()), (exit, word));
        let ran = world.run("check user:u-1 read document:d-9 --quiet").await;
        assert_eq!((ran.exit, ran.out.as_str(), ran.err.as_str()), (exit, "", ""));
    }
}

#[tokio::test]
async fn nobody_who_reads_changes_no_answer() {
    let world = World::of(json!({"decision": false, "roles": [{"id": "r"}]})).await;
    let exit = async |line: &str| {
        let err = Buffer::default();
        (world.run_to(line, Closed, err.clone()).await, err.text())
    };
    assert_eq!(exit("check user:u-1 read document:d-9").await, (Exit::Denied, String::new()));
    assert_eq!(exit("check user:u-1 read document:d-9 --quiet").await.0, Exit::Denied);
    assert_eq!(exit("role list").await, (Exit::Ok, String::new()));
}

#[tokio::test]
async fn an_answer_without_a_decision_is_no_answer() {
    let world = World::of(json!({"decision": "yes"})).await;
    let ran = world.run("check user:u-1 read document:d-9 -o table").await;
    assert_eq!(ran.exit, Exit::Unexpected);
    assert!(ran.err.contains("whether user:u-1 may read document:d-9"), "{}", ran.err);
    let world = World::new(|_, _| Reply::problem(400, "bad-request", "no")).await;
    let ran = world.run("check user:u-1 read document:d-9").await;
    assert_eq!(ran.exit, Exit::Refused, "never what a denial ends with");
}

#[tokio::test]
async fn a_batch_answers_line_by_line_and_ends_with_the_worst() {
    let lines = "{\"subject\":\"user:a\",\"action\":\"read\",\"resource\":\"d:1\"}\n\n\
                 {\"subject\":{\"type\":\"user\",\"id\":\"b\"},\"action\":{\"name\":\"read\"},\"resource\":{\"type\":\"d\",\"id\":\"1\"}}\n";
    for (second, exit) in [
        (json!({"decision": true}), Exit::Ok),
        (json!({"decision": false}), Exit::Denied),
        (json!({"error": "limit"}), Exit::Refused),
    ] {
        let results = json!({"results": [{"decision": true}, second]});
        let world = World::of(results).await;
        let file = world.file("checks", lines);
        let ran = world.run(&format!("check --batch {file} -o jsonl")).await;
        assert_eq!(ran.exit, exit);
        assert!(
            ran.lines()[0].contains("\"subject\":\"user:a\"") && ran.lines().len() == 2,
            "{ran:?}"
        );
        assert_eq!(world.server.seen()[0].json()["checks"][0]["action"], json!({"name": "read"}));
    }
    let world = World::of(json!({"results": [{"decision": true}]})).await;
    let file = world.file("checks", lines);
    assert_eq!(world.run(&format!("check --batch {file}")).await.exit, Exit::Unexpected, "too few");
    let file = world.file("checks", "{\"subject\":\"user:a\"}\nx");
    let ran = world.run(&format!("check --batch {file} -o table")).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.err.contains("line 2"), "{}", ran.err);
}

#[tokio::test]
async fn an_explanation_ends_well_whatever_it_says() {
    let world =
        World::of(json!({"decision": false, "reason": "no_binding", "summary": "no"})).await;
    let ran = world.run("explain user:u-1 read document:d-9 -o table").await;
    assert_eq!((ran.exit, ran.out.trim()), (Exit::Ok, "denied: no"));
}

//! Lists, and what is written of them.

use serde_json::{Value, json};

use super::server::Reply;
use super::{Exit, World};

fn users(ids: std::ops::Range<u32>) -> Vec<Value> {
    ids.map(|id| json!({"id": format!("u-{id}"), "user_name": format!("n{id}")})).collect()
}

/// Three pages; the second is empty.
async fn paged() -> World {
    World::new(|seen, _| {
        let page = match seen.query("cursor") {
            None => json!({"items": users(0..2), "next_cursor": "one"}),
            Some("one") => json!({"items": [], "next_cursor": "two"}),
            Some("two") => json!({"items": users(2..4)}),
            Some(other) => panic!("{other}"),
        };
        Reply::json(200, &page)
    })
    .await
}

#[tokio::test]
async fn an_empty_page_is_not_the_end() {
    let world = paged().await;
    let ran = world.run("user list").await;
    assert_eq!((ran.exit, ran.json()), (Exit::Ok, json!(users(0..4))));
    assert_eq!(ran.err, "");
    let limits: Vec<_> =
        world.server.seen().iter().map(|seen| seen.query("limit").map(str::to_owned)).collect();
    assert_eq!(limits, vec![Some("100".to_owned()); 3], "as cursors need it");
}

#[tokio::test]
async fn a_limit_is_kept_and_what_follows_is_told_of() {
    let world = paged().await;
    let ran = world.run("user list --limit 3 -o id").await;
    assert_eq!(ran.lines(), ["u-0", "u-1", "u-2"]);
    assert!(ran.err.contains("3 shown, more follow"), "{}", ran.err);
    let ran = world.run("user list --limit 2 -o id").await;
    assert_eq!(ran.lines(), ["u-0", "u-1"]);
    assert!(ran.err.contains("more follow"), "{}", ran.err);
    let ran = world.run("user list --limit 4 -o id").await;
    assert_eq!((ran.lines().len(), ran.err.as_str()), (4, ""), "nothing follows");
    let ran = world.run("user list --all -o jsonl").await;
    assert_eq!((ran.lines().len(), ran.err.as_str()), (4, ""));
    assert_eq!(world.server.seen().last().unwrap().query("limit"), Some("1000"));
}

#[tokio::test]
async fn a_service_that_gives_fewer_at_once_is_asked_for_fewer() {
    let world = World::new(|seen, _| match seen.query("limit") {
        Some(_) => Reply::problem(400, "bad-request", "limit: a number from 1 to 50"),
        None => Reply::json(200, &json!({"items": users(0..2)})),
    })
    .await;
    let ran = world.run("user list --all").await;
    assert_eq!((ran.exit, world.server.seen().len()), (Exit::Ok, 2), "{ran:?}");
}

#[tokio::test]
async fn a_list_that_does_not_go_on_is_an_error_and_no_loop() {
    let world = World::of(json!({"items": [], "next_cursor": "same"})).await;
    let ran = world.run("user list").await;
    assert_eq!(ran.exit, Exit::Unexpected);
    assert_eq!(world.server.seen().len(), 2);
}

#[tokio::test]
async fn every_format_has_an_empty_list() {
    let world = World::of(json!({"items": []})).await;
    let ran = async |format: &str| world.run(&format!("user list -o {format}")).await;
    assert_eq!(ran("json").await.json(), json!([]));
    assert_eq!(ran("jsonl").await.out, "");
    assert_eq!(ran("id").await.out, "");
    let table = ran("table").await;
    assert_eq!((table.out.as_str(), table.err.as_str(), table.exit), ("", "none\n", Exit::Ok));
}

#[tokio::test]
async fn a_table_shows_what_others_wrote_as_text() {
    let evil = json!({"id": "u-1", "user_name": "a\u{1b}[2J\nb", "email": "x\u{202e}y"});
    let world = World::of(json!({"items": [evil]})).await;
    let ran = world.run("user list -o table").await;
    assert_eq!(ran.lines().len(), 2, "{ran:?}");
    assert!(ran.lines()[1].contains("a\\u{1b}[2J\\nb") && ran.lines()[1].contains("x\\u{202e}y"));
    let ran = world.run("user list").await;
    assert!(ran.out.contains("\\u001b") && ran.out.contains("\\u202e"), "{}", ran.out);
}

#[tokio::test]
async fn what_a_name_stands_for_must_be_one() {
    for (found, exit) in [(0..0, Exit::NotFound), (0..2, Exit::NotFound), (0..1, Exit::Ok)] {
        let world = World::of(json!({"items": users(found.clone())})).await;
        let ran = world.run("user delete ada -o table").await;
        assert_eq!(ran.exit, exit, "{found:?}: {ran:?}");
        let deleted = world.server.seen().iter().any(|seen| seen.method == "DELETE");
        assert_eq!(deleted, exit == Exit::Ok);
    }
}

#[tokio::test]
async fn a_secret_is_told_on_stdout_only() {
    let world = World::of(json!({"id": "k-1", "secret": "triad_dev_s", "name": "ci"})).await;
    let account = "0190a5c4-7f3a-7000-8000-00000000abcd";
    let line = format!("key create --account {account} --name ci");
    let ran = world.run(&format!("{line} -o id")).await;
    assert_eq!(ran.out, "triad_dev_s\n");
    assert!(ran.err.contains("not shown again") && !ran.err.contains("triad_dev_s"));
    assert!(world.run(&format!("{line} -o table")).await.out.contains("triad_dev_s"));
}

#[tokio::test]
async fn a_write_of_the_graph_answers_with_its_token() {
    let world = World::of(json!({"revision": "AQx"})).await;
    assert_eq!(world.run("grant user:u-1 editor -o id").await.out, "AQx\n");
    assert_eq!(world.run("grant user:u-1 editor").await.json(), json!({"revision": "AQx"}));
    let ran = world.run("revoke user:u-1 editor --on folder:f-1 -o table").await;
    assert_eq!(ran.out, "user:u-1 no longer holds editor on folder:f-1\n");
    let ran = world.run("grant user:u-1 editor --expires 1d --consistency-token AQy").await;
    assert_eq!(ran.exit, Exit::Ok);
    let seen = world.server.seen().pop().unwrap();
    assert_eq!(seen.header("triad-consistency-token"), Some("AQy"));
    let write = &seen.json()["writes"][0];
    assert_eq!(write["relationship"]["expires_at"], "2026-11-23T12:00:00Z");
    assert_eq!(write["op"], "touch");
}

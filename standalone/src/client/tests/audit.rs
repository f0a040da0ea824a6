//! The trail: followed, exported and sent.

use serde_json::{Value, json};

use super::server::Reply;
use super::{Exit, World};

fn event(id: &str, second: u32) -> Value {
    json!({"event_id": id, "event_time": format!("2026-11-22T12:00:{second:02}Z"), "action": "a.b",
        "actor_type": "user", "actor_id": "u-1", "status": "SUCCESS"})
}

#[tokio::test]
async fn a_tail_shows_each_event_once_and_outlives_a_pause_of_the_service() {
    let world = World::new(|_, before| {
        let page = |events: Value| {
            let date = "Sun, 22 Nov 2026 12:00:30 GMT";
            Reply::json(200, &events).header("date", date)
        };
        match before {
            0 => page(json!({"events": [event("a", 1)], "next_cursor": "c"})),
            1 => page(json!({"events": [event("b", 2)]})),
            // What came late, and what was seen.
            2 => page(json!({"events": [event("late", 0), event("a", 1), event("b", 2)]})),
            3 => Reply::problem(429, "too-many-requests", "slow"),
            4 => page(json!({"events": [event("b", 2), event("c", 40)]})),
            _ => Reply::problem(403, "insufficient-scope", "the token lacks the scope audit:read"),
        }
    })
    .await;
    let ran = world.run("audit tail --overlap 30s -o id --actor u-1").await;
    assert_eq!(ran.lines(), ["a", "b", "late", "c"]);
    assert_eq!(ran.exit, Exit::NotPermitted, "what does not pass ends it");
    assert!(ran.err.contains("looking again in 1 s"), "{}", ran.err);
    assert_eq!(world.clock.waits(), [2.0, 2.0, 1.0, 2.0]);
    let seen = world.server.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.query("order") == Some("oldest")
                && seen.query("actor_id") == Some("u-1"))
    );
    assert_eq!(seen[0].query("from"), Some("2026-11-22T12:00:00Z"));
    assert_eq!(
        seen[2].query("from"),
        Some("2026-11-22T12:00:00Z"),
        "a while before what it reached"
    );
}

#[tokio::test]
async fn a_tail_is_lines_that_people_read() {
    let world = World::new(|_, before| match before {
        0 => Reply::json(200, &json!({"events": [event("a", 1)]})),
        _ => Reply::problem(403, "forbidden", "no"),
    })
    .await;
    let ran = world.run("audit tail -o table").await;
    assert_eq!(ran.out, "2026-11-22T12:00:01Z  SUCCESS  user:u-1  a.b\n");
}

#[tokio::test]
async fn an_export_is_a_whole_file_or_none() {
    let whole = World::new(|_, _| Reply::text(200, "{\"a\":1}\n")).await;
    let file = whole.path("trail.csv");
    let line = format!("audit export -f {}", file.display());
    assert_eq!(whole.run(&line).await.exit, Exit::Ok);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"a\":1}\n");
    assert_eq!(std::fs::read_dir(whole.home.path()).unwrap().count(), 1, "no part is left");
    assert_eq!(whole.server.seen()[0].query("format"), Some("csv"), "as its name ends");
    let broken = World::new(|_, _| Reply::text(200, "{\"a\":").broken()).await;
    std::fs::write(broken.path("trail"), "before").unwrap();
    let line = format!("audit export -f {} -o table", broken.path("trail").display());
    let ran = broken.run(&line).await;
    assert_eq!(ran.exit, Exit::Unavailable, "{ran:?}");
    assert_eq!(std::fs::read_to_string(broken.path("trail")).unwrap(), "before");
    let left: Vec<_> = std::fs::read_dir(broken.home.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "no part is left: {left:?}");
    assert_eq!(whole.run("audit export").await.out, "{\"a\":1}\n", "stdout without a file");
}

#[tokio::test]
async fn events_are_sent_in_batches_that_are_repeated_as_they_were() {
    let world = World::new(|seen, before| match before {
        1 => Reply::problem(429, "too-many-requests", "full").header("retry-after", "2"),
        2 => Reply::problem(503, "unavailable", "unknown").header("retry-after", "5"),
        _ => {
            let sent = seen.json().as_array().unwrap().len();
            Reply::json(202, &json!({"events": vec![json!({"event_id": "e"}); sent]}))
        }
    })
    .await;
    let file = world.file("events", &"{\"action\":\"a.b\"}\n".repeat(150));
    let ran = world.run(&format!("audit send -f {file}")).await;
    assert_eq!((ran.exit, ran.json().as_array().unwrap().len()), (Exit::Ok, 150));
    assert_eq!(world.clock.waits(), [2.0, 5.0]);
    let seen = world.server.seen();
    let sizes: Vec<_> = seen.iter().map(|seen| seen.json().as_array().unwrap().len()).collect();
    assert_eq!(sizes, [100, 50, 50, 50]);
    assert!(seen[1].body == seen[2].body && seen[2].body == seen[3].body, "with the same ids");
    assert_ne!(seen[1].json()[0]["id"], seen[1].json()[1]["id"]);
    assert_eq!(seen[0].json()[0]["event_time"], "2026-11-22T12:00:00Z");
}

#[tokio::test]
async fn a_refused_event_is_named_by_its_line_and_what_was_accepted_is_told() {
    let world = World::new(|_, before| match before {
        0 => Reply::json(202, &json!({"events": vec![json!({"event_id": "e"}); 100]})),
        _ => Reply::json(
            400,
            &json!({"type": "urn:triad:problem:bad-events", "detail": "refused",
            "errors": [{"index": 1, "reason": "bad_time", "detail": "no time"}]}),
        ),
    })
    .await;
    let file = world.file(
        "events",
        &format!("{}\n\n{}", "{\"action\":\"a\"}\n".repeat(101), "{\"action\":\"b\"}"),
    );
    let ran = world.run(&format!("audit send -f {file} -o id")).await;
    assert_eq!((ran.exit, ran.lines().len()), (Exit::Refused, 100));
    assert!(
        ran.err.contains("the events of lines 101 to 104 (100 before them were accepted)"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("line 104: no time (bad_time)"), "{}", ran.err);
}

//! What goes wrong, and how it ends.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::server::Reply;
use super::{Exit, World};

const CHECK: &str = "check user:u-1 read document:d-9";

#[tokio::test]
async fn each_status_ends_as_documented() {
    for (status, exit) in [
        (400, Exit::Refused),
        (401, Exit::NotPermitted),
        (403, Exit::NotPermitted),
        (404, Exit::NotFound),
        (409, Exit::Conflict),
        (412, Exit::Conflict),
        (413, Exit::Refused),
        (422, Exit::Refused),
        (429, Exit::Unavailable),
        (500, Exit::Unexpected),
        (502, Exit::Unavailable),
        (503, Exit::Unavailable),
    ] {
        let world =
            World::new(move |_, _| Reply::problem(status, "some-thing", "what it was")).await;
        for line in [CHECK, "user list", "team create writers", "audit query"] {
            let ran = world.run(&format!("{line} -o table")).await;
            assert_eq!(ran.exit, exit, "{status}: {line}");
            assert!(
                ran.err.starts_with("error: ") && ran.err.contains("what it was"),
                "{}",
                ran.err
            );
            assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        }
    }
}

#[tokio::test]
async fn scripts_get_the_problem_itself() {
    let faults = json!([{"field": "email", "reason": "is no address"}]);
    let world = World::new(move |_, _| {
        let type_ = "urn:triad:problem:bad-request";
        Reply::json(
            400,
            &json!({"type": type_, "title": "Bad request", "status": 400, "errors": faults}),
        )
    })
    .await;
    let ran = world.run("user create --email x -o json").await;
    let problem: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(problem["errors"][0]["field"], "email");
    assert_eq!(ran.out, "");
    let ran = world.run("user create --email x -o table").await;
    assert!(ran.err.contains("\n  email: is no address\n"), "{}", ran.err);
}

#[tokio::test]
async fn nobody_who_listens_is_told_apart_from_nobody_who_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let world = World::of(json!({})).await;
    let line = format!("{CHECK} --server http://{address} -o table");
    // Taken by the system, and never answered.
    let ran = world.run(&format!("{line} --timeout 20ms")).await;
    assert_eq!(ran.exit, Exit::Unavailable);
    assert!(ran.err.contains("does not answer in time"), "{}", ran.err);
    drop(listener);
    let ran = world.run(&line).await;
    assert_eq!(ran.exit, Exit::Unavailable);
    let says = format!("nothing listens on http://{address}");
    assert!(ran.err.contains(&says) && ran.err.contains("start it with `triad`"), "{}", ran.err);
    let ran = world.run(&format!("{CHECK} --server http://{address} -o jsonl")).await;
    let problem: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(problem["type"], "urn:triad:client:unreachable");
}

#[tokio::test]
async fn what_is_no_triad_is_said_to_be_none() {
    let world = World::new(|_, _| Reply::text(200, "<html>")).await;
    let ran = world.run("role list -o table").await;
    assert_eq!(ran.exit, Exit::Unexpected);
    assert!(ran.err.contains("does --server name a Triad deployment?"), "{}", ran.err);
    let world = World::new(|_, _| Reply::text(307, "").header("location", "http://x/")).await;
    let ran = world.run("role list -o table").await;
    assert!(ran.err.contains("leads elsewhere") && world.server.seen().len() == 1, "{}", ran.err);
}

#[tokio::test]
async fn a_read_waits_as_long_as_it_is_asked_to() {
    for status in [502, 503] {
        let world = World::new(move |_, before| match before {
            0 | 1 => Reply::problem(status, "unavailable", "busy").header("retry-after", "3"),
            _ => Reply::json(200, &json!({"roles": []})),
        })
        .await;
        let ran = world.run("role list").await;
        assert_eq!((ran.exit, world.clock.waits()), (Exit::Ok, vec![3.0, 3.0]));
    }
}

#[tokio::test]
async fn a_read_is_not_tried_for_ever_nor_beyond_its_time() {
    let busy = |_: &super::Seen, _: usize| Reply::problem(503, "unavailable", "busy");
    let world = World::new(busy).await;
    let ran = world.run("role list").await;
    assert_eq!((ran.exit, world.server.seen().len()), (Exit::Unavailable, 4));
    let waits = world.clock.waits();
    let bounds = [(0.125, 0.25), (0.25, 0.5), (0.5, 1.0)];
    let within = |(wait, (least, most)): (&f64, (f64, f64))| (least..most).contains(wait);
    assert!(waits.iter().zip(bounds).all(within) && waits.len() == 3, "{waits:?}");
    let long = |_: &super::Seen, _: usize| {
        Reply::problem(503, "unavailable", "busy").header("retry-after", "60")
    };
    let world = World::new(long).await;
    let ran = world.run("role list -o table").await;
    assert!(world.clock.waits().is_empty() && ran.err.contains("try again in 60 s"), "{}", ran.err);
}

#[tokio::test]
async fn nothing_but_a_read_is_tried_again() {
    let world = World::new(|_, _| Reply::problem(503, "unavailable", "busy")).await;
    for line in [CHECK, "team create writers --idempotency-key k-1 -o table", "role delete r"] {
        let before = world.server.seen().len();
        let ran = world.run(line).await;
        assert_eq!(
            (ran.exit, world.server.seen().len() - before),
            (Exit::Unavailable, 1),
            "{line}"
        );
        assert!(
            !line.contains("k-1") || ran.err.contains("with --idempotency-key k-1"),
            "{}",
            ran.err
        );
    }
}

//! Explanations on the real graph: what they say, and that they never say anything else than a check.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::edge::{Answer, Edge, Edges, below, member, question, role};

const DOCUMENT: (&str, &str) = ("document", "d-1");

async fn put_role(edge: &Edge, tenant: &str, id: &str, permissions: Value) -> Result<String> {
    let path = format!("/v1/tenants/{tenant}/roles/{id}");
    edge.put(&path, &json!({"permissions": permissions})).await
}

async fn try_explain(edge: &Edge, tenant: &str, question: &Value) -> Result<Answer> {
    let path = format!("/v1/tenants/{tenant}/explain");
    edge.ask(Method::POST, &path, &[], Some(question)).await
}

/// An explanation, which must decide as a check does.
async fn explain(edge: &Edge, tenant: &str, question: &Value) -> Result<Value> {
    let answer = try_explain(edge, tenant, question).await?;
    ensure!(answer.status == StatusCode::OK, "{} {}", answer.status, answer.body);
    ensure!(answer.body["revision"] == answer.token, "header and body name one revision");
    let mut again = question.clone();
    again["at_least"] = answer.token.into();
    let decision = edge.check(tenant, &again).await?;
    ensure!(answer.body["decision"] == decision, "a check says {decision}: {}", answer.body);
    Ok(answer.body)
}

fn is(found: &Value, reason: &str, outcome: &str) -> Result<()> {
    ensure!(found["reason"] == reason && found["paths"][0]["outcome"] == outcome, "{found:#}");
    Ok(())
}

#[tokio::test]
async fn an_explanation_names_the_path_and_what_stands_in_the_way() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("why"));
    let write = question("u-1", "write", DOCUMENT);
    let unknown = explain(&edge, &t, &write).await?;
    ensure!(unknown["decision"] == false && unknown["resource"]["known"] == false, "{unknown:#}");
    let condition = "resource.properties.status != 'archived'";
    let permissions = json!([{"action": "write", "on": {"type": "document"}, "condition": condition},
                             {"action": "read"}]);
    put_role(&edge, &t, "editor", permissions).await?;
    put_role(&edge, &t, "viewer", json!([{"action": "read"}])).await?;
    let on_folder = json!({"type": "folder", "id": "f-1"});
    let mut expired = role("user", "u-1", "editor", &Value::Null);
    expired["expires_at"] = "2020-01-01T00:00:00Z".into();
    let all = [
        member("user", "u-1", "t-1"),
        member("team", "t-1", "t-2"),
        member("team", "t-2", "t-1"),
        role("team", "t-2", "editor", &on_folder),
        role("user", "u-1", "editor", &json!({"type": "document", "id": "d-2"})),
        role("user", "*", "viewer", &Value::Null),
        expired,
        below(DOCUMENT, ("folder", "f-0")),
        below(("folder", "f-0"), ("folder", "f-1")),
        below(("folder", "f-1"), DOCUMENT),
    ];
    edge.write(&t, "touch", &all).await?;

    // The stored attribute decides, and is not shown.
    let stored = |status: &str| json!({"attributes": {"status": status, "owner": "s3cr3t"}});
    let document = format!("/v1/tenants/{t}/resources/document/d-1");
    edge.put(&document, &stored("active")).await?;
    let found = explain(&edge, &t, &write).await?;
    is(&found, "allowed", "granted")?;
    let path = &found["paths"][0];
    let through = json!([{"type": "user", "id": "u-1"}, {"type": "team", "id": "t-1"},
                         {"type": "team", "id": "t-2"}]);
    ensure!(path["through"] == through, "{path:#}");
    let covers = json!([{"type": "document", "id": "d-1"}, {"type": "folder", "id": "f-0"},
                        {"type": "folder", "id": "f-1"}]);
    let binding = json!({"role": "editor", "on": on_folder, "covers": covers});
    ensure!(path["binding"] == binding, "{path:#}");
    ensure!(path["permission"]["condition"] == json!({"text": condition, "result": true}));
    let outcomes: Vec<_> =
        found["paths"].as_array().context("paths")?.iter().map(|p| &p["outcome"]).collect();
    ensure!(outcomes == ["granted", "expired", "binding_out_of_scope"], "{outcomes:?}");
    ensure!(found["paths"][1]["binding"]["expires_at"] == "2020-01-01T00:00:00Z", "{found:#}");
    ensure!(found["roles_without_action"] == json!(["viewer"]), "{found:#}");
    ensure!(found["counts"]["other_actions"] == 2 && found["truncated"] == false, "{found:#}");
    let rings: Vec<_> =
        found["cycles"].as_array().context("cycles")?.iter().map(|c| &c["of"]).collect();
    ensure!(rings == ["teams", "resources"], "{found:#}");

    edge.put(&document, &stored("archived")).await?;
    let found = explain(&edge, &t, &write).await?;
    is(&found, "condition_false", "condition_false")?;
    ensure!(!found.to_string().contains("s3cr3t"), "{found:#}");
    edge.put(&document, &json!({})).await?;
    let found = explain(&edge, &t, &write).await?;
    is(&found, "condition_failed", "condition_failed")?;
    let missing = &found["paths"][0]["permission"]["condition"]["missing"];
    ensure!(*missing == json!(["resource.properties.status"]), "{found:#}");

    // Everyone's role; nobody's action; a deleted folder; an inactive subject.
    let read = explain(&edge, &t, &question("u-2", "read", DOCUMENT)).await?;
    is(&read, "allowed", "granted")?;
    ensure!(read["paths"][0]["through"][1] == json!({"type": "user", "id": "*"}), "{read:#}");
    let none = explain(&edge, &t, &question("u-1", "share", DOCUMENT)).await?;
    ensure!(none["reason"] == "no_permission", "{none:#}");
    ensure!(none["roles_without_action"] == json!(["editor", "viewer"]), "{none:#}");
    edge.delete(&format!("/v1/tenants/{t}/resources/folder/f-1")).await?;
    let gone = explain(&edge, &t, &write).await?;
    is(&gone, "expired", "expired")?;
    let paths = gone["paths"].as_array().context("paths")?;
    let deleted = paths.iter().any(|path| path["binding"]["on"] == json!({"deleted": true}));
    let swept = gone["counts"]["paths"] == 2;
    ensure!(swept != deleted, "{gone:#}");
    edge.put(&format!("/v1/tenants/{t}/subjects/user/u-1"), &json!({"active": false})).await?;
    let inactive = explain(&edge, &t, &question("u-1", "read", DOCUMENT)).await?;
    is(&inactive, "subject_inactive", "would_grant")
}

#[tokio::test]
async fn an_explanation_is_asked_for_as_a_check_is_and_knows_no_other_tenant() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let edge = edges.start().await?;
    let (a, b) = (edges.tenant("a"), edges.tenant("b"));
    put_role(&edge, &a, "reader", json!([{"action": "read"}])).await?;
    edge.write(&a, "touch", &[role("user", "u", "reader", &Value::Null)]).await?;
    let read = question("u", "read", DOCUMENT);
    is(&explain(&edge, &a, &read).await?, "allowed", "granted")?;
    let other = explain(&edge, &b, &read).await?;
    ensure!(other["reason"] == "no_binding" && other["counts"]["bindings"] == 0, "{other:#}");
    let mut with = read.clone();
    with["at_least"] = try_explain(&edge, &a, &read).await?.token.into();
    ensure!(try_explain(&edge, &b, &with).await?.status == StatusCode::BAD_REQUEST);
    for bad in [json!({}), question("*", "read", DOCUMENT), question("u", "", DOCUMENT)] {
        let refused = try_explain(&edge, &a, &bad).await?;
        ensure!(refused.status == StatusCode::BAD_REQUEST, "{bad} {}", refused.status);
    }
    Ok(())
}

#[tokio::test]
async fn a_subject_with_too_many_bindings_is_explained_by_what_may_matter() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("many"));
    put_role(&edge, &t, "reader", json!([{"action": "read"}])).await?;
    let on = |n: usize| json!({"type": "document", "id": format!("d-{n}")});
    for batch in (0..5000).collect::<Vec<_>>().chunks(1000) {
        let bound: Vec<_> = batch.iter().map(|n| role("user", "u", "reader", &on(*n))).collect();
        edge.write(&t, "touch", &bound).await?;
    }
    let found = explain(&edge, &t, &question("u", "read", ("document", "d-4321"))).await?;
    is(&found, "allowed", "granted")?;
    ensure!(found["counts"]["narrowed"] == true && found["counts"]["bindings"] == 1, "{found:#}");
    let none = explain(&edge, &t, &question("u", "read", ("document", "d-5000"))).await?;
    ensure!(none["reason"] == "no_binding", "{none:#}");
    // More paths than are shown.
    let many: Vec<_> = (0..150).map(|n| role("user", "v", "reader", &on(n))).collect();
    edge.write(&t, "touch", &many).await?;
    let found = explain(&edge, &t, &question("v", "read", ("document", "d-149"))).await?;
    is(&found, "allowed", "granted")?;
    let shown = found["paths"].as_array().context("paths")?.len();
    ensure!(shown == 100 && found["counts"]["paths"] == 150, "{shown}");
    ensure!(found["truncated"] == true);
    Ok(())
}

/// Numbers that look random (a linear congruence, the upper bits).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % sides
    }

    fn subject(&mut self) -> (&'static str, String) {
        let types = ["user", "user", "team", "service_account"];
        (types[usize::try_from(self.roll(4)).unwrap_or(0)], format!("s-{}", self.roll(4)))
    }

    fn resource(&mut self) -> (&'static str, String) {
        let types = ["document", "folder"];
        (types[usize::try_from(self.roll(2)).unwrap_or(0)], format!("r-{}", self.roll(4)))
    }

    fn relationship(&mut self) -> Value {
        let ((type_, id), (of, resource)) = (self.subject(), self.resource());
        match self.roll(6) {
            0 | 1 => member(type_, &id, &format!("s-{}", self.roll(4))),
            2 => {
                let (to, parent) = self.resource();
                below((of, &resource), (to, &parent))
            }
            _ => {
                let on = match self.roll(4) {
                    0 => Value::Null,
                    1 => json!({"type": of}),
                    _ => json!({"type": of, "id": resource}),
                };
                let mut bound = role(type_, &id, &format!("o-{}", self.roll(3)), &on);
                if self.roll(5) == 0 {
                    bound["expires_at"] = "2020-01-01T00:00:00Z".into();
                }
                bound
            }
        }
    }
}

#[tokio::test]
async fn explanations_of_a_random_graph_decide_as_checks_do() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("dice"));
    let region = json!({"action": "read", "condition": "context.region == 'eu'"});
    let on = |on: Value| json!({"action": "write", "on": on});
    let of_folder = json!([on(json!({"type": "folder"})), {"action": "read"}]);
    let of_one = json!([on(json!({"type": "document", "id": "r-1"})), region]);
    for (n, permissions) in
        [json!([{"action": "write"}]), of_folder, of_one].into_iter().enumerate()
    {
        put_role(&edge, &t, &format!("o-{n}"), permissions).await?;
    }
    let mut dice = Dice(20_261_124);
    let mut decided = [0, 0];
    for _ in 0..6 {
        let batch: Vec<_> = (0..6).map(|_| dice.relationship()).collect();
        edge.write(&t, "touch", &batch).await?;
        for _ in 0..12 {
            let ((type_, id), (of, resource)) = (dice.subject(), dice.resource());
            let action = ["read", "write"][usize::try_from(dice.roll(2))?];
            let mut asked = question(&id, action, (of, &resource));
            asked["subject"]["type"] = type_.into();
            if dice.roll(2) == 0 {
                asked["context"] = json!({"region": "eu"});
            }
            let found = explain(&edge, &t, &asked).await?;
            let granted = found["paths"][0]["outcome"] == "granted";
            ensure!(found["decision"] == granted, "{asked} {found:#}");
            decided[usize::from(granted)] += 1;
        }
        if dice.roll(3) == 0 {
            let (of, resource) = dice.resource();
            let path = format!("/v1/tenants/{t}/resources/{of}/{resource}");
            // It may not be there.
            edge.ask(Method::DELETE, &path, &[], None).await?;
        }
    }
    ensure!(decided.iter().all(|n| *n > 5), "{decided:?} are too few of one kind");
    Ok(())
}

//! Answered checks on the audit topic, by every route that answers them.

use anyhow::{Context, Result, ensure};
use contracts::audit::{ActorType, AuditEvent, Status};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use service_kit::bus::KafkaFollower;

use crate::edge::{Edge, Edges, question, role};
use crate::world::PATIENCE;

/// What `ingest` takes by default.
const LIMITS: ingest::event::Limits =
    ingest::event::Limits { max_record_bytes: 1 << 18, max_fields: 256, max_depth: 16 };

/// The next audited check, which `ingest` would store.
async fn next(topic: &KafkaFollower) -> Result<AuditEvent> {
    loop {
        let message = topic.next(PATIENCE).await?.context("the topic went silent")?;
        let value = message.payload.context("a tombstone")?;
        let event: AuditEvent = serde_json::from_slice(&value)?;
        let refused = ingest::event::decode(&value, &LIMITS).err();
        ensure!(refused.is_none(), "{refused:?}: {event:?}");
        if event.action == "authz.check" {
            ensure!(message.key.as_deref() == Some(event.tenant_id.as_str().as_bytes()));
            return Ok(event);
        }
    }
}

/// By which route, on which resource, and what was answered.
fn summary(event: &AuditEvent) -> (&str, &str, Option<Status>) {
    let route = event.details["route"].as_str().unwrap_or_default();
    (route, event.resource_id.as_deref().unwrap_or_default(), event.status)
}

/// `u` may read `d-1`; Envoy's requests below `/docs` are its.
async fn granted(tenant: &str, mode: &str) -> Result<(Edges, Edge)> {
    let routes = json!([{"path": "/docs/{id}", "tenant": tenant, "subject": {"type": "user", "id": "u"},
        "action": "read", "resource": {"type": "document", "id": "{id}"}}]);
    let (mode, routes) = (("DECISION_AUDIT__MODE", mode), routes.to_string());
    let edges = Edges::new(&[mode, ("EXT_AUTHZ__ROUTES", &routes)]).await?;
    let edge = edges.start().await?;
    let reader = json!({"permissions": [{"action": "read"}]});
    edge.put(&format!("/v1/tenants/{tenant}/roles/reader"), &reader).await?;
    let on = json!({"type": "document", "id": "d-1"});
    edge.write(tenant, "touch", &[role("user", "u", "reader", &on)]).await?;
    Ok((edges, edge))
}

fn tenant() -> String {
    format!("a{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}

fn read(resource: &str) -> Value {
    question("u", "read", ("document", resource))
}

/// An allow and a denial by each route, in this order.
async fn ask_by_every_route(edge: &Edge, t: &str) -> Result<()> {
    let post = async |path: &str, body: &Value| {
        let answer = edge.ask(Method::POST, path, &[("x-request-id", "r-1")], Some(body)).await?;
        ensure!(answer.status == StatusCode::OK, "{path}: {} {}", answer.status, answer.body);
        anyhow::Ok(answer.body)
    };
    for resource in ["d-1", "d-2"] {
        post(&format!("/v1/tenants/{t}/check"), &read(resource)).await?;
    }
    let batch = json!({"checks": [read("d-1"), read("d-2"), {
        "subject": {"type": "user", "id": "*"}, "action": {"name": "read"},
        "resource": {"type": "document", "id": "d-1"}}]});
    let answer = post(&format!("/v1/tenants/{t}/check/batch"), &batch).await?;
    ensure!(answer["results"][2]["error"].is_string(), "{answer}");
    let authzen = format!("/tenants/{t}/access/v1");
    for resource in ["d-1", "d-2"] {
        post(&format!("{authzen}/evaluation"), &read(resource)).await?;
    }
    let mut evaluations = read("d-1");
    let other = json!({"resource": {"type": "document", "id": "d-2"}});
    evaluations["evaluations"] = json!([{}, other]);
    post(&format!("{authzen}/evaluations"), &evaluations).await?;
    // A search asks what would be allowed: nobody attempts it.
    let mut search = read("d-1");
    search["subject"] = json!({"type": "user"});
    post(&format!("{authzen}/search/subject"), &search).await?;
    for (path, status) in [("/docs/d-1", 200), ("/docs/d-2", 403), ("/unmapped", 403)] {
        let answer = edge.ask(Method::GET, &format!("/ext_authz{path}"), &[], None).await?;
        ensure!(answer.status == status, "{path}: {}", answer.status);
    }
    Ok(())
}

#[tokio::test]
async fn with_all_every_answer_of_every_route_is_an_audit_event() -> Result<()> {
    let t = tenant();
    let (edges, edge) = granted(&t, "all").await?;
    let topic = edges.follow_audit().await?;
    ask_by_every_route(&edge, &t).await?;
    let mut events = Vec::new();
    for _ in 0..10 {
        events.push(next(&topic).await?);
    }
    let (yes, no) = (Some(Status::Success), Some(Status::Denied));
    let mut expected = Vec::new();
    for route in ["check", "batch", "authzen", "authzen", "ext_authz"] {
        expected.extend([(route, "d-1", yes), (route, "d-2", no)]);
    }
    // Batches are worked on at once: their answers may be audited in any order.
    let mut found: Vec<_> = events.iter().map(summary).collect();
    found[2..4].sort_by_key(|(_, resource, _)| *resource);
    ensure!(found == expected, "{found:?}");
    for event in &events {
        ensure!(event.tenant_id.as_str() == t);
        ensure!(
            (event.actor_type, event.actor_id.as_deref()) == (Some(ActorType::User), Some("u"))
        );
        ensure!(event.resource_type.as_deref() == Some("document"));
        ensure!(event.details["action"] == "read" && event.details.contains_key("revision"));
    }
    ensure!(events[0].details["request_id"] == "r-1", "{:?}", events[0]);
    ensure!(events[0].details["caller"] == "anonymous", "{:?}", events[0]);
    let counted = edge.metric("triad_authz_decision_audit_total", "queued").await?;
    ensure!(counted >= 10.0, "{counted}");
    Ok(())
}

#[tokio::test]
async fn with_denied_only_denials_are() -> Result<()> {
    let t = tenant();
    let (edges, edge) = granted(&t, "denied").await?;
    let topic = edges.follow_audit().await?;
    ask_by_every_route(&edge, &t).await?;
    // One partition holds the tenant's events in order: an allow among them would come first.
    for route in ["check", "batch", "authzen", "authzen", "ext_authz"] {
        let event = next(&topic).await?;
        ensure!(summary(&event) == (route, "d-2", Some(Status::Denied)), "{event:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_was_answered_before_a_drain_is_published_in_it() -> Result<()> {
    const CHECKS: usize = 500;
    let t = tenant();
    let (edges, edge) = granted(&t, "all").await?;
    let topic = edges.follow_audit().await?;
    let batch = json!({"checks": vec![read("d-1"); CHECKS]});
    let path = format!("/v1/tenants/{t}/check/batch");
    let answer = edge.ask(Method::POST, &path, &[], Some(&batch)).await?;
    ensure!(answer.status == StatusCode::OK, "{}", answer.body);
    edge.stop().await?;
    for _ in 0..CHECKS {
        next(&topic).await?;
    }
    Ok(())
}

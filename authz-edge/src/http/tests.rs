//! The routes as a whole, without a graph.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::response::Response;
use axum::routing::get;
use metrics::Counter;
use serde_json::{Value, json};
use service_kit::auth::{AuthConfig, Principal};
use service_kit::problem::with_fallbacks;
use service_kit::rate::{RateConfig, Rates};
use service_kit::track::REQUEST_ID;
use tower::ServiceExt as _;

use super::authzen::tests::{Pdp, api, bearer, jwt, limited, off};
use super::{author, router, service};
use crate::audit::DecisionAudit;

#[tokio::test]
async fn the_routes_merge_with_another_services_which_keeps_its_own() {
    let api = api(None, &off(None), None, DecisionAudit::off()).await;
    let teapot = || async { StatusCode::IM_A_TEAPOT };
    let other = Router::new()
        .route("/v1/tenants/{tenant}/audit/{event_id}", get(teapot))
        .route("/v1/tenants/{tenant}/teams/{id}/members", get(teapot));
    let both = with_fallbacks(other).merge(router(Arc::clone(&api)));
    let both = service(api, both);
    for (method, path, status) in [
        ("GET", "/v1/tenants/acme/audit/e-1", 418),
        ("GET", "/v1/tenants/acme/teams/t-1/members", 418),
        ("PATCH", "/v1/tenants/acme/resources/document/d-1", 405),
        ("GET", "/v1/tenants/acme/things/document/d-1", 404),
        ("POST", "/v1/tenants/acme/check", 400),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = both.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        if status >= 400 && status != 418 {
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
    }
}

#[test]
fn only_a_request_id_that_is_fit_for_a_log_comes_into_the_trail() {
    let principal = Principal::new("anonymous", None, []);
    for (sent, kept) in [
        ("r-1", true),
        (&*"x".repeat(128), true),
        (&*"x".repeat(129), false),
        ("two words", false),
        ("", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_str(sent).unwrap());
        let found = author(&principal, &headers).request_id;
        assert_eq!(found, kept.then(|| sent.to_owned()), "{sent}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_check_of_a_batch_is_said_in_its_place() {
    let pdp = Pdp::new(None, &off(None), None).await;
    let fine = json!({"subject": {"type": "user", "id": "u"}, "action": {"name": "read"},
        "resource": {"type": "document", "id": "d"}});
    let (mut typo, mut empty) = (fine.clone(), fine.clone());
    typo["acton"] = json!({"name": "read"});
    empty["subject"]["id"] = "".into();
    let body = json!({"checks": [fine, typo, 7, empty]});
    let answer = pdp.post("/v1/tenants/acme/check/batch", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let results = answer["results"].as_array().unwrap();
    let expected = ["the graph does not answer", "checks[1]: ", "checks[2]: ", "subject.id"];
    assert_eq!(results.len(), expected.len());
    for (result, expected) in results.iter().zip(expected) {
        let error = result["error"].as_str().unwrap();
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(result.get("decision"), None);
    }
    for body in [json!({"checks": {}}), json!({"checks": [fine], "x": 1}), json!({"checks": []})] {
        assert_eq!(pdp.post("/v1/tenants/acme/check/batch", &body).await.status, 400, "{body}");
    }
}

/// A service that lets so many requests of a tenant in; gaining one back takes a second.
async fn within(burst: u32, auth: &AuthConfig) -> super::Hot {
    let rates = Rates::new(RateConfig { per_second: 1, burst }, Counter::noop());
    let api = limited(None, auth, None, DecisionAudit::off(), rates).await;
    service(Arc::clone(&api), router(api))
}

async fn asks(service: &super::Hot, at: (&str, &str), bearer: &str, body: &Value) -> Response {
    let request = Request::builder().method(at.0).uri(at.1).header("authorization", bearer);
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    service.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_tenant_above_its_rate_waits_alone_and_strangers_use_nothing_up() {
    let (_keys, auth) = jwt();
    let service = within(60, &auth).await;
    let (acme, other) = (bearer("acme", "authz:check"), bearer("other", "authz:check"));
    let scopeless = bearer("acme", "authz:write");
    let (check, nothing) = (("POST", "/v1/tenants/acme/check"), json!({}));
    for _ in 0..100 {
        for (bearer, status) in [("Bearer x", 401), (&*other, 404), (&*scopeless, 403)] {
            assert_eq!(asks(&service, check, bearer, &nothing).await.status(), status);
        }
    }
    // What is let in has no question.
    let mut let_in = 0;
    let refused = loop {
        let response = asks(&service, check, &acme, &nothing).await;
        if response.status() != 400 {
            break response;
        }
        let_in += 1;
        assert!(let_in < 1000);
    };
    assert!(let_in >= 60, "{let_in}");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let theirs = ("POST", "/v1/tenants/other/check");
    assert_eq!(asks(&service, theirs, &other, &nothing).await.status(), 400, "its own rate");
}

#[tokio::test]
async fn a_batch_costs_as_much_as_is_asked_in_it_and_every_route_is_of_one_rate() {
    let service = within(1, &off(Some("own"))).await;
    // Answered without the graph, as they are no questions.
    let batch = json!({"checks": (0..200).collect::<Vec<_>>()});
    let robot = json!({"type": "robot", "id": "r"});
    let question = json!({"subject": robot, "action": {"name": "read"}, "resource": robot});
    let evaluations = json!({"evaluations": vec![question.clone(); 200]});
    for (tenant, path, body) in [
        ("acme", "/v1/tenants/acme/check/batch", &batch),
        ("other", "/tenants/other/access/v1/evaluations", &evaluations),
        ("own", "/access/v1/evaluations", &evaluations),
    ] {
        // More than is left, once: it is owed.
        assert_eq!(asks(&service, ("POST", path), "", body).await.status(), 200, "{path}");
        let v1 = |rest: &str| format!("/v1/tenants/{tenant}/{rest}");
        for (method, at) in [
            ("POST", v1("check")),
            ("POST", v1("check/batch")),
            ("POST", v1("explain")),
            ("POST", v1("relationships")),
            ("GET", v1("roles")),
            ("GET", v1("roles/x")),
            ("DELETE", v1("resources/document/x")),
            ("POST", format!("/tenants/{tenant}/access/v1/evaluation")),
            ("POST", format!("/tenants/{tenant}/access/v1/search/subject")),
        ] {
            let response = asks(&service, (method, &at), "", &question).await;
            assert_eq!(response.status(), 429, "{method} {at}");
            assert!(response.headers().contains_key("retry-after"), "{method} {at}");
        }
    }
}

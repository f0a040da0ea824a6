//! The routes as a whole, without a graph.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::routing::get;
use serde_json::json;
use service_kit::auth::Principal;
use service_kit::problem::with_fallbacks;
use service_kit::track::REQUEST_ID;
use tower::ServiceExt as _;

use super::authzen::tests::{Pdp, api, off};
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

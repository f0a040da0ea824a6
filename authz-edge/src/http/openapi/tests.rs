//! The document, the routes and the forms say the same.

mod reading;
mod schema;
mod valid;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::response::Response;
use serde_json::Value;
use tower::ServiceExt as _;

use self::reading::{METHODS, filled, items, members, operations, query, resolve};
use super::{DOCUMENT, PATH};
use crate::audit::DecisionAudit;
use crate::ext_authz::tests::world::World;
use crate::http::authzen::tests::{api, off};
use crate::http::{self, Api};
use crate::model::{Role, WriteList};

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

/// Nobody is asked: the graph is away.
async fn nowhere() -> Arc<Api> {
    api(None, &off(Some("acme")), None, DecisionAudit::off()).await
}

/// The routes as the service merges them.
async fn service() -> http::Hot {
    let (api, ext_authz) = (nowhere().await, World::usual().await.ext_authz);
    let routes = http::router(Arc::clone(&api)).merge(http::ext_authz::router(ext_authz));
    http::service(api, routes)
}

async fn send(service: &http::Hot, method: &str, path: &str, body: String) -> Response {
    let request = Request::builder().method(&*method.to_uppercase()).uri(path);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    service.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
}

/// The answer is one that the document has, in the form that it says.
fn is_described(document: &Value, operation: &Value, what: &str, response: &Response) {
    let status = response.status();
    let described = operation["responses"].get(status.as_str());
    let described = described.unwrap_or_else(|| panic!("{what}: {status} is not described"));
    let described = resolve(document, described);
    let media = response.headers().get(header::CONTENT_TYPE);
    let media = media.map(|media| media.to_str().unwrap().split(';').next().unwrap());
    let forms: Vec<_> = members(&described["content"]).map(|(media, _)| media.as_str()).collect();
    assert_eq!(forms, media.into_iter().collect::<Vec<_>>(), "{what}: {status}");
}

/// The paths that a router shows when it is printed; axum has no list of them.
fn paths(router: &Router) -> Vec<String> {
    let shown = format!("{router:?}");
    let quoted = shown.split("RouteId(").filter_map(|piece| {
        let (id, path) = piece.split_once("): \"")?;
        id.bytes().all(|byte| byte.is_ascii_digit()).then(|| path.split('"').next())?
    });
    let own = |path: &&str| *path != "/" && !path.contains("__private");
    quoted.filter(own).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_route_is_described_and_nothing_else() {
    let (document, api) = (document(), nowhere().await);
    let mut found = BTreeSet::new();
    let ext_authz = http::ext_authz::router(World::usual().await.ext_authz);
    for path in paths(&http::router(api)).into_iter().chain(paths(&ext_authz)) {
        // One meaning of three.
        found.insert(path.replace("{*path}", "{path}"));
    }
    for unsaid in [PATH, "/ext_authz", "/ext_authz/"] {
        assert!(found.remove(unsaid), "{unsaid}: {found:?}");
    }
    let described: BTreeSet<_> =
        members(&document["paths"]).map(|(path, _)| path.clone()).collect();
    assert_eq!(described, found);
}

#[tokio::test]
async fn every_method_is_described_and_nothing_else() {
    let (document, service) = (document(), service().await);
    for (path, item) in members(&document["paths"]) {
        let at = filled(&document, path, item);
        for method in METHODS {
            // axum answers HEAD wherever it answers GET.
            let described =
                item.get(method).or_else(|| item.get("get").filter(|_| method == "head"));
            let query = described.map_or_else(String::new, |known| query(&document, known));
            let response = send(&service, method, &format!("{at}{query}"), String::new()).await;
            let what = format!("{method} {path}{query}");
            assert_eq!(response.status() != 405, described.is_some(), "{what}");
            if let Some(operation) = described.filter(|_| method != "head") {
                is_described(&document, operation, &what, &response);
            }
        }
    }
}

#[tokio::test]
async fn examples_are_read_and_what_is_required_is() {
    let (document, service) = (document(), service().await);
    let mut sent = 0;
    for (path, item) in members(&document["paths"]) {
        let at = filled(&document, path, item);
        for (method, operation) in operations(item) {
            let content = &operation["requestBody"]["content"]["application/json"];
            for (name, example) in members(&content["examples"]) {
                let (what, body) = (format!("{method} {path}: {name}"), &example["value"]);
                let response = send(&service, method, &at, body.to_string()).await;
                // Read and understood; nobody can answer, which a batch says in the place of each.
                let unanswered = if path.ends_with("/check/batch") { 200 } else { 503 };
                assert_eq!(response.status(), unanswered, "{what}");
                is_described(&document, operation, &what, &response);
                for required in items(&resolve(&document, &content["schema"])["required"]) {
                    let mut less = body.clone();
                    less.as_object_mut().and_then(|all| all.remove(required.as_str()?)).unwrap();
                    let response = send(&service, method, &at, less.to_string()).await;
                    assert_eq!(response.status(), 400, "{what} without {required}");
                }
                let schema = content["schema"]["$ref"].as_str().unwrap();
                match schema.rsplit('/').next().unwrap() {
                    "Role" => read::<Role>(body).check().unwrap(),
                    "WriteList" => read::<WriteList>(body).check().unwrap(),
                    _ => {}
                }
                sent += 1;
            }
        }
    }
    assert!(sent >= 20, "{sent}");
}

fn read<T: serde::de::DeserializeOwned>(body: &Value) -> T {
    serde_json::from_value(body.clone()).unwrap()
}

#[test]
fn examples_fit_their_schemas() {
    fn look(document: &Value, value: &Value, seen: &mut usize) {
        if let Some(schema) = value.get("schema") {
            let examples = members(&value["examples"]).map(|(_, example)| &example["value"]);
            for example in examples.chain(value.get("example")) {
                if let Err(why) = schema::fits(document, schema, example, false) {
                    panic!("{example}: {why}");
                }
                *seen += 1;
            }
        }
        members(value).for_each(|(_, inner)| look(document, inner, seen));
        items(value).for_each(|inner| look(document, inner, seen));
    }
    let (document, mut seen) = (document(), 0);
    look(&document, &document, &mut seen);
    assert!(seen > 50, "{seen}");
    // Which says something only if it can fail.
    let check = &document["components"]["schemas"]["Check"];
    for wrong in [r#"{"subject": 1}"#, "{}", "[]"] {
        let wrong = serde_json::from_str(wrong).unwrap();
        assert!(schema::fits(&document, check, &wrong, false).is_err());
    }
}

#[tokio::test]
async fn it_is_served_as_it_was_reviewed_and_has_this_version() {
    let response = send(&service().await, "get", PATH, String::new()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let served = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
    assert_eq!(served, DOCUMENT);
    assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
}

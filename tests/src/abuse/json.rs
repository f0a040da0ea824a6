//! JSON that is nested so deeply that who follows it runs out of stack.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use reqwest::{Client, Method};
use serde_json::Value;

use super::Target;

/// Nesting of whole bodies.
const DEEP: usize = 100_000;
/// Of members, so that what holds them is no larger than an audit event may be.
const INNER: usize = 30_000;

/// A route that takes JSON.
struct Route {
    method: Method,
    path: String,
    kind: String,
    /// What its body may have.
    members: BTreeSet<String>,
}

impl Route {
    /// Each that a document has, in a tenant.
    fn all(document: &Value, tenant: &str) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let content = operation["requestBody"]["content"].as_object();
                for (kind, media) in content.into_iter().flatten() {
                    if kind.ends_with("json") {
                        let mut members = BTreeSet::new();
                        gather(document, &media["schema"], &mut members, 0);
                        all.push(Self {
                            method: Method::from_bytes(method.to_uppercase().as_bytes())?,
                            path: filled(path, tenant),
                            kind: kind.clone(),
                            members,
                        });
                    }
                }
            }
        }
        Ok(all)
    }

    /// Whether what is wrong with one of several is said in its place.
    fn is_batch(&self) -> bool {
        self.path.ends_with("/batch") || self.path.ends_with("/evaluations")
    }
}

fn filled(path: &str, tenant: &str) -> String {
    let part = |part: &str| match part {
        "{tenant}" => tenant.to_owned(),
        "{type}" => "user".to_owned(),
        part if part.starts_with('{') => "x".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The members that a schema names, of itself and of what it refers to.
fn gather(document: &Value, schema: &Value, members: &mut BTreeSet<String>, depth: usize) {
    if depth > 4 {
        return;
    }
    if let Some(at) = schema["$ref"].as_str().and_then(|at| at.strip_prefix('#')) {
        gather(document, document.pointer(at).unwrap_or(&Value::Null), members, depth + 1);
    }
    members.extend(
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()),
    );
    for several in ["oneOf", "anyOf", "allOf"] {
        for one in schema[several].as_array().into_iter().flatten() {
            gather(document, one, members, depth + 1);
        }
    }
    gather_items(document, schema, members, depth);
}

/// Of a list, those of its items.
fn gather_items(document: &Value, schema: &Value, members: &mut BTreeSet<String>, depth: usize) {
    if !schema["items"].is_null() {
        gather(document, &schema["items"], members, depth + 1);
    }
}

fn arrays(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

fn objects(depth: usize) -> String {
    r#"{"":"#.repeat(depth) + "1" + &"}".repeat(depth)
}

impl Target {
    /// No route follows it to its end, and none takes it.
    pub(super) async fn deep_json(&self) -> Result<()> {
        let whole = [
            arrays(DEEP),
            objects(DEEP),
            "[".repeat(DEEP),
            r#"{"":"#.repeat(DEEP),
            format!("[{}]", objects(DEEP)),
        ];
        let client = self.client()?;
        let mut asked = 0;
        for (_, document) in &self.documents {
            for route in Route::all(document, &self.tenant)? {
                let inner = [arrays(INNER), objects(INNER / 2)];
                let inner = route.members.iter().flat_map(|name| {
                    inner
                        .iter()
                        .map(move |deep| format!(r#"{{"{name}":{deep}}}"#))
                        .collect::<Vec<_>>()
                });
                for body in whole.iter().cloned().chain(inner) {
                    let shown: String = body.chars().take(60).collect();
                    // Who may not use a route is refused before its body is read.
                    let answered = match self.send(&client, &route, &self.bearer, &body).await {
                        Some((401 | 403, _)) => {
                            self.send(&client, &route, &self.administrator, &body).await
                        }
                        answered => answered,
                    };
                    let Some((status, text)) = answered else { continue };
                    let in_place =
                        status == 200 && route.is_batch() && !text.contains(r#""decision":true"#);
                    ensure!(
                        in_place || (400..500).contains(&status),
                        "{} {} {shown}…: {status} {text}",
                        route.method,
                        route.path
                    );
                    asked += 1;
                }
            }
        }
        ensure!(asked > 0, "nothing was answered");
        Ok(())
    }

    /// Status and text; none when the connection ended, as it may when all of a body was not sent.
    async fn send(
        &self,
        client: &Client,
        route: &Route,
        bearer: &str,
        body: &str,
    ) -> Option<(u16, String)> {
        let url = format!("http://127.0.0.1:{}{}", self.port, route.path);
        let request = client.request(route.method.clone(), url).header("authorization", bearer);
        let request = request.header("content-type", &route.kind).header("if-match", "*");
        let answer = request.body(body.to_owned()).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().await.unwrap_or_default()))
    }
}

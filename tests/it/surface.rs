//! Every route as `authz-edge/openapi.json` has it: what is answered, and to whom.

#[path = "../../authz-edge/src/http/openapi/tests/reading.rs"]
mod reading;
#[path = "../../authz-edge/src/http/openapi/tests/schema.rs"]
mod schema;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use contracts::audit::AuditEvent;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use self::reading::{METHODS, filled, items, members, operations, query, resolve};
use crate::edge::{Edge, Edges};
use crate::issuer::Issuer;
use crate::world::PATIENCE;

const SCOPES: &str = "authz:check authz:write";
const MAX_BODY: usize = 65_536;

/// An edge that knows who asks.
struct Surface {
    document: Value,
    issuer: Issuer,
    edges: Edges,
    edge: Edge,
    /// Whose user `u-1` owns what the examples write.
    owner: String,
    bearer: String,
}

/// Everything of an answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Surface {
    async fn new() -> Result<Self> {
        let issuer = Issuer::new()?;
        let routes = json!([{"path": "/v1/documents/{id}", "tenant": "token", "subject": "token",
            "action": "read", "resource": {"type": "document", "id": "{id}"}}]);
        let (keys, routes, max) = (issuer.keys(), routes.to_string(), MAX_BODY.to_string());
        let edges = Edges::new(&[
            ("AUTH__MODE", "jwt"),
            ("AUTH__JWKS_FILE", &keys),
            ("EXT_AUTHZ__ROUTES", &routes),
            ("HTTP__MAX_BODY_BYTES", &max),
        ])
        .await?;
        let (edge, owner) = (edges.start().await?, edges.tenant("a"));
        let bearer = issuer.bearer(&owner, "user:u-1", SCOPES)?;
        let document = serde_json::from_str(authz_edge::http::openapi::DOCUMENT)?;
        Ok(Self { document, issuer, edges, edge, owner, bearer })
    }

    /// Each path, with the examples of its parameters but for the tenant.
    fn paths(&self) -> Vec<(&str, String, &Value)> {
        let at = |path: &String, item| {
            filled(&self.document, &path.replace("{tenant}", "<tenant>"), item)
        };
        members(&self.document["paths"])
            .map(|(path, item)| (path.as_str(), at(path, item), item))
            .collect()
    }

    async fn send(&self, method: &str, path: &str, bearer: &str, body: &str) -> Result<Answer> {
        let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
        let mut request = self.edge.request(method, path).header("x-request-id", "r-1");
        if !bearer.is_empty() {
            request = request.header("authorization", bearer);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_owned());
        }
        let answer = request.send().await.with_context(|| path.to_owned())?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok(Answer { status, headers, body: answer.text().await? })
    }

    /// As the owner, on what is the owner's.
    async fn own(&self, method: &str, at: &str, body: &str) -> Result<Answer> {
        self.send(method, &at.replace("<tenant>", &self.owner), &self.bearer, body).await
    }

    /// What the examples of `PUT` and of writes make, and of nothing else.
    async fn seed(&self) -> Result<()> {
        for wanted in ["put", "post"] {
            for (path, at, item) in self.paths() {
                let writes = path.starts_with("/v1/") && !asks(path);
                for body in bodies(&item[wanted]).iter().filter(|_| writes) {
                    let answer = self.own(wanted, &at, body).await?;
                    // One example wants what another tenant would have.
                    let done = answer.status.is_success() || answer.status == StatusCode::CONFLICT;
                    ensure!(done, "{wanted} {path}: {} {}", answer.status, answer.body);
                }
            }
        }
        Ok(())
    }

    /// That the document has this answer in this form.
    fn described(&self, operation: &Value, answer: &Answer) -> Result<(), String> {
        let status = answer.status;
        let found = operation["responses"].get(status.as_str());
        let found = resolve(&self.document, found.ok_or("there is no such status")?);
        for (name, _) in members(&found["headers"]) {
            // A denial has a token only when the graph was asked.
            let may_lack = status == StatusCode::FORBIDDEN && name == "Triad-Consistency-Token";
            if !may_lack && !answer.headers.contains_key(name) {
                return Err(format!("it lacks {name}"));
            }
        }
        let Some((media, content)) = members(&found["content"]).next() else {
            return if answer.body.is_empty() { Ok(()) } else { Err("it has a body".to_owned()) };
        };
        let sent = answer.headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
        if sent.and_then(|sent| sent.split(';').next()) != Some(media.as_str()) {
            return Err(format!("it is {sent:?}"));
        }
        let body = match media.as_str() {
            "text/plain" => Value::String(answer.body.clone()),
            _ => serde_json::from_str(&answer.body).map_err(|error| error.to_string())?,
        };
        schema::fits(&self.document, &content["schema"], &body, true)
    }
}

/// Whether a `POST` there changes nothing.
fn asks(path: &str) -> bool {
    ["/check", "/access", "/explain"].iter().any(|part| path.contains(part))
}

/// The examples of a body; an empty one if there is none to send.
fn bodies(operation: &Value) -> Vec<String> {
    let content = &operation["requestBody"]["content"]["application/json"];
    let all: Vec<_> =
        members(&content["examples"]).map(|(_, example)| example["value"].to_string()).collect();
    if all.is_empty() && !operation.is_null() { vec![String::new()] } else { all }
}

/// Whether a token of the right tenant is wanted.
fn is_guarded(operation: &Value) -> bool {
    let mut wanted = items(&operation["security"]).flat_map(members);
    wanted.any(|(_, scopes)| items(scopes).next().is_some())
}

#[tokio::test]
async fn every_answer_has_the_form_that_is_described() -> Result<()> {
    let surface = Surface::new().await?;
    surface.seed().await?;
    let scopeless = surface.issuer.bearer(&surface.owner, "user:u-1", "")?;
    let (bearer, large) = (&*surface.bearer, format!("\"{}\"", " ".repeat(MAX_BODY)));
    let paths = surface.paths();
    // What is deleted is read first.
    for method in ["put", "post", "get", "options", "head", "patch", "trace", "delete"] {
        for (path, at, item) in &paths {
            let Some(operation) = item.get(method) else { continue };
            let at = at.replace("<tenant>", &surface.owner) + &query(&surface.document, operation);
            let guarded = is_guarded(operation);
            let mut asked = vec![
                (at.clone(), "", String::new(), guarded.then_some(401)),
                (at.clone(), &scopeless, String::new(), guarded.then_some(403)),
            ];
            if path.contains("{tenant}") {
                let no_text = at.replace(&surface.owner, "%FF");
                asked.push((no_text, bearer, String::new(), Some(400)));
            }
            if operation.get("requestBody").is_some() {
                asked.push((at.clone(), bearer, "{".to_owned(), Some(400)));
                asked.push((at.clone(), bearer, large.clone(), Some(413)));
            }
            let examples = bodies(operation);
            asked.extend(examples.into_iter().map(|body| (at.clone(), bearer, body, None)));
            let mut done = false;
            for (at, bearer, body, expected) in asked {
                let answer = surface.send(method, &at, bearer, &body).await?;
                let what = format!("{method} {path}: {} {}", answer.status, answer.body);
                ensure!(expected.is_none_or(|status| answer.status == status), "{what}");
                if method != "head" {
                    let described = surface.described(operation, &answer);
                    ensure!(described.is_ok(), "{what}: {described:?}");
                }
                done |= answer.status.is_success();
            }
            ensure!(done, "{method} {path}: no example is taken");
        }
    }
    Ok(())
}

impl Surface {
    /// Everything that the owner can read or ask.
    async fn seen(&self) -> Result<BTreeMap<String, String>> {
        let mut seen = BTreeMap::new();
        for (path, at, item) in self.paths() {
            for (method, operation) in operations(item) {
                let changes = method != "get" && !asks(path);
                // Its answer tells the time.
                let passes = path.ends_with("/explain");
                if changes || passes || !is_guarded(operation) || !path.contains("{tenant}") {
                    continue;
                }
                let at = format!("{at}{}", query(&self.document, operation));
                for body in bodies(operation) {
                    let answer = self.own(method, &at, &body).await?;
                    ensure!(answer.status == StatusCode::OK, "{method} {path}: {}", answer.body);
                    seen.insert(format!("{method} {path} {body}"), answer.body);
                }
            }
        }
        Ok(seen)
    }

    /// What a stranger is answered; the tenant's name in it is left out.
    async fn told(
        &self,
        (method, at, body): (&str, &str, &str),
        tenant: &str,
        bearer: &str,
    ) -> Result<(StatusCode, Vec<String>, String)> {
        let answer = self.send(method, &at.replace("<tenant>", tenant), bearer, body).await?;
        let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
        let headers = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
        Ok((answer.status, headers, answer.body.replace(tenant, "<tenant>")))
    }
}

#[tokio::test]
async fn another_tenants_token_finds_no_tenant_by_any_route() -> Result<()> {
    let surface = Surface::new().await?;
    let topic = surface.edges.follow_audit().await?;
    surface.seed().await?;
    let before = surface.seen().await?;
    ensure!(before.len() >= 12, "{before:?}");
    let (stranger, nobody) = (surface.edges.tenant("b"), surface.edges.tenant("c"));
    let bearer = surface.issuer.bearer(
        &stranger,
        "user:stranger",
        &format!("{SCOPES} tenant:admin identity:read identity:write audit:read audit:write"),
    )?;
    let mut refused = 0;
    for (path, at, item) in
        surface.paths().into_iter().filter(|(path, ..)| path.contains("{tenant}"))
    {
        for method in METHODS {
            // axum answers HEAD wherever it answers GET.
            let operation =
                item.get(method).or_else(|| item.get("get").filter(|_| method == "head"));
            let expected = match operation {
                None => StatusCode::METHOD_NOT_ALLOWED,
                Some(operation) if is_guarded(operation) => StatusCode::NOT_FOUND,
                Some(_) => StatusCode::OK,
            };
            let query = operation.map_or_else(String::new, |one| query(&surface.document, one));
            let at = format!("{at}{query}");
            let mut sent = vec![String::new(), "{".to_owned()];
            sent.extend(operation.map(bodies).unwrap_or_default());
            for body in sent {
                let asked = (method, at.as_str(), body.as_str());
                let theirs = surface.told(asked, &surface.owner, &bearer).await?;
                let nobodys = surface.told(asked, &nobody, &bearer).await?;
                ensure!(theirs == nobodys, "{method} {path}: {theirs:?}, {nobodys:?}");
                ensure!(theirs.0 == expected, "{method} {path}: {theirs:?}");
                refused += usize::from(expected == StatusCode::NOT_FOUND);
            }
        }
    }
    ensure!(refused >= 50, "{refused}");
    ensure!(surface.seen().await? == before);
    surface.nothing_was_made(&[&stranger, &nobody]).await?;
    // The last change of the tenant: what a stranger had changed would be audited before it.
    let last = format!("/v1/tenants/{}/resources/document/last", surface.owner);
    let answer = surface.send("put", &last, &surface.bearer, "{}").await?;
    ensure!(answer.status.is_success(), "{}", answer.body);
    loop {
        let message = topic.next(PATIENCE).await?.context("the topic went silent")?;
        let event: AuditEvent = serde_json::from_slice(&message.payload.context("a tombstone")?)?;
        ensure!(event.actor_id.as_deref() == Some("u-1"), "{event:?}");
        if event.resource_id.as_deref() == Some("last") {
            return Ok(());
        }
    }
}

impl Surface {
    /// Who may cross tenants finds nothing there.
    async fn nothing_was_made(&self, tenants: &[&str]) -> Result<()> {
        let scopes = format!("{SCOPES} system:admin");
        let admin = self.issuer.bearer("_system", "user:root", &scopes)?;
        let mut read = 0;
        for (path, at, item) in self.paths() {
            if !is_guarded(&item["get"]) || !path.contains("{id}") {
                continue;
            }
            let own = self.send("get", &at.replace("<tenant>", &self.owner), &admin, "").await?;
            ensure!(own.status == StatusCode::OK, "{path}: {}", own.body);
            for tenant in tenants {
                let answer = self.send("get", &at.replace("<tenant>", tenant), &admin, "").await?;
                ensure!(answer.status == StatusCode::NOT_FOUND, "{path}: {}", answer.body);
            }
            read += 1;
        }
        ensure!(read >= 3, "{read}");
        Ok(())
    }
}

//! Where no path names the tenant, the caller's token does: AuthZEN at `/access/v1`, and Envoy's two forms.

use anyhow::{Context, Result, ensure};
use envoy_types::ext_authz::v3::pb::{CheckRequest, HttpResponse};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::edge::{Edge, Edges};
use crate::issuer::Issuer;
use crate::process::free_port;

const TOKEN: &str = "triad-consistency-token";

/// Two tenants with the same ids; in the first alone the user may read.
struct Two {
    edges: Edges,
    edge: Edge,
    /// Of the same user id in each of them.
    bearers: [String; 2],
    envoy: String,
    _issuer: Issuer,
}

impl Two {
    async fn new() -> Result<Self> {
        let issuer = Issuer::new()?;
        let routes = json!([{"path": "/v1/documents/{id}", "tenant": "token", "subject": "token",
            "action": "read", "resource": {"type": "document", "id": "{id}"}}]);
        let envoy = format!("127.0.0.1:{}", free_port()?);
        let edges = Edges::new(&[
            ("AUTH__MODE", "jwt"),
            ("AUTH__JWKS_FILE", &issuer.keys()),
            ("EXT_AUTHZ__ROUTES", &routes.to_string()),
            ("EXT_AUTHZ__LISTEN", &envoy),
        ])
        .await?;
        let edge = edges.start().await?;
        let [a, b] = ["a", "b"].map(|name| edges.tenant(name));
        let bearer = |tenant: &str| issuer.bearer(tenant, "user:u-1", "authz:check authz:write");
        let bearers = [bearer(&a)?, bearer(&b)?];
        let two = Self { edges, edge, bearers, envoy, _issuer: issuer };
        for (at, tenant) in [&a, &b].into_iter().enumerate() {
            let reader = json!({"permissions": [{"action": "read"}]});
            two.told(at, Method::PUT, &format!("/v1/tenants/{tenant}/roles/reader"), &reader)
                .await?;
            // In the other one somebody else may.
            let who = ["u-1", "u-2"][at];
            let list = json!({"writes": [{"op": "touch", "relationship": {"relation": "has_role",
                "subject": {"type": "user", "id": who}, "role": "reader",
                "on": {"type": "document", "id": "d-1"}}}]});
            two.told(at, Method::POST, &format!("/v1/tenants/{tenant}/relationships"), &list)
                .await?;
        }
        Ok(two)
    }

    /// A request with a token of either tenant, which must be answered; body and consistency token.
    async fn told(
        &self,
        whose: usize,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(Value, String)> {
        let headers = [("authorization", self.bearers[whose].as_str())];
        let answer = self.edge.ask(method, path, &headers, Some(body)).await?;
        ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
        Ok((answer.body, answer.token))
    }

    async fn asked(&self, whose: usize, path: &str, body: &Value) -> Result<Value> {
        Ok(self.told(whose, Method::POST, &format!("/access/v1/{path}"), body).await?.0)
    }
}

fn evaluation() -> Value {
    json!({"subject": {"type": "user", "id": "u-1"}, "action": {"name": "read"},
           "resource": {"type": "document", "id": "d-1"}})
}

#[tokio::test]
async fn authzen_answers_about_the_tokens_tenant_alone() -> Result<()> {
    let two = Two::new().await?;
    for (at, allowed) in [true, false].into_iter().enumerate() {
        let single = two.asked(at, "evaluation", &evaluation()).await?;
        ensure!(single["decision"] == allowed, "{at}: {single}");
        let list = json!({"evaluations": [evaluation()]});
        let all = two.asked(at, "evaluations", &list).await?;
        ensure!(all["evaluations"][0]["decision"] == allowed, "{at}: {all}");
        let mut search = evaluation();
        search["subject"] = json!({"type": "user"});
        let who = two.asked(at, "search/subject", &search).await?;
        let expected = json!([{"type": "user", "id": if allowed { "u-1" } else { "u-2" }}]);
        ensure!(who["results"] == expected, "{at}: {who}");
        let mut search = evaluation();
        search["resource"] = json!({"type": "document"});
        let what = two.asked(at, "search/resource", &search).await?;
        ensure!(what["results"].as_array().is_some_and(|all| all.is_empty() != allowed), "{what}");
        let mut search = evaluation();
        search.as_object_mut().context("an object")?.remove("action");
        let how = two.asked(at, "search/action", &search).await?;
        ensure!(how["results"].as_array().is_some_and(|all| all.is_empty() != allowed), "{how}");
    }
    // A tenant is named by the token, never by what comes with it.
    let (owner, headers) = (two.edges.tenant("a"), ["x-tenant", "x-tenant-id", "tenant"]);
    let mut sent = vec![("authorization", two.bearers[1].as_str())];
    sent.extend(headers.map(|name| (name, owner.as_str())));
    let mut body = evaluation();
    body["tenant"] = owner.clone().into();
    body["context"] = json!({"tenant": owner, "tenant_id": owner});
    let path = format!("/access/v1/evaluation?tenant={owner}");
    let answer = two.edge.ask(Method::POST, &path, &sent, Some(&body)).await?;
    ensure!(answer.body["decision"] != true, "{} {}", answer.status, answer.body);
    let other = format!("/tenants/{owner}/access/v1/evaluation");
    let answer = two.edge.ask(Method::POST, &other, &sent, Some(&evaluation())).await?;
    ensure!(answer.status == StatusCode::NOT_FOUND, "{} {}", answer.status, answer.body);
    // Nor is another tenant's consistency token one of this tenant.
    let (_, token) = two.told(0, Method::POST, "/access/v1/evaluation", &evaluation()).await?;
    let sent = [("authorization", two.bearers[1].as_str()), (TOKEN, &token)];
    let asked = evaluation();
    let answer = two.edge.ask(Method::POST, "/access/v1/evaluation", &sent, Some(&asked)).await?;
    ensure!(answer.status == StatusCode::BAD_REQUEST, "{} {}", answer.status, answer.body);
    Ok(())
}

#[tokio::test]
async fn envoy_is_answered_over_http_about_the_tokens_tenant_alone() -> Result<()> {
    let two = Two::new().await?;
    let (owner, path) = (two.edges.tenant("a"), "/ext_authz/v1/documents/d-1");
    for (at, expected) in [StatusCode::OK, StatusCode::FORBIDDEN].into_iter().enumerate() {
        let headers = [("authorization", two.bearers[at].as_str()), ("x-tenant", owner.as_str())];
        let answer = two.edge.ask(Method::GET, path, &headers, None).await?;
        ensure!(answer.status == expected, "{at}: {} {}", answer.status, answer.body);
        ensure!(!answer.token.is_empty(), "{at}: it was not asked");
    }
    let answer = two.edge.ask(Method::GET, path, &[], None).await?;
    ensure!(answer.status == StatusCode::UNAUTHORIZED, "{} {}", answer.status, answer.body);
    Ok(())
}

/// What Envoy asks when `path` is got with these headers.
fn got(path: &str, headers: &[(&str, &str)]) -> CheckRequest {
    let http = HttpRequest {
        method: "GET".to_owned(),
        host: "docs.example.com".to_owned(),
        path: path.to_owned(),
        headers: headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..HttpRequest::default()
    };
    let request = Some(Request { http: Some(http), ..Request::default() });
    CheckRequest { attributes: Some(AttributeContext { request, ..AttributeContext::default() }) }
}

/// The code of the answer (of gRPC), and the consistency token that goes on to the service behind.
async fn called(
    envoy: &mut AuthorizationClient<Channel>,
    request: CheckRequest,
) -> Result<(i32, String)> {
    let answer = envoy.check(request).await?.into_inner();
    let code = answer.status.context("no status")?.code;
    let headers = match answer.http_response {
        Some(HttpResponse::OkResponse(ok)) => ok.headers,
        Some(HttpResponse::DeniedResponse(denied)) => denied.headers,
        other => anyhow::bail!("{other:?}"),
    };
    let mut headers = headers.into_iter().filter_map(|option| option.header);
    let token = headers.find(|header| header.key == TOKEN).map(|header| header.value);
    Ok((code, token.unwrap_or_default()))
}

#[tokio::test]
async fn envoy_is_answered_over_grpc_about_the_tokens_tenant_alone() -> Result<()> {
    const OK: i32 = 0;
    const DENIED: i32 = 7;
    const UNAUTHENTICATED: i32 = 16;
    let two = Two::new().await?;
    let mut envoy = AuthorizationClient::connect(format!("http://{}", two.envoy)).await?;
    let owner = two.edges.tenant("a");
    for (at, expected) in [OK, DENIED].into_iter().enumerate() {
        let headers = [("authorization", two.bearers[at].as_str()), ("x-tenant", owner.as_str())];
        let (code, token) = called(&mut envoy, got("/v1/documents/d-1", &headers)).await?;
        ensure!(code == expected && !token.is_empty(), "{at}: {code} {token}");
        let (code, _) = called(&mut envoy, got("/v1/documents/d-2", &headers)).await?;
        ensure!(code == DENIED, "{at}: {code}");
    }
    let (code, token) = called(&mut envoy, got("/v1/documents/d-1", &[])).await?;
    ensure!(code == UNAUTHENTICATED && token.is_empty(), "{code} {token}");
    // A revocation is seen there as everywhere: with its token, at once.
    let list = json!({"writes": [{"op": "delete", "relationship": {"relation": "has_role",
        "subject": {"type": "user", "id": "u-1"}, "role": "reader",
        "on": {"type": "document", "id": "d-1"}}}]});
    let path = format!("/v1/tenants/{owner}/relationships");
    let (_, revoked) = two.told(0, Method::POST, &path, &list).await?;
    let headers = [("authorization", two.bearers[0].as_str()), (TOKEN, revoked.as_str())];
    let (code, _) = called(&mut envoy, got("/v1/documents/d-1", &headers)).await?;
    ensure!(code == DENIED, "{code}");
    Ok(())
}

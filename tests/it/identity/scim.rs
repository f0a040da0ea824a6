//! SCIM: directories provision a tenant's users and teams.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use super::credentials::Installed;
use super::{Answer, Identities, Service};
use crate::issuer::Issuer;

const USERS: &str = "/scim/v2/Users";
const GROUPS: &str = "/scim/v2/Groups";

/// A service whose callers are acme's, where a route names no tenant.
async fn acme(overrides: &[(&str, &str)]) -> Result<(Identities, Service)> {
    let own = [("AUTH__DEFAULT_TENANT", "acme")];
    let all: Vec<_> = own.into_iter().chain(overrides.iter().copied()).collect();
    let identities = Identities::new(&all).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    Ok((identities, service))
}

fn patch(operations: Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

/// What a filter finds, by name.
async fn found(service: &Service, path: &str, query: &[(&str, &str)]) -> Result<Answer> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    service.get(&format!("{path}?{query}")).await
}

fn names(answer: &Answer) -> Vec<&str> {
    let resources = answer.body["Resources"].as_array().into_iter().flatten();
    resources.filter_map(|r| r["userName"].as_str().or(r["displayName"].as_str())).collect()
}

fn kind(answer: &Answer) -> &str {
    answer.body["scimType"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn the_conformance_tester_finds_nothing() -> Result<()> {
    let tester = std::env::var("TRIAD_SCIM_TESTER").context("no TRIAD_SCIM_TESTER: tests/run")?;
    let issuer = Issuer::new()?;
    let keys = issuer.keys();
    let identities = Identities::new(&[("AUTH__MODE", "jwt"), ("AUTH__JWKS_FILE", &keys)]).await?;
    let installed = Installed::of(&identities)?;
    let service = installed.start().await?;
    let system = issuer.bearer("_system", "service_account:ops", "system:admin tenant:admin")?;
    let tenant = json!({"id": "acme", "name": "acme", "administrator": {"email": "a@b.c"}});
    let headers = [("authorization", system.as_str())];
    service.ask(Method::POST, "/v1/tenants", &headers, tenant).await?.must(201)?;
    let bearer = issuer.bearer("acme", "service_account:okta", "identity:read identity:write")?;
    let mut command = Command::new(tester);
    command.args(["--url", &service.url("/scim/v2"), "test", "--verbose"]);
    command.env("SCIM_CLI_HEADERS", format!("Authorization: {bearer}")).kill_on_drop(true);
    let output = timeout(Duration::from_secs(120), command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    service.stop().await
}

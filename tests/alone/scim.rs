//! A directory provisions by SCIM, with no engines behind it: what the conformance tester says.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;

use tests::bed::Triad;

#[tokio::test(flavor = "multi_thread")]
async fn the_conformance_tester_finds_nothing() -> Result<()> {
    let tester = std::env::var("TRIAD_SCIM_TESTER").context("no TRIAD_SCIM_TESTER: tests/run")?;
    let dir = tempfile::tempdir()?;
    let triad = Triad::start(&dir.path().join("data")).await?;
    triad.tenant("acme").await?;
    let accounts = "/v1/tenants/acme/service-accounts";
    let account =
        triad.ask(Method::POST, accounts, json!({"name": "okta"})).await?.must(201)?.id()?;
    let scopes = json!({"scopes": ["identity:read", "identity:write"]});
    let path = format!("{accounts}/{account}/scopes");
    triad.ask(Method::PUT, &path, scopes).await?.must(200)?;
    let path = format!("{accounts}/{account}/keys");
    let key = triad.ask(Method::POST, &path, json!({"name": "directory"})).await?.must(201)?;
    let key = key.body["secret"].as_str().context("no secret")?.to_owned();
    let mut command = Command::new("timeout");
    command.args(["120", &tester, "--url", &triad.url("/scim/v2"), "test", "--verbose"]);
    command.env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {key}")).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    triad.stop().await
}

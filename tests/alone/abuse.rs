//! The one process, attacked by one tenant in every way that `tests::abuse` knows.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use tests::abuse::{Probe, Target};
use tests::bed::Triad;

/// So few that an attacker can have all of them.
const CONNECTIONS: usize = 16;

/// What the services have besides.
const CONFIG: &str = "
authz:
  http:
    max_connections: 16
    header_read_timeout_ms: 500
    write_timeout_ms: 500
    body_read_timeout_ms: 500
    max_body_bytes: 1048576
ingest:
  http: {request_timeout_ms: 5000, max_body_bytes: 1048576}
identity:
  http: {request_timeout_ms: 5000, max_body_bytes: 1048576}
";

/// The `Authorization` of a new program of a tenant, which may do everything there.
async fn program(triad: &Triad, tenant: &str) -> Result<String> {
    let accounts = format!("/v1/tenants/{tenant}/service-accounts");
    let account = json!({"name": "program"});
    let account = triad.ask(Method::POST, &accounts, account).await?.must(201)?.id()?;
    let scopes = json!({"scopes": ["audit:write", "audit:read", "authz:check", "authz:write",
        "identity:read", "identity:write", "tenant:admin"]});
    triad.ask(Method::PUT, &format!("{accounts}/{account}/scopes"), scopes).await?.must(200)?;
    let path = format!("{accounts}/{account}/keys");
    let key = triad.ask(Method::POST, &path, json!({"name": "k"})).await?.must(201)?;
    Ok(format!("Bearer {}", key.body["secret"].as_str().context("no secret")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_one_tenant_does_the_process_goes_on_for_the_others() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("triad.yaml");
    std::fs::write(&file, CONFIG)?;
    let file = file.display().to_string();
    let triad = Triad::with(&dir.path().join("data"), &["--config", &file]).await?;
    let (attacker, victim, secret) = ("attacker", "victim", "secret-of-the-victim");
    triad.tenant(attacker).await?;
    triad.tenant(victim).await?;
    let user = json!({"email": format!("{secret}@victim.example")});
    let path = format!("/v1/tenants/{victim}/users");
    let made = triad.ask(Method::POST, &path, user).await?.must(201)?;
    let (user, since) = (made.id()?, made.token);
    let role = json!({"permissions": [{"action": "read"}]});
    let path = format!("/v1/tenants/{victim}/roles/{secret}");
    triad.ask(Method::PUT, &path, role).await?.must(201)?;
    let bound = triad.bind_reader(victim, ("user", &user), None, &since).await?;
    let asked = json!({"subject": {"type": "user", "id": user}, "action": {"name": "read"},
        "resource": {"type": "document", "id": "d-1"}});
    // From here on without the token.
    let path = format!("/v1/tenants/{victim}/check");
    let may = triad.since(&bound, Method::POST, &path, asked.clone()).await?.must(200)?.body;
    ensure!(may["decision"] == true, "{may}");
    let mut documents = Vec::new();
    for at in ["/openapi/authz-edge.json", "/openapi/identity-admin.json", "/openapi/ingest.json"] {
        documents.push((at, triad.get(at).await?));
    }
    let probe = Probe {
        method: Method::POST,
        path,
        bearer: program(&triad, victim).await?,
        body: asked,
        holds: r#""decision":true"#.to_owned(),
    };
    let target = Target {
        port: triad.port,
        pid: triad.pid(),
        connections: CONNECTIONS,
        documents,
        tenant: attacker.to_owned(),
        bearer: program(&triad, attacker).await?,
        administrator: format!("Bearer {}", triad.key()),
        writes: "check",
        reads: &["roles", "users"],
        victim: (victim.to_owned(), secret.to_owned(), probe),
    };
    target.withstands_everything().await?;
    triad.stop().await
}

//! API keys, scopes and tokens: who gets in, until when, and what is told of it.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use contracts::identity::{ChangeKind, Revocation};
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Identities, Service};
use crate::process::free_port;
use crate::world::until;

/// An installation that was bootstrapped.
pub(crate) struct Installed {
    pub(crate) identities: Identities,
    pub(crate) folder: tempfile::TempDir,
    /// Client id and key of the administrator.
    pub(crate) admin: (String, String),
}

impl Installed {
    pub(crate) async fn new(overrides: &[(&str, &str)]) -> Result<Self> {
        Self::of(&Identities::new(overrides).await?)
    }

    /// Of a database that has no credentials yet.
    pub(crate) fn of(identities: &Identities) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let secrets = folder.path().join("secrets.json").display().to_string();
        let identities = identities.with(&[("SECRETS_FILE", &secrets)]);
        let said = bootstrap(&identities, folder.path())?;
        let behind = |what: &str| {
            let line = said.lines().find(|line| line.contains(what)).context("not said")?;
            anyhow::Ok(line.rsplit(' ').next().unwrap_or_default().to_owned())
        };
        let admin = (behind("client id")?, behind("API key")?);
        Ok(Self { identities, folder, admin })
    }

    /// Starts the service, which can sign then.
    pub(crate) async fn start(&self) -> Result<Service> {
        let service = self.identities.start().await?;
        until("there is a key to sign with", async || {
            let answer = service.get("/.well-known/jwks.json").await?;
            let is_there = answer.status == StatusCode::OK;
            Ok(if is_there { Ok(()) } else { Err(answer.body.to_string()) })
        })
        .await?;
        Ok(service)
    }

    /// A file with the keys that it signs with.
    pub(crate) async fn keys(&self, service: &Service) -> Result<String> {
        let file = self.folder.path().join("jwks.json");
        let set = service.get("/.well-known/jwks.json").await?.must(200)?.body;
        std::fs::write(&file, set.to_string())?;
        Ok(file.display().to_string())
    }
}

fn bootstrap(identities: &Identities, folder: &std::path::Path) -> Result<String> {
    let output = identities
        .command()?
        .args(["bootstrap", "--out"])
        .arg(folder)
        .stdin(Stdio::null())
        .output()?;
    let refused = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{refused}");
    Ok(String::from_utf8(output.stdout)?)
}

impl Service {
    /// A form to a token route, by a client; without one, by nobody.
    pub(crate) async fn form(
        &self,
        path: &str,
        client: Option<(&str, &str)>,
        form: &[(&str, &str)],
    ) -> Result<Answer> {
        let mut request = self.process().client.post(self.process().url(path));
        if let Some((id, secret)) = client {
            request = request.basic_auth(id, Some(secret));
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let kind = "application/x-www-form-urlencoded";
        let answer = request.header("content-type", kind).body(body).send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    async fn token(&self, client: (&str, &str)) -> Result<Answer> {
        self.form("/oauth2/token", Some(client), &[("grant_type", "client_credentials")]).await
    }

    pub(crate) async fn access(&self, client: (&str, &str)) -> Result<String> {
        let answer = self.token(client).await?.must(200)?;
        Ok(answer.body["access_token"].as_str().context("no token")?.to_owned())
    }

    async fn introspect(&self, asker: (&str, &str), token: &str) -> Result<Value> {
        let answer = self.form("/oauth2/introspect", Some(asker), &[("token", token)]).await?;
        Ok(answer.must(200)?.body)
    }

    async fn is_active(&self, asker: (&str, &str), token: &str) -> Result<bool> {
        Ok(self.introspect(asker, token).await?["active"] == true)
    }

    /// A service account with scopes; its id.
    pub(crate) async fn account(
        &self,
        tenant: &str,
        name: &str,
        scopes: &[&str],
    ) -> Result<String> {
        let path = format!("/v1/tenants/{tenant}/service-accounts");
        let id = self.post(&path, json!({"name": name})).await?.must(201)?.id()?;
        let scopes = json!({ "scopes": scopes });
        let path = format!("{path}/{id}/scopes");
        self.ask(Method::PUT, &path, &[], scopes).await?.must(200)?;
        Ok(id)
    }

    /// A key of it: its id and secret.
    pub(crate) async fn key(
        &self,
        tenant: &str,
        account: &str,
        body: Value,
    ) -> Result<(String, String)> {
        let path = format!("/v1/tenants/{tenant}/service-accounts/{account}/keys");
        let answer = self.post(&path, body).await?.must(201)?;
        let secret = answer.body["secret"].as_str().context("no secret")?.to_owned();
        Ok((answer.id()?, secret))
    }
}

/// What a token says, unverified.
fn claims(token: &str) -> Result<Value> {
    use base64::Engine as _;
    let body = token.split('.').nth(1).context("no claims")?;
    let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body)?;
    Ok(serde_json::from_slice(&body)?)
}

#[tokio::test]
async fn a_service_account_gets_a_token_for_what_it_may() -> Result<()> {
    let installed = Installed::new(&[]).await?;
    let service = installed.start().await?;
    let admin = (installed.admin.0.as_str(), installed.admin.1.as_str());
    service.tenant("acme").await?;
    let account = service.account("acme", "ci", &["authz:check", "audit:write"]).await?;
    let (key, secret) = service.key("acme", &account, json!({"name": "k"})).await?;
    let client = (account.as_str(), secret.as_str());
    let answer = service.token(client).await?.must(200)?;
    ensure!(answer.header("cache-control") == "no-store", "{answer:?}");
    ensure!(answer.body["token_type"] == "Bearer" && answer.body["expires_in"] == 300);
    let token = answer.body["access_token"].as_str().context("no token")?;
    let said = claims(token)?;
    ensure!(said["sub"] == format!("service_account:{account}") && said["tid"] == "acme");
    ensure!(said["client_id"] == account && said["aud"] == "triad", "{said}");
    ensure!(said["scope"] == "audit:write authz:check", "{said}");
    let active = service.introspect(admin, token).await?;
    ensure!(active["active"] == true && active["jti"] == said["jti"], "{active}");
    ensure!(service.introspect(admin, &secret).await?["key_id"] == key);
    // Less, but never more.
    let ask = async |scope: &str| {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        service.form("/oauth2/token", Some(client), &form).await
    };
    ensure!(ask("authz:check").await?.must(200)?.body["scope"] == "authz:check");
    for scope in ["system:admin", "authz:check system:admin", "nonsense"] {
        ensure!(ask(scope).await?.must(400)?.body["error"] == "invalid_scope");
    }
    // In the form instead of the header.
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client.0),
        ("client_secret", client.1),
    ];
    service.form("/oauth2/token", None, &form).await?.must(200)?;
    ensure!(service.form("/oauth2/token", Some(client), &form).await?.status == 400, "twice");
    let password = [("grant_type", "password"), ("username", "u"), ("password", "p")];
    let refused = service.form("/oauth2/token", Some(client), &password).await?.must(400)?;
    ensure!(refused.body["error"] == "unsupported_grant_type");
    // What was issued was told before.
    let sql =
        "SELECT payload FROM outbox WHERE tenant_id = 'acme' AND topic = 'audit' AND seq IS NULL";
    let rows = installed.identities.db.rows(sql, &[]).await?;
    let events: Vec<Value> = rows
        .iter()
        .map(|row| Ok(serde_json::from_str(&row.text("payload")?)?))
        .collect::<Result<_>>()?;
    let of = |jti: &Value| events.iter().find(|event| event["details"]["jti"] == *jti);
    let event = of(&said["jti"]).context("not audited")?;
    ensure!(event["action"] == "token.issued" && event["actor_id"] == account, "{event}");
    ensure!(events.len() == 3, "{events:?}");
    service.stop().await
}

#[tokio::test]
async fn nobody_else_gets_one() -> Result<()> {
    let installed = Installed::new(&[]).await?;
    let service = installed.start().await?;
    let admin = (installed.admin.0.as_str(), installed.admin.1.as_str());
    for tenant in ["acme", "other"] {
        service.tenant(tenant).await?;
    }
    let account = service.account("acme", "ci", &["audit:write", "token:introspect"]).await?;
    let other = service.account("other", "ci", &["token:introspect"]).await?;
    let (_, foreign) = service.key("other", &other, json!({"name": "k"})).await?;
    let (key, secret) = service.key("acme", &account, json!({"name": "k"})).await?;
    let client = (account.as_str(), secret.as_str());
    let token = service.access(client).await?;
    let mut mistyped = secret.clone();
    mistyped.replace_range(12..13, if &secret[12..13] == "a" { "b" } else { "a" });
    for bad in [
        (account.as_str(), mistyped.as_str()),
        (account.as_str(), foreign.as_str()),
        (other.as_str(), secret.as_str()),
        (account.as_str(), ""),
        ("", "x"),
    ] {
        let refused = service.token(bad).await?.must(401)?;
        ensure!(refused.body["error"] == "invalid_client", "{}", refused.body);
        ensure!(refused.header("www-authenticate").starts_with("Basic"));
    }
    service
        .form("/oauth2/token", None, &[("grant_type", "client_credentials")])
        .await?
        .must(401)?;
    // Another tenant sees nothing, and whoever may not ask nothing at all.
    ensure!(!service.is_active((&other, &foreign), &token).await?);
    ensure!(!service.is_active((&other, &foreign), &secret).await?);
    ensure!(service.is_active(client, &token).await?);
    let path = "/oauth2/revoke";
    let refused = service.form(path, Some((&other, &foreign)), &[("token", &token)]).await?;
    ensure!(refused.must(400)?.body["error"] == "unauthorized_client");
    ensure!(service.is_active(admin, &token).await?, "nobody of another tenant revokes it");

    // Every way in which a key ends.
    let keys = format!("/v1/tenants/acme/service-accounts/{account}/keys");
    let past = json!({"name": "p", "expires_at": "2020-01-01T00:00:00Z"});
    ensure!(service.post(&keys, past).await?.must(400)?.faults() == ["expires_at"]);
    let more = json!({"name": "m", "scopes": ["system:admin"]});
    ensure!(service.post(&keys, more).await?.must(400)?.faults() == ["scopes"]);
    let rotate = format!("{keys}/{key}/rotate");
    let rotated = service.post(&rotate, json!({"overlap_seconds": 600}));
    let new = rotated.await?.must(200)?.body["secret"].as_str().context("no secret")?.to_owned();
    for secret in [&secret, &new] {
        service.token((&account, secret)).await?.must(200)?;
    }
    let again = service.post(&rotate, json!({"overlap_seconds": 0}));
    let newest = again.await?.must(200)?.body["secret"].as_str().context("no secret")?.to_owned();
    for secret in [&secret, &new] {
        service.token((&account, secret)).await?.must(401)?;
    }
    service.token((&account, &newest)).await?.must(200)?;
    let accounts = format!("/v1/tenants/acme/service-accounts/{account}");
    service.post(&format!("{accounts}/deactivate"), Value::Null).await?.must(200)?;
    service.token((&account, &newest)).await?.must(401)?;
    ensure!(!service.is_active(admin, &token).await?, "inactive");
    service.post(&format!("{accounts}/reactivate"), Value::Null).await?.must(200)?;
    service.post("/v1/tenants/acme/suspend", Value::Null).await?.must(200)?;
    service.token((&account, &newest)).await?.must(401)?;
    ensure!(!service.is_active(admin, &token).await?, "suspended");
    service.post("/v1/tenants/acme/reactivate", Value::Null).await?.must(200)?;
    ensure!(service.is_active(admin, &token).await?);
    service.delete(&format!("{keys}/{key}")).await?.must(204)?;
    service.token((&account, &newest)).await?.must(401)?;
    ensure!(service.get(&format!("{keys}/{key}")).await?.must(200)?.body["revoked_at"].is_string());
    service.post(&rotate, json!({})).await?.must(409)?;
    // Uses of what is void are in the trail; what nobody knows is not.
    let sql = "SELECT COUNT(*) AS n FROM outbox WHERE topic = 'audit' AND payload LIKE ?";
    let of = async |what: &str| {
        installed
            .identities
            .count(sql, &[format!("%\"token.refused\"%{what}%").as_str().into()])
            .await
    };
    ensure!(of("revoked").await? == 1 && of("inactive").await? == 1 && of("suspended").await? == 1);
    service.stop().await
}

#[tokio::test]
async fn a_revoked_token_is_void_and_everybody_is_told() -> Result<()> {
    let installed = Installed::new(&[]).await?;
    let service = installed.start().await?;
    let admin = (installed.admin.0.as_str(), installed.admin.1.as_str());
    service.tenant("acme").await?;
    let account = service.account("acme", "ci", &["audit:write", "authz:check"]).await?;
    let (key, secret) = service.key("acme", &account, json!({"name": "k"})).await?;
    let client = (account.as_str(), secret.as_str());
    let (one, two) = (service.access(client).await?, service.access(client).await?);
    for _ in 0..2 {
        // Revoking what is void is no error.
        service.form("/oauth2/revoke", Some(client), &[("token", &one)]).await?.must(200)?;
    }
    ensure!(!service.is_active(admin, &one).await? && service.is_active(admin, &two).await?);
    // Who may less from now on has no token that says more.
    let path = format!("/v1/tenants/acme/service-accounts/{account}/scopes");
    let fewer = json!({"scopes": ["authz:check"]});
    service.ask(Method::PUT, &path, &[], fewer).await?.must(200)?;
    ensure!(!service.is_active(admin, &two).await?);
    service.form("/oauth2/revoke", Some(client), &[("token", &secret)]).await?.must(200)?;
    service.token(client).await?.must(401)?;
    service.form("/oauth2/revoke", Some(admin), &[("token", "nonsense")]).await?.must(200)?;
    let jti = claims(&one)?["jti"].clone();
    let sql =
        "SELECT payload FROM outbox WHERE tenant_id = 'acme' AND topic = 'changes' ORDER BY id";
    let mut told = Vec::new();
    for row in installed.identities.db.rows(sql, &[]).await? {
        match contracts::identity::Change::parse(row.text("payload")?.as_bytes())?.kind {
            ChangeKind::CredentialsRevoked(Revocation::Token { jti }) => told.push(jti.to_string()),
            ChangeKind::CredentialsRevoked(Revocation::Subject { subject, .. }) => {
                told.push(subject.to_string());
            }
            ChangeKind::ApiKeyRevoked(key) => told.push(key.id.to_string()),
            _ => {}
        }
    }
    let expected = [jti.as_str().context("no jti")?, &format!("service_account:{account}"), &key];
    ensure!(told == expected, "{told:?}");
    service.stop().await
}

#[tokio::test]
async fn a_secret_is_told_once_and_kept_nowhere() -> Result<()> {
    let installed = Installed::new(&[]).await?;
    let service = installed.start().await?;
    service.tenant("acme").await?;
    let account = service.account("acme", "ci", &["audit:write"]).await?;
    let path = format!("/v1/tenants/acme/service-accounts/{account}/keys");
    let body = json!({"name": "k"});
    let made = service.keyed(&path, "key-1", body.clone()).await?.must(201)?;
    let secret = made.body["secret"].as_str().context("no secret")?;
    let again = service.keyed(&path, "key-1", body).await?.must(201)?;
    ensure!(again.body == made.body && again.header("idempotency-replayed") == "true");
    let token = service.access((&account, secret)).await?;
    let shown = service.get(&format!("{path}/{}", made.id()?)).await?.must(200)?;
    ensure!(shown.body.get("secret").is_none(), "{}", shown.body);
    let snapshot = service.get("/v1/tenants/acme/snapshot").await?.must(200)?;
    let mut everything = snapshot.body.to_string();
    // Every column of every row that this could have been written to.
    let columns = "SELECT table_name AS t, column_name AS c FROM information_schema.columns \
                   WHERE table_schema = DATABASE()";
    let mut by_table: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in installed.identities.db.rows(columns, &[]).await? {
        by_table.entry(row.text("t")?).or_default().push(row.text("c")?);
    }
    for (table, columns) in by_table {
        let columns: Vec<_> =
            columns.iter().map(|c| format!("COALESCE(CAST(`{c}` AS CHAR), '')")).collect();
        let sql =
            format!("SELECT CONCAT_WS(' ', {}) AS all_of_it FROM `{table}`", columns.join(", "));
        for row in installed.identities.db.rows(sql, &[]).await? {
            everything += &String::from_utf8_lossy(&row.bytes("all_of_it")?);
        }
    }
    ensure!(everything.contains(&account), "it was looked at");
    let admin = &installed.admin.1;
    for hidden in [secret, token.as_str(), admin.as_str()] {
        ensure!(!everything.contains(hidden), "a secret is kept in clear");
    }
    service.stop().await
}

#[tokio::test]
async fn nobody_grants_what_they_lack_and_tokens_bind_to_their_tenant() -> Result<()> {
    let port = free_port()?;
    let issuer = format!("http://127.0.0.1:{port}");
    let installed = Installed::new(&[("TOKENS__ISSUER", &issuer)]).await?;
    // One replica issues; the other one knows its tokens by the key set, as every service does.
    let issues = installed.start().await?;
    let keys = installed.keys(&issues).await?;
    issues.tenant("acme").await?;
    issues.tenant("other").await?;
    let scopes = ["tenant:admin", "identity:read", "identity:write"];
    let account = issues.account("acme", "helper", &scopes).await?;
    let (_, secret) = issues.key("acme", &account, json!({"name": "k"})).await?;
    let helper = format!("Bearer {}", issues.access((&account, &secret)).await?);
    let admin = issues.access((&installed.admin.0, &installed.admin.1)).await?;
    let admin = format!("Bearer {admin}");
    let guarded = installed
        .identities
        .with(&[("AUTH__MODE", "jwt"), ("AUTH__JWKS_FILE", &keys), ("AUTH__ISSUER", &issuer)])
        .start()
        .await?;
    let users = async |tenant: &str, bearer: &str| {
        let path = format!("/v1/tenants/{tenant}/users");
        let sent = [("authorization", bearer)];
        let answer = guarded.ask(Method::GET, &path, &sent, Value::Null);
        anyhow::Ok(answer.await?.status.as_u16())
    };
    ensure!(users("acme", &helper).await? == 200 && users("other", &helper).await? == 404);
    ensure!(users("acme", &admin).await? == 200 && users("other", &admin).await? == 200);
    ensure!(users("acme", "Bearer x.y.z").await? == 401);
    let put = async |bearer: &str, scopes: Value| {
        let path = format!("/v1/tenants/acme/service-accounts/{account}/scopes");
        let body = json!({ "scopes": scopes });
        guarded.ask(Method::PUT, &path, &[("authorization", bearer)], body).await
    };
    let more = json!(["tenant:admin", "identity:read", "identity:write", "audit:read"]);
    ensure!(put(&helper, more.clone()).await?.must(400)?.faults() == ["scopes"]);
    put(&admin, more).await?.must(200)?;
    // A key of its own, for which no scope was named, may no more than its account.
    let path = format!("/v1/tenants/acme/service-accounts/{account}/scopes");
    let held = issues.get(&path).await?.must(200)?.body;
    ensure!(held["scopes"].as_array().map(Vec::len) == Some(4), "{held}");
    guarded.stop().await?;
    issues.stop().await
}

#[tokio::test]
async fn replicas_publish_the_same_keys_and_bootstrap_is_done_once() -> Result<()> {
    let installed = Installed::new(&[]).await?;
    let services = [installed.start().await?, installed.start().await?];
    let sets = try_join_all(services.iter().map(|s| s.get("/.well-known/jwks.json"))).await?;
    ensure!(sets[0].body == sets[1].body, "one rotator");
    ensure!(sets[0].body["keys"].as_array().map(Vec::len) == Some(1), "{}", sets[0].body);
    ensure!(sets[0].header("cache-control") == "public, max-age=300");
    let found = services[1].get("/.well-known/oauth-authorization-server").await?.must(200)?;
    ensure!(found.body["token_endpoint"] == "http://127.0.0.1:8101/oauth2/token");
    let token = services[0].access((&installed.admin.0, &installed.admin.1)).await?;
    let introspects = std::fs::read_to_string(installed.folder.path().join("ingest.key"))?;
    let asked = services[1].introspect(("", ""), &token).await;
    ensure!(asked.is_err(), "nobody asks as nobody");
    let form = [("token", token.as_str()), ("client_secret", introspects.trim())];
    let seen = services[1].form("/oauth2/introspect", None, &form).await?.must(200)?;
    ensure!(seen.body["active"] == true, "the other replica's token: {}", seen.body);
    let elsewhere = tempfile::tempdir()?;
    let again = bootstrap(&installed.identities, elsewhere.path());
    ensure!(again.is_err_and(|error| error.to_string().contains("done before")));
    ensure!(!elsewhere.path().join("ingest.key").exists());
    for service in services {
        service.stop().await?;
    }
    // Without secrets everything else works.
    let plain = Identities::new(&[]).await?;
    let service = plain.start().await?;
    service.tenant("acme").await?;
    service.get("/.well-known/jwks.json").await?.must(503)?;
    service.token(("a", "b")).await?.must(503)?;
    service.stop().await
}

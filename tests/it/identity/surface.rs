//! Every route as its document has it: another tenant's things are not there, and no answer or event holds a
//! secret.

use anyhow::{Context, Result, ensure};
use identity_admin::credentials::Secrets;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Identities, Service};
use crate::issuer::Issuer;

const EVERYTHING: &str = "audit:write audit:read authz:check authz:write identity:read identity:write \
     token:introspect tenant:admin";

/// What a tenant has one of each.
struct Things {
    user: String,
    account: String,
    key: String,
    team: String,
}

async fn ask(
    service: &Service,
    bearer: &str,
    (method, path): (&str, &str),
    body: Value,
) -> Result<Answer> {
    let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
    service.ask(method, path, &[("authorization", bearer), ("if-match", "*")], body).await
}

async fn things(service: &Service, bearer: &str, tenant: &str) -> Result<Things> {
    let make = async |what: &str, body: Value| {
        let path = format!("/v1/tenants/{tenant}/{what}");
        ask(service, bearer, ("POST", &path), body).await?.must(201)?.id()
    };
    let account = make("service-accounts", json!({"name": "s"})).await?;
    let key = make(&format!("service-accounts/{account}/keys"), json!({"name": "k"})).await?;
    let things = Things {
        user: make("users", json!({"email": "u@x.y"})).await?,
        account,
        key,
        team: make("teams", json!({"name": "t"})).await?,
    };
    let member = format!("/v1/tenants/{tenant}/teams/{}/members/user/{}", things.team, things.user);
    ask(service, bearer, ("PUT", &member), Value::Null).await?.must(201)?;
    Ok(things)
}

impl Things {
    /// A path of the document that is about them, in that tenant.
    fn fill(&self, path: &str, tenant: &str) -> String {
        path.replace("{tenant}", tenant)
            .replace("{user}", &self.user)
            .replace("{account}", &self.account)
            .replace("{key}", &self.key)
            .replace("{team}", &self.team)
            .replace("{type}", "user")
            .replace("{member}", &self.user)
            .replace("{email}", "u@x.y")
    }
}

/// A body that the operation would take.
fn body(path: &str, method: &str) -> Value {
    match (method, path.rsplit('/').next()) {
        ("post", Some("tenants")) => {
            json!({"id": "new", "name": "N", "administrator": {"email": "a@b.c"}})
        }
        ("post", Some("users")) => json!({"email": "new@x.y"}),
        ("post", Some("teams" | "service-accounts" | "keys")) => json!({"name": "new"}),
        ("put", Some("scopes")) => json!({"scopes": []}),
        ("put", Some("password")) => json!({"password": "correct horse battery"}),
        ("patch" | "put", Some("settings")) => json!({"locale": "fr"}),
        ("patch", Some("{user}")) => json!({"display_name": "new"}),
        ("patch", _) => json!({"name": "newer"}),
        _ => Value::Null,
    }
}

#[tokio::test]
async fn another_tenant_s_token_finds_nothing_by_any_route() -> Result<()> {
    let issuer = Issuer::new()?;
    let keys = issuer.keys();
    let folder = tempfile::tempdir()?;
    let secrets = folder.path().join("secrets.json");
    Secrets::create(&secrets)?;
    let secrets = secrets.display().to_string();
    let identities = Identities::new(&[
        ("AUTH__MODE", "jwt"),
        ("AUTH__JWKS_FILE", &keys),
        ("SECRETS_FILE", &secrets),
    ])
    .await?;
    let service = identities.start().await?;
    let system =
        issuer.bearer("_system", "service_account:ops", &format!("{EVERYTHING} system:admin"))?;
    for id in ["acme", "other"] {
        let tenant = json!({"id": id, "name": id, "administrator": {"email": "a@b.c"}});
        ask(&service, &system, ("POST", "/v1/tenants"), tenant).await?.must(201)?;
    }
    let acme = things(&service, &system, "acme").await?;
    let before = identities.changes("acme").await?;
    let other = issuer.bearer("other", "user:u", EVERYTHING)?;
    let document = service.get("/openapi/identity-admin.json").await?.must(200)?.body;
    let paths = document["paths"].as_object().context("no paths")?;
    let mut asked = 0;
    // Those that speak OAuth know their callers by other means: `credentials`.
    let paths: Vec<_> = paths.iter().filter(|(path, _)| path.starts_with("/v1/")).collect();
    for (path, item) in &paths {
        for method in item.as_object().context("no operations")?.keys() {
            let body = body(path, method);
            if !path.contains("{tenant}") {
                ask(&service, &other, (method, path), body).await?.must(403)?;
                continue;
            }
            // Its own things, under its own name.
            let at = acme.fill(path, "acme");
            let case =
                |answer: &Answer| format!("{method} {path}: {} {}", answer.status, answer.body);
            let answer = ask(&service, &other, (method, &at), body.clone()).await?;
            ensure!(answer.status == 404, "{}", case(&answer));
            // Its things, looked for where the caller is at home.
            let rest = path.trim_start_matches("/v1/tenants/{tenant}");
            if rest.contains('{') {
                let answer =
                    ask(&service, &other, (method, &acme.fill(path, "other")), body).await?;
                ensure!(answer.status == 404, "{}", case(&answer));
            }
            asked += 1;
        }
    }
    ensure!(asked > 25, "{asked}");
    ensure!(identities.changes("acme").await? == before);
    // The same by the platform's token finds all of them, so that 404 says what it seems to. What ends
    // things comes last.
    let mut operations: Vec<_> = paths
        .iter()
        .filter(|(path, _)| path.contains("{tenant}"))
        .flat_map(|(path, item)| {
            item.as_object().into_iter().flatten().map(move |(m, _)| (m, path))
        })
        .collect();
    operations.sort_by_key(|(method, path)| (*method == "delete", std::cmp::Reverse(path.len())));
    for (method, path) in operations {
        let answer =
            ask(&service, &system, (method, &acme.fill(path, "acme")), body(path, method)).await?;
        let fine = answer.status.is_success();
        ensure!(fine, "{method} {path}: {} {}", answer.status, answer.body);
    }
    service.stop().await
}

#[tokio::test]
async fn no_answer_event_or_stored_answer_holds_a_hash() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let users = "/v1/tenants/acme/users";
    let id = service.keyed(users, "k", json!({"email": "u@x.y"})).await?.must(201)?.id()?;
    let user = format!("{users}/{id}");
    let secret = "$argon2id$v=19$m=19456,t=2,p=1$c2VjcmV0";
    let set = "UPDATE users SET hashed_password = ?";
    identities.db.execute(set, &[secret.into()]).await?;
    let private = json!({"preferences": {"private": "argon2id-like-preference"}});
    let answers = [
        service.patch(&user, "", json!({"display_name": "U"})).await?.must(200)?,
        service.patch(&format!("{user}/settings"), "", private).await?.must(200)?,
        service.post(&format!("{user}/deactivate"), Value::Null).await?.must(200)?,
        service.get(&user).await?.must(200)?,
        service.get(users).await?.must(200)?,
        service.keyed(&format!("{user}/reactivate"), "r", Value::Null).await?.must(200)?,
        service.delete(&user).await?.must(204)?,
    ];
    let shown = answers.iter().map(|answer| answer.body.to_string()).collect::<String>();
    ensure!(!shown.contains("$argon2id") && !shown.contains("password"), "{shown}");
    for sql in [
        "SELECT payload AS kept FROM outbox",
        "SELECT CONVERT(answer USING utf8mb4) AS kept FROM idempotency_keys",
    ] {
        let rows = identities.db.rows(sql, &[]).await?;
        ensure!(!rows.is_empty());
        for row in rows {
            let kept = row.text("kept")?;
            // Preferences are nobody's business but the user's.
            ensure!(!kept.contains("argon2id") && !kept.contains("password"), "{kept}");
        }
    }
    service.stop().await
}

//! Life cycles, and what is told of them.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Identities, Service};

/// What was told of a tenant, type by type.
async fn told(identities: &Identities, tenant: &str) -> Result<Vec<&'static str>> {
    let changes = identities.changes(tenant).await?;
    Ok(changes.iter().map(|change| change.kind.name()).collect())
}

#[tokio::test]
async fn a_tenant_and_its_first_administrator_are_made_together_or_not_at_all() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    let made = service.tenant("acme").await?;
    ensure!(made.header("location") == "/v1/tenants/acme" && made.header("etag") == "\"1\"");
    let administrator = made.body["administrator"]["id"].as_str().unwrap_or_default();
    let settings = format!("/v1/tenants/acme/users/{administrator}/settings");
    ensure!(service.get(&settings).await?.must(200)?.body["locale"] == "en");
    let scopes =
        "SELECT COUNT(*) AS n FROM principal_scopes WHERE tenant_id = 'acme' AND user_id = ?";
    ensure!(identities.count(scopes, &[administrator.into()]).await? == 6);
    ensure!(told(&identities, "acme").await? == ["tenant.created", "user.created"]);

    for (id, name, field) in [("acme", "Other", "id"), ("other", "acme Ltd", "name")] {
        let body = json!({"id": id, "name": name, "administrator": {"email": "a@b.c"}});
        let refused = service.post("/v1/tenants", body).await?.must(409)?;
        ensure!(refused.faults() == [field], "{}", refused.body);
    }
    let left = "SELECT (SELECT COUNT(*) FROM tenant_changes WHERE tenant_id = 'other') \
                + (SELECT COUNT(*) FROM users WHERE email = 'a@b.c') AS n";
    ensure!(identities.count(left, &[]).await? == 0);
    ensure!(told(&identities, "acme").await?.len() == 2);
    service.stop().await
}

#[tokio::test]
async fn a_tenant_is_renamed_suspended_and_deleted_and_its_id_does_not_come_back() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    service.team("acme", "t").await?;
    let tenant = "/v1/tenants/acme";
    let renamed = service.patch(tenant, "\"1\"", json!({"name": "Acme plc"})).await?.must(200)?;
    ensure!(renamed.header("etag") == "\"2\"" && renamed.body["name"] == "Acme plc");
    service.patch(tenant, "\"1\"", json!({"name": "x"})).await?.must(412)?;
    let suspend = format!("{tenant}/suspend");
    let suspended = service.post(&suspend, Value::Null).await?.must(200)?;
    ensure!(suspended.body["status"] == "suspended");
    // Done already: nothing is told.
    ensure!(service.post(&suspend, Value::Null).await?.must(200)?.header("etag") == "\"3\"");
    ensure!(service.list("/v1/tenants", "&status=suspended").await?.len() == 1);
    service.post(&format!("{tenant}/reactivate"), Value::Null).await?.must(200)?;
    service.delete(tenant).await?.must(204)?;
    for gone in [tenant, "/v1/tenants/acme/users", "/v1/tenants/acme/teams"] {
        service.get(gone).await?.must(404)?;
    }
    service.delete(tenant).await?.must(404)?;
    let again = json!({"id": "acme", "name": "x", "administrator": {"email": "a@b.c"}});
    ensure!(service.post("/v1/tenants", again).await?.must(409)?.faults() == ["id"]);
    let kinds = [
        "tenant.created",
        "user.created",
        "team.created",
        "tenant.updated",
        "tenant.suspended",
        "tenant.updated",
        "tenant.deleted",
    ];
    ensure!(told(&identities, "acme").await? == kinds);
    let left = "SELECT (SELECT COUNT(*) FROM users) + (SELECT COUNT(*) FROM user_settings) \
                + (SELECT COUNT(*) FROM teams) + (SELECT COUNT(*) FROM principal_scopes) AS n";
    ensure!(identities.count(left, &[]).await? == 0);
    for refused in [
        service.delete("/v1/tenants/_system").await?,
        service.post("/v1/tenants/_system/suspend", Value::Null).await?,
    ] {
        refused.must(409)?;
    }
    service.stop().await
}

#[tokio::test]
async fn a_user_lives_and_its_changes_are_told_without_gaps() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let users = "/v1/tenants/acme/users";
    let form = json!({"email": "Ada@Example.COM", "display_name": "Ada",
        "attributes": {"clearance": 3}, "settings": {"locale": "de-AT"}});
    let made = service.post(users, form.clone()).await?.must(201)?;
    let user = format!("{users}/{}", made.id()?);
    ensure!(made.header("location") == user && made.body["email"] == "ada@example.com");
    ensure!(!made.header("triad-consistency-token").is_empty());
    ensure!(service.post(users, form).await?.must(409)?.faults() == ["email"]);

    let namesake = json!({"email": "eve@example.com", "user_name": "ADA@example.com"});
    ensure!(service.post(users, namesake).await?.must(409)?.faults() == ["user_name"]);

    ensure!(service.get(&user).await?.must(200)?.body == made.body);
    let found = service.get(&format!("{users}/by-email/ADA@example.com")).await?.must(200)?;
    ensure!(found.body == made.body);
    let known = [("if-none-match", "\"1\"")];
    service.ask(Method::GET, &user, &known, Value::Null).await?.must(304)?;

    let patch = json!({"attributes": {"clearance": 4}, "display_name": null});
    let changed = service.patch(&user, "\"1\"", patch).await?.must(200)?;
    ensure!(changed.body["attributes"]["clearance"] == 4 && changed.body["display_name"].is_null());
    // Nothing changes, so nothing is told and no number is taken.
    let same =
        service.patch(&user, "\"2\"", json!({"email": "ada@example.com"})).await?.must(200)?;
    ensure!(same.header("etag") == "\"2\"");
    ensure!(same.header("triad-consistency-token") == changed.header("triad-consistency-token"));
    service.patch(&user, "\"1\"", json!({"display_name": "x"})).await?.must(412)?;

    settings(&service, &user).await?;
    service.post(&format!("{user}/deactivate"), Value::Null).await?.must(200)?;
    ensure!(service.list(users, "&active=false").await?.len() == 1);
    service.post(&format!("{user}/reactivate"), Value::Null).await?.must(200)?;
    service.delete(&user).await?.must(204)?;
    service.get(&user).await?.must(404)?;
    service.delete(&user).await?.must(404)?;
    let kinds = [
        "tenant.created",
        "user.created",
        "user.created",
        "user.updated",
        "user.updated",
        "user.updated",
        "user.deactivated",
        "user.reactivated",
        "user.deleted",
    ];
    ensure!(told(&identities, "acme").await? == kinds);
    service.stop().await
}

/// Two changes of a user's settings.
async fn settings(service: &Service, user: &str) -> Result<()> {
    let settings = format!("{user}/settings");
    let put = async |etag: &str| {
        let headers = [("if-match", etag)];
        let headers = if etag.is_empty() { &[][..] } else { &headers[..] };
        service.ask(Method::PUT, &settings, headers, json!({"time_zone": "Europe/Vienna"})).await
    };
    ensure!(service.get(&settings).await?.must(200)?.body["locale"] == "de-AT");
    put("").await?.must(428)?;
    put("\"7\"").await?.must(412)?;
    let replaced = put("\"1\"").await?.must(200)?;
    ensure!(replaced.body["locale"] == "en" && replaced.body["time_zone"] == "Europe/Vienna");
    let patch = json!({"preferences": {"theme": "dark"}});
    let patched = service.patch(&settings, "", patch).await?.must(200)?;
    ensure!(patched.header("etag") == "\"3\"" && patched.body["time_zone"] == "Europe/Vienna");
    Ok(())
}

#[tokio::test]
async fn teams_hold_users_service_accounts_and_teams_but_never_themselves() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let base = "/v1/tenants/acme";
    let accounts = format!("{base}/service-accounts");
    let account = service.post(&accounts, json!({"name": "billing"})).await?.must(201)?.id()?;
    ensure!(
        service.post(&accounts, json!({"name": "billing"})).await?.must(409)?.faults() == ["name"]
    );
    let user = service.user("acme", "u").await?;
    let (a, b, c) = (
        service.team("acme", "a").await?,
        service.team("acme", "b").await?,
        service.team("acme", "c").await?,
    );
    let member =
        |team: &str, kind: &str, id: &str| format!("{base}/teams/{team}/members/{kind}/{id}");
    for path in [
        member(&a, "user", &user),
        member(&a, "service_account", &account),
        member(&a, "team", &b),
        member(&b, "team", &c),
    ] {
        service.put(&path).await?.must(201)?;
        service.put(&path).await?.must(200)?;
    }
    for ring in [member(&a, "team", &a), member(&b, "team", &a), member(&c, "team", &a)] {
        service.put(&ring).await?.must(409)?;
    }
    for nobody in
        [member(&a, "user", &account), member(&a, "team", "x"), member("x", "user", &user)]
    {
        service.put(&nobody).await?.must(404)?;
    }
    let members = service.list(&format!("{base}/teams/{a}/members"), "").await?;
    let kinds: Vec<_> = members.iter().map(|member| member["type"].as_str()).collect();
    ensure!(kinds == [Some("user"), Some("service_account"), Some("team")], "{members:?}");
    // The team is another version with each of them.
    ensure!(service.get(&format!("{base}/teams/{a}")).await?.header("etag") == "\"4\"");

    service.delete(&member(&a, "user", &user)).await?.must(204)?;
    service.delete(&member(&a, "user", &user)).await?.must(404)?;
    service.delete(&format!("{accounts}/{account}")).await?.must(204)?;
    service.delete(&format!("{base}/teams/{b}")).await?.must(204)?;
    ensure!(service.list(&format!("{base}/teams/{a}/members"), "").await?.is_empty());
    let told = told(&identities, "acme").await?;
    ensure!(told.iter().filter(|kind| **kind == "team.member_added").count() == 4, "{told:?}");
    ensure!(
        told[told.len() - 3..]
            == ["team.member_removed", "service_account.deleted", "team.deleted"]
    );
    service.stop().await
}

#[tokio::test]
async fn lists_are_sorted_filtered_and_bound_to_their_cursors() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    service.tenant("other").await?;
    for name in ["d", "B", "a", "C"] {
        service.user("acme", name).await?;
    }
    let users = "/v1/tenants/acme/users";
    let names = |list: &[Value]| -> String {
        let name = |user: &Value| user["email"].as_str().and_then(|email| email.chars().next());
        list.iter().filter_map(name).filter(|name| "abcd".contains(*name)).collect()
    };
    // `admin@` begins with an a, too.
    ensure!(names(&service.list(users, "").await?) == "adbac");
    ensure!(names(&service.list(users, "&sort=user_name").await?) == "aabcd");
    ensure!(names(&service.list(users, "&sort=-user_name").await?) == "dcbaa");
    ensure!(names(&service.list(users, "&sort=-created_at").await?) == "cabda");
    ensure!(service.list(users, "&email=B@acme.example").await?.len() == 1);
    let page = service.get(&format!("{users}?limit=2")).await?.must(200)?;
    let cursor = page.body["next_cursor"].as_str().unwrap_or_default();
    for other in [
        format!("{users}?sort=user_name&cursor={cursor}"),
        format!("{users}?active=true&cursor={cursor}"),
        format!("/v1/tenants/other/users?cursor={cursor}"),
        format!("/v1/tenants/acme/teams?cursor={cursor}"),
    ] {
        service.get(&other).await?.must(400)?;
    }
    service.get("/v1/tenants/nobody/users").await?.must(404)?;
    service.stop().await
}

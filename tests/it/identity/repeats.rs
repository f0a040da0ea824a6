//! Idempotency-Key.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::Identities;
use crate::issuer::Issuer;

const USERS: &str = "/v1/tenants/acme/users";

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_another_request_is_refused() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let body = json!({"email": "ada@example.com"});
    let first = service.keyed(USERS, "k-1", body.clone()).await?.must(201)?;
    let again = service.keyed(USERS, "k-1", body.clone()).await?.must(201)?;
    ensure!(again.body == first.body && again.header("idempotency-replayed") == "true");
    ensure!(first.header("idempotency-replayed").is_empty());
    for same in ["location", "etag", "triad-consistency-token", "content-type"] {
        ensure!(
            first.header(same) == again.header(same) && !first.header(same).is_empty(),
            "{same}"
        );
    }
    service.keyed(USERS, "k-1", json!({"email": "eve@example.com"})).await?.must(422)?;
    service.keyed("/v1/tenants/acme/teams", "k-1", json!({"name": "t"})).await?.must(422)?;
    // Its own key: what it wants is there already.
    service.keyed(USERS, "k-2", body).await?.must(409)?;
    ensure!(identities.changes("acme").await?.len() == 3);
    service.stop().await
}

#[tokio::test]
async fn a_refusal_is_not_kept_and_an_answer_only_for_its_life() -> Result<()> {
    let identities = Identities::new(&[("IDEMPOTENCY__SWEEP_SECONDS", "1")]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let ada = service.user("acme", "ada").await?;
    let body = json!({"email": "ada@acme.example"});
    service.keyed(USERS, "k", body.clone()).await?.must(409)?;
    service.delete(&format!("{USERS}/{ada}")).await?.must(204)?;
    let made = service.keyed(USERS, "k", body.clone()).await?.must(201)?;
    // A deletion is answered again as well, though there is nothing left to delete.
    let delete = async || {
        let path = format!("{USERS}/{}", made.id()?);
        let key = [("idempotency-key", "d")];
        service.ask(reqwest::Method::DELETE, &path, &key, Value::Null).await?.must(204)
    };
    delete().await?;
    delete().await?;
    // Moved into the past, both answers end with their lives: the key makes another user.
    let expire = "UPDATE idempotency_keys SET expires_at = '2020-01-01 00:00:00'";
    identities.db.execute(expire, &[]).await?;
    let other = service.keyed(USERS, "k", body).await?.must(201)?;
    ensure!(other.id()? != made.id()?);
    let expired = "SELECT COUNT(*) AS n FROM idempotency_keys WHERE expires_at < '2021-01-01'";
    crate::world::until("the sweep deletes what has expired", async || {
        let left = identities.count(expired, &[]).await?;
        Ok(if left == 0 { Ok(()) } else { Err(format!("{left} left")) })
    })
    .await?;
    service.stop().await
}

#[tokio::test]
async fn concurrent_repeats_get_one_answer() -> Result<()> {
    let identities = Identities::new(&[("MYSQL__ACQUIRE_TIMEOUT_MS", "20000")]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let body = json!({"email": "ada@example.com"});
    let repeats = (0..50).map(|_| service.keyed(USERS, "k", body.clone()));
    let answers = try_join_all(repeats).await?;
    let first = answers.iter().filter(|a| a.header("idempotency-replayed").is_empty()).count();
    ensure!(first == 1);
    ensure!(answers.iter().all(|a| a.status == 201 && a.body == answers[0].body));
    let tenant = json!({"id": "new", "name": "New", "administrator": {"email": "a@b.c"}});
    let repeats = (0..50).map(|_| service.keyed("/v1/tenants", "k", tenant.clone()));
    let answers = try_join_all(repeats).await?;
    ensure!(answers.iter().all(|a| a.status == 201 && a.body == answers[0].body));
    let other = json!({"id": "newer", "name": "Newer", "administrator": {"email": "a@b.c"}});
    service.keyed("/v1/tenants", "k", other).await?.must(422)?;
    ensure!(identities.changes("new").await?.len() == 2);
    service.stop().await
}

#[tokio::test]
async fn a_key_counts_for_one_principal_in_one_tenant() -> Result<()> {
    let issuer = Issuer::new()?;
    let keys = issuer.keys();
    let identities = Identities::new(&[("AUTH__MODE", "jwt"), ("AUTH__JWKS_FILE", &keys)]).await?;
    let service = identities.start().await?;
    let system = issuer.bearer("_system", "service_account:ops", "system:admin identity:write")?;
    for id in ["acme", "other"] {
        let tenant = json!({"id": id, "name": id, "administrator": {"email": "a@b.c"}});
        let headers = [("authorization", system.as_str())];
        service.ask(reqwest::Method::POST, "/v1/tenants", &headers, tenant).await?.must(201)?;
    }
    let callers = [
        ("acme", issuer.bearer("acme", "user:u-1", "identity:write")?),
        ("acme", issuer.bearer("acme", "user:u-2", "identity:write")?),
        ("other", issuer.bearer("other", "user:u-1", "identity:write")?),
        ("other", system),
    ];
    for (n, (tenant, bearer)) in callers.iter().enumerate() {
        let body = json!({"email": format!("u{n}@x.y")});
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k")];
        let path = format!("/v1/tenants/{tenant}/users");
        let made = service.ask(reqwest::Method::POST, &path, &headers, body).await?.must(201)?;
        ensure!(made.header("idempotency-replayed").is_empty(), "{n}");
    }
    service.stop().await
}

#[tokio::test]
async fn after_a_kill_a_repeat_finds_its_answer_or_makes_it() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let body = |n: usize| json!({"email": format!("u{n}@x.y")});
    let key = |n: usize| format!("k-{n}");
    let writes = try_join_all((0..60).map(async |n| {
        // Whoever is cut off knows nothing of the outcome.
        Ok::<_, anyhow::Error>(service.keyed(USERS, &key(n), body(n)).await.ok())
    }));
    let kill = async {
        crate::world::until("some are written", async || {
            let users = identities.count("SELECT COUNT(*) AS n FROM users", &[]).await?;
            Ok(if users > 5 { Ok(()) } else { Err(format!("{users}")) })
        })
        .await?;
        service.process().signal("KILL")
    };
    let (answers, killed) = tokio::join!(writes, kill);
    killed?;
    let next = identities.start().await?;
    for (n, before) in answers?.into_iter().enumerate() {
        let now = next.keyed(USERS, &key(n), body(n)).await?.must(201)?;
        if let Some(before) = before.filter(|before| before.status == 201) {
            ensure!(before.body == now.body, "{n}");
        }
    }
    // The administrator and each of them, once.
    ensure!(identities.changes("acme").await?.len() == 1 + 1 + 60);
    ensure!(identities.count("SELECT COUNT(*) AS n FROM users", &[]).await? == 61);
    next.stop().await
}

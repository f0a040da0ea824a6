//! All three services at once: who somebody is, what they may do, and what was done.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::edge::{Edges, question, role};
use crate::identity::Identities;
use crate::identity::credentials::Installed;
use crate::identity::people::logged_in_to;
use crate::world::{World, until};

const TOKEN: &str = "triad-consistency-token";

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_a_team_may_read_and_who_is_deactivated_may_not() -> Result<()> {
    let world = World::new("e2e", &[]).await?;
    let audit = world.config.kafka.topic.clone();
    let edges = Edges::new(&[
        ("SYNC__MODE", "identity"),
        ("KAFKA__AUDIT_TOPIC", &audit),
        ("KAFKA__PARTITIONS", "4"),
    ])
    .await?;
    let identities = Identities::with_kafka(&[
        ("KAFKA__CHANGES_TOPIC", edges.sync_topic()),
        ("KAFKA__AUDIT_TOPIC", &audit),
        ("KAFKA__PARTITIONS", "4"),
    ])
    .await?;
    let (ingest, identity, edge) =
        (world.ingest().await?, identities.start().await?, edges.start().await?);
    let t = edges.tenant("e2e");

    // Who.
    identity.tenant(&t).await?;
    let user = identity.user(&t, "anna").await?;
    let team = identity.team(&t, "engineering").await?;
    let member = format!("/v1/tenants/{t}/teams/{team}/members/user/{user}");
    let joined = identity.put(&member).await?.must(201)?.header(TOKEN).to_owned();

    // What. Each step waits for what it rests on by its token, and for nothing else.
    let reader = json!({"permissions": [{"action": "read"}]});
    edge.put(&format!("/v1/tenants/{t}/roles/reader"), &reader).await?;
    let binding = role("team", &team, "reader", &Value::Null);
    let list = json!({"writes": [{"op": "create", "relationship": binding}]});
    let path = format!("/v1/tenants/{t}/relationships");
    let bound = edge.ask(Method::POST, &path, &[(TOKEN, &joined)], Some(&list)).await?;
    ensure!(bound.status == StatusCode::OK, "{} {}", bound.status, bound.body);
    let may = async |token: &str| -> Result<bool> {
        let asked = question(&user, "read", ("document", "d-1"));
        let path = format!("/v1/tenants/{t}/check");
        let answer = edge.ask(Method::POST, &path, &[(TOKEN, token)], Some(&asked)).await?;
        ensure!(answer.status == StatusCode::OK, "{} {}", answer.status, answer.body);
        Ok(answer.body["decision"] == true)
    };
    ensure!(may(&bound.token).await?, "a member of a team that is bound");
    let path = format!("/v1/tenants/{t}/users/{user}/deactivate");
    let token = identity.post(&path, Value::Null).await?.must(200)?.header(TOKEN).to_owned();
    ensure!(!may(&token).await?, "nobody who is deactivated");
    let path = format!("/v1/tenants/{t}/users/{user}/reactivate");
    let token = identity.post(&path, Value::Null).await?.must(200)?.header(TOKEN).to_owned();
    ensure!(may(&token).await?, "as before");
    let token = identity.delete(&member).await?.must(204)?.header(TOKEN).to_owned();
    ensure!(!may(&token).await?, "nobody who has left");

    // What was done, by everybody.
    let expected: BTreeSet<_> = [
        "tenant.created",
        "user.created",
        "team.created",
        "team.member_added",
        "authz.role.put",
        "authz.relationship.created",
        "user.deactivated",
        "user.reactivated",
        "team.member_removed",
    ]
    .map(str::to_owned)
    .into();
    until("all of it is in the trail", async || {
        let page = ingest.get(&format!("/v1/tenants/{t}/audit?limit=100")).await?;
        let events = page["events"].as_array().cloned().unwrap_or_default();
        let found: BTreeSet<_> =
            events.iter().filter_map(|e| e["action"].as_str().map(str::to_owned)).collect();
        let missing: Vec<_> = expected.difference(&found).cloned().collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {found:?}")) })
    })
    .await?;
    edge.stop().await?;
    identity.stop().await?;
    ingest.stop().await
}

/// README's second walk: everything is asked for with a token, and the trail says whose.
#[tokio::test(flavor = "multi_thread")]
async fn who_did_it_is_told_and_who_is_deactivated_is_let_in_nowhere() -> Result<()> {
    let world = World::new("second", &[]).await?;
    let audit = world.config.kafka.topic.clone();
    let topics = [("KAFKA__AUDIT_TOPIC", audit.as_str()), ("KAFKA__PARTITIONS", "4")];
    let own = [&topics[..], &[("SCIM__PASSWORDS", "set")]].concat();
    let identities = Identities::with_kafka(&own).await?;
    let changes = identities.config()?.kafka.changes_topic;
    let installed = Installed::of(&identities)?;
    let keys = {
        let issues = installed.start().await?;
        let keys = installed.keys(&issues).await?;
        issues.stop().await?;
        keys
    };
    let guard = [
        ("AUTH__MODE", "jwt"),
        ("AUTH__JWKS_FILE", keys.as_str()),
        ("AUTH__REVOCATIONS_TOPIC", &changes),
    ];
    let sync = [("SYNC__MODE", "identity"), ("SYNC__TOPIC", changes.as_str())];
    let edges = Edges::new(&[&guard[..], &topics, &sync].concat()).await?;
    let (ingest, edge) = (world.with(&guard)?.ingest().await?, edges.start().await?);
    let identity = installed.identities.with(&guard).start().await?;
    let t = edges.tenant("second");
    let bearer = |token: &str| format!("Bearer {token}");
    let who = async |as_: &str, method: Method, path: &str, body: Value| {
        identity.ask(method, path, &[("authorization", as_)], body).await
    };

    // The installation's administrator makes a tenant, and an account for its directory.
    let (admin, secret) = (installed.admin.0.as_str(), installed.admin.1.as_str());
    let ops = bearer(&identity.access((admin, secret)).await?);
    let tenant = json!({"id": t, "name": t, "administrator": {"email": "admin@x.example"}});
    who(&ops, Method::POST, "/v1/tenants", tenant).await?.must(201)?;
    let accounts = format!("/v1/tenants/{t}/service-accounts");
    let account = json!({"name": "directory"});
    let account = who(&ops, Method::POST, &accounts, account).await?.must(201)?.id()?;
    let scopes = json!({"scopes": ["identity:read", "identity:write"]});
    who(&ops, Method::PUT, &format!("{accounts}/{account}/scopes"), scopes).await?.must(200)?;
    let key = json!({"name": "k"});
    let key = who(&ops, Method::POST, &format!("{accounts}/{account}/keys"), key).await?;
    let secret = key.must(201)?.body["secret"].as_str().map(str::to_owned).unwrap_or_default();
    let directory = bearer(&identity.access((&account, &secret)).await?);

    // The directory brings Ada, and the team that she is in.
    let ada = json!({"userName": "ada", "password": "correct horse battery"});
    let ada = who(&directory, Method::POST, "/scim/v2/Users", ada).await?.must(201)?.id()?;
    let team = json!({"displayName": "engineering", "members": [{"value": ada}]});
    let joined = who(&directory, Method::POST, "/scim/v2/Groups", team).await?.must(201)?;
    let (team, joined) = (joined.id()?, joined.header(TOKEN).to_owned());
    let scopes = json!({"scopes": ["authz:check", "audit:read", "identity:read"]});
    let path = format!("/v1/tenants/{t}/users/{ada}/scopes");
    who(&ops, Method::PUT, &path, scopes).await?.must(200)?;

    // What the team may do.
    let does = async |as_: &str, token: &str, method: Method, path: &str, body: &Value| {
        let headers = [("authorization", as_), (TOKEN, token)];
        let sent = if token.is_empty() { &headers[..1] } else { &headers };
        edge.ask(method, &format!("/v1/tenants/{t}/{path}"), sent, Some(body)).await
    };
    let reader = json!({"permissions": [{"action": "read"}]});
    let put = does(&ops, "", Method::PUT, "roles/reader", &reader).await?;
    ensure!(put.status.is_success(), "{} {}", put.status, put.body);
    let binding = role("team", &team, "reader", &Value::Null);
    let list = json!({"writes": [{"op": "create", "relationship": binding}]});
    let bound = does(&ops, &joined, Method::POST, "relationships", &list).await?;
    ensure!(bound.status == StatusCode::OK, "{} {}", bound.status, bound.body);

    // She logs in, and asks for herself.
    let hers = bearer(&logged_in_to(&t, &identity, "ada").await?.0);
    let asked = question(&ada, "read", ("document", "d-1"));
    let checked = does(&hers, &bound.token, Method::POST, "check", &asked).await?;
    ensure!(checked.body["decision"] == true, "{} {}", checked.status, checked.body);

    // The directory takes her away: at once she may nothing, and her token opens nothing any more.
    let off = json!({"Operations": [{"op": "replace", "path": "active", "value": false}]});
    let off = who(&directory, Method::PATCH, &format!("/scim/v2/Users/{ada}"), off).await?;
    let token = off.must(200)?.header(TOKEN).to_owned();
    let checked = does(&ops, &token, Method::POST, "check", &asked).await?;
    ensure!(checked.body["decision"] == false, "{} {}", checked.status, checked.body);
    until("her token opens nothing", async || {
        let trail = ingest.client.get(ingest.url(&format!("/v1/tenants/{t}/audit")));
        let trail = trail.header("authorization", &hers).send().await?.status();
        let checked = does(&hers, "", Method::POST, "check", &asked).await?.status;
        let users = format!("/v1/tenants/{t}/users");
        let listed = who(&hers, Method::GET, &users, Value::Null).await?.status;
        let all = [trail, checked, listed];
        let is_shut = all.iter().all(|status| *status == StatusCode::UNAUTHORIZED);
        Ok(if is_shut { Ok(()) } else { Err(format!("{all:?}")) })
    })
    .await?;

    // Who did it.
    let expected = [
        ("tenant.created", admin),
        ("user.created", &account),
        ("team.member_added", &account),
        ("authz.relationship.created", admin),
        ("login.succeeded", &ada),
        ("user.deactivated", &account),
    ];
    until("the trail says who did what", async || {
        let page = ingest.client.get(ingest.url(&format!("/v1/tenants/{t}/audit?limit=100")));
        let page: Value = page.header("authorization", &ops).send().await?.json().await?;
        let events = page["events"].as_array().cloned().unwrap_or_default();
        let did = |(action, actor): &(&str, &str)| {
            events.iter().any(|event| event["action"] == *action && event["actor_id"] == *actor)
        };
        let missing: Vec<_> = expected.iter().filter(|one| !did(one)).collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {events:?}")) })
    })
    .await?;
    edge.stop().await?;
    identity.stop().await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_every_service_until_it_is_revoked() -> Result<()> {
    let issuer = "http://127.0.0.1:8101";
    let world = World::new("guard", &[]).await?;
    let audit = world.config.kafka.topic.clone();
    let identities = Identities::with_kafka(&[("KAFKA__AUDIT_TOPIC", &audit)]).await?;
    let changes = identities.config()?.kafka.changes_topic;
    let installed = Installed::of(&identities)?;
    let issues = installed.start().await?;
    let keys = installed.keys(&issues).await?;
    let (introspect, asks) =
        (issues.url("/oauth2/introspect"), installed.folder.path().join("ingest.key"));
    let asks = asks.display().to_string();
    let guard = [
        ("AUTH__MODE", "jwt"),
        ("AUTH__JWKS_FILE", keys.as_str()),
        ("AUTH__ISSUER", issuer),
        ("AUTH__REVOCATIONS_TOPIC", &changes),
        ("AUTH__INTROSPECTION_URL", &introspect),
        ("AUTH__INTROSPECTION_KEY_FILE", &asks),
    ];
    let world = world.with(&guard)?;
    let edges = Edges::new(&guard).await?;
    let t = edges.tenant("guard");
    issues.tenant(&t).await?;
    let scopes = ["audit:read", "authz:check", "identity:read"];
    let account = issues.account(&t, "gateway", &scopes).await?;
    let (_, secret) = issues.key(&t, &account, json!({"name": "k"})).await?;
    let client = (account.as_str(), secret.as_str());
    let tokens = [issues.access(client).await?, issues.access(client).await?];
    // Voided before anybody listens: who starts later hears of it all the same.
    issues.form("/oauth2/revoke", Some(client), &[("token", &tokens[1])]).await?.must(200)?;
    let sql = "SELECT COUNT(*) AS n FROM outbox";
    until("it is told", async || {
        let left = installed.identities.count(sql, &[]).await?;
        Ok(if left == 0 { Ok(()) } else { Err(format!("{left} rows")) })
    })
    .await?;

    let guarded = installed.identities.with(&guard).start().await?;
    let (ingest, edge) = (world.ingest().await?, edges.start().await?);
    // Of each service, in turn: what it answers to a token.
    let ask = async |token: &str| -> Result<[u16; 3]> {
        let bearer = format!("Bearer {token}");
        let audit = ingest.client.get(ingest.url(&format!("/v1/tenants/{t}/audit")));
        let audit = audit.header("authorization", &bearer).send().await?.status().as_u16();
        let asked = question("u", "read", ("document", "d"));
        let path = format!("/v1/tenants/{t}/check");
        let sent = [("authorization", bearer.as_str())];
        let checked = edge.ask(Method::POST, &path, &sent, Some(&asked)).await?.status.as_u16();
        let path = format!("/v1/tenants/{t}/users");
        let listed = guarded.ask(Method::GET, &path, &sent, Value::Null).await?;
        Ok([audit, checked, listed.status.as_u16()])
    };
    ensure!(ask(&tokens[0]).await? == [200; 3]);
    ensure!(ask(&tokens[1]).await? == [401; 3], "it was revoked before they began");
    ensure!(ask("x.y.z").await? == [401; 3]);
    // An API key opens what its tokens open, and nothing once it is revoked.
    ensure!(ask(&secret).await? == [200; 3]);
    let (key, other) = issues.key(&t, &account, json!({"name": "other"})).await?;
    ensure!(ask(&other).await? == [200; 3]);
    let mut unknown = other.clone();
    unknown.replace_range(20..21, if &other[20..21] == "a" { "b" } else { "a" });
    ensure!(ask(&unknown).await? == [401; 3]);
    let refused = async |token: &str, why: &str| {
        until(why, async || {
            let answers = ask(token).await?;
            Ok(if answers == [401; 3] { Ok(()) } else { Err(format!("{answers:?}")) })
        })
        .await
    };
    let path = format!("/v1/tenants/{t}/service-accounts/{account}/keys/{key}");
    issues.delete(&path).await?.must(204)?;
    refused(&other, "a key that is revoked opens nothing").await?;
    issues.form("/oauth2/revoke", Some(client), &[("token", &tokens[0])]).await?.must(200)?;
    refused(&tokens[0], "a token that is revoked opens nothing").await?;
    // Everybody else's are untouched, and those of an account end with it.
    let third = issues.access(client).await?;
    ensure!(ask(&third).await? == [200; 3]);
    let path = format!("/v1/tenants/{t}/service-accounts/{account}/deactivate");
    issues.post(&path, Value::Null).await?.must(200)?;
    refused(&third, "an account that is deactivated opens nothing").await?;
    refused(&secret, "nor do its keys").await?;
    // Without identity-admin nobody knows of a key that is new here, and nobody says that it is none.
    issues.stop().await?;
    ensure!(ask(&unknown).await? == [503; 3]);
    edge.stop().await?;
    ingest.stop().await?;
    guarded.stop().await
}

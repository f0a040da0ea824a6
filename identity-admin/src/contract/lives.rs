//! Tenants and all that they have, from their making to their end.

use contracts::identity::ChangeKind;
use serde_json::json;

use super::bed::Bed;
use super::on_each_database;
use crate::db::params;

on_each_database!(
    a_tenant_lives_and_takes_all_that_it_has_along,
    what_is_taken_is_told_by_its_field,
    a_user_and_its_settings_live_together,
    teams_nest_and_are_never_in_themselves,
    service_accounts_live,
    who_knows_an_old_version_changes_nothing,
);

async fn a_tenant_lives_and_takes_all_that_it_has_along(bed: &Bed) {
    let made = bed.tenant("new").await;
    assert_eq!(made.body["created_at"], "2026-11-22T14:03:07.123456Z");
    let base = "/v1/tenants/new";
    let user = bed.post(&format!("{base}/users"), json!({"email": "a@b.c"})).await.must(201).id();
    let team = bed.post(&format!("{base}/teams"), json!({"name": "t"})).await.must(201).id();
    let inner = bed.post(&format!("{base}/teams"), json!({"name": "i"})).await.must(201).id();
    let account = bed.post(&format!("{base}/service-accounts"), json!({"name": "s"})).await;
    let account = account.must(201).id();
    for (kind, id) in [("user", &user), ("team", &inner), ("service_account", &account)] {
        let path = format!("{base}/teams/{team}/members/{kind}/{id}");
        bed.put(&path, json!(null)).await.must(201);
    }
    let keys = format!("{base}/service-accounts/{account}/keys");
    bed.post(&keys, json!({"name": "k"})).await.must(201);
    bed.step(chrono::Duration::microseconds(1));
    let renamed = bed.patch(base, json!({"name": "Newer"})).await.must(200);
    assert_eq!(renamed.body["updated_at"], "2026-11-22T14:03:07.123457Z");
    bed.post(&format!("{base}/suspend"), json!(null)).await.must(200);
    bed.post(&format!("{base}/reactivate"), json!(null)).await.must(200);
    assert_eq!(bed.get(base).await.must(200).body["version"], 4);
    bed.delete(base).await.must(204);
    bed.get(base).await.must(404);
    let tables = [
        "users",
        "user_settings",
        "service_accounts",
        "teams",
        "team_members",
        "api_keys",
        "principal_scopes",
        "idempotency_keys",
    ];
    for table in tables {
        let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE tenant_id = 'new'");
        assert_eq!(bed.count(sql, params![]).await, 0, "{table}");
    }
    let changes = bed.changes("new").await;
    assert!(matches!(changes.last().unwrap().kind, ChangeKind::TenantDeleted(_)));
    // Its number stays, and with it its id.
    let administrator = json!({"email": "a@b.c"});
    for name in ["Another", "The acme"] {
        let again = json!({"id": "new", "name": name, "administrator": administrator});
        assert_eq!(bed.post("/v1/tenants", again).await.must(409).faults(), ["id"], "{name}");
    }
}

async fn what_is_taken_is_told_by_its_field(bed: &Bed) {
    let base = "/v1/tenants/acme";
    bed.tenant("other").await;
    for (path, first, second, field) in [
        ("users", json!({"email": "A@x.y"}), json!({"email": "a@X.y", "user_name": "b"}), "email"),
        (
            "users",
            json!({"email": "c@x.y", "user_name": "Ünï"}),
            json!({"email": "d@x.y", "user_name": "üNÏ"}),
            "user_name",
        ),
        ("teams", json!({"name": "t"}), json!({"name": "t"}), "name"),
        ("service-accounts", json!({"name": "s"}), json!({"name": "s"}), "name"),
    ] {
        bed.post(&format!("{base}/{path}"), first).await.must(201);
        let taken = bed.post(&format!("{base}/{path}"), second.clone()).await.must(409);
        assert_eq!(taken.faults(), [field], "{path}");
        // Another tenant's is no obstacle.
        bed.post(&format!("/v1/tenants/other/{path}"), second).await.must(201);
    }
    for (path, name) in [("teams", "T"), ("service-accounts", "S")] {
        bed.post(&format!("{base}/{path}"), json!({ "name": name })).await.must(201);
    }
    let administrator = json!({"email": "a@b.c"});
    let name = json!({"id": "third", "name": "The acme", "administrator": administrator});
    assert_eq!(bed.post("/v1/tenants", name).await.must(409).faults(), ["name"]);
    bed.get("/v1/tenants/third").await.must(404);
    bed.changes("acme").await;
}

async fn a_user_and_its_settings_live_together(bed: &Bed) {
    let users = "/v1/tenants/acme/users";
    let body = json!({"email": "ada@x.y", "settings": {"locale": "de", "time_zone": "Europe/Vienna"},
        "attributes": {"n": [1, 2.5, null, true], "text": "日本"}});
    let made = bed.post(users, body).await.must(201);
    let one = format!("{users}/{}", made.id());
    assert_eq!(made.body["attributes"]["n"], json!([1, 2.5, null, true]));
    let settings = format!("{one}/settings");
    assert_eq!(bed.get(&settings).await.must(200).body["locale"], "de");
    bed.patch(&settings, json!({"preferences": {"dark": true}})).await.must(200);
    assert_eq!(bed.get(&settings).await.must(200).body["preferences"], json!({"dark": true}));
    bed.patch(&one, json!({"display_name": "Ada", "user_name": "ADA"})).await.must(200);
    assert_eq!(bed.get(&format!("{users}/by-email/ADA@x.y")).await.must(200).id(), made.id());
    let listed = bed.get(&format!("{users}?user_name=ada&active=true")).await.must(200);
    assert_eq!(listed.body["items"][0]["id"], made.id());
    let password = json!({"password": "correct horse battery"});
    bed.put(&format!("{one}/password"), password).await.must(204);
    bed.post(&format!("{one}/deactivate"), json!(null)).await.must(200);
    let listed = bed.get(&format!("{users}?active=false")).await.must(200);
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
    bed.delete(&one).await.must(204);
    bed.get(&settings).await.must(404);
    let left = "SELECT COUNT(*) AS n FROM user_settings WHERE user_id = ?";
    assert_eq!(bed.count(left, params![made.id()]).await, 0);
    bed.changes("acme").await;
}

async fn teams_nest_and_are_never_in_themselves(bed: &Bed) {
    let base = "/v1/tenants/acme/teams";
    let mut teams = Vec::new();
    for n in 0..5 {
        teams.push(bed.team(&format!("t{n}")).await);
    }
    let into = |outer: &str, inner: &str| format!("{base}/{outer}/members/team/{inner}");
    for pair in teams.windows(2) {
        bed.put(&into(&pair[0], &pair[1]), json!(null)).await.must(201);
        bed.put(&into(&pair[0], &pair[1]), json!(null)).await.must(200);
    }
    for outer in &teams[1..] {
        bed.put(&into(outer, &teams[0]), json!(null)).await.must(409);
        bed.put(&into(outer, outer), json!(null)).await.must(409);
    }
    // Two ways to one team are no ring.
    bed.put(&into(&teams[0], &teams[4]), json!(null)).await.must(201);
    let user = bed.user("u").await;
    bed.put(&format!("{base}/{}/members/user/{user}", teams[4]), json!(null)).await.must(201);
    bed.put(&into(&teams[0], "nobody"), json!(null)).await.must(404);
    let listed = bed.get(&format!("{base}/{}/members", teams[0])).await.must(200);
    let listed: Vec<_> = listed.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].as_str().unwrap())
        .collect();
    assert_eq!(listed, [&teams[1], &teams[4]], "in the order in which they were added");
    bed.delete(&into(&teams[0], &teams[4])).await.must(204);
    bed.delete(&into(&teams[0], &teams[4])).await.must(404);
    bed.delete(&format!("{base}/{}", teams[1])).await.must(204);
    // What held it together is gone.
    bed.put(&into(&teams[2], &teams[0]), json!(null)).await.must(201);
    bed.changes("acme").await;
}

async fn service_accounts_live(bed: &Bed) {
    let accounts = "/v1/tenants/acme/service-accounts";
    let account = bed.post(accounts, json!({"name": "ci"})).await.must(201).id();
    let one = format!("{accounts}/{account}");
    bed.put(&format!("{one}/scopes"), json!({"scopes": ["audit:read", "identity:read"]}))
        .await
        .must(200);
    let key =
        bed.post(&format!("{one}/keys"), json!({"name": "k", "scopes": ["audit:read"]})).await;
    let key = format!("{one}/keys/{}", key.must(201).id());
    bed.post(&format!("{key}/rotate"), json!({})).await.must(200);
    bed.delete(&key).await.must(204);
    let seen = bed.get(&key).await.must(200);
    assert_eq!(seen.body["revoked_at"], "2026-11-22T14:03:07.123456Z");
    let more = json!({"name": "m", "scopes": ["system:admin"]});
    assert_eq!(bed.post(&format!("{one}/keys"), more).await.must(400).faults(), ["scopes"]);
    let scopes = bed.get(&format!("{one}/scopes")).await.must(200);
    assert_eq!(scopes.body["scopes"], json!(["audit:read", "identity:read"]));
    bed.put(&format!("{one}/scopes"), json!({"scopes": []})).await.must(200);
    assert_eq!(bed.get(&format!("{one}/scopes")).await.must(200).body["scopes"], json!([]));
    bed.post(&format!("{one}/deactivate"), json!(null)).await.must(200);
    bed.delete(&one).await.must(204);
    bed.get(&format!("{one}/scopes")).await.must(404);
    bed.changes("acme").await;
}

async fn who_knows_an_old_version_changes_nothing(bed: &Bed) {
    let team = format!("/v1/tenants/acme/teams/{}", bed.team("t").await);
    let tag = bed.get(&team).await.must(200).etag().to_owned();
    let change = async |tag: &str, name: &str| {
        let body = json!({ "description": name }).to_string();
        bed.ask(("PATCH", &team), &[("if-match", tag)], body).await
    };
    change(&tag, "first").await.must(200);
    change(&tag, "second").await.must(412);
    assert_eq!(bed.get(&team).await.must(200).body["description"], "first");
    assert_eq!(
        bed.changes("acme").await.iter().filter(|c| c.kind.name() == "team.updated").count(),
        1
    );
}

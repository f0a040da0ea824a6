//! Keys, tokens and people.

use serde_json::{Value, json};

use super::bed::{Answer, Bed};
use super::on_each_database;
use crate::db::params;

on_each_database!(
    a_key_gets_tokens_until_it_is_void,
    what_was_revoked_is_void_and_stays_so_until_it_would_have_ended,
    a_person_allows_a_client_and_its_refresh_tokens_are_exchanged_once,
    wrong_passwords_lock_out_and_are_forgotten,
    keys_sign_in_their_time,
);

/// A service account of `acme` that may ask about tokens; its id, and a key of its own with its secret.
async fn account(bed: &Bed) -> (String, String, String) {
    let accounts = "/v1/tenants/acme/service-accounts";
    let account = bed.post(accounts, json!({"name": "ci"})).await.must(201).id();
    let scopes = json!({"scopes": ["token:introspect", "identity:read", "audit:read"]});
    bed.put(&format!("{accounts}/{account}/scopes"), scopes).await.must(200);
    let key = bed.post(&format!("{accounts}/{account}/keys"), json!({"name": "k"})).await;
    let key = key.must(201);
    let secret = key.body["secret"].as_str().unwrap().to_owned();
    (account, key.id(), secret)
}

async fn token(bed: &Bed, secret: &str) -> Answer {
    bed.form("/oauth2/token", &[("grant_type", "client_credentials"), ("client_secret", secret)])
        .await
}

async fn introspect(bed: &Bed, secret: &str, token: &str) -> Value {
    let asked =
        bed.form("/oauth2/introspect", &[("client_secret", secret), ("token", token)]).await;
    asked.must(200).body
}

fn text<'a>(answer: &'a Answer, field: &str) -> &'a str {
    answer.body[field].as_str().unwrap()
}

async fn a_key_gets_tokens_until_it_is_void(bed: &Bed) {
    let (account, key, secret) = account(bed).await;
    let issued = token(bed, &secret).await.must(200);
    assert_eq!(text(&issued, "scope"), "audit:read identity:read token:introspect");
    token(bed, &format!("{secret}x")).await.must(401);
    let path = format!("/v1/tenants/acme/service-accounts/{account}/keys/{key}");
    let seen = bed.get(&path).await.must(200);
    assert_eq!(seen.body["last_used_at"], "2026-11-22T14:03:07.123456Z");
    // The secret before goes on for a while.
    let rotated = bed.post(&format!("{path}/rotate"), json!({"overlap_seconds": 60})).await;
    let next = text(&rotated.must(200), "secret").to_owned();
    token(bed, &secret).await.must(200);
    token(bed, &next).await.must(200);
    bed.step(chrono::Duration::seconds(61));
    token(bed, &secret).await.must(401);
    assert_eq!(introspect(bed, &next, &next).await["sub"], format!("service_account:{account}"));
    // One that may less than its account.
    let less = json!({"name": "less", "scopes": ["audit:read"]});
    let keys = format!("/v1/tenants/acme/service-accounts/{account}/keys");
    let less = bed.post(&keys, less).await.must(201);
    let issued = token(bed, text(&less, "secret")).await.must(200);
    assert_eq!(text(&issued, "scope"), "audit:read");
    bed.delete(&path).await.must(204);
    token(bed, &next).await.must(401);
    bed.changes("acme").await;
}

async fn what_was_revoked_is_void_and_stays_so_until_it_would_have_ended(bed: &Bed) {
    let (account, _, secret) = account(bed).await;
    let first = token(bed, &secret).await.must(200);
    let first = text(&first, "access_token");
    assert_eq!(introspect(bed, &secret, first).await["active"], true);
    let before = bed.changes("acme").await.len();
    for _ in 0..2 {
        bed.form("/oauth2/revoke", &[("client_secret", &secret), ("token", first)]).await.must(200);
    }
    assert_eq!(introspect(bed, &secret, first).await["active"], false);
    assert_eq!(bed.changes("acme").await.len(), before + 1, "told once");
    let second = token(bed, &secret).await.must(200);
    let second = text(&second, "access_token");
    bed.step(chrono::Duration::seconds(1));
    // Who may less than before has to ask again.
    let scopes = format!("/v1/tenants/acme/service-accounts/{account}/scopes");
    for asked in [json!(["token:introspect", "audit:read"]), json!(["token:introspect"])] {
        bed.put(&scopes, json!({ "scopes": asked })).await.must(200);
        assert_eq!(introspect(bed, &secret, second).await["active"], false);
    }
    let kept = "SELECT COUNT(*) AS n FROM revocations";
    assert_eq!(bed.count(kept, params![]).await, 2, "a token, and a subject once");
    bed.step(chrono::Duration::hours(2));
    assert_eq!(crate::sweep::once(&bed.core, "revocations").await.unwrap(), 2);
}

const CLI: (&str, &str) = ("client_id", "triad-cli");
const PASSWORD: &str = "correct horse battery";

/// A user of `acme` who has a password and may read; its path.
async fn person(bed: &Bed) -> String {
    let user = format!("/v1/tenants/acme/users/{}", bed.user("ada").await);
    bed.put(&format!("{user}/password"), json!({ "password": PASSWORD })).await.must(204);
    bed.put(&format!("{user}/scopes"), json!({"scopes": ["identity:read"]})).await.must(200);
    // Tokens are not made in the second that voids them.
    bed.step(chrono::Duration::seconds(2));
    user
}

/// What a client gets that a person allowed.
async fn allowed(bed: &Bed) -> Answer {
    let asked = bed.form("/oauth2/device_authorization", &[CLI, ("scope", "identity:read")]).await;
    let asked = asked.must(200);
    let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    let fetch = [grant, CLI, ("device_code", text(&asked, "device_code"))];
    let early = bed.form("/oauth2/token", &fetch).await.must(400);
    assert_eq!(text(&early, "error"), "authorization_pending");
    let code = ("user_code", text(&asked, "user_code"));
    let who = [("tenant", "acme"), ("name", "ada"), ("password", PASSWORD)];
    let allow = [&[code, ("decision", "allow")][..], &who].concat();
    bed.form("/device", &allow).await.must(200);
    bed.form("/device", &allow).await.must(404);
    let fetched = bed.form("/oauth2/token", &fetch).await.must(200);
    bed.form("/oauth2/token", &fetch).await.must(400);
    fetched
}

async fn a_person_allows_a_client_and_its_refresh_tokens_are_exchanged_once(bed: &Bed) {
    let user = person(bed).await;
    let first = allowed(bed).await;
    let exchange = async |token: &str| {
        let form = [("grant_type", "refresh_token"), CLI, ("refresh_token", token)];
        bed.form("/oauth2/token", &form).await
    };
    let second = exchange(text(&first, "refresh_token")).await.must(200);
    // Within the grace, for whoever lost the answer.
    let third = exchange(text(&first, "refresh_token")).await.must(200);
    assert_ne!(text(&second, "refresh_token"), text(&third, "refresh_token"));
    bed.step(chrono::Duration::seconds(11));
    // Beyond it somebody else has it: the whole session ends.
    exchange(text(&first, "refresh_token")).await.must(400);
    exchange(text(&second, "refresh_token")).await.must(400);
    exchange(text(&third, "refresh_token")).await.must(400);
    let ended = "SELECT COUNT(*) AS n FROM refresh_tokens WHERE revoked_at IS NOT NULL";
    assert_eq!(bed.count(ended, params![]).await, 3);
    // Another session goes on until the user does not.
    bed.step(chrono::Duration::seconds(2));
    let other = allowed(bed).await;
    let other = exchange(text(&other, "refresh_token")).await.must(200);
    bed.post(&format!("{user}/deactivate"), json!(null)).await.must(200);
    exchange(text(&other, "refresh_token")).await.must(400);
    bed.delete(&user).await.must(204);
    for table in ["refresh_tokens", "device_grants"] {
        assert_eq!(bed.count(format!("SELECT COUNT(*) AS n FROM {table}"), params![]).await, 0);
    }
    bed.changes("acme").await;
}

async fn wrong_passwords_lock_out_and_are_forgotten(bed: &Bed) {
    person(bed).await;
    let asked = bed.form("/oauth2/device_authorization", &[CLI]).await.must(200);
    let code = text(&asked, "user_code").to_owned();
    let log_in = async |password: &str| {
        let form = [
            ("user_code", code.as_str()),
            ("decision", "allow"),
            ("tenant", "acme"),
            ("name", "Ada"),
            ("password", password),
        ];
        bed.form("/device", &form).await
    };
    for _ in 0..3 {
        log_in("wrong").await.must(400);
    }
    log_in(PASSWORD).await.must(429);
    let locked = "SELECT failures AS n FROM login_attempts WHERE locked_until IS NOT NULL";
    assert_eq!(bed.count(locked, params![]).await, 3);
    // The code is over by then as well.
    bed.step(chrono::Duration::seconds(900));
    allowed(bed).await;
    let left = "SELECT COUNT(*) AS n FROM login_attempts WHERE locked_until IS NOT NULL";
    assert_eq!(bed.count(left, params![]).await, 0);
}

async fn keys_sign_in_their_time(bed: &Bed) {
    let set = bed.get("/.well-known/jwks.json").await.must(200);
    assert_eq!(set.body["keys"].as_array().unwrap().len(), 1);
    let sql = "SELECT kid, published_at, signs_from FROM signing_keys";
    let row = bed.db.row(sql, params![]).await.unwrap().unwrap();
    assert_eq!(row.text("kid").unwrap(), set.body["keys"][0]["kid"].as_str().unwrap());
    assert_eq!(row.time("signs_from").unwrap(), row.time("published_at").unwrap());
}

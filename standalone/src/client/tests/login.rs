//! Who one is: logging in and out, and renewal.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{Duration, Utc};
use serde_json::{Value, json};

use super::server::{Reply, Seen};
use super::{Exit, World};
use crate::client::credential::{Access, Credential, Root};
use crate::client::profile::Profile;

fn token(name: &str) -> String {
    let claims =
        json!({"sub": "user:u-1", "tid": "acme", "scope": "audit:read authz:check", "name": name});
    format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn issued(name: &str, refresh: &str) -> Reply {
    Reply::json(
        200,
        &json!({"access_token": token(name), "refresh_token": refresh, "expires_in": 300}),
    )
}

fn session(refresh: &str, access: Option<Access>) -> Credential {
    let (client_id, refresh_token) = ("triad-cli".to_owned(), refresh.to_owned().into());
    Credential { root: Root::Session { client_id, refresh_token }, access }
}

fn codes() -> Reply {
    Reply::json(
        200,
        &json!({"device_code": "long", "user_code": "WDJB-MJHT", "interval": 5, "expires_in": 600,
        "verification_uri": "http://h/device", "verification_uri_complete": "http://h/device?user_code=WDJB-MJHT"}),
    )
}

/// A world whose token route answers a log-in so, one after the other.
async fn logging_in(answers: Vec<Reply>) -> World {
    World::new(move |seen, before| match seen.path.as_str() {
        "/oauth2/device_authorization" => codes(),
        "/oauth2/token" => answers[(before - 1).min(answers.len() - 1)].clone(),
        other => panic!("{other}"),
    })
    .await
}

#[tokio::test]
async fn a_person_logs_in_elsewhere_and_is_kept_here() {
    let pending = || Reply::oauth("authorization_pending");
    let slow = Reply::oauth("slow_down");
    let down = Reply::problem(503, "unavailable", "busy");
    let mut world = logging_in(vec![pending(), slow, pending(), down, issued("a", "r-1")]).await;
    world.env.remove("TRIAD_TENANT");
    let ran = world.run("login --scopes audit:read,authz:check").await;
    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    assert!(ran.err.contains("http://h/device") && ran.err.contains("WDJB-MJHT"), "{}", ran.err);
    assert_eq!(world.clock.waits(), [5.0, 5.0, 10.0, 10.0, 15.0], "slower when it is told to be");
    let who = ran.json();
    assert_eq!((&who["subject"], &who["tenant"]), (&json!("user:u-1"), &json!("acme")));
    assert!(!ran.out.contains("r-1") && !ran.out.contains(&token("a")), "no secret is shown");
    let seen = world.server.seen();
    assert_eq!(seen[0].form("scope").as_deref(), Some("audit:read authz:check"));
    assert_eq!(seen[1].form("device_code").as_deref(), Some("long"));
    let kept = world.store().read().unwrap().profiles["default"].clone();
    assert_eq!(kept.server.as_deref(), Some(format!("{}/", world.server.url).as_str()));
    assert_eq!(kept.tenant.as_deref(), Some("acme"));
    let access =
        Access { token: token("a").into(), expires_at: world.clock.now() + Duration::seconds(300) };
    assert!(kept.credential == Some(session("r-1", Some(access))));
}

#[tokio::test]
async fn a_log_in_that_comes_to_nothing_keeps_nothing() {
    for (answer, says) in [
        (Reply::oauth("access_denied"), "it was denied"),
        (Reply::oauth("expired_token"), "nobody allowed it in time"),
        (Reply::oauth("authorization_pending"), "nobody allowed it in time"),
        (Reply::oauth("invalid_grant"), "invalid_grant"),
    ] {
        let world = logging_in(vec![answer]).await;
        let ran = world.run("login -o table").await;
        assert!(ran.exit == Exit::NotPermitted || ran.exit == Exit::Refused, "{ran:?}");
        assert!(ran.err.contains(says), "{}", ran.err);
        assert!(world.store().read().unwrap().profiles.is_empty());
    }
}

#[tokio::test]
async fn a_key_is_checked_before_it_is_kept() {
    let world = World::new(|seen, _| match seen.form("client_secret").as_deref() {
        Some("triad_dev_good") => issued("a", "none"),
        _ => Reply::json(
            401,
            &json!({"error": "invalid_client", "error_description": "no such client"}),
        ),
    })
    .await;
    let bad = world.file("bad", "triad_dev_bad\n");
    let ran = world.run(&format!("login --api-key-file {bad} -o table")).await;
    assert_eq!(ran.exit, Exit::NotPermitted);
    assert!(ran.err.contains("the API key does not hold") && !ran.err.contains("triad_dev_bad"));
    assert!(world.store().read().unwrap().profiles.is_empty());
    let good = world.file("good", "triad_dev_good\n");
    let ran = world.run(&format!("login --profile ci --api-key-file {good}")).await;
    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    let kept = world.store().read().unwrap().profiles["ci"].clone();
    assert!(
        matches!(kept.credential.unwrap().root, Root::ApiKey { secret } if secret.reveal() == "triad_dev_good")
    );
}

/// Answers the token route with the next of a session, and all else when the newest access token comes with it.
fn renewing(seen: &Seen, newest: &str) -> Reply {
    match seen.path.as_str() {
        "/oauth2/token" if seen.form("refresh_token").as_deref() == Some("r-1") => {
            issued(newest, "r-2")
        }
        "/oauth2/token" => Reply::oauth("invalid_grant"),
        _ if seen.header("authorization") == Some(format!("Bearer {}", token(newest)).as_str()) => {
            Reply::json(200, &json!({"roles": []}))
        }
        _ => Reply::problem(401, "invalid-token", "expired"),
    }
}

fn at(world: &World, credential: Credential) -> Profile {
    Profile {
        server: Some(world.server.url.clone()),
        credential: Some(credential),
        ..Profile::default()
    }
}

#[tokio::test]
async fn a_session_is_renewed_in_time_and_its_next_token_kept() {
    let world = World::new(|seen, _| renewing(seen, "new")).await;
    let soon = world.clock.now() + Duration::seconds(20);
    let access = Access { token: token("old").into(), expires_at: soon };
    world.keep(at(&world, session("r-1", Some(access)))).await;
    assert_eq!(world.run("role list").await.exit, Exit::Ok);
    let paths: Vec<_> = world.server.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/oauth2/token", "/v1/tenants/acme/roles"], "before it ends");
    let kept = world.store().read().unwrap().profiles["default"].credential.clone().unwrap();
    assert!(
        matches!(kept.root, Root::Session { refresh_token, .. } if refresh_token.reveal() == "r-2")
    );
    assert_eq!(world.run("role list").await.exit, Exit::Ok);
    assert_eq!(world.server.seen().len(), 3, "and not again while it holds");
}

#[tokio::test]
async fn an_access_token_that_was_voided_is_renewed_once() {
    let world = World::new(|seen, _| renewing(seen, "new")).await;
    let access =
        Access { token: token("old").into(), expires_at: world.clock.now() + Duration::hours(1) };
    world.keep(at(&world, session("r-1", Some(access)))).await;
    assert_eq!(world.run("role list").await.exit, Exit::Ok);
    assert_eq!(world.server.seen().len(), 3);
}

#[tokio::test]
async fn an_ended_session_says_so() {
    let world = World::new(|seen, _| renewing(seen, "new")).await;
    world.keep(at(&world, session("r-0", None))).await;
    let ran = world.run("role list -o table").await;
    assert_eq!(ran.exit, Exit::NotPermitted);
    assert!(
        ran.err.contains("the session has ended") && ran.err.contains("triad login"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn a_credential_goes_nowhere_but_where_it_was_got() {
    let world = World::of(json!({"roles": []})).await;
    let access =
        || Some(Access { token: token("a").into(), expires_at: Utc::now() + Duration::days(3650) });
    let kept = Profile {
        server: Some("http://127.0.0.1:1".to_owned()),
        ..at(&world, session("r-1", access()))
    };
    world.keep(kept).await;
    world.run("role list").await;
    world.keep(at(&world, session("r-1", access()))).await;
    world.run("role list").await;
    world.run("role list --token given").await;
    let sent: Vec<_> = world
        .server
        .seen()
        .iter()
        .map(|seen| seen.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(
        sent,
        [None, Some(format!("Bearer {}", token("a"))), Some("Bearer given".to_owned())]
    );
}

#[tokio::test]
async fn logging_out_forgets_and_ends_the_session() {
    for status in [200, 503] {
        let world = World::new(move |_, _| Reply::text(status, "")).await;
        world.keep(at(&world, session("r-1", None))).await;
        let ran = world.run("logout").await;
        assert_eq!(ran.exit == Exit::Ok, status == 200);
        let seen = world.server.seen().pop().unwrap();
        assert_eq!(
            (seen.path.as_str(), seen.form("token").as_deref()),
            ("/oauth2/revoke", Some("r-1"))
        );
        assert!(
            world.store().read().unwrap().profiles["default"].credential.is_none(),
            "in any case"
        );
        assert_eq!(world.run("logout").await.exit, Exit::Ok);
    }
}

#[tokio::test]
async fn profiles_are_listed_chosen_and_forgotten() {
    let world = World::of(json!({"roles": []})).await;
    world.keep(at(&world, session("r-1", None))).await;
    world
        .store()
        .change("ci", |kept| *kept = at(&world, Credential::key("triad_dev_x".to_owned())))
        .await
        .unwrap();
    let listed = async || world.run("profile list -o table").await.out;
    let before = listed().await;
    assert!(
        before.contains("a session")
            && before.contains("an API key")
            && !before.contains("triad_dev_x")
    );
    assert_eq!(world.run("profile use ci").await.exit, Exit::Ok);
    assert_eq!(world.store().read().unwrap().current.as_deref(), Some("ci"));
    assert_eq!(world.run("profile delete ci").await.exit, Exit::Ok);
    let after = world.store().read().unwrap();
    assert!(after.current.is_none() && after.profiles.len() == 1);
    assert_eq!(world.run("profile use ci").await.exit, Exit::NotFound);
}

#[tokio::test]
async fn no_secret_is_shown_by_mistake() {
    let global = crate::client::Global {
        token: Some("triad_dev_x".to_owned().into()),
        ..Default::default()
    };
    let shown = format!("{global:?} {:?}", session("r-1", None));
    assert!(!shown.contains("triad_dev_x") && !shown.contains("r-1"), "{shown}");
}

#[tokio::test]
async fn whoami_asks_the_issuer_or_reads_the_token() {
    let said = json!({"active": true, "sub": "service_account:s", "tid": "acme", "scope": "a b", "exp": 1_800_000_000});
    for (answer, subject, exit) in [
        (Reply::json(200, &said), json!("service_account:s"), Exit::Ok),
        (Reply::json(403, &json!({"error": "insufficient_scope"})), json!("user:u-1"), Exit::Ok),
        (Reply::json(200, &json!({"active": false})), Value::Null, Exit::NotPermitted),
        (Reply::json(401, &json!({"error": "invalid_client"})), Value::Null, Exit::NotPermitted),
    ] {
        let world = World::new(move |_, _| answer.clone()).await;
        let ran = world.run(&format!("whoami --token {}", token("a"))).await;
        assert_eq!(ran.exit, exit, "{ran:?}");
        assert!(exit != Exit::Ok || ran.json()["subject"] == subject, "{ran:?}");
    }
    let world = World::of(json!({})).await;
    let ran = world.run("whoami -o table").await;
    assert!(ran.exit == Exit::NotPermitted && ran.err.contains("triad login"), "{}", ran.err);
}

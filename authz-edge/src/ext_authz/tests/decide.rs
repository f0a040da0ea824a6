//! Who is asked about, and what becomes of it.

use std::sync::atomic::Ordering;

use contracts::Revision;
use metrics::Counter;
use serde_json::json;
use service_kit::auth::AuthMode;
use service_kit::rate::{RateConfig, Rates};

use super::world::{AT, World, bearer, config, routes, status, token};
use crate::audit::DecisionAudit;
use crate::ext_authz::Verdict;

#[tokio::test]
async fn a_token_names_tenant_and_subject() {
    let world = World::usual().await;
    for (tenant, subject, expected) in [
        ("acme", "user:u-1", 200),
        ("acme", "service_account:robot", 200),
        ("acme", "user:u-2", 403),
        ("other", "user:u-1", 403),
        ("acme", "service_account:u-1", 403),
    ] {
        let bearer = bearer(tenant, subject);
        let verdict = world.ask("GET", "/v1/docs/7?x=/..", &[("authorization", &bearer)]).await;
        assert_eq!(status(&verdict), expected, "{tenant} {subject}");
    }
}

#[tokio::test]
async fn subjects_that_no_token_may_name_are_denied_unasked() {
    let world = World::usual().await;
    for subject in ["team:t-1", "user:*", "user:", "anonymous", "u-1", "User:u-1"] {
        let bearer = bearer("acme", subject);
        let verdict = world.ask("GET", "/v1/docs/7", &[("authorization", &bearer)]).await;
        assert_eq!(status(&verdict), 403, "{subject}");
    }
    assert_eq!(world.asked(), [""; 0]);
}

#[tokio::test]
async fn without_a_good_token_it_is_401_whatever_other_headers_say() {
    let world = World::usual().await;
    let claimed = [
        ("x-tenant", "acme"),
        ("x-tenant-id", "acme"),
        ("x-user", "u-1"),
        ("x-user-id", "user:u-1"),
        ("x-forwarded-user", "u-1"),
        ("x-forwarded-client-cert", "By=x;Subject=\"CN=u-1\""),
        ("tenant", "acme"),
    ];
    assert_eq!(status(&world.ask("GET", "/v1/docs/7", &claimed).await), 401);
    let (good, bad) = (bearer("acme", "user:u-1"), format!("{}x", bearer("acme", "user:u-1")));
    for headers in [
        vec![("authorization", "Bearer x.y.z")],
        vec![("authorization", &*bad)],
        vec![("authorization", "Basic dTp1")],
        vec![("authorization", &*good), ("authorization", &*bad)],
        vec![("authorization", &*good), ("authorization", &*good)],
    ] {
        assert_eq!(status(&world.ask("GET", "/v1/docs/7", &headers).await), 401, "{headers:?}");
    }
    assert_eq!(world.asked(), [""; 0]);
    // A header changes nothing beside a good token either.
    let other = bearer("other", "user:u-9");
    let headers = [("authorization", &*other), ("x-tenant", "acme"), ("x-user", "u-1")];
    assert_eq!(status(&world.ask("GET", "/v1/docs/7", &headers).await), 403);
    assert_eq!(world.asked(), ["other/user:u-9"]);
}

#[tokio::test]
async fn a_route_with_its_own_subject_needs_no_token_and_believes_none() {
    let world = World::usual().await;
    assert_eq!(status(&world.ask("GET", "/pages/a/b", &[]).await), 200);
    let bearer = bearer("other", "user:u-1");
    assert_eq!(status(&world.ask("GET", "/pages/c", &[("authorization", &bearer)]).await), 200);
    assert_eq!(world.asked(), ["acme/user:guest"]);
}

#[tokio::test]
async fn a_tokens_subject_is_nobody_in_a_fixed_tenant_that_is_not_its_own() {
    let mut routes = routes();
    routes[0]["tenant"] = json!("acme");
    let world = World::new(AuthMode::Jwt, &config(&routes)).await;
    for (tenant, expected) in [("acme", 200), ("other", 403)] {
        let bearer = bearer(tenant, "user:u-1");
        let verdict = world.ask("GET", "/v1/docs/7", &[("authorization", &bearer)]).await;
        assert_eq!(status(&verdict), expected, "{tenant}");
    }
    assert_eq!(world.asked(), ["acme/user:u-1"]);
}

#[tokio::test]
async fn with_auth_off_the_tenant_is_the_default_and_the_subject_the_routes() {
    let mut routes = routes();
    routes[1]["tenant"] = json!("token");
    let world = World::new(AuthMode::Off, &config(&routes)).await;
    assert_eq!(status(&world.ask("GET", "/pages/a", &[]).await), 200);
    let bearer = bearer("acme", "user:u-1");
    assert_eq!(status(&world.ask("GET", "/v1/docs/7", &[("authorization", &bearer)]).await), 403);
    assert_eq!(world.asked(), ["acme/user:guest"]);
}

#[tokio::test]
async fn what_is_not_mapped_is_denied_and_looks_like_any_denial() {
    let world = World::usual().await;
    let bearer = bearer("acme", "user:u-1");
    let headers = [("authorization", &*bearer)];
    for (method, path) in [
        ("DELETE", "/v1/docs/7"),
        ("get", "/v1/docs/7"),
        ("GET", "/v1/docs"),
        ("GET", "/v1/docs/7/x"),
        ("GET", "/v1/docs/*"),
        ("GET", "/V1/docs/7"),
        ("POST", "/pages/a"),
        ("GET", ""),
        ("GET", "*"),
        ("GET", "http://docs.example.com/v1/docs/7"),
    ] {
        let verdict = world.ask(method, path, &headers).await;
        assert_eq!(verdict, Verdict::unmapped(), "{method} {path}");
    }
    let long = format!("/v1/docs/{}", "x".repeat(129));
    assert_eq!(world.ask("GET", &long, &headers).await, Verdict::unmapped());
    assert_eq!(world.asked(), [""; 0]);
}

#[tokio::test]
async fn conditions_see_the_listed_headers_only() {
    let world = World::usual().await;
    for (headers, expected) in [
        (vec![("x-region", "eu")], 200),
        (vec![("x-region", "us")], 403),
        (vec![], 403),
        (vec![("x-region", "eu"), ("x-region", "us")], 403),
        (vec![("x-other", "eu")], 403),
    ] {
        let verdict = world.ask("PUT", "/pages/a", &headers).await;
        assert_eq!(status(&verdict), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn answers_carry_a_consistency_token_and_questions_may() {
    let world = World::usual().await;
    let bearer = bearer("acme", "user:u-1");
    let ask = async |method: &str, wanted: &str| {
        let headers = [("authorization", &*bearer), ("triad-consistency-token", wanted)];
        world.ask(method, "/v1/docs/7", &headers).await
    };
    let at = token(AT);
    let Verdict::Allow { token: given } = ask("GET", &at).await else { panic!("not allowed") };
    assert_eq!(given, *at);
    let Verdict::Deny { token: given, .. } = ask("PUT", &at).await else { panic!("not denied") };
    assert_eq!(given.unwrap(), *at);
    // Of nothing, and newer than anything that the graph can show.
    assert_eq!(status(&ask("GET", "made-up").await), 400);
    assert_eq!(status(&ask("GET", &token(Revision(AT.0 + 1))).await), 503);
}

#[tokio::test]
async fn a_graph_that_does_not_answer_is_503_and_never_an_allow() {
    let world = World::usual().await;
    world.graph.is_down.store(true, Ordering::Release);
    let verdict = world.ask("GET", "/pages/a", &[]).await;
    assert!(matches!(verdict, Verdict::Unavailable { .. }), "{verdict:?}");
    assert_eq!(status(&verdict), 503);
    world.graph.is_down.store(false, Ordering::Release);
    assert_eq!(status(&world.ask("GET", "/pages/a", &[]).await), 200);
}

#[tokio::test(start_paused = true)]
async fn a_graph_that_hangs_is_503_at_the_deadline() {
    let mut config = config(&routes());
    config.deadline_ms = 50;
    let world = World::new(AuthMode::Jwt, &config).await;
    world.graph.hangs.store(true, Ordering::Release);
    assert_eq!(status(&world.ask("GET", "/pages/a", &[]).await), 503);
}

#[tokio::test]
async fn above_its_tenants_rate_a_request_is_denied_and_who_has_no_token_uses_nothing_up() {
    let rates = Rates::new(RateConfig { per_second: 1, burst: 1 }, Counter::noop());
    let config = config(&routes());
    let world = World::limited(AuthMode::Jwt, &config, DecisionAudit::off(), rates).await;
    for _ in 0..50 {
        assert_eq!(status(&world.ask("GET", "/pages/a", &[]).await), 200, "nobody's");
        assert_eq!(status(&world.ask("GET", "/v1/docs/7", &[]).await), 401);
    }
    let ask = async |tenant: &str| {
        let bearer = bearer(tenant, "user:u-1");
        status(&world.ask("GET", "/v1/docs/7", &[("authorization", &bearer)]).await)
    };
    assert_eq!(ask("acme").await, 200);
    // One is gained back each second.
    let mut refused = 200;
    for _ in 0..100 {
        refused = ask("acme").await;
        if refused != 200 {
            break;
        }
    }
    assert_eq!(refused, 429);
    assert_eq!(ask("other").await, 403, "its own rate");
}

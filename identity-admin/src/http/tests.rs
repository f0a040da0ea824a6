//! The routes as their document has them, before any database is asked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use service_kit::auth::{AuthConfig, AuthMode, Verifier};
use service_kit::rate::RateConfig;
use service_kit::shutdown::Shutdown;
use tower::ServiceExt as _;

use super::*;
use crate::change::Core;
use crate::clock::Clock;
use crate::db::{self, Db};

const EVERYTHING_BUT_SYSTEM: &str = "audit:write audit:read authz:check authz:write identity:read \
     identity:write token:introspect tenant:admin";

/// An Ed25519 key made of a fixed seed, wrapped as PKCS#8.
fn signing_key() -> EncodingKey {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    EncodingKey::from_ed_der(&[&prefix[..], &[7; 32]].concat())
}

fn token(tenant: &str, scope: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let header = Header {
        typ: Some("at+jwt".to_owned()),
        kid: Some("k".to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    let claims =
        json!({"aud": "triad", "sub": "user:u", "tid": tenant, "scope": scope, "exp": now + 300});
    format!("Bearer {}", encode(&header, &claims, &signing_key()).unwrap())
}

#[cfg(feature = "engines")]
fn nowhere() -> db::Place {
    db::Place::MySql(db::Dsn::parse("u@tcp(127.0.0.1:1)/d").unwrap())
}

#[cfg(not(feature = "engines"))]
fn nowhere() -> db::Place {
    db::Place::Sqlite("/nowhere/identity.db".into())
}

/// A service whose database nobody can reach.
async fn service(mode: AuthMode) -> Router {
    limited(mode, RateConfig { per_second: 0, burst: 1 }).await
}

/// The same with a rate for each tenant.
async fn limited(mode: AuthMode, rate: RateConfig) -> Router {
    let mut jwk = Jwk::from_encoding_key(&signing_key(), Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some("k".to_owned());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({"keys": [jwk]}).to_string()).unwrap();
    let auth = AuthConfig {
        mode,
        jwks_url: None,
        jwks_file: (mode == AuthMode::Jwt).then(|| file.path().to_owned()),
        issuer: None,
        audience: "triad".to_owned(),
        leeway_seconds: 5,
        jwks_refresh_seconds: 300,
        revocations_topic: None,
        introspection_url: None,
        introspection_key_file: None,
        ca: None,
        default_tenant: None,
    };
    let db = Db::new(&db::Options {
        place: nowhere(),
        max_open: 4,
        max_idle: 1,
        max_lifetime: Duration::from_secs(60),
        acquire_timeout: Duration::from_millis(5),
        statement_timeout: Duration::from_secs(2),
        lock_timeout: Duration::from_secs(1),
    });
    let (_trigger, shutdown) = Shutdown::new();
    let verifier = Verifier::start(&auth, shutdown).await.unwrap();
    let options = Options {
        max_body_bytes: 4096,
        request_timeout: Duration::from_secs(30),
        trusted_proxies: Vec::new(),
        default_limit: 10,
        max_limit: 20,
        snapshots: 1,
        snapshot_timeout: Duration::from_secs(5),
        rate,
        scim: crate::scim::Options {
            passwords: crate::scim::Passwords::Ignore,
            public_url: "http://127.0.0.1:8101".to_owned(),
            max_body_bytes: 8192,
            max_operations: 10,
            max_scan: 1000,
            max_members: 1000,
        },
    };
    let core = Core::new(db, Clock::system(), chrono::Duration::hours(24));
    router(Api::new(Arc::new(core), verifier, options, None))
}

async fn ask(
    router: &Router,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Every operation of the document: method, path with its parameters filled in, itself.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let filled = path
            .replace("{tenant}", "acme")
            .replace("{type}", "user")
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.clone(), filled.clone(), operation));
        }
    }
    all
}

#[tokio::test]
async fn every_route_wants_its_scope_in_its_tenant_and_answers_as_described() {
    let router = service(AuthMode::Jwt).await;
    let document: Value = serde_json::from_str(&openapi::json()).unwrap();
    let operations = operations(&document);
    assert!(operations.len() > 30);
    // Those that speak OAuth know their callers by other means.
    for (method, path, operation) in operations.into_iter().filter(|o| o.1.starts_with("/v1/")) {
        let scope = operation["security"][0]["bearer"][0].as_str().unwrap();
        let platform = !path.starts_with("/v1/tenants/acme");
        let every_other: Vec<_> =
            EVERYTHING_BUT_SYSTEM.split(' ').filter(|other| *other != scope).collect();
        let enough = format!("{scope} system:admin");
        let cases = [
            (None, Some(401)),
            (Some(token("other", EVERYTHING_BUT_SYSTEM)), Some(if platform { 403 } else { 404 })),
            (Some(token("acme", &every_other.join(" "))), Some(403)),
            // What comes then is of the request and of the database.
            (Some(token("acme", &enough)), None),
            (Some(token("other", &enough)), None),
        ];
        for (authorization, expected) in cases {
            let headers: Vec<_> =
                authorization.iter().map(|token| ("authorization", token.as_str())).collect();
            let at = (method.as_str(), path.as_str());
            let (status, body) = ask(&router, at, &headers, "{}").await;
            let case = format!("{method} {path} {status} {body}");
            match expected {
                Some(expected) => assert_eq!(status, expected, "{case}"),
                None => assert!(matches!(status.as_u16(), 400 | 503), "{case}"),
            }
            assert!(!operation["responses"][status.as_str()].is_null(), "not described: {case}");
            assert_eq!(body["status"], status.as_u16(), "{case}");
        }
    }
}

#[tokio::test]
async fn operations_have_names_of_their_own_and_tenants_no_other_alphabet() {
    let document: Value = serde_json::from_str(&openapi::json()).unwrap();
    let mut names: Vec<_> =
        operations(&document).iter().map(|(_, _, o)| o["operationId"].to_string()).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
    let router = service(AuthMode::Off).await;
    let (status, _) = ask(&router, ("GET", "/v1/tenants/ACME/users"), &[], "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_bad_request_is_told_all_its_faults() {
    let router = service(AuthMode::Off).await;
    let faults = |body: &Value| -> Vec<String> {
        let errors = body["errors"].as_array().into_iter().flatten();
        errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    };
    let users = ("POST", "/v1/tenants/acme/users");
    for (at, body, fields) in [
        (
            users,
            r#"{"email": "x", "settings": {"locale": "?"}}"#,
            &["email", "settings.locale"][..],
        ),
        (users, r#"{"email": "a@b", "attributes": 7}"#, &["attributes"]),
        (users, r#"{"email": "a@b", "passwrod": "hush"}"#, &["passwrod"]),
        (
            ("POST", "/v1/tenants"),
            r#"{"id": "A", "name": "", "administrator": {"email": ""}}"#,
            &["id", "name", "administrator.email"],
        ),
        (("PATCH", "/v1/tenants/acme"), r#"{"name": " a"}"#, &["name"]),
        (("PATCH", "/v1/tenants/acme"), r#"{"name": null}"#, &["name"]),
        (("PATCH", "/v1/tenants/acme/users/x"), r#"{"email": null}"#, &["email"]),
        (("PUT", "/v1/tenants/acme/users/x/settings"), r#"{"time_zone": "a b"}"#, &["time_zone"]),
    ] {
        let (status, answer) = ask(&router, at, &[], body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert_eq!(faults(&answer), fields, "{answer}");
        assert!(!answer.to_string().contains("hush"));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_its_kind() {
    let router = service(AuthMode::Off).await;
    let large = format!(r#"{{"email": "{}"}}"#, "a".repeat(5000));
    let patch = ("PATCH", "/v1/tenants/acme/users/x");
    let list = |query: &str| format!("/v1/tenants/acme/users?{query}");
    for (at, headers, body, status) in [
        (("POST", "/v1/tenants/acme/users"), &[][..], "{", 400),
        (("POST", "/v1/tenants/acme/users"), &[], "{}{}", 400),
        (("POST", "/v1/tenants/acme/users"), &[], large.as_str(), 413),
        (("POST", "/v1/tenants/acme/users"), &[("idempotency-key", "")], r#"{"email":"a@b"}"#, 400),
        (patch, &[("content-type", "application/json-patch+json")], "[]", 415),
        (patch, &[("content-type", "application/merge-patch+json")], "{}", 503),
        (("PUT", "/v1/tenants/acme/teams/x/members/planet/y"), &[], "", 404),
        (("GET", list("limit=21").as_str()), &[], "", 400),
        (("GET", list("limit=1&limit=1").as_str()), &[], "", 400),
        (("GET", list("color=red").as_str()), &[], "", 400),
        (("GET", list("sort=hashed_password").as_str()), &[], "", 400),
        (("GET", list("cursor=AAAA").as_str()), &[], "", 400),
        (("GET", list("active=perhaps").as_str()), &[], "", 400),
        (("GET", list("active=true&limit=20&sort=-user_name").as_str()), &[], "", 503),
        (("POST", "/v1/tenants/acme"), &[], "", 405),
        (("GET", "/v1/nothing"), &[], "", 404),
    ] {
        let (answered, answer) = ask(&router, at, headers, body).await;
        assert_eq!(answered.as_u16(), status, "{at:?} {answer}");
    }
}

#[tokio::test]
async fn who_is_not_known_is_told_before_the_body_is_read() {
    let router = service(AuthMode::Jwt).await;
    let never = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = Request::post("/v1/tenants/acme/users").body(Body::from_stream(never)).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_tenant_above_its_rate_waits_alone_and_strangers_use_nothing_up() {
    // What it takes to gain one back outlasts the test.
    let router = limited(AuthMode::Jwt, RateConfig { per_second: 1, burst: 60 }).await;
    let scopes = "identity:read identity:write";
    let (acme, other) = (token("acme", scopes), token("other", scopes));
    let scopeless = token("acme", "audit:read");
    let list = ("GET", "/v1/tenants/acme/users");
    let with = |token: &str| [("authorization".to_owned(), token.to_owned())];
    let status = async |at: (&str, &str), token: &str| {
        let headers = with(token);
        let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        ask(&router, at, &headers, "{}").await
    };
    for _ in 0..100 {
        assert_eq!(status(list, "Bearer x").await.0, 401);
        assert_eq!(status(list, &other).await.0, 404);
        assert_eq!(status(list, &scopeless).await.0, 403);
    }
    // Reads, writes and SCIM are of one rate; what is let in finds no database.
    let create = ("POST", "/v1/tenants/acme/users");
    let mut let_in = 0;
    let refused = loop {
        let at = [list, create, ("GET", "/scim/v2/Users")][let_in % 3];
        let (answered, body) = status(at, &acme).await;
        if answered == StatusCode::TOO_MANY_REQUESTS {
            break body;
        }
        assert!(matches!(answered.as_u16(), 400 | 503), "{at:?} {answered} {body}");
        let_in += 1;
        assert!(let_in < 1000);
    };
    assert!(let_in >= 60, "{let_in}");
    // SCIM's errors have it as a text.
    assert!(refused["status"] == 429 || refused["status"] == "429", "{refused}");
    let (answered, _) = status(("GET", "/v1/tenants/other/users"), &other).await;
    assert_eq!(answered, 503, "another tenant has its own");
}

#[tokio::test]
async fn who_is_above_a_rate_is_told_when_to_come_again() {
    let router = limited(AuthMode::Off, RateConfig { per_second: 1, burst: 1 }).await;
    let request = || Request::get("/v1/tenants/acme/users?limit=1").body(Body::empty()).unwrap();
    let first = router.clone().oneshot(request()).await.unwrap();
    assert_eq!(first.status(), StatusCode::SERVICE_UNAVAILABLE, "let in");
    let mut second = router.clone().oneshot(request()).await.unwrap();
    // On a machine that stood still for a second there was one again.
    for _ in 0..100 {
        if second.status() == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        second = router.clone().oneshot(request()).await.unwrap();
    }
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(second.headers()[header::RETRY_AFTER], "1");
    let suspend = Request::post("/v1/tenants/acme/suspend").body(Body::empty()).unwrap();
    let suspended = router.oneshot(suspend).await.unwrap();
    assert_eq!(suspended.status(), StatusCode::SERVICE_UNAVAILABLE, "let in: it can be stopped");
}

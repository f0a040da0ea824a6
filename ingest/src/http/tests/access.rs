use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use metrics::Counter;
use serde_json::json;
use service_kit::rate::RateConfig;

use super::*;

/// An Ed25519 key made of a fixed seed, wrapped as PKCS#8.
fn key() -> EncodingKey {
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
    let claims = json!({
        "aud": "triad", "sub": "user:u", "tid": tenant, "scope": scope, "exp": now + 300,
    });
    format!("Bearer {}", encode(&header, &claims, &key()).unwrap())
}

async fn guarded() -> Service {
    guarded_within(Rates::off()).await
}

async fn guarded_within(rates: Rates) -> Service {
    let mut jwk = Jwk::from_encoding_key(&key(), Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some("k".to_owned());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({"keys": [jwk]}).to_string()).unwrap();
    let jwks_file = Some(file.path().to_owned());
    let auth = AuthConfig { mode: AuthMode::Jwt, jwks_file, ..auth() };
    serve_within(stored(1).0, &auth, rates).await
}

#[tokio::test]
async fn every_route_wants_its_scope_in_its_tenant() {
    let service = guarded().await;
    let id = id_at(Ticks::from_millis(5), 1);
    let routes = [
        ("POST", "/v1/tenants/acme/audit".to_owned(), "audit:write", 202),
        ("GET", "/v1/tenants/acme/audit".to_owned(), "audit:read", 200),
        ("GET", format!("/v1/tenants/acme/audit/{id}"), "audit:read", 404),
        ("GET", "/v1/tenants/acme/audit/export".to_owned(), "audit:read", 200),
    ];
    for (method, path, scope, status) in routes {
        let other_scope = if scope == "audit:read" { "audit:write" } else { "audit:read" };
        let cases = [
            (None, 401),
            (Some("Bearer nonsense".to_owned()), 401),
            (Some(token("other", scope)), 404),
            (Some(token("acme", other_scope)), 403),
            (Some(token("acme", "system:admin")), 403),
            (Some(token("acme", scope)), status),
            (Some(token("other", &format!("{scope} system:admin"))), status),
        ];
        for (authorization, expected) in cases {
            let mut request = Request::builder()
                .method(method)
                .uri(&path)
                .header(header::CONTENT_TYPE, "application/json");
            if let Some(authorization) = &authorization {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let response =
                service.send(request.body(Body::from(r#"{"action":"x"}"#)).unwrap()).await;
            assert_eq!(response.status().as_u16(), expected, "{method} {path} {authorization:?}");
        }
    }
    assert_eq!(service.recorder.records().len(), 2, "only what was accepted");
}

#[tokio::test]
async fn who_may_not_write_is_told_before_the_body_is_read() {
    let service = guarded().await;
    let never = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let (status, _) = answer(service.post(Body::from_stream(never)).await).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_malformed_tenant_is_no_tenant() {
    let service = serve(Model::default()).await;
    assert_eq!(service.get("/v1/tenants/ACME/audit").await.0, 404);
}

#[tokio::test]
async fn a_tenant_above_its_rate_waits_alone_and_strangers_use_nothing_up() {
    // What it takes to gain a request back outlasts the test.
    let rate = RateConfig { per_second: 1, burst: 60 };
    let service = guarded_within(Rates::new(rate, Counter::noop())).await;
    let send = async |tenant: &str, bearer: &str, body: &'static str| {
        let request = Request::post(format!("/v1/tenants/{tenant}/audit"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, bearer);
        service.send(request.body(Body::from(body)).unwrap()).await
    };
    let (acme, other) = (token("acme", "audit:write"), token("other", "audit:write"));
    let scopeless = token("acme", "audit:read");
    for _ in 0..100 {
        assert_eq!(send("acme", "Bearer x", "{}").await.status(), 401);
        assert_eq!(send("acme", &other, "{}").await.status(), 404);
        assert_eq!(send("acme", &scopeless, "{}").await.status(), 403);
    }
    // Five events a request: twelve take what there is.
    let five = r#"[{"action":"a"},{"action":"a"},{"action":"a"},{"action":"a"},{"action":"a"}]"#;
    let mut accepted = 0;
    let refused = loop {
        let response = send("acme", &acme, five).await;
        if response.status() != 202 {
            break response;
        }
        accepted += 1;
        assert!(accepted < 100);
    };
    assert!(accepted >= 12, "{accepted}");
    let wait: u64 = refused.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    let (status, problem) = answer(refused).await;
    assert_eq!(
        (status.as_u16(), &problem["type"]),
        (429, &json!("urn:triad:problem:too-many-requests"))
    );
    assert_eq!(service.recorder.records().len(), 5 * accepted, "none of a refused request");
    assert_eq!(send("other", &other, five).await.status(), 202, "another tenant has its own");
}

#[tokio::test]
async fn a_tenant_above_its_rate_is_told_before_its_body_is_read_and_may_not_read_either() {
    let rates = Rates::new(RateConfig { per_second: 1, burst: 1 }, Counter::noop());
    let service = serve_within(stored(1).0, &auth(), rates).await;
    let five = r#"[{"action":"a"},{"action":"a"},{"action":"a"},{"action":"a"},{"action":"a"}]"#;
    // More than is left may be taken, once: it is owed.
    assert_eq!(service.post(five).await.status(), 202);
    let never = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    assert_eq!(service.post(Body::from_stream(never)).await.status(), 429);
    for path in
        ["/v1/tenants/acme/audit", "/v1/tenants/acme/audit/export", "/v1/tenants/acme/audit/x"]
    {
        assert_eq!(service.get(path).await.0, 429, "{path}");
    }
    assert_eq!(service.get("/v1/tenants/other/audit").await.0, 200);
}

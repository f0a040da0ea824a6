use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

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
    let mut jwk = Jwk::from_encoding_key(&key(), Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some("k".to_owned());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({"keys": [jwk]}).to_string()).unwrap();
    let jwks_file = Some(file.path().to_owned());
    serve_as(stored(1).0, &AuthConfig { mode: AuthMode::Jwt, jwks_file, ..auth() }).await
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

use super::*;
use crate::{
    http::{HttpOptions, serve},
    problem::Problem,
    shutdown::{Shutdown, ShutdownTrigger},
};
use axum::{Router, http::HeaderValue, http::StatusCode, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use contracts::Scope;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

const NOW: u64 = 1_800_000_000;

/// A key pair generated from `seed`, wrapped as PKCS#8 by its fixed prefix.
struct Key {
    kid: String,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Key {
    fn ed25519(kid: &str, seed: u8) -> Self {
        let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let der = [&prefix[..], &[seed; 32]].concat();
        Self {
            kid: kid.to_owned(),
            algorithm: Algorithm::EdDSA,
            private: EncodingKey::from_ed_der(&der),
        }
    }

    fn p256(kid: &str, seed: u8) -> Self {
        let prefix = [
            0x30, 0x41, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a,
            0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 4, 0x27, 0x30, 0x25, 2, 1, 1, 4, 0x20,
        ];
        let der = [&prefix[..], &[seed; 32]].concat();
        Self {
            kid: kid.to_owned(),
            algorithm: Algorithm::ES256,
            private: EncodingKey::from_ec_der(&der),
        }
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, header: Header, claims: &Value) -> HeaderValue {
        let header = Header { alg: self.algorithm, kid: Some(self.kid.clone()), ..header };
        let token = encode(&header, claims, &self.private).unwrap();
        HeaderValue::try_from(format!("Bearer {token}")).unwrap()
    }

    fn token(&self, claims: &Value) -> HeaderValue {
        self.sign(access_token(), claims)
    }
}

fn access_token() -> Header {
    Header { typ: Some("at+jwt".to_owned()), ..Header::default() }
}

/// Good claims with some replaced; null removes.
#[expect(clippy::needless_pass_by_value, reason = "every caller makes it on the spot")]
fn claims(replaced: Value) -> Value {
    let mut claims = json!({
        "iss": "https://id", "aud": ["other", "triad"], "sub": "user:u-1", "tid": "acme",
        "scope": "audit:read future:scope audit:write", "exp": NOW + 300, "nbf": NOW,
    });
    let (all, replaced) = (claims.as_object_mut().unwrap(), replaced.as_object().unwrap().clone());
    all.extend(replaced);
    all.retain(|_, value| !value.is_null());
    claims
}

fn jwks(keys: &[&Key]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
    json!({ "keys": keys }).to_string()
}

fn config() -> AuthConfig {
    AuthConfig {
        mode: AuthMode::Jwt,
        jwks_url: None,
        jwks_file: None,
        issuer: Some("https://id".to_owned()),
        audience: "triad".to_owned(),
        leeway_seconds: 10,
        jwks_refresh_seconds: 86_400,
        revocations_topic: None,
        introspection_url: None,
        introspection_key_file: None,
        ca: None,
        default_tenant: None,
    }
}

async fn verifier_with(jwks: &str) -> Verifier {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), jwks).unwrap();
    let config = AuthConfig { jwks_file: Some(file.path().to_owned()), ..config() };
    Verifier::start(&config, Shutdown::new().1).await.unwrap()
}

async fn status(verifier: &Verifier, token: &HeaderValue) -> u16 {
    verify(verifier, token).await.map_or_else(|problem| problem.status.as_u16(), |_| 200)
}

async fn verify(verifier: &Verifier, token: &HeaderValue) -> Result<Arc<Principal>, Problem> {
    verifier.verify_at(Some(token), NOW).await
}

#[tokio::test]
async fn a_good_token_of_each_algorithm_names_its_principal() {
    let keys = [Key::ed25519("ed", 1), Key::p256("ec", 2)];
    let verifier = verifier_with(&jwks(&[&keys[0], &keys[1]])).await;
    for key in &keys {
        let principal = verify(&verifier, &key.token(&claims(json!({})))).await.unwrap();
        assert_eq!(principal.subject, "user:u-1");
        assert_eq!(principal.tenant, Some(TenantId::parse("acme").unwrap()));
        assert!(principal.has(Scope::AuditRead) && principal.has(Scope::AuditWrite));
        assert!(!principal.has(Scope::SystemAdmin));
    }
}

/// Signed by OpenSSL for an expiry in 2100; its private key is gone.
#[tokio::test]
async fn a_token_that_openssl_signed_with_rs256_is_verified() {
    let verifier = verifier_with(include_str!("testdata/rs256.jwks.json")).await;
    let token = format!("Bearer {}", include_str!("testdata/rs256.jwt").trim());
    let token = HeaderValue::try_from(token).unwrap();
    assert_eq!(verify(&verifier, &token).await.unwrap().subject, "user:u-1");
}

#[tokio::test]
async fn claims_that_do_not_hold_are_refused() {
    let key = Key::ed25519("ed", 1);
    let verifier = verifier_with(&jwks(&[&key])).await;
    for wrong in [
        json!({"aud": "elsewhere"}),
        json!({"aud": null}),
        json!({"iss": "https://evil"}),
        json!({"iss": null}),
        json!({"iss": ["https://id"]}),
        json!({"exp": NOW - 10}),
        json!({"exp": null}),
        json!({"exp": "soon"}),
        json!({"nbf": NOW + 11}),
        json!({"sub": null}),
        json!({"tid": null}),
        json!({"tid": "Not A Tenant"}),
    ] {
        let answer = verify(&verifier, &key.token(&claims(wrong.clone()))).await;
        assert_eq!(answer.map_err(|problem| problem.type_), Err("invalid-token"), "{wrong}");
    }
    for within_leeway in [json!({"exp": NOW - 9}), json!({"nbf": NOW + 10})] {
        assert_eq!(status(&verifier, &key.token(&claims(within_leeway))).await, 200);
    }
}

#[tokio::test]
async fn headers_that_are_not_an_access_tokens_are_refused() {
    let key = Key::ed25519("ed", 1);
    let verifier = verifier_with(&jwks(&[&key])).await;
    let good = claims(json!({}));
    for typ in [None, Some("JWT"), Some("id+jwt")] {
        let header = Header { typ: typ.map(str::to_owned), ..Header::default() };
        assert_eq!(status(&verifier, &key.sign(header, &good)).await, 401, "{typ:?}");
    }
    for typ in ["AT+JWT", "application/at+jwt"] {
        let header = Header { typ: Some(typ.to_owned()), ..Header::default() };
        assert_eq!(status(&verifier, &key.sign(header, &good)).await, 200, "{typ}");
    }
    let critical = Header { crit: Some(vec!["b64".to_owned()]), ..access_token() };
    assert_eq!(status(&verifier, &key.sign(critical, &good)).await, 401);
}

#[tokio::test]
async fn neither_an_absent_nor_a_symmetric_nor_a_confused_algorithm_passes() {
    let (ed, ec) = (Key::ed25519("ed", 1), Key::p256("ec", 2));
    let verifier = verifier_with(&jwks(&[&ed, &ec])).await;
    let payload = URL_SAFE_NO_PAD.encode(claims(json!({})).to_string());
    let part = |header: Value| URL_SAFE_NO_PAD.encode(header.to_string());
    let none = part(json!({"typ": "at+jwt", "alg": "none", "kid": "ed"}));
    let none = HeaderValue::try_from(format!("Bearer {none}.{payload}.")).unwrap();
    assert_eq!(status(&verifier, &none).await, 401);

    let public = ed.public()["x"].as_str().unwrap().to_owned();
    let private = EncodingKey::from_secret(&URL_SAFE_NO_PAD.decode(public).unwrap());
    let hmac = Key { kid: "ed".to_owned(), algorithm: Algorithm::HS256, private };
    assert_eq!(status(&verifier, &hmac.token(&claims(json!({})))).await, 401);

    let confused = Key { kid: "ec".to_owned(), ..Key::ed25519("ed", 1) };
    assert_eq!(status(&verifier, &confused.token(&claims(json!({})))).await, 401);
    let forged = Key::ed25519("ed", 9);
    assert_eq!(status(&verifier, &forged.token(&claims(json!({})))).await, 401);
}

#[tokio::test]
async fn a_request_without_a_bearer_token_is_told_how_to_authenticate() {
    let verifier = verifier_with(&jwks(&[&Key::ed25519("ed", 1)])).await;
    let basic = HeaderValue::from_static("Basic dTpw");
    for header in [None, Some(&basic)] {
        let problem = verifier.verify_at(header, NOW).await.unwrap_err();
        assert_eq!((problem.status, problem.type_), (StatusCode::UNAUTHORIZED, "missing-token"));
    }
    let long = HeaderValue::try_from(format!("Bearer {}", "a".repeat(9000))).unwrap();
    for header in
        [&long, &HeaderValue::from_static("Bearer a.b"), &HeaderValue::from_static("Bearer ")]
    {
        assert_eq!(verify(&verifier, header).await.unwrap_err().type_, "invalid-token");
    }
}

#[tokio::test]
async fn a_remembered_token_is_refused_once_it_is_revoked_and_others_are_not() {
    let key = Key::ed25519("ed", 1);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), jwks(&[&key])).unwrap();
    let config = AuthConfig {
        jwks_file: Some(file.path().to_owned()),
        revocations_topic: Some("identity.changes".to_owned()),
        ..config()
    };
    let verifier = Verifier::start(&config, Shutdown::new().1).await.unwrap();
    let (topic, revocations) = verifier.revocations().unwrap();
    assert_eq!(topic, "identity.changes");
    let token = |jti: &str| key.token(&claims(json!({"jti": jti, "iat": NOW})));
    for _ in 0..2 {
        assert_eq!(status(&verifier, &token("one")).await, 200);
        assert_eq!(status(&verifier, &token("two")).await, 200);
    }
    let change = json!({"event_id": "00000000-0000-4000-8000-000000000000", "tenant_id": "acme",
        "seq": 1, "type": "credentials.revoked", "occurred_at": "2027-01-15T08:00:00Z",
        "data": {"jti": "one"}});
    let change = contracts::identity::Change::parse(change.to_string().as_bytes()).unwrap();
    revocations.hear(&change);
    for _ in 0..2 {
        assert_eq!(status(&verifier, &token("one")).await, 401);
        assert_eq!(status(&verifier, &token("two")).await, 200);
    }
}

/// An identity-admin that answers by the key that is asked about, and counts.
async fn introspection() -> (String, Arc<Mutex<u32>>, ShutdownTrigger) {
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let answer = axum::routing::post(async move |body: String| {
        *count.lock().unwrap() += 1;
        assert!(body.ends_with("client_secret=triad_test_asks"), "{body}");
        let active = json!({"active": true, "sub": "service_account:s", "tid": "acme",
            "scope": "audit:read", "key_id": "k", "exp": NOW + 10});
        match body.split('&').next() {
            Some("token=triad_test_good") => (StatusCode::OK, active.to_string()),
            Some("token=triad_test_bad") => (StatusCode::OK, r#"{"active":false}"#.to_owned()),
            _ => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
        }
    });
    let (trigger, shutdown) = Shutdown::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/oauth2/introspect", listener.local_addr().unwrap());
    let routes = Router::new().route("/oauth2/introspect", answer);
    let options = HttpOptions {
        max_connections: 16,
        header_read_timeout: Duration::from_secs(5),
        write_timeout: Duration::from_secs(5),
        drain_deadline: Duration::from_secs(1),
        drain_delay: Duration::ZERO,
    };
    tokio::spawn(serve(listener, routes, options, shutdown));
    (url, asked, trigger)
}

#[tokio::test]
async fn an_api_key_is_asked_about_once_in_a_while_and_an_outage_is_no_refusal() {
    let (url, asked, _trigger) = introspection().await;
    let (keys, own) =
        (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(keys.path(), jwks(&[&Key::ed25519("ed", 1)])).unwrap();
    std::fs::write(own.path(), "triad_test_asks\n").unwrap();
    let config = AuthConfig {
        jwks_file: Some(keys.path().to_owned()),
        introspection_url: Some(url),
        introspection_key_file: Some(own.path().to_owned()),
        revocations_topic: Some("identity.changes".to_owned()),
        ..config()
    };
    let verifier = Verifier::start(&config, Shutdown::new().1).await.unwrap();
    let bearer = |key: &str| HeaderValue::try_from(format!("Bearer triad_test_{key}")).unwrap();
    let asks = || *asked.lock().unwrap();
    for _ in 0..3 {
        let principal = verify(&verifier, &bearer("good")).await.unwrap();
        assert_eq!(principal.subject, "service_account:s");
        assert!(principal.has(Scope::AuditRead) && !principal.has(Scope::AuditWrite));
    }
    assert_eq!(asks(), 1);
    assert_eq!(status(&verifier, &bearer("bad")).await, 401);
    assert_eq!(status(&verifier, &bearer("down")).await, 503);
    assert_eq!(status(&verifier, &bearer("no-key")).await, 401);
    assert_eq!(asks(), 3, "what cannot be a key is not sent");
    // The key's end, and 30 s, whichever is first.
    verifier.verify_at(Some(&bearer("good")), NOW + 9).await.unwrap();
    assert_eq!(asks(), 3);
    let _ = verifier.verify_at(Some(&bearer("good")), NOW + 10).await;
    assert_eq!(asks(), 4);
    // A revocation that is heard ends it at once.
    verify(&verifier, &bearer("good")).await.unwrap();
    let before = asks();
    let change = json!({"event_id": "00000000-0000-4000-8000-000000000000", "tenant_id": "acme",
        "seq": 1, "type": "api_key.revoked", "occurred_at": "2027-01-15T08:00:00Z",
        "data": {"id": "k", "service_account_id": "s"}});
    let change = contracts::identity::Change::parse(change.to_string().as_bytes()).unwrap();
    verifier.revocations().unwrap().1.hear(&change);
    let _ = verify(&verifier, &bearer("good")).await;
    assert_eq!(asks(), before + 1, "it is asked about again");
}

#[tokio::test]
async fn a_remembered_token_still_expires() {
    let key = Key::ed25519("ed", 1);
    let verifier = verifier_with(&jwks(&[&key])).await;
    let token = key.token(&claims(json!({})));
    for _ in 0..2 {
        assert_eq!(status(&verifier, &token).await, 200);
        assert_eq!(verifier.cached_tokens(), 1);
    }
    assert!(verifier.verify_at(Some(&token), NOW + 310).await.is_err());
    assert_eq!(status(&verifier, &key.token(&claims(json!({"exp": 1})))).await, 401);
    assert_eq!(verifier.cached_tokens(), 1, "only what was verified is remembered");
}

/// An issuer whose answer the test sets; `None` is an outage.
struct Issuer {
    answer: Arc<Mutex<Option<String>>>,
    config: AuthConfig,
    _trigger: ShutdownTrigger,
}

impl Issuer {
    async fn start(answer: Option<String>) -> Self {
        let answer = Arc::new(Mutex::new(answer));
        let shown = Arc::clone(&answer);
        let keys = async move || shown.lock().unwrap().clone().ok_or(StatusCode::BAD_GATEWAY);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let jwks_url = Some(format!("http://{}/jwks.json", listener.local_addr().unwrap()));
        let (_trigger, shutdown) = Shutdown::new();
        let long = Duration::from_secs(600);
        let options = HttpOptions {
            max_connections: 8,
            header_read_timeout: long,
            write_timeout: long,
            drain_deadline: long,
            drain_delay: Duration::ZERO,
        };
        tokio::spawn(serve(
            listener,
            Router::new().route("/jwks.json", get(keys)),
            options,
            shutdown,
        ));
        Self { answer, config: AuthConfig { jwks_url, ..config() }, _trigger }
    }

    fn publish(&self, answer: Option<String>) {
        *self.answer.lock().unwrap() = answer;
    }
}

#[tokio::test]
async fn an_unknown_key_causes_one_read_and_no_storm() {
    let (old, new, later) =
        (Key::ed25519("old", 1), Key::ed25519("new", 2), Key::ed25519("later", 3));
    let issuer = Issuer::start(Some(jwks(&[&old]))).await;
    let verifier = Verifier::start(&issuer.config, Shutdown::new().1).await.unwrap();
    let good = claims(json!({}));
    assert_eq!(status(&verifier, &old.token(&good)).await, 200);
    issuer.publish(Some(jwks(&[&new])));
    assert_eq!(status(&verifier, &new.token(&good)).await, 401, "the keys were just read");
    verifier.forget_last_read().await;
    assert_eq!(status(&verifier, &new.token(&good)).await, 200);
    assert_eq!(
        status(&verifier, &old.token(&good)).await,
        401,
        "a withdrawn key's tokens go with it"
    );
    issuer.publish(Some(jwks(&[&new, &later])));
    assert_eq!(status(&verifier, &later.token(&good)).await, 401);
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_never_a_401() {
    let key = Key::ed25519("ed", 1);
    let issuer = Issuer::start(None).await;
    let verifier = Verifier::start(&issuer.config, Shutdown::new().1).await.unwrap();
    let token = key.token(&claims(json!({})));
    assert!(!verifier.is_ready());
    assert_eq!(status(&verifier, &token).await, 503);
    issuer.publish(Some(jwks(&[&key])));
    verifier.forget_last_read().await;
    assert_eq!(status(&verifier, &token).await, 200);
    issuer.publish(None);
    verifier.forget_last_read().await;
    let unknown = Key::ed25519("unknown", 2).token(&claims(json!({})));
    assert_eq!(status(&verifier, &unknown).await, 503, "it may be the issuer's new key");
    let other = key.token(&claims(json!({"sub": "user:u-2"})));
    assert_eq!(status(&verifier, &other).await, 200, "the last keys keep serving");
}

#[tokio::test]
async fn unusable_keys_are_ignored_and_a_file_without_any_other_is_refused() {
    let good = Key::ed25519("ed", 1);
    let changed = |member: &str, value: Value| {
        let mut key = Key::ed25519("bad", 2).public();
        key[member] = value;
        key
    };
    let bad = [
        changed("use", json!("enc")),
        changed("alg", json!("ES256")),
        changed("crv", json!("Ed448")),
        changed("kid", Value::Null),
        json!({"kty": "oct", "kid": "bad", "alg": "HS256", "k": "c2VjcmV0"}),
        json!({"kty": "RSA", "kid": "bad", "n": "AQAB", "e": "AQAB"}),
        json!(7),
    ];
    let all: Vec<_> = bad.iter().cloned().chain([good.public()]).collect();
    let verifier = verifier_with(&json!({ "keys": all }).to_string()).await;
    assert_eq!(status(&verifier, &good.token(&claims(json!({})))).await, 200);
    let bad_key = Key::ed25519("bad", 2);
    assert_eq!(status(&verifier, &bad_key.token(&claims(json!({})))).await, 401);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({ "keys": bad }).to_string()).unwrap();
    let config = AuthConfig { jwks_file: Some(file.path().to_owned()), ..config() };
    let refused = Verifier::start(&config, Shutdown::new().1).await.err().unwrap();
    assert_eq!(refused.key(), "auth.jwks_file");
}

#[tokio::test]
async fn mode_off_lets_everyone_do_everything() {
    let default_tenant = Some("acme".to_owned());
    let config = AuthConfig { mode: AuthMode::Off, default_tenant, ..config() };
    let verifier = Verifier::start(&config, Shutdown::new().1).await.unwrap();
    let anyone = verifier.verify(None).await.unwrap();
    assert_eq!(anyone.tenant, Some(TenantId::parse("acme").unwrap()));
    for scope in Scope::ALL {
        anyone.authorize(&TenantId::parse("other").unwrap(), *scope).unwrap();
    }
}

#[test]
fn a_bad_section_is_refused_by_name() {
    let key = |config: AuthConfig| config.validate().unwrap_err().key().to_owned();
    assert_eq!(key(config()), "auth.jwks_url");
    let url = || AuthConfig { jwks_url: Some("http://id/jwks".to_owned()), ..config() };
    url().validate().unwrap();
    assert_eq!(key(AuthConfig { jwks_file: Some("/a".into()), ..url() }), "auth.jwks_url");
    assert_eq!(key(AuthConfig { audience: String::new(), ..url() }), "auth.audience");
    assert_eq!(key(AuthConfig { leeway_seconds: 301, ..url() }), "auth.leeway_seconds");
    assert_eq!(key(AuthConfig { jwks_refresh_seconds: 0, ..url() }), "auth.jwks_refresh_seconds");
    assert_eq!(
        key(AuthConfig { default_tenant: Some("A".to_owned()), ..url() }),
        "auth.default_tenant"
    );
}

#[test]
fn only_system_admins_cross_tenants_and_no_scope_implies_another() {
    let (acme, other) = (TenantId::parse("acme").unwrap(), TenantId::parse("other").unwrap());
    let principal =
        |scopes: &[Scope]| Principal::new("user:u", Some(acme.clone()), scopes.to_vec());
    let answer = |scopes: &[Scope], tenant: &TenantId| {
        let allowed = principal(scopes).authorize(tenant, Scope::AuditRead);
        allowed.map_or_else(|problem| problem.type_, |()| "allowed")
    };
    assert_eq!(answer(&[Scope::AuditRead], &acme), "allowed");
    assert_eq!(answer(&[Scope::AuditWrite], &acme), "insufficient-scope");
    assert_eq!(answer(&[Scope::AuditRead, Scope::TenantAdmin], &other), "not-found");
    assert_eq!(answer(&[Scope::AuditRead, Scope::SystemAdmin], &other), "allowed");
    assert_eq!(answer(&[Scope::SystemAdmin], &other), "insufficient-scope");
}

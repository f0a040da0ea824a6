//! Who is asked first, and what comes too late.

use std::convert::Infallible;
use std::io::Write as _;

use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use futures::{FutureExt as _, StreamExt as _};
use serde_json::json;
use service_kit::auth::{AuthConfig, AuthMode};

use super::authzen::tests::{PUBLIC, Pdp, bearer, off};

/// Every route with a body.
const ALL: [(&str, &str); 12] = [
    ("POST", "/v1/tenants/acme/check"),
    ("POST", "/v1/tenants/acme/check/batch"),
    ("POST", "/v1/tenants/acme/explain"),
    ("POST", "/v1/tenants/acme/relationships"),
    ("PUT", "/v1/tenants/acme/roles/r"),
    ("PUT", "/v1/tenants/acme/resources/document/d"),
    ("PUT", "/v1/tenants/acme/subjects/user/u"),
    ("POST", "/access/v1/evaluation"),
    ("POST", "/access/v1/evaluations"),
    ("POST", "/tenants/acme/access/v1/search/subject"),
    ("POST", "/access/v1/search/resource"),
    ("POST", "/access/v1/search/action"),
];

async fn guarded() -> Pdp {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": PUBLIC });
    write!(file, "{}", json!({ "keys": [key] })).unwrap();
    let jwks_file = Some(file.path().to_owned());
    let auth = AuthConfig { mode: AuthMode::Jwt, jwks_file, ..off(None) };
    Pdp::new(None, &auth, None).await
}

/// The beginning of a body, and then nothing.
fn unfinished() -> Body {
    let begun = futures::stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"{")) });
    Body::from_stream(begun.chain(futures::stream::pending()))
}

#[tokio::test(start_paused = true)]
async fn who_may_not_ask_is_told_before_the_body_and_a_body_that_does_not_come_is_408() {
    let pdp = guarded().await;
    for (method, path) in ALL {
        let request = || {
            let json = "application/json";
            Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, json)
        };
        let anonymous = pdp.send(request().body(unfinished()).unwrap());
        let answer = anonymous.now_or_never().expect("nothing is waited for");
        assert_eq!(answer.status, 401, "{method} {path}");
        let known = request()
            .header(header::AUTHORIZATION, bearer("acme", "authz:check authz:write"))
            .body(unfinished());
        let answer = pdp.send(known.unwrap()).await;
        assert_eq!(answer.status, 408, "{method} {path}: {}", answer.text);
    }
}

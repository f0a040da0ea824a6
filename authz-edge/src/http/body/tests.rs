//! Who is asked first, what comes too late, and what is too much.

use std::io::Write as _;

use axum::http::{Request, header};
use futures::{FutureExt as _, StreamExt as _};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::http::authzen::tests::{PUBLIC, Pdp, bearer, off};
use service_kit::auth::{AuthConfig, AuthMode};

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
        // What is still to come of the body must not be taken for a request.
        assert_eq!(answer.headers[header::CONNECTION], "close", "{method} {path}");
    }
}

fn bodies(max_bytes: usize) -> Bodies {
    Bodies::new(max_bytes, Duration::from_secs(1))
}

fn pieces(lengths: &[usize]) -> Body {
    let pieces: Vec<_> =
        lengths.iter().map(|n| Ok::<_, Infallible>(Bytes::from(vec![b'x'; *n]))).collect();
    Body::from_stream(futures::stream::iter(pieces))
}

#[tokio::test]
async fn bodies_are_bounded_all_together_and_small_ones_are_always_read() {
    let bodies = bodies(HELD_BYTES);
    let held = bodies.read(Unread(pieces(&[HELD_BYTES]))).await.unwrap();
    assert_eq!(held.len(), HELD_BYTES);
    // What is free for each is still there.
    bodies.held.forget_permits(bodies.held.available_permits());
    assert_eq!(bodies.read(Unread(pieces(&[FREE_BYTES]))).await.unwrap().len(), FREE_BYTES);
    let refused = bodies.read(Unread(pieces(&[1, FREE_BYTES]))).await.unwrap_err();
    assert_eq!(refused.status, 429);
    drop(held);
    bodies.read(Unread(pieces(&[1, FREE_BYTES]))).await.unwrap();
}

proptest! {
    #[test]
    fn a_body_is_its_pieces_and_gives_back_what_it_took(
        lengths in prop::collection::vec(0..20_000_usize, 0..6), max in 0..60_000_usize,
    ) {
        let bodies = bodies(max);
        let read = bodies.read(Unread(pieces(&lengths))).now_or_never().unwrap();
        let length = lengths.iter().sum::<usize>();
        match read {
            Ok(read) => {
                prop_assert_eq!(read.len(), length);
                prop_assert!(length <= max);
                let taken = HELD_BYTES - bodies.held.available_permits();
                prop_assert_eq!(taken, length.saturating_sub(FREE_BYTES));
            }
            Err(problem) => {
                prop_assert_eq!(problem.status.as_u16(), 413);
                prop_assert!(length > max);
            }
        }
        prop_assert_eq!(bodies.held.available_permits(), HELD_BYTES);
    }
}

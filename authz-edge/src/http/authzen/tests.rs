//! The routes without a graph: what is refused, echoed and published, and that an outage is no denial.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::audit::Status;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use service_kit::auth::{AuthConfig, AuthMode, Verifier};
use service_kit::rate::Rates;
use service_kit::shutdown::Shutdown;
use tower::ServiceExt as _;

use crate::audit::tests::recorded;
use crate::audit::{DecisionAudit, Mode};
use crate::check::{Checker, Options, views};
use crate::clock::Clock;
use crate::graph::read::{Reader, Strangers};
use crate::graph::write::Ownership;
use crate::graph::{GraphDb, schema};
use crate::http::{self, Api, TOKEN};
use crate::model::condition::Precedence;
use service_kit::body::Bodies;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

/// A decision point.
pub(in crate::http) struct Pdp(pub(super) http::Hot);

/// An answer: its status, headers and body.
pub(in crate::http) struct Answer {
    pub(in crate::http) status: u16,
    pub(in crate::http) headers: HeaderMap,
    pub(in crate::http) text: String,
}

impl Answer {
    pub(in crate::http) fn json(&self) -> Value {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json", "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }
}

pub(in crate::http) fn off(tenant: Option<&str>) -> AuthConfig {
    AuthConfig {
        mode: AuthMode::Off,
        jwks_url: None,
        jwks_file: None,
        issuer: None,
        audience: "triad".to_owned(),
        leeway_seconds: 0,
        jwks_refresh_seconds: 60,
        revocations_topic: None,
        introspection_url: None,
        introspection_key_file: None,
        ca: None,
        default_tenant: tenant.map(str::to_owned),
    }
}

fn checking() -> Options {
    let views = views::Options {
        life: Duration::from_secs(30),
        max_life: Duration::from_secs(30),
        subject_bytes: 1 << 20,
        resource_bytes: 1 << 20,
        fills: 64,
        strict_after: Duration::from_secs(2),
        deadline: Duration::from_secs(5),
    };
    Options {
        views,
        decision_bytes: 1 << 20,
        doorkeeper: 0,
        deny_life: Duration::from_secs(5),
        precedence: Precedence::Request,
        wait: Duration::from_secs(1),
        fail_closed_after: None,
    }
}

/// What the routes work with: on that graph, or on one that does not answer.
pub(in crate::http) async fn api(
    graph: Option<Arc<GraphDb>>,
    auth: &AuthConfig,
    public_url: Option<&str>,
    audit: DecisionAudit,
) -> Arc<Api> {
    limited(graph, auth, public_url, audit, Rates::off()).await
}

/// The same with a limit for each tenant.
pub(in crate::http) async fn limited(
    graph: Option<Arc<GraphDb>>,
    auth: &AuthConfig,
    public_url: Option<&str>,
    audit: DecisionAudit,
    rates: Rates,
) -> Arc<Api> {
    let freshness = Arc::<crate::check::freshness::Freshness>::default();
    if let Some(graph) = &graph {
        freshness.set_epoch(schema::apply(graph).await.unwrap().epoch);
    }
    let graph = graph.unwrap_or_else(|| Arc::new(GraphDb::at(NOWHERE)));
    let reader = Reader::new(Arc::clone(&graph), Strangers::Everyone);
    let checker = Checker::new(reader, Arc::default(), freshness, Clock::system(), checking());
    let (_trigger, shutdown) = Shutdown::new();
    let options =
        http::Options { ownership: Ownership::Anyone, public_url: public_url.map(str::to_owned) };
    Arc::new(Api {
        checker: Arc::new(checker),
        graph,
        verifier: Verifier::start(auth, shutdown).await.unwrap(),
        options,
        bodies: Bodies::new(1 << 20, Duration::from_secs(10)),
        rates: Arc::new(rates),
        audit,
        wake: Arc::default(),
    })
}

impl Pdp {
    pub(in crate::http) async fn new(
        graph: Option<Arc<GraphDb>>,
        auth: &AuthConfig,
        public_url: Option<&str>,
    ) -> Self {
        Self::audited(graph, auth, public_url, DecisionAudit::off()).await
    }

    async fn audited(
        graph: Option<Arc<GraphDb>>,
        auth: &AuthConfig,
        public_url: Option<&str>,
        audit: DecisionAudit,
    ) -> Self {
        let api = api(graph, auth, public_url, audit).await;
        Self(http::service(Arc::clone(&api), http::router(api)))
    }

    pub(in crate::http) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.0.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = to_bytes(body, 1 << 24).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(text.to_vec()).unwrap(),
        }
    }

    pub(in crate::http) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }
}

async fn nowhere() -> Pdp {
    Pdp::new(None, &off(Some("acme")), None).await
}

fn asked() -> Value {
    json!({
        "subject": { "type": "user", "id": "alice" },
        "action": { "name": "read" },
        "resource": { "type": "record", "id": "record-1" },
    })
}

/// The error's body is a text, and no JSON of ours.
fn is_refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert!(!answer.text.is_empty() && !answer.text.starts_with('{'), "{}", answer.text);
}

const ALL: [&str; 5] = [
    "/access/v1/evaluation",
    "/access/v1/evaluations",
    "/access/v1/search/subject",
    "/access/v1/search/resource",
    "/access/v1/search/action",
];

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_text() {
    let pdp = nowhere().await;
    for path in ALL {
        for (kind, body) in [
            (Some("text/plain"), asked().to_string()),
            (None, asked().to_string()),
            (Some("application/json"), String::new()),
            (Some("application/json"), "{\"subject\":".to_owned()),
            (Some("application/json"), "[]".to_owned()),
            (Some("application/json; charset=utf-8"), "{\"subject\":\"alice\"}".to_owned()),
            (Some("application/json"), "{\"action\":{\"name\":123}}".to_owned()),
        ] {
            let mut request = Request::post(path);
            if let Some(kind) = kind {
                request = request.header(header::CONTENT_TYPE, kind);
            }
            is_refused(&pdp.send(request.body(Body::from(body)).unwrap()).await, 400);
        }
        let large = json!({ "x": "y".repeat(2 << 20) });
        is_refused(&pdp.post(path, &large).await, 413);
    }
}

#[tokio::test]
async fn every_search_says_what_it_lacks() {
    let pdp = nowhere().await;
    for (search, needs) in [
        ("subject", &["/subject/type", "/action/name", "/resource/type", "/resource/id"][..]),
        ("resource", &["/subject/type", "/subject/id", "/action/name", "/resource/type"]),
        ("action", &["/subject/type", "/subject/id", "/resource/type", "/resource/id"]),
    ] {
        for need in needs {
            let mut body = asked();
            let (parent, member) = need.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member);
            let answer = pdp.post(&format!("/access/v1/search/{search}"), &body).await;
            is_refused(&answer, 400);
            assert!(answer.text.contains(&need[1..].replace('/', ".")), "{}", answer.text);
        }
        for page in [json!({ "token": "x" }), json!({ "limit": -1 }), json!({ "limit": "1" })] {
            let mut body = asked();
            body["page"] = page;
            is_refused(&pdp.post(&format!("/access/v1/search/{search}"), &body).await, 400);
        }
    }
}

#[tokio::test]
async fn a_graph_that_is_away_is_no_denial() {
    let pdp = nowhere().await;
    let mut batch = asked();
    batch["evaluations"] = json!([{}, { "subject": { "type": "robot", "id": "r" } }]);
    let bodies = ALL.map(|path| (path, asked())).into_iter();
    for (path, body) in bodies.chain([("/access/v1/evaluations", batch)]) {
        let answer = pdp.post(path, &body).await;
        is_refused(&answer, 503);
        assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    }
}

#[tokio::test]
async fn a_subject_of_a_type_that_nobody_has_may_nothing() {
    let pdp = nowhere().await;
    let mut body = asked();
    body["subject"]["type"] = "spaceship".into();
    let answer = pdp.post("/access/v1/evaluation", &body).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "decision": false })));
    assert!(answer.headers.contains_key(TOKEN));
    for search in ["subject", "resource", "action"] {
        let answer = pdp.post(&format!("/access/v1/search/{search}"), &body).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "results": [] })));
        assert!(answer.headers.contains_key(TOKEN));
    }
    // With a page asked for, there is one to say that nothing follows.
    body["page"] = json!({ "limit": 1 });
    let page = pdp.post("/access/v1/search/subject", &body).await.json();
    assert_eq!(page["page"], json!({ "next_token": "", "count": 0 }));
}

#[tokio::test]
async fn a_broken_evaluation_is_answered_in_its_place() {
    let pdp = nowhere().await;
    let unknown = json!({ "type": "robot", "id": "r" });
    let mut body = asked();
    body.as_object_mut().unwrap().remove("resource");
    body["subject"] = unknown;
    body["evaluations"] = json!([
        { "resource": { "type": "t", "id": "1" } }, {}, 7, { "subject": "alice" },
        { "resource": { "type": "t", "id": "1" } },
    ]);
    let answer = pdp.post("/access/v1/evaluations", &body).await.json();
    let evaluations = answer["evaluations"].as_array().unwrap();
    assert!(evaluations.iter().all(|evaluation| evaluation["decision"] == false));
    let failed: Vec<bool> = evaluations
        .iter()
        .map(|e| e.pointer("/context/error/status") == Some(&json!(400)))
        .collect();
    assert_eq!(failed, [false, true, true, true, false]);
    assert_eq!(answer.get("decision"), None);
    // The first denial ends it.
    body["options"] = json!({ "evaluations_semantic": "deny_on_first_deny" });
    let answer = pdp.post("/access/v1/evaluations", &body).await.json();
    assert_eq!(answer, json!({ "evaluations": [{ "decision": false }] }));
    // A thousand and one are too many, and so are defaults that no evaluation takes.
    body["evaluations"] = vec![json!({}); 1001].into();
    is_refused(&pdp.post("/access/v1/evaluations", &body).await, 400);
    body["evaluations"] = json!([{}]);
    body["context"] = json!({ "x": "y".repeat(20_000) });
    is_refused(&pdp.post("/access/v1/evaluations", &body).await, 400);
}

#[tokio::test]
async fn only_what_is_answered_is_audited() {
    let (audit, kafka) = recorded(Mode::All, 10);
    let pdp = Pdp::audited(None, &off(Some("acme")), None, audit).await;
    let mut body = asked();
    body["subject"]["type"] = "robot".into();
    let resource = |id: &str| json!({ "resource": { "type": "t", "id": id } });
    let items = [json!({ "resource": 7 }), resource("1"), resource("2"), resource("3")];
    body["evaluations"] = items.to_vec().into();
    pdp.post("/access/v1/evaluations", &body).await;
    // The first denial ends it, though others are worked on by then.
    body["evaluations"] = items[1..].to_vec().into();
    body["options"] = json!({ "evaluations_semantic": "deny_on_first_deny" });
    pdp.post("/access/v1/evaluations", &body).await;
    // With the graph away the whole request has no answer, this one's included.
    body["evaluations"][1]["subject"] = json!({ "type": "user", "id": "alice" });
    body["options"] = json!({});
    is_refused(&pdp.post("/access/v1/evaluations", &body).await, 503);
    for search in ["subject", "resource", "action"] {
        pdp.post(&format!("/access/v1/search/{search}"), &asked()).await;
    }
    let single = Request::post("/access/v1/evaluation")
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-request-id", "r-1");
    body.as_object_mut().unwrap().remove("evaluations");
    pdp.send(single.body(Body::from(body.to_string())).unwrap()).await;
    drop(pdp);
    let events = kafka.events().await;
    let of: Vec<_> = events.iter().map(|event| event.resource_id.as_deref().unwrap()).collect();
    assert_eq!(of, ["1", "2", "3", "1", "record-1"]);
    let last = &events[4];
    assert_eq!((last.actor_type, last.status), (None, Some(Status::Denied)));
    let expected = json!({ "action": "read", "subject_type": "robot", "caller": "anonymous",
        "request_id": "r-1", "revision": "0", "route": "authzen" });
    assert_eq!(json!(last.details), expected);
}

#[tokio::test]
async fn any_request_id_comes_back_whatever_the_answer() {
    let pdp = nowhere().await;
    for id in ["bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "two words, {curly}", &"x".repeat(300)] {
        for path in ["/access/v1/evaluation", "/.well-known/authzen-configuration"] {
            let request = Request::post(path).header("X-Request-ID", id);
            let answer = pdp.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.headers["x-request-id"], id);
        }
    }
    let answer = pdp.post("/access/v1/evaluation", &json!({})).await;
    assert!(answer.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn a_caller_without_a_tenant_names_one_in_the_path() {
    let pdp = Pdp::new(None, &off(None), None).await;
    is_refused(&pdp.post("/access/v1/evaluation", &asked()).await, 400);
    let mut body = asked();
    body["subject"]["type"] = "robot".into();
    let answer = pdp.post("/tenants/acme/access/v1/evaluation", &body).await;
    assert_eq!(answer.json(), json!({ "decision": false }));
    is_refused(&pdp.post("/tenants/No%20Tenant/access/v1/evaluation", &body).await, 404);
}

/// The key pair of RFC 8037, appendix A.
pub(in crate::http) const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const PRIVATE: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

pub(in crate::http) fn bearer(tenant: &str, scope: &str) -> String {
    let mut key = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    key.extend(URL_SAFE_NO_PAD.decode(PRIVATE).unwrap());
    let mut header = Header::new(Algorithm::EdDSA);
    (header.typ, header.kid) = (Some("at+jwt".to_owned()), Some("k".to_owned()));
    let claims = json!({
        "sub": "service_account:pep", "aud": "triad", "exp": 4_000_000_000_u64,
        "tid": tenant, "scope": scope,
    });
    let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&key)).unwrap();
    format!("Bearer {token}")
}

/// What verifies the tokens of [`bearer`], and the file that it reads when it starts.
pub(in crate::http) fn jwt() -> (tempfile::NamedTempFile, AuthConfig) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": PUBLIC });
    write!(file, "{}", json!({ "keys": [key] })).unwrap();
    let jwks_file = Some(file.path().to_owned());
    (file, AuthConfig { mode: AuthMode::Jwt, jwks_file, ..off(None) })
}

#[tokio::test]
async fn the_token_names_the_tenant_and_must_have_the_scope() {
    let (_file, auth) = jwt();
    let pdp = Pdp::new(None, &auth, None).await;
    let mut body = asked();
    body["subject"]["type"] = "robot".into();
    let ask = async |path: &str, bearer: Option<String>| {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(bearer) = bearer {
            request = request.header(header::AUTHORIZATION, bearer);
        }
        pdp.send(request.body(Body::from(body.to_string())).unwrap()).await
    };
    for path in ["/access/v1/evaluation", "/tenants/acme/access/v1/evaluation"] {
        let answer = ask(path, None).await;
        is_refused(&answer, 401);
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
        is_refused(&ask(path, Some("Bearer x".to_owned())).await, 401);
        is_refused(&ask(path, Some(bearer("acme", "authz:write"))).await, 403);
        let answer = ask(path, Some(bearer("acme", "authz:check"))).await;
        assert_eq!(answer.json(), json!({ "decision": false }));
    }
    let other = ask("/tenants/other/access/v1/evaluation", Some(bearer("acme", "authz:check")));
    is_refused(&other.await, 404);
}

#[tokio::test]
async fn the_configuration_names_every_endpoint_and_needs_no_token() {
    let pdp = Pdp::new(None, &off(None), Some("https://pdp.example.com")).await;
    for (path, base) in [
        ("/.well-known/authzen-configuration", "https://pdp.example.com"),
        ("/.well-known/authzen-configuration/tenants/acme", "https://pdp.example.com/tenants/acme"),
    ] {
        let answer = pdp.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200);
        let at = |path: &str| format!("{base}/access/v1/{path}");
        let expected = json!({
            "policy_decision_point": base,
            "access_evaluation_endpoint": at("evaluation"),
            "access_evaluations_endpoint": at("evaluations"),
            "search_subject_endpoint": at("search/subject"),
            "search_resource_endpoint": at("search/resource"),
            "search_action_endpoint": at("search/action"),
        });
        assert_eq!(answer.json(), expected);
    }
    let host = nowhere().await;
    let path = "/.well-known/authzen-configuration";
    let request = Request::get(path).header(header::HOST, "127.0.0.1:8102");
    let answer = host.send(request.body(Body::empty()).unwrap()).await.json();
    assert_eq!(answer["policy_decision_point"], "http://127.0.0.1:8102");
    let unnamed = host.send(Request::get(path).body(Body::empty()).unwrap()).await;
    is_refused(&unnamed, StatusCode::BAD_REQUEST.as_u16());
}

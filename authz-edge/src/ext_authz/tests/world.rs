//! A graph that never changes, a key that signs tokens, and routes over both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use contracts::{ConsistencyToken, GraphEpoch, Revision, TenantId};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use service_kit::auth::{AuthConfig, AuthMode, Verifier};
use service_kit::rate::Rates;
use service_kit::shutdown::Shutdown;

use crate::audit::DecisionAudit;
use crate::check::fences::Fences;
use crate::check::freshness::Freshness;
use crate::check::{Checker, Options, views};
use crate::clock::Clock;
use crate::ext_authz::config::ExtAuthzConfig;
use crate::ext_authz::{ExtAuthz, Request, Verdict};
use crate::graph::store::{Part, Parts, ResourceReading, SubjectReading, Whole};
use crate::graph::{Graph, GraphError, Mode, Reading};
use crate::model::condition::Precedence;
use crate::model::parts::Closure;
use crate::model::view::{
    Covers, Grant, Holding, NEVER, Node, ResourceView, RoleGrants, Standing, SubjectView,
};
use crate::model::{Condition, Key, ResourceRef, SubjectRef};

pub(crate) const AT: Revision = Revision(10);
const EPOCH: GraphEpoch = GraphEpoch(7);

/// `u-1` of acme, and the service account `robot`, may read documents; `guest` of acme may read pages,
/// and write them from the region eu.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) is_down: AtomicBool,
    pub(crate) hangs: AtomicBool,
    /// Every subject that was read.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Fake {
    async fn answers(&self) -> Result<(), GraphError> {
        if self.hangs.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
        match self.is_down.load(Ordering::Acquire) {
            true => Err(GraphError::Unavailable("it is down".to_owned())),
            false => Ok(()),
        }
    }
}

fn role(type_: &str, grants: &[(&str, Option<&str>)]) -> Arc<RoleGrants> {
    let grants = grants.iter().map(|(action, condition)| {
        let condition = condition.map(|text| Condition::compile(text).unwrap());
        ((*action).into(), Grant { covers: Covers::Type(type_.into()), condition })
    });
    Arc::new(RoleGrants::new(grants))
}

/// Who is anybody holds one role, everywhere.
fn whole(name: &str, keys: Vec<Key>) -> Whole {
    let (holder, node) = (Node(1), Node(2));
    let grants = match name {
        "acme/user:u-1" | "acme/service_account:robot" => Some(role("doc", &[("read", None)])),
        "acme/user:guest" => {
            let from_eu = r#"context.headers["x-region"] == "eu""#;
            Some(role("page", &[("read", None), ("write", Some(from_eu))]))
        }
        _ => None,
    };
    let everywhere = Holding { covers: Covers::All, until: NEVER };
    let holdings = Part { node: holder, key: None, part: Box::from([(node, everywhere)]) };
    let parts =
        Parts { holders: vec![holdings], roles: vec![Part { node, key: None, part: grants }] };
    let closure =
        Closure { standing: Standing::Active, attributes: None, holders: Box::from([holder]) };
    Whole { closure, keys, parts }
}

impl Graph for Arc<Fake> {
    async fn subject(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        _: Mode,
    ) -> Result<SubjectReading, GraphError> {
        let name = format!("{tenant}/{subject}");
        self.asked.lock().unwrap().push(name.clone());
        self.answers().await?;
        let visited = vec![Key::subject(tenant, subject.type_, &subject.id)];
        Ok(Reading { revision: AT, view: Some(whole(&name, visited.clone())), visited })
    }

    async fn closure(
        &self,
        _: &TenantId,
        _: &SubjectRef,
        _: Mode,
    ) -> Result<Reading<Option<Closure>>, GraphError> {
        unreachable!("nothing changes")
    }

    async fn parts(
        &self,
        _: &TenantId,
        _: &[Node],
        _: &[Node],
        _: Mode,
    ) -> Result<Reading<Parts>, GraphError> {
        unreachable!("nothing changes")
    }

    async fn narrowed(
        &self,
        _: &TenantId,
        _: &SubjectRef,
        _: &str,
        _: &ResourceRef,
        _: Mode,
    ) -> Result<Reading<SubjectView>, GraphError> {
        unreachable!("no subject is too large")
    }

    async fn resource(
        &self,
        tenant: &TenantId,
        resource: &ResourceRef,
        _: Mode,
    ) -> Result<ResourceReading, GraphError> {
        self.answers().await?;
        let visited = vec![Key::resource(tenant, &resource.type_, &resource.id)];
        let view = ResourceView::new(None, Vec::new(), vec![resource.type_.as_str().into()]);
        Ok(Reading { revision: AT, visited, view })
    }

    async fn applied(&self, _: &TenantId) -> Result<(u64, Revision), GraphError> {
        Ok((0, AT))
    }
}

fn checker(graph: &Arc<Fake>) -> Checker<Arc<Fake>> {
    let seconds = Duration::from_secs;
    let views = views::Options {
        life: seconds(30),
        max_life: seconds(30),
        subject_bytes: 1 << 20,
        resource_bytes: 1 << 20,
        fills: 8,
        strict_after: seconds(60),
        deadline: seconds(5),
    };
    let options = Options {
        views,
        decision_bytes: 1 << 20,
        doorkeeper: 0,
        deny_life: seconds(1),
        precedence: Precedence::Request,
        wait: seconds(1),
        fail_closed_after: None,
    };
    let (fences, freshness) = (Fences::with_places(64, 8), Freshness::default());
    freshness.set_epoch(EPOCH);
    Checker::new(Arc::clone(graph), fences.into(), freshness.into(), Clock::system(), options)
}

pub(crate) fn config(routes: &Value) -> ExtAuthzConfig {
    serde_json::from_value(json!({
        "listen": null, "max_connections": 8, "max_concurrent_streams": 8,
        "max_message_bytes": 65_536, "deadline_ms": 10_000, "tls": {}, "routes": routes,
    }))
    .unwrap()
}

/// Documents of whom the token names, and pages of a fixed guest of acme.
pub(crate) fn routes() -> Value {
    json!([
        {
            "host": "docs.example.com", "path": "/v1/docs/{id}", "tenant": "token",
            "subject": "token", "action": {"GET": "read", "PUT": "write"},
            "resource": {"type": "doc", "id": "{id}"},
        },
        {
            "methods": ["GET"], "path": "/pages/{path..}", "tenant": "acme",
            "subject": {"type": "user", "id": "guest"}, "action": "read",
            "resource": {"type": "page", "id": "{path}"},
        },
        {
            "methods": ["PUT"], "path": "/pages/{path..}", "tenant": "acme",
            "subject": {"type": "user", "id": "guest"}, "action": "write",
            "resource": {"type": "page", "id": "{path}"}, "context": ["X-Region"],
        },
    ])
}

/// An Ed25519 key of a fixed seed in PKCS#8.
fn key() -> EncodingKey {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    EncodingKey::from_ed_der(&[&prefix[..], &[9; 32]].concat())
}

/// `Bearer …` of a subject in a tenant.
pub(crate) fn bearer(tenant: &str, subject: &str) -> String {
    let header = Header {
        alg: Algorithm::EdDSA,
        kid: Some("k".to_owned()),
        typ: Some("at+jwt".to_owned()),
        ..Header::default()
    };
    let year_2100 = 4_102_444_800_u64;
    let claims = json!({"aud": "triad", "sub": subject, "tid": tenant, "exp": year_2100});
    format!("Bearer {}", encode(&header, &claims, &key()).unwrap())
}

async fn verifier(mode: AuthMode) -> Verifier {
    let mut jwk = Jwk::from_encoding_key(&key(), Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some("k".to_owned());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({ "keys": [jwk] }).to_string()).unwrap();
    let config = AuthConfig {
        mode,
        jwks_url: None,
        jwks_file: Some(file.path().to_owned()),
        issuer: None,
        audience: "triad".to_owned(),
        leeway_seconds: 0,
        jwks_refresh_seconds: 86_400,
        revocations_topic: None,
        introspection_url: None,
        introspection_key_file: None,
        ca: None,
        default_tenant: Some("acme".to_owned()),
    };
    // Nothing drains here, so the keys are kept until the runtime ends.
    Verifier::start(&config, Shutdown::new().1).await.unwrap()
}

pub(crate) struct World {
    pub(crate) graph: Arc<Fake>,
    pub(crate) ext_authz: Arc<ExtAuthz<Arc<Fake>>>,
}

impl World {
    pub(crate) async fn new(mode: AuthMode, config: &ExtAuthzConfig) -> Self {
        Self::audited(mode, config, DecisionAudit::off()).await
    }

    pub(crate) async fn audited(
        mode: AuthMode,
        config: &ExtAuthzConfig,
        audit: DecisionAudit,
    ) -> Self {
        Self::limited(mode, config, audit, Rates::off()).await
    }

    pub(crate) async fn limited(
        mode: AuthMode,
        config: &ExtAuthzConfig,
        audit: DecisionAudit,
        rates: Rates,
    ) -> Self {
        let graph = Arc::new(Fake::default());
        let (checker, rates) = (Arc::new(checker(&graph)), Arc::new(rates));
        let verifier = verifier(mode).await;
        let ext_authz = ExtAuthz::new(config, checker, verifier, audit, rates).unwrap();
        Self { graph, ext_authz: Arc::new(ext_authz) }
    }

    pub(crate) async fn usual() -> Self {
        Self::new(AuthMode::Jwt, &config(&routes())).await
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Verdict {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let request = Request { method, host: "docs.example.com", path, headers: &headers };
        self.ext_authz.decide(&request).await
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.graph.asked.lock().unwrap().clone()
    }
}

/// 200, or the status of the problem.
pub(crate) fn status(verdict: &Verdict) -> u16 {
    match verdict {
        Verdict::Allow { .. } => 200,
        Verdict::Deny { problem, .. } | Verdict::Unavailable { problem } => problem.status.as_u16(),
    }
}

/// The consistency token of acme at a revision.
pub(crate) fn token(revision: Revision) -> String {
    let acme = TenantId::parse("acme").unwrap();
    ConsistencyToken::Graph { epoch: EPOCH, revision }.text(&acme).to_string()
}

//! The trio on its engines, attacked by one tenant in every way that `tests::abuse` knows. What a token of another tenant
//! finds is in `forgeries`, `surface` and `identity/surface`.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tests::abuse::{Probe, Target};

use crate::edge::{Edge, Edges, question, role};
use crate::identity::credentials::Installed;
use crate::identity::{Identities, Service};
use crate::issuer::Issuer;
use crate::process::Process;
use crate::world::{World, until};

const EVERYTHING: &str = "audit:write audit:read authz:check authz:write identity:read identity:write \
     token:introspect tenant:admin";
/// So few that an attacker can have all of them.
const CONNECTIONS: usize = 16;

/// Who attacks, whom it must not touch, and who sees all.
struct Cast {
    attacker: (String, String),
    victim: (String, String),
    administrator: String,
    /// What only the victim has.
    secret: String,
}

impl Cast {
    fn new(issuer: &Issuer, edges: &Edges) -> Result<Self> {
        let of = |tenant: &str| -> Result<(String, String)> {
            let bearer = issuer.bearer(tenant, "user:u-1", EVERYTHING)?;
            Ok((tenant.to_owned(), bearer))
        };
        let all = format!("{EVERYTHING} system:admin");
        Ok(Self {
            attacker: of(&edges.tenant("a"))?,
            victim: of(&edges.tenant("v"))?,
            administrator: issuer.bearer("_system", "user:root", &all)?,
            secret: format!("secret-{}", edges.own),
        })
    }

    /// That process, which is not attacked yet.
    async fn target(
        &self,
        process: &Process,
        (document, writes, reads): (&'static str, &'static str, &'static [&'static str]),
        probe: Probe,
    ) -> Result<Target> {
        let described = process.get(document).await?;
        Ok(Target {
            port: process.port(),
            pid: process.pid(),
            connections: CONNECTIONS,
            documents: vec![(document, described)],
            tenant: self.attacker.0.clone(),
            bearer: self.attacker.1.clone(),
            administrator: self.administrator.clone(),
            writes,
            reads,
            victim: (self.victim.0.clone(), self.secret.clone(), probe),
        })
    }

    fn probe(&self, method: Method, rest: &str, body: Value, holds: &str) -> Probe {
        let (tenant, bearer) = &self.victim;
        let path = format!("/v1/tenants/{tenant}{rest}");
        Probe { method, path, bearer: bearer.clone(), body, holds: holds.to_owned() }
    }

    async fn of_ingest(&self, ingest: &Process) -> Result<Target> {
        let (tenant, bearer) = &self.victim;
        let path = format!("/v1/tenants/{tenant}/audit");
        let event = json!({"action": "document.read", "actor_id": self.secret});
        let url = ingest.url(&path);
        let sent = ingest.client.post(&url).header("authorization", bearer).json(&event);
        let answer = sent.send().await?;
        ensure!(answer.status() == 202, "{}", answer.text().await?);
        until("the event is stored", async || {
            let page = ingest.client.get(&url).header("authorization", bearer).send().await?;
            let text = page.text().await?;
            Ok(if text.contains(&self.secret) { Ok(()) } else { Err(text) })
        })
        .await?;
        let probe = self.probe(Method::GET, "/audit?limit=1", Value::Null, &self.secret);
        let about = "/openapi/ingest.json";
        self.target(ingest, (about, "audit", &["audit", "audit/export"]), probe).await
    }

    async fn of_edge(&self, edge: &Edge) -> Result<Target> {
        let (tenant, bearer) = &self.victim;
        let headers = [("authorization", bearer.as_str())];
        let reader = json!({"permissions": [{"action": "read"}]});
        let writes = json!({"writes": [{"op": "touch",
            "relationship": role("user", "u-1", &self.secret, &Value::Null)}]});
        let roles = format!("/v1/tenants/{tenant}/roles/{}", self.secret);
        let relationships = format!("/v1/tenants/{tenant}/relationships");
        for (method, path, body) in
            [(Method::PUT, roles, reader), (Method::POST, relationships, writes)]
        {
            let answer = edge.ask(method, &path, &headers, Some(&body)).await?;
            ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
        }
        let asked = question("u-1", "read", ("document", "d-1"));
        let probe = self.probe(Method::POST, "/check", asked, r#""decision":true"#);
        let about = "/openapi/authz-edge.json";
        self.target(edge.process(), (about, "check", &["roles"]), probe).await
    }

    async fn of_identity(&self, identity: &Service) -> Result<Target> {
        let headers = [("authorization", self.administrator.as_str())];
        for (tenant, name) in [(&self.attacker.0, "attacker"), (&self.victim.0, &*self.secret)] {
            let body = json!({"id": tenant, "name": name, "administrator": {"email": format!("{name}@x.example")}});
            identity.ask(Method::POST, "/v1/tenants", &headers, body).await?.must(201)?;
        }
        let probe = self.probe(Method::GET, "", Value::Null, &self.secret);
        let about = "/openapi/identity-admin.json";
        self.target(identity.process(), (about, "users", &["users", "snapshot"]), probe).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_one_tenant_does_the_trio_goes_on_for_the_others() -> Result<()> {
    let issuer = Issuer::new()?;
    let (keys, connections) = (issuer.keys(), CONNECTIONS.to_string());
    let common = [
        ("AUTH__MODE", "jwt"),
        ("AUTH__JWKS_FILE", keys.as_str()),
        ("HTTP__MAX_CONNECTIONS", connections.as_str()),
        ("HTTP__HEADER_READ_TIMEOUT_MS", "500"),
        ("HTTP__WRITE_TIMEOUT_MS", "500"),
        ("HTTP__MAX_BODY_BYTES", "1048576"),
    ];
    let (whole, body) =
        ([("HTTP__REQUEST_TIMEOUT_MS", "5000")], [("HTTP__BODY_READ_TIMEOUT_MS", "500")]);
    let world = World::new("abuse", &[]).await?.with(&[&common[..], &whole].concat())?;
    let edges = Edges::new(&[&common[..], &body].concat()).await?;
    let identities = Identities::new(&[&common[..], &whole].concat()).await?;
    let installed = Installed::of(&identities)?;
    let ingest = world.ingest().await?;
    let (edge, identity) = (edges.start().await?, installed.start().await?);
    let cast = Cast::new(&issuer, &edges)?;
    let targets = [
        ("ingest", cast.of_ingest(&ingest).await?),
        ("authz-edge", cast.of_edge(&edge).await?),
        ("identity-admin", cast.of_identity(&identity).await?),
    ];
    for (name, target) in &targets {
        target.withstands_everything().await.with_context(|| (*name).to_owned())?;
    }
    edge.stop().await?;
    identity.stop().await?;
    ingest.stop().await
}

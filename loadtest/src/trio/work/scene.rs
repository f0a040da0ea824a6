//! Who and what there is: tenants of this work alone, with people, teams and a role, made before anything is tried.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use contracts::{ConsistencyToken, TenantId};
use reqwest::Method;
use serde_json::{Value, json};

use super::book::{Book, Workload, lock};
use super::gateway::{Answer, Gateway, Request, Service};
use super::pace::Ending;
use crate::trio::site::Site;

/// Tenants: changes of one are in order, those of different ones are not.
const TENANTS: usize = 3;
/// People and teams of a tenant, of whom only bindings change. Each person is in the team of its number.
const STEADY: usize = 4;
/// Teams of a tenant that are always bound, and whose members come and go.
const CREWS: usize = 2;
/// For all of it.
const WITHIN: Duration = Duration::from_secs(60);
/// What may be done by who is bound.
pub(super) const ACTION: &str = "read";
pub(super) const ROLE: &str = "reader";

/// A tenant of this work.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: TenantId,
    /// Pairs of a user and the team that it alone is in.
    pub(super) steady: Vec<(String, String)>,
    /// Teams that may read the vault of their id.
    pub(super) crews: Vec<String>,
}

impl Tenant {
    /// A path of it.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/v1/tenants/{}/{rest}", self.id)
    }
}

/// A mutation that `identity-admin` acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mutation {
    pub(super) tenant: TenantId,
    /// Of its last change.
    pub(super) seq: u64,
    /// The type of that change.
    pub(super) kind: &'static str,
}

/// What everything works with.
pub(super) struct Scene {
    pub(super) site: Arc<Site>,
    /// What no other work has in its names.
    pub(super) id: String,
    pub(super) seed: u64,
    pub(super) book: Arc<Book>,
    pub(super) gateway: Gateway,
    pub(super) tenants: Vec<Tenant>,
    mutations: Mutex<Vec<Mutation>>,
}

impl Scene {
    /// Makes all of it.
    ///
    /// # Errors
    /// When it is not done within a minute.
    pub(super) async fn make(site: Arc<Site>, seed: u64) -> anyhow::Result<Self> {
        let id = format!("w{seed:x}-{:06x}", rand::random::<u32>() & 0xff_ffff);
        let book = Arc::new(Book::new());
        let gateway = Gateway::open(Arc::clone(&site), Arc::clone(&book)).await?;
        let (tenants, mutations) = (Vec::new(), Mutex::default());
        let mut scene = Self { site, id, seed, book, gateway, tenants, mutations };
        let ending = Ending::at(Instant::now() + WITHIN);
        for number in 0..TENANTS {
            let made = scene.tenant(number, &ending).await;
            let tenant = made.with_context(|| format!("making tenant {number}"))?;
            scene.tenants.push(tenant);
        }
        Ok(scene)
    }

    async fn tenant(&self, number: usize, ending: &Ending) -> anyhow::Result<Tenant> {
        let id = TenantId::parse(&format!("{}-{number}", self.id))?;
        let body = json!({"id": id, "name": id,
            "administrator": {"email": format!("admin@{id}.example")}});
        let mut tenant = Tenant { id, steady: Vec::new(), crews: Vec::new() };
        let path = "/v1/tenants".to_owned();
        self.make_one((&tenant, path, "user.created"), &body, ending).await?;
        let (users, teams) = (tenant.path("users"), tenant.path("teams"));
        let mut since = None;
        for n in 0..STEADY {
            let body = json!({"email": format!("steady{n}@{}.example", tenant.id)});
            let made = (&tenant, users.clone(), "user.created");
            let user = self.make_one(made, &body, ending).await?.0;
            let body = json!({"name": format!("steady{n}")});
            let made = (&tenant, teams.clone(), "team.created");
            let team = self.make_one(made, &body, ending).await?.0;
            let path = format!("{teams}/{team}/members/user/{user}");
            let joins = Request::send(Service::Identity, Method::PUT, path, &Value::Null);
            let joins = joins.keyed(format!("{}-{number}-steady{n}", self.id));
            let asked = self.gateway.insist(None, &joins, &[200, 201], ending).await;
            let answer = asked.answer.context("nobody put a user into its team")?;
            self.mutated(&tenant.id, &answer, "team.member_added");
            tenant.steady.push((user, team));
        }
        for n in 0..CREWS {
            let body = json!({"name": format!("crew{n}")});
            let made = (&tenant, teams.clone(), "team.created");
            let (crew, token) = self.make_one(made, &body, ending).await?;
            tenant.crews.push(crew);
            since = token;
        }
        let role = json!({"permissions": [{"action": ACTION}]});
        let path = tenant.path(&format!("roles/{ROLE}"));
        let put = Request::send(Service::Edge, Method::PUT, path, &role);
        let asked = self.gateway.insist(None, &put, &[200, 201], ending).await;
        asked.answer.context("nobody made the role")?;
        let writes = tenant.crews.iter().map(|crew| {
            let holder = json!({"type": "team", "id": crew});
            json!({"op": "touch", "relationship": binding(&holder, &vault(crew))})
        });
        let list = json!({ "writes": writes.collect::<Vec<_>>() });
        // Sync has brought everybody whom the token's change follows.
        let bind = relationships(&tenant, &list).at_least(since);
        let asked = self.gateway.insist(None, &bind, &[200], ending).await;
        asked.answer.context("nobody bound the crews")?;
        Ok(tenant)
    }

    /// Makes something; its id and its token.
    async fn make_one(
        &self,
        (tenant, path, kind): (&Tenant, String, &'static str),
        body: &Value,
        ending: &Ending,
    ) -> anyhow::Result<(String, Option<Arc<str>>)> {
        let key = format!("{}-{:08x}", self.id, rand::random::<u32>());
        let make = Request::send(Service::Identity, Method::POST, path.clone(), body).keyed(key);
        let asked = self.gateway.insist(None, &make, &[201], ending).await;
        let answer = asked.answer.with_context(|| format!("nobody answered POST {path}"))?;
        self.mutated(&tenant.id, &answer, kind);
        // A tenant's answer has its id further inside; nobody asks for it.
        Ok((answer.text("id").unwrap_or_default(), answer.token))
    }

    /// Notes a mutation that was acknowledged with its last change, whose number its token says.
    pub(super) fn mutated(&self, tenant: &TenantId, answer: &Answer, kind: &'static str) {
        let token = answer.token.as_deref().unwrap_or_default();
        match ConsistencyToken::decode(token, tenant) {
            Ok(ConsistencyToken::Identity { seq }) => {
                lock(&self.mutations).push(Mutation { tenant: tenant.clone(), seq, kind });
            }
            other => self.book.violation("answers", || {
                format!(
                    "{kind} in {tenant} has the token {token:?} ({other:?}): {}",
                    answer.shown()
                )
            }),
        }
    }

    /// All mutations that were acknowledged.
    pub(super) fn mutations(&self) -> Vec<Mutation> {
        lock(&self.mutations).clone()
    }

    /// Holds an answer of an edge to having a token of the graph.
    pub(super) fn graph_token(&self, tenant: &TenantId, answer: &Answer, of: Workload) {
        let token = answer.token.as_deref().unwrap_or_default();
        let decoded = ConsistencyToken::decode(token, tenant);
        if !matches!(decoded, Ok(ConsistencyToken::Graph { .. })) {
            self.book.violation("answers", || {
                format!("{of:?} in {tenant}: the token {token:?} ({decoded:?}): {}", answer.shown())
            });
        }
    }
}

/// What the members of a crew may read.
pub(super) fn vault(crew: &str) -> String {
    format!("vault-{crew}")
}

/// A role on a document.
pub(super) fn binding(holder: &Value, document: &str) -> Value {
    json!({"relation": "has_role", "subject": holder, "role": ROLE,
        "on": {"type": "document", "id": document}})
}

/// A write of relationships.
pub(super) fn relationships(tenant: &Tenant, list: &Value) -> Request {
    Request::send(Service::Edge, Method::POST, tenant.path("relationships"), list)
}

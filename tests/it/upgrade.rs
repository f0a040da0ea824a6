//! Every replica restarted in turn, under load, behind what a Service of Kubernetes does: no request fails, no event is
//! lost or there twice, and every check is answered as the model has it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::audit::Trail;
use tests::bed::Answer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::edge::{Edges, question, role};
use crate::identity::Identities;
use crate::process::{Process, free_port};
use crate::world::{World, until};

const TOKEN: &str = "triad-consistency-token";
/// Between looks at whether a replica is ready.
const PROBE: Duration = Duration::from_millis(50);
/// Of each client between two requests: far below `http.drain_delay_ms`.
const THINK: Duration = Duration::from_millis(5);
/// As in `deploy/config`.
const DRAIN_DELAY: (&str, &str) = ("HTTP__DRAIN_DELAY_MS", "2000");

/// A replica as its Service knows it.
struct Place {
    /// Of the public routes, and of probes.
    ports: [u16; 2],
    /// As the last probe said.
    ready: AtomicBool,
    /// Its end was asked for: no further connection leads to it.
    leaving: AtomicBool,
}

impl Place {
    fn takes(&self) -> bool {
        self.ready.load(Ordering::SeqCst) && !self.leaving.load(Ordering::SeqCst)
    }
}

/// What a Service is to its clients: each connection leads to one replica that is ready, to its end. Connections that
/// are there stay with a replica that leaves.
struct Balancer {
    address: SocketAddr,
    places: Arc<[Place; 2]>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Balancer {
    async fn new() -> Result<Self> {
        let place = || {
            let ports = [free_port()?, free_port()?];
            let (ready, leaving) = (AtomicBool::new(false), AtomicBool::new(false));
            anyhow::Ok(Place { ports, ready, leaving })
        };
        let places = Arc::new([place()?, place()?]);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        // Another test of this binary may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
        let tasks = [
            tokio::spawn(probe(client, Arc::clone(&places))),
            tokio::spawn(forward(listener, Arc::clone(&places))),
        ];
        Ok(Self { address, places, tasks })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Both replicas, sent to.
    async fn start(
        &self,
        start: impl AsyncFn([u16; 2]) -> Result<Process>,
    ) -> Result<Vec<Process>> {
        let mut running = Vec::new();
        for place in &*self.places {
            running.push(start(place.ports).await?);
            self.until_sent_to(place).await?;
        }
        Ok(running)
    }

    /// One after the other, as a Deployment does with `maxUnavailable: 0`: taken out, SIGTERM, started again, ready.
    async fn roll(
        &self,
        running: Vec<Process>,
        start: impl AsyncFn([u16; 2]) -> Result<Process>,
    ) -> Result<Vec<Process>> {
        let mut replaced = Vec::new();
        for (place, process) in self.places.iter().zip(running) {
            place.leaving.store(true, Ordering::SeqCst);
            process.stop().await?;
            place.ready.store(false, Ordering::SeqCst);
            replaced.push(start(place.ports).await?);
            place.leaving.store(false, Ordering::SeqCst);
            self.until_sent_to(place).await?;
        }
        Ok(replaced)
    }

    async fn until_sent_to(&self, place: &Place) -> Result<()> {
        until("a replica is sent to", async || {
            Ok(if place.takes() { Ok(()) } else { Err("not yet".to_owned()) })
        })
        .await
    }
}

async fn probe(client: reqwest::Client, places: Arc<[Place; 2]>) {
    loop {
        for place in &*places {
            let url = format!("http://127.0.0.1:{}/readyz", place.ports[1]);
            let is_ready = client.get(url).send().await.is_ok_and(|answer| answer.status() == 200);
            place.ready.store(is_ready, Ordering::SeqCst);
        }
        tokio::time::sleep(PROBE).await;
    }
}

async fn forward(listener: TcpListener, places: Arc<[Place; 2]>) {
    for turn in 0_usize.. {
        let Ok((mut client, _)) = listener.accept().await else { continue };
        let open: Vec<_> = places.iter().filter(|place| place.takes()).collect();
        // Without anybody it is closed, and its request fails.
        let Some(place) = open.get(turn % open.len().max(1)) else { continue };
        let port = place.ports[0];
        tokio::spawn(async move {
            if let Ok(mut replica) = TcpStream::connect(("127.0.0.1", port)).await {
                let _ = (client.set_nodelay(true), replica.set_nodelay(true));
                // However it ends, both see it.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut replica).await;
            }
        });
    }
}

/// A client that keeps its connection, and to whom nothing may fail.
struct Caller<'a> {
    client: reqwest::Client,
    to: &'a Balancer,
}

impl<'a> Caller<'a> {
    fn new(to: &'a Balancer) -> Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(1)
            .build()?;
        Ok(Self { client, to })
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: &Value) -> Result<Answer> {
        let mut request = self.client.request(method.clone(), self.to.url(path));
        if !token.is_empty() {
            request = request.header(TOKEN, token);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status();
        let token = answer.headers().get(TOKEN).and_then(|token| token.to_str().ok());
        let token = token.unwrap_or_default().to_owned();
        let text = answer.text().await.with_context(|| format!("{method} {path}"))?;
        ensure!(status.is_success(), "{method} {path}: {status} {text}");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status: status.as_u16(), body, token })
    }
}

/// The three services, and what is known of a tenant on them.
struct Bed {
    audit: Balancer,
    authz: Balancer,
    identity: Balancer,
    tenant: String,
    team: String,
    /// Who may read, and who may not.
    known: Vec<(String, bool)>,
    /// Holds all of them.
    since: String,
    over: AtomicBool,
}

impl Bed {
    fn path(&self, rest: &str) -> String {
        format!("/v1/tenants/{}/{rest}", self.tenant)
    }

    fn member(&self, user: &str) -> String {
        self.path(&format!("teams/{}/members/user/{user}", self.team))
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }

    /// A tenant with a team that may read; some are in it.
    async fn settle(&mut self) -> Result<()> {
        let (identity, authz) = (Caller::new(&self.identity)?, Caller::new(&self.authz)?);
        let id = &self.tenant;
        let tenant = json!({"id": id, "name": id, "administrator": {"email": "admin@x.example"}});
        identity.ask(Method::POST, "/v1/tenants", "", &tenant).await?;
        let team = json!({"name": "readers"});
        let team = identity.ask(Method::POST, &self.path("teams"), "", &team).await?.id()?;
        let (mut known, mut token) = (Vec::new(), String::new());
        for n in 0..8 {
            let body = json!({"email": format!("known{n}@x.example")});
            let user = identity.ask(Method::POST, &self.path("users"), "", &body).await?.id()?;
            let may = n % 2 == 0;
            if may {
                let path = self.path(&format!("teams/{team}/members/user/{user}"));
                token = identity.ask(Method::PUT, &path, "", &Value::Null).await?.token;
            }
            known.push((user, may));
        }
        let reader = json!({"permissions": [{"action": "read"}]});
        authz.ask(Method::PUT, &self.path("roles/reader"), "", &reader).await?;
        let binding = role("team", &team, "reader", &Value::Null);
        let list = json!({"writes": [{"op": "create", "relationship": binding}]});
        let bound = authz.ask(Method::POST, &self.path("relationships"), &token, &list).await?;
        (self.team, self.known, self.since) = (team, known, bound.token);
        Ok(())
    }

    async fn must(&self, authz: &Caller<'_>, user: &str, token: &str, may: bool) -> Result<()> {
        let asked = question(user, "read", ("document", "d-1"));
        let answer = authz.ask(Method::POST, &self.path("check"), token, &asked).await?;
        ensure!(answer.body["decision"] == may, "{user}, who should be {may}: {}", answer.body);
        Ok(())
    }

    /// Asks for those who are known, until it is over; how often.
    async fn checks(&self) -> Result<usize> {
        let (authz, mut asked) = (Caller::new(&self.authz)?, 0);
        while self.goes_on() {
            for (user, may) in &self.known {
                self.must(&authz, user, &self.since, *may).await?;
            }
            asked += self.known.len();
            tokio::time::sleep(THINK).await;
        }
        Ok(asked)
    }

    /// Makes users who join and leave, and asks for each with the token of that; how many.
    async fn writes(&self, writer: usize) -> Result<usize> {
        let (identity, authz) = (Caller::new(&self.identity)?, Caller::new(&self.authz)?);
        let mut made = 0;
        while self.goes_on() {
            let body = json!({"email": format!("w{writer}-{made}@x.example")});
            let user = identity.ask(Method::POST, &self.path("users"), "", &body).await?.id()?;
            made += 1;
            let path = self.member(&user);
            let joined = identity.ask(Method::PUT, &path, "", &Value::Null).await?.token;
            self.must(&authz, &user, &joined, true).await?;
            let left = identity.ask(Method::DELETE, &path, "", &Value::Null).await?.token;
            self.must(&authz, &user, &left, false).await?;
            tokio::time::sleep(THINK).await;
        }
        Ok(made)
    }

    /// Sends events, until it is over; the ids of all that were accepted.
    async fn events(&self, sender: usize) -> Result<Vec<String>> {
        let (audit, mut accepted) = (Caller::new(&self.audit)?, Vec::new());
        while self.goes_on() {
            let first = sender * 1_000_000 + accepted.len();
            let events: Vec<_> =
                (first..first + 5).map(|n| World::event(n, &self.tenant)).collect();
            let answer = audit.ask(Method::POST, &self.path("audit"), "", &json!(events)).await?;
            let receipts = answer.must(202)?.body;
            let receipts = receipts["events"].as_array().context("no receipts")?;
            ensure!(receipts.len() == events.len(), "{receipts:?}");
            for receipt in receipts {
                accepted.push(receipt["event_id"].as_str().context("no event_id")?.to_owned());
            }
            tokio::time::sleep(THINK).await;
        }
        Ok(accepted)
    }

    /// Everything of the tenant's trail, once `accepted` are in it: each of them once, each change of identities once.
    async fn found(&self, accepted: &[String], changes: u64) -> Result<Vec<Value>> {
        let client = Caller::new(&self.audit)?.client;
        let trail = Trail { client, root: self.audit.url(""), key: None };
        let now = chrono::Utc::now();
        let text = |minutes| {
            let time = now + chrono::Duration::minutes(minutes);
            time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
        };
        let query = format!("from={}&to={}&limit=500", text(-60), text(5));
        let mut all = Vec::new();
        until("all of it is in the trail", async || {
            all = trail.pages(&self.tenant, &query).await?.0;
            let mut times: BTreeMap<_, usize> = BTreeMap::new();
            all.iter().for_each(|event| *times.entry(event["event_id"].as_str()).or_default() += 1);
            ensure!(times.values().all(|times| *times == 1), "an event is there twice");
            let missing =
                accepted.iter().filter(|id| !times.contains_key(&Some(id.as_str()))).count();
            let told = numbers(&all).len() as u64;
            let is_whole = missing == 0 && told >= changes;
            Ok(if is_whole { Ok(()) } else { Err(format!("{missing} missing, {told} changes")) })
        })
        .await?;
        Ok(all)
    }
}

/// The numbers of the changes of identities in a trail, sorted.
fn numbers(trail: &[Value]) -> Vec<u64> {
    let is_identity = |event: &&Value| {
        let action = event["action"].as_str().unwrap_or_default();
        ["tenant.", "user.", "team."].iter().any(|of| action.starts_with(of))
    };
    let number = |event: &Value| {
        let seq = &event["details"]["seq"];
        seq.as_u64().or_else(|| seq.as_str()?.parse().ok())
    };
    let mut numbers: Vec<_> = trail.iter().filter(is_identity).filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_is_restarted_under_load_and_nobody_notices() -> Result<()> {
    let world = World::new("upgrade", &[DRAIN_DELAY]).await?;
    let topic = world.config.kafka.topic.clone();
    let topics = [("KAFKA__AUDIT_TOPIC", topic.as_str()), ("KAFKA__PARTITIONS", "4"), DRAIN_DELAY];
    // Who asks with a token waits while partitions of sync move.
    let own = [("SYNC__MODE", "identity"), ("FRESHNESS__WAIT_MS", "20000")];
    let edges = Edges::new(&[&topics[..], &own].concat()).await?;
    let own = [("KAFKA__CHANGES_TOPIC", edges.sync_topic())];
    let identities = Identities::with_kafka(&[&topics[..], &own].concat()).await?;
    let mut bed = Bed {
        audit: Balancer::new().await?,
        authz: Balancer::new().await?,
        identity: Balancer::new().await?,
        tenant: edges.tenant("upgrade"),
        team: String::new(),
        known: Vec::new(),
        since: String::new(),
        over: AtomicBool::new(false),
    };
    let ingest = async |ports| world.ingest_on(ports).await;
    let edge = async |ports| edges.start_on(ports).await;
    let identity = async |ports| identities.start_on(ports).await;
    let audits = bed.audit.start(&ingest).await?;
    let authzs = bed.authz.start(&edge).await?;
    let admins = bed.identity.start(&identity).await?;
    bed.settle().await?;

    let bed = &bed;
    let checks = try_join_all((0..2).map(|_| bed.checks()));
    let writes = try_join_all((0..2).map(|n| bed.writes(n)));
    let events = try_join_all((0..2).map(|n| bed.events(n)));
    let rolled = async {
        let rolled = async {
            let audits = bed.audit.roll(audits, &ingest).await?;
            let authzs = bed.authz.roll(authzs, &edge).await?;
            let admins = bed.identity.roll(admins, &identity).await?;
            anyhow::Ok([audits, authzs, admins])
        };
        let rolled = rolled.await;
        bed.over.store(true, Ordering::SeqCst);
        rolled
    };
    let (checks, writes, events, rolled) = tokio::join!(checks, writes, events, rolled);
    // First: whoever asks fails when a replica does not come back.
    let rolled = rolled?;
    let (asked, made): (usize, usize) = (checks?.iter().sum(), writes?.iter().sum());
    let accepted = events?.concat();
    ensure!(asked > 0 && made > 0 && !accepted.is_empty(), "{asked} {made} {}", accepted.len());

    let sql = "SELECT seq AS n FROM tenant_changes WHERE tenant_id = ?";
    let last = u64::try_from(identities.count(sql, &[bed.tenant.as_str().into()]).await?)?;
    let trail = bed.found(&accepted, last).await?;
    let told = trail.iter().filter(|event| event["action"] == "document.read").count();
    ensure!(told == accepted.len(), "{told} events, and {} were accepted", accepted.len());
    let created = trail.iter().filter(|event| event["action"] == "user.created").count();
    ensure!(created == 1 + bed.known.len() + made, "{created} users, and {made} were made");
    ensure!(numbers(&trail) == (1..=last).collect::<Vec<_>>(), "changes up to {last}");
    ensure!(world.dead_letters()?.is_empty());
    for process in rolled.into_iter().flatten() {
        process.stop().await?;
    }
    Ok(())
}

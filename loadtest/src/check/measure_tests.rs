//! Against a server in this process that speaks Triad's words and knows the graph, or lies.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::Value;
use tokio::task::JoinSet;

use super::super::bare;
use super::super::graph::{Graph, Shape};
use super::super::link::Endpoint;
use super::super::load::load;
use super::super::space::{Draw, Keys};
use super::super::words::Action;
use super::*;

/// Every so manieth answer is a lie; 0 for none.
struct Fake {
    graphs: Vec<Graph>,
    lie_every: u64,
    asked: AtomicU64,
    /// Paths and bodies of what was no check.
    told: Mutex<Vec<(String, Value)>>,
}

impl Fake {
    fn answer(&self, path: &str, body: &[u8]) -> Bytes {
        let body: Value = serde_json::from_slice(body).unwrap();
        if !path.ends_with("/check") {
            self.told.lock().unwrap().push((path.to_owned(), body));
            return Bytes::from_static(br#"{"revision":"r"}"#);
        }
        let number = |field: &str| -> u32 {
            let id = body[field]["id"].as_str().unwrap();
            id.rsplit_once('-').unwrap().1.parse().unwrap()
        };
        let name = body["action"]["name"].as_str().unwrap();
        let action = *Action::ALL.iter().find(|action| action.name() == name).unwrap();
        let tenant: usize = path.split(['-', '/']).nth(5).unwrap().parse().unwrap();
        let right = self.graphs[tenant].allows(number("subject"), action, number("resource"));
        let count = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let lie = self.lie_every > 0 && count.is_multiple_of(self.lie_every);
        format!(r#"{{"decision":{}}}"#, right != lie).into()
    }
}

/// What every test needs; the server ends with it.
struct Bench {
    fake: Arc<Fake>,
    shape: Shape,
    url: String,
    stop: Stop,
    _server: JoinSet<anyhow::Result<()>>,
}

impl Bench {
    async fn new(lie_every: u64) -> Self {
        let shape = Shape { seed: 3, users: 200, resources: 150, depth: 3, roles: 6 };
        let graphs = (0..2).map(|rank| Graph::new(&shape, rank)).collect();
        let (asked, told) = (AtomicU64::new(0), Mutex::default());
        let fake = Arc::new(Fake { graphs, lie_every, asked, told });
        let listener = bare::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answering = Arc::clone(&fake);
        let mut server = JoinSet::new();
        server.spawn(bare::serve(listener, move |path, body| answering.answer(path, body)));
        let stop = Stop::after(Duration::from_secs(60));
        Self { fake, shape, url, stop, _server: server }
    }

    fn plan(&self) -> Plan {
        Plan {
            kind: Kind::Triad,
            connections: 4,
            pace: Pace::Closed,
            warm_up: Duration::from_millis(100),
            span: Duration::from_millis(300),
            writes: None,
            server: None,
        }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.url, None, false).unwrap()
    }

    async fn measure(&self, keys: Keys, plan: &Plan) -> Measured {
        let draw = Draw { keys, tenants: 2, allow_share: 0.5, exponent: 1.0, pool: 400, seed: 1 };
        let space = Space::new(&self.shape, draw);
        let target = Target::open(Kind::Triad, self.endpoint(), &self.shape, 2).await.unwrap();
        measure(target, space, plan, &self.stop).await.unwrap()
    }
}

#[tokio::test]
async fn right_answers_are_found_right_in_every_key_space() {
    let bench = Bench::new(0).await;
    for keys in [Keys::Hot, Keys::Wide, Keys::Cold] {
        let mut plan = bench.plan();
        if keys == Keys::Cold {
            // It ends by itself.
            plan.span = Duration::from_secs(30);
        }
        let measured = bench.measure(keys, &plan).await;
        assert_eq!(measured.wrong, 0, "{keys:?}: {:?}", measured.remarks);
        assert_eq!(measured.latency.count, measured.checks);
        assert!(measured.allowed > 0 && measured.denied > 0 && measured.verified);
        assert!(measured.failures.is_empty(), "{:?}", measured.failures);
        if keys == Keys::Cold {
            // 2 tenants of 150 pairs, of which the warm-up has 64.
            assert!(measured.ended && measured.checks == 236, "{}", measured.checks);
        }
        let seconds: u64 = measured.timeline.iter().map(|(_, second)| second.count).sum();
        assert_eq!(seconds, measured.checks);
    }
}

#[tokio::test]
async fn a_target_that_lies_is_caught() {
    let bench = Bench::new(10).await;
    let measured = bench.measure(Keys::Hot, &bench.plan()).await;
    let asked = bench.fake.asked.load(Ordering::Relaxed);
    assert_eq!(measured.wrong, asked / 10, "of {asked}");
    assert!(measured.remarks[0].contains("answered"), "{:?}", measured.remarks);
}

#[tokio::test]
async fn at_a_rate_everything_is_sent_that_is_due() {
    let bench = Bench::new(0).await;
    let plan = Plan { pace: Pace::Open(500.0), ..bench.plan() };
    let measured = bench.measure(Keys::Hot, &plan).await;
    assert_eq!((measured.checks, measured.unsent), (150, 0));
    assert_eq!(measured.service.unwrap().count, 150);
}

#[tokio::test]
async fn writes_go_beside_the_checks_and_change_no_answer() {
    let bench = Bench::new(0).await;
    let changes = Changes::new(&bench.shape, 200, 0..2);
    let plan = Plan { writes: Some((400.0, changes)), ..bench.plan() };
    let measured = bench.measure(Keys::Hot, &plan).await;
    let written = measured.writes.unwrap();
    assert_eq!((measured.wrong, written.writes, written.unsent), (0, 120, 0));
    let told = bench.fake.told.lock().unwrap();
    let count = |end: &str| told.iter().filter(|(path, _)| path.contains(end)).count();
    assert_eq!((count("/relationships"), count("/roles/")), (108, 12));
}

#[tokio::test]
async fn a_load_tells_every_role_and_every_fact() {
    let bench = Bench::new(0).await;
    let target = Target::prepare(Kind::Triad, bench.endpoint(), &bench.shape, 2).await.unwrap();
    let loaded = load(&target, &bench.shape, 2, &bench.stop).await.unwrap();
    let told = bench.fake.told.lock().unwrap();
    let roles = told.iter().filter(|(path, _)| path.contains("/roles/")).count();
    let writes = told.iter().filter_map(|(_, body)| body["writes"].as_array()).map(Vec::len);
    // That a folder lies at the top is nothing that Triad is told.
    let top: usize = 2;
    assert_eq!((roles, writes.sum::<usize>() + top), (12, loaded.facts as usize));
}

#[tokio::test]
async fn a_target_that_is_not_there_is_an_error_and_not_a_figure() {
    let mut bench = Bench::new(0).await;
    bench._server.shutdown().await;
    let target = Target::open(Kind::Triad, bench.endpoint(), &bench.shape, 1).await.unwrap();
    let draw =
        Draw { keys: Keys::Hot, tenants: 1, allow_share: 0.5, exponent: 1.0, pool: 400, seed: 1 };
    let space = Space::new(&bench.shape, draw);
    assert!(measure(target, space, &bench.plan(), &bench.stop).await.is_err());
}

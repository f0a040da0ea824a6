//! Three ways to ask Dgraph one question, over the depth of teams and the number of bindings: the seed's
//! `@cascade` along the whole path, one that meets in the middle, and the two views (ADR 0009).

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use authz_edge::graph::client::Options;
use authz_edge::graph::read::{Reader, Strangers};
use authz_edge::graph::write::{Author, Ownership, Writer};
use authz_edge::graph::{Graph as _, GraphDb, Mode};
use authz_edge::model::{Key, ResourceRef, Role, SubjectRef, SubjectType, WriteList};
use contracts::TenantId;
use contracts::audit::ActorType;
use serde::Serialize;
use serde_json::json;

use crate::latency::{Latency, Recorder};
use crate::progress::say;
use crate::stop::Stop;

/// Relationships of one write.
const LIST: usize = 1000;
/// Questions of each way in each cell, at most.
const QUESTIONS: u32 = 300;
/// The longest time for them.
const SPAN: Duration = Duration::from_secs(3);

/// A depth and a number of bindings, with the latency of each way.
#[derive(Debug, Serialize)]
pub struct Cell {
    /// Teams from the user to the one that holds the bindings.
    pub depth: u32,
    /// Bindings of that team, each on a document of its own.
    pub bindings: u32,
    /// The whole path with `@cascade`, which must know the depth.
    pub cascade: Latency,
    /// From both ends, any depth.
    pub middle: Latency,
    /// Both views: what every later question about either is answered from.
    pub views: Latency,
}

/// Measures each cell, one question after the other; writes each cell's graph first, in a tenant of its
/// own.
///
/// # Errors
/// What the graph does not do, and an answer that is wrong.
pub async fn queries(
    address: &str,
    depths: &[u32],
    bindings: &[u32],
    stop: &Stop,
) -> anyhow::Result<Vec<Cell>> {
    let graph = Arc::new(GraphDb::dgraph(&Options {
        alphas: vec![address.to_owned()],
        timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(2),
        tls: service_kit::tls::ClientTls::default(),
    })?);
    authz_edge::graph::schema::apply(&graph).await?;
    let bed = Bed { reader: Reader::new(Arc::clone(&graph), Strangers::Everyone), graph };
    let run = uuid::Uuid::new_v4().simple().to_string();
    let mut cells = Vec::new();
    for depth in depths {
        for count in bindings {
            stop.check()?;
            let tenant = TenantId::parse(&format!("q{}-{depth}-{count}", &run[..8]))?;
            bed.write(&tenant, *depth, *count).await?;
            let cell = bed.measure(&tenant, *depth, *count).await?;
            say(&format!(
                "depth {depth}, {count} bindings: cascade {:.2} ms, middle {:.2} ms, views {:.2} ms",
                cell.cascade.p50_ms, cell.middle.p50_ms, cell.views.p50_ms
            ));
            cells.push(cell);
        }
    }
    Ok(cells)
}

struct Bed {
    graph: Arc<GraphDb>,
    reader: Reader,
}

impl Bed {
    async fn write(&self, tenant: &TenantId, depth: u32, count: u32) -> anyhow::Result<()> {
        let writer = Writer { graph: &self.graph, ownership: Ownership::Anyone };
        let author = Author {
            actor: None,
            actor_type: ActorType::System,
            at: chrono::Utc::now(),
            request_id: None,
        };
        let role: Role = serde_json::from_value(json!({"permissions": [{"action": "read"}]}))?;
        writer.put_role(tenant, "reader", &role, &author).await?;
        let team = |n: u32| format!("t-{n}");
        let member = |type_: &str, id: &str, team: String| json!({"relation": "member_of", "subject": {"type": type_, "id": id}, "team": team});
        let mut all = vec![member("user", "u", team(1))];
        all.extend((1..depth).map(|n| member("team", &team(n), team(n + 1))));
        all.extend((0..count).map(|n| {
            json!({"relation": "has_role", "subject": {"type": "team", "id": team(depth)},
                "role": "reader", "on": {"type": "document", "id": format!("d-{n}")}})
        }));
        for some in all.chunks(LIST) {
            let writes: Vec<_> =
                some.iter().map(|one| json!({"op": "touch", "relationship": one})).collect();
            let list: WriteList = serde_json::from_value(json!({"writes": writes}))?;
            writer.write_relationships(tenant, &list, &author).await?;
        }
        // From here on, best-effort reads of this alpha know all of it.
        let user = SubjectRef::new(SubjectType::User, "u");
        self.reader.subject(tenant, &user, Mode::Strict).await?;
        Ok(())
    }

    async fn measure(&self, tenant: &TenantId, depth: u32, count: u32) -> anyhow::Result<Cell> {
        let user = SubjectRef::new(SubjectType::User, "u");
        let document = |n: u32| {
            // Not in the order in which they were written.
            ResourceRef::new("document", format!("d-{}", n * 31 % count))
        };
        let cascade = cascade(depth);
        let subject = Key::subject(tenant, SubjectType::User, "u");
        let cascade = timed(async |n| {
            let resource = Key::resource(tenant, "document", &document(n).id);
            let vars = [("$s", subject.as_str()), ("$r", resource.as_str()), ("$a", "read")];
            let answer = self.graph.query(Mode::BestEffort, &cascade, &vars).await?;
            let found: serde_json::Value = answer.read()?;
            Ok(found["result"].as_array().is_some_and(|rows| rows.len() == 1))
        });
        let cascade = cascade.await.context("with @cascade")?;
        let middle = timed(async |n| {
            let (on, mode) = (document(n), Mode::BestEffort);
            let found = self.reader.narrowed(tenant, &user, "read", &on, mode).await?;
            Ok(found.view.roles.len() == 1)
        });
        let middle = middle.await.context("from the middle")?;
        let views = timed(async |n| {
            let on = document(n);
            let (_, resource) = tokio::try_join!(
                self.reader.subject(tenant, &user, Mode::BestEffort),
                self.reader.resource(tenant, &on, Mode::BestEffort)
            )?;
            Ok(!resource.visited.is_empty())
        });
        let views = views.await.context("by views")?;
        Ok(Cell { depth, bindings: count, cascade, middle, views })
    }
}

/// The latency of one question after the other; the first few do not count.
async fn timed(ask: impl AsyncFn(u32) -> anyhow::Result<bool>) -> anyhow::Result<Latency> {
    let (mut recorder, begun) = (Recorder::default(), Instant::now());
    for n in 0..QUESTIONS {
        let asked = Instant::now();
        ensure!(ask(n).await?, "question {n} is answered wrongly");
        if n >= 5 {
            recorder.record(asked.elapsed());
        }
        if begun.elapsed() > SPAN && n >= 20 {
            break;
        }
    }
    Ok(recorder.summary())
}

/// The seed's query on this graph's bindings, for teams that are nested so deep and no other depth.
fn cascade(depth: u32) -> String {
    let mut query = "query q($s: string, $r: string, $a: string) {
        result(func: eq(xid, $s)) @cascade { xid "
        .to_owned();
    for _ in 0..depth {
        // Writing into a String cannot fail.
        let _ = write!(query, "User.memberOf {{ ");
    }
    query.push_str(
        "Team.hasBinding {
           Binding.role { Role.hasPermission @filter(eq(Permission.action, $a)) { uid } }
           Binding.onResource @filter(eq(xid, $r)) { uid } }",
    );
    for _ in 0..depth + 2 {
        query.push_str(" }");
    }
    query
}

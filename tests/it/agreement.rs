//! After kills of identity-admin and of MySQL in the middle of writes: rows, outbox, Kafka and the graph say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use contracts::identity::{Change, ChangeKind, MemberKind};
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::edge::{Edge, Edges};
use crate::identity::relay::Told;
use crate::identity::{Identities, Service};
use crate::lists::list;
use crate::world::{engines, until};

const USERS: usize = 60;
const TEAMS: usize = 3;

/// Who there is, whether active, and who is in which team.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    users: BTreeMap<String, bool>,
    members: BTreeSet<(String, String)>,
}

impl Said {
    /// By changes, from the first one on.
    fn by_changes(changes: &[Change]) -> Self {
        let mut said = Self::default();
        for change in changes {
            match &change.kind {
                ChangeKind::UserCreated(user)
                | ChangeKind::UserUpdated(user)
                | ChangeKind::UserDeactivated(user)
                | ChangeKind::UserReactivated(user) => {
                    said.users.insert(user.id.to_string(), user.active);
                }
                ChangeKind::UserDeleted(deleted) => {
                    let id = deleted.id.to_string();
                    said.users.remove(&id);
                    said.members.retain(|(_, member)| *member != id);
                }
                ChangeKind::TeamMemberAdded(told) if told.member.kind == MemberKind::User => {
                    said.members.insert((told.team_id.to_string(), told.member.id.to_string()));
                }
                ChangeKind::TeamMemberRemoved(told) => {
                    said.members.remove(&(told.team_id.to_string(), told.member.id.to_string()));
                }
                _ => {}
            }
        }
        said
    }

    pub(crate) async fn by_rows(identities: &Identities, tenant: &str) -> Result<Self> {
        let sql = "SELECT id, is_active FROM users WHERE tenant_id = ?";
        let users = identities.db.rows(sql, &[tenant.into()]).await?;
        let sql = "SELECT team_id, user_id FROM team_members WHERE tenant_id = ?";
        let members = identities.db.rows(sql, &[tenant.into()]).await?;
        let user = |row: &identity_admin::db::Row| Ok((row.text("id")?, row.flag("is_active")?));
        let member =
            |row: &identity_admin::db::Row| Ok((row.text("team_id")?, row.text("user_id")?));
        Ok(Self {
            users: users.iter().map(user).collect::<Result<_>>()?,
            members: members.iter().map(member).collect::<Result<_>>()?,
        })
    }

    pub(crate) async fn by_graph(edge: &Edge, tenant: &str, teams: &[String]) -> Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
        let mut said = Self::default();
        for user in list(edge, tenant, "subjects/user?limit=20").await? {
            said.users.insert(text(&user["id"])?, user["active"] == true);
        }
        for team in teams {
            for member in list(edge, tenant, &format!("relationships?team={team}&limit=20")).await?
            {
                said.members.insert((team.clone(), text(&member["subject"]["id"])?));
            }
        }
        Ok(said)
    }
}

/// The service that writes are sent to, whichever process that is by now.
struct Current(Mutex<Arc<Service>>);

impl Current {
    fn now(&self) -> Arc<Service> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is(&self, service: Service) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(service);
    }

    /// A write, repeated with its key until it is known to be done.
    async fn write(&self, key: &str, method: Method, path: &str, body: Value) -> Result<Value> {
        let mut told = Value::Null;
        until("it is written", async || {
            let sent = [("idempotency-key", key)];
            let answer = self.now().ask(method.clone(), path, &sent, body.clone()).await?;
            let waits = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::CONFLICT];
            if waits.contains(&answer.status) {
                return Ok(Err(answer.body.to_string()));
            }
            ensure!(
                answer.status.is_success(),
                "{method} {path}: {} {}",
                answer.status,
                answer.body
            );
            told = answer.body;
            Ok(Ok(()))
        })
        .await?;
        Ok(told)
    }

    /// The life of one user.
    async fn live(&self, tenant: &str, teams: &[String], n: usize) -> Result<()> {
        let users = format!("/v1/tenants/{tenant}/users");
        let made = json!({"email": format!("u{n}@x.y")});
        let made = self.write(&format!("c{n}"), Method::POST, &users, made).await?;
        let id = made["id"].as_str().context("no id")?;
        let of = |team: &String| format!("/v1/tenants/{tenant}/teams/{team}/members/user/{id}");
        let (one, another) = (of(&teams[n % TEAMS]), of(&teams[(n + 1) % TEAMS]));
        self.write(&format!("m{n}"), Method::PUT, &one, Value::Null).await?;
        self.write(&format!("n{n}"), Method::PUT, &another, Value::Null).await?;
        let user = format!("{users}/{id}");
        match n % 4 {
            0 => {
                let path = format!("{user}/deactivate");
                self.write(&format!("a{n}"), Method::POST, &path, Value::Null).await?;
            }
            1 => drop(self.write(&format!("r{n}"), Method::DELETE, &one, Value::Null).await?),
            2 => drop(self.write(&format!("d{n}"), Method::DELETE, &user, Value::Null).await?),
            _ => {}
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_outbox_kafka_and_the_graph_agree_whatever_was_killed() -> Result<()> {
    let identities = Identities::with_kafka(&[("RELAY__LEASE_SECONDS", "1")]).await?;
    let changes = identities.config()?.kafka.changes_topic;
    let sync =
        [("SYNC__MODE", "identity"), ("SYNC__TOPIC", changes.as_str()), ("KAFKA__PARTITIONS", "3")];
    let edges = Edges::new(&sync).await?;
    let edge = edges.start().await?;
    let mut told = Told::begin(&identities).await?;
    let t = edges.tenant("agree");
    let first = identities.start().await?;
    first.tenant(&t).await?;
    let mut teams = Vec::new();
    for n in 0..TEAMS {
        teams.push(first.team(&t, &format!("t{n}")).await?);
    }
    let current = Current(Mutex::new(Arc::new(first)));

    let writes = try_join_all((0..USERS).map(|n| current.live(&t, &teams, n)));
    let kills = async {
        for (round, least) in [5, 20, 40].into_iter().enumerate() {
            let sql = "SELECT CAST(SUM(seq) AS SIGNED) AS n FROM tenant_changes";
            until("more is written", async || {
                let n = identities.count(sql, &[]).await?;
                Ok(if n > least { Ok(()) } else { Err(n.to_string()) })
            })
            .await?;
            if round == 1 {
                let struck = || {
                    engines(&["kill", "mysql"])?;
                    engines(&["start", "mysql"])
                };
                tokio::task::spawn_blocking(struck).await??;
                continue;
            }
            current.now().process().signal("KILL")?;
            current.is(identities.start().await?);
        }
        anyhow::Ok(())
    };
    let (written, killed) = tokio::join!(writes, kills);
    killed?;
    written?;

    // Rows and numbers: without a gap, each change once, as many as the tenant counts.
    let sql = "SELECT seq AS n FROM tenant_changes WHERE tenant_id = ?";
    let last = u64::try_from(identities.count(sql, &[t.as_str().into()]).await?)?;
    let by_rows = Said::by_rows(&identities, &t).await?;
    ensure!(by_rows.users.len() == 1 + USERS - USERS.div_ceil(4), "{}", by_rows.users.len());
    // Kafka: `Told` takes no gap and no two meanings.
    let by_changes = Said::by_changes(told.until(&t, last).await?);
    ensure!(by_changes == by_rows, "Kafka: {by_changes:?}\nrows: {by_rows:?}");
    // Outbox: nothing is left, and nothing was set aside.
    until("the outbox is empty", async || {
        let left = identities.count("SELECT COUNT(*) AS n FROM outbox", &[]).await?;
        Ok(if left == 0 { Ok(()) } else { Err(left.to_string()) })
    })
    .await?;
    // The graph.
    until("the graph agrees", async || {
        let by_graph = Said::by_graph(&edge, &t, &teams).await?;
        Ok(if by_graph == by_rows {
            Ok(())
        } else {
            Err(format!("{by_graph:?}\nrows: {by_rows:?}"))
        })
    })
    .await?;
    edge.stop().await?;
    drop(current);
    Ok(())
}

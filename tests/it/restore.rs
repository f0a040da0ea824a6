//! Drills of `docs/backup.md`, step by step: MySQL is lost, with the graph or alone, and is restored to a state from
//! before the last changes. Then rows and the graph agree, and every check is answered as that state has it.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use contracts::{ConsistencyToken, TenantId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::agreement::Said;
use crate::edge::{Edge, Edges, question, role};
use crate::identity::{Identities, Service};
use crate::migrate::empty_graph;
use crate::world::until;

const TOKEN: &str = "triad-consistency-token";
const DOCUMENTS: [&str; 3] = ["d-1", "d-2", "d-3"];

/// Who may read what: a list of sets, and no more.
#[derive(Clone, Default)]
struct Model {
    /// Users who are there and active.
    active: BTreeSet<String>,
    /// Team, and user.
    members: BTreeSet<(String, String)>,
    /// Type and id of a subject, and a document.
    grants: BTreeSet<(&'static str, String, &'static str)>,
}

impl Model {
    fn may(&self, user: &str, document: &str) -> bool {
        let has = |(type_, id, on): &(&'static str, String, &'static str)| {
            let is_of = match *type_ {
                "team" => self.members.contains(&(id.clone(), user.to_owned())),
                _ => id == user,
            };
            is_of && *on == document
        };
        self.active.contains(user) && self.grants.iter().any(has)
    }
}

/// A tenant whose changes are made in the services and in the model alike.
struct Bed {
    edges: Edges,
    identities: Identities,
    folder: tempfile::TempDir,
    tenant: String,
    /// Another one, which is suspended before the backup.
    closed: String,
    teams: Vec<String>,
    /// Everybody who ever was.
    users: Vec<String>,
    model: Model,
    /// A user of the other one, who had a role.
    shut: Option<String>,
    /// Of the last change of identities, and of the last write to the graph.
    seq: String,
    graph: String,
}

impl Bed {
    async fn new() -> Result<Self> {
        let identities = Identities::with_kafka(&[("RELAY__LEASE_SECONDS", "1")]).await?;
        let changes = identities.config()?.kafka.changes_topic;
        let sync = [
            ("SYNC__MODE", "identity"),
            ("SYNC__TOPIC", changes.as_str()),
            ("KAFKA__PARTITIONS", "3"),
            ("FRESHNESS__WAIT_MS", "20000"),
        ];
        let edges = Edges::new(&sync).await?;
        let (tenant, closed) = (edges.tenant("open"), edges.tenant("closed"));
        Ok(Self {
            edges,
            identities,
            folder: tempfile::tempdir()?,
            tenant,
            closed,
            teams: Vec::new(),
            users: Vec::new(),
            model: Model::default(),
            shut: None,
            seq: String::new(),
            graph: String::new(),
        })
    }

    /// One with all that there is before the backup, and the services.
    async fn filled() -> Result<(Self, Service, Edge)> {
        let mut bed = Self::new().await?;
        let (service, edge) = (bed.identities.start().await?, bed.edges.start().await?);
        bed.before(&service, &edge).await?;
        bed.settled(&edge).await?;
        Ok((bed, service, edge))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn user(&mut self, service: &Service, name: &str) -> Result<String> {
        let body = json!({"email": format!("{name}@x.example")});
        let path = format!("/v1/tenants/{}/users", self.tenant);
        let made = service.post(&path, body).await?.must(201)?;
        let id = made.id()?;
        self.seq = made.header(TOKEN).to_owned();
        self.users.push(id.clone());
        self.model.active.insert(id.clone());
        Ok(id)
    }

    /// `""` deletes, everything else is an action.
    async fn change(&mut self, service: &Service, user: &str, action: &str) -> Result<()> {
        let path = format!("/v1/tenants/{}/users/{user}", self.tenant);
        let answer = match action {
            "" => service.delete(&path).await?.must(204)?,
            action => service.post(&format!("{path}/{action}"), Value::Null).await?.must(200)?,
        };
        self.seq = answer.header(TOKEN).to_owned();
        self.model.active.remove(user);
        if action.is_empty() {
            self.model.members.retain(|(_, member)| member != user);
            self.model.grants.retain(|(_, id, _)| id != user);
        }
        Ok(())
    }

    async fn member(
        &mut self,
        service: &Service,
        team: usize,
        user: &str,
        joins: bool,
    ) -> Result<()> {
        let team = self.teams[team].clone();
        let path = format!("/v1/tenants/{}/teams/{team}/members/user/{user}", self.tenant);
        let member = (team, user.to_owned());
        let answer = if joins {
            self.model.members.insert(member);
            service.put(&path).await?.must(201)?
        } else {
            self.model.members.remove(&member);
            service.delete(&path).await?.must(204)?
        };
        self.seq = answer.header(TOKEN).to_owned();
        Ok(())
    }

    async fn grant(
        &mut self,
        edge: &Edge,
        (type_, id): (&'static str, &str),
        document: &'static str,
        holds: bool,
    ) -> Result<()> {
        let on = json!({"type": "document", "id": document});
        let op = if holds { "create" } else { "delete" };
        let list = json!({"writes": [{"op": op, "relationship": role(type_, id, "reader", &on)}]});
        let path = format!("/v1/tenants/{}/relationships", self.tenant);
        let answer = edge.ask(Method::POST, &path, &[(TOKEN, &self.seq)], Some(&list)).await?;
        ensure!(answer.status == StatusCode::OK, "{} {}", answer.status, answer.body);
        self.graph = answer.token;
        let grant = (type_, id.to_owned(), document);
        if holds {
            self.model.grants.insert(grant);
        } else {
            self.model.grants.remove(&grant);
        }
        Ok(())
    }

    /// What there is before the backup: eight users, of whom some have left, were deactivated or lost a role; and a
    /// tenant that is suspended.
    async fn before(&mut self, service: &Service, edge: &Edge) -> Result<()> {
        let (tenant, closed) = (self.tenant.clone(), self.closed.clone());
        for id in [&tenant, &closed] {
            service.tenant(id).await?;
        }
        for name in ["a", "b"] {
            self.teams.push(service.team(&tenant, name).await?);
        }
        for n in 0..8 {
            self.user(service, &format!("u{n}")).await?;
        }
        let users = self.users.clone();
        for (team, user) in [(0, 0), (0, 1), (0, 2), (1, 3)] {
            self.member(service, team, &users[user], true).await?;
        }
        let reader = json!({"permissions": [{"action": "read"}]});
        edge.put(&format!("/v1/tenants/{tenant}/roles/reader"), &reader).await?;
        let teams = self.teams.clone();
        self.grant(edge, ("team", &teams[0]), "d-1", true).await?;
        self.grant(edge, ("team", &teams[1]), "d-2", true).await?;
        self.grant(edge, ("user", &users[4]), "d-1", true).await?;
        self.grant(edge, ("user", &users[5]), "d-2", true).await?;
        self.grant(edge, ("user", &users[7]), "d-1", true).await?;
        // Revoked before the backup: none of it may come back.
        self.member(service, 0, &users[1], false).await?;
        self.change(service, &users[2], "deactivate").await?;
        self.grant(edge, ("user", &users[5]), "d-2", false).await?;
        self.close(service, edge).await
    }

    /// A user of the other tenant who had a role, and the tenant's suspension.
    async fn close(&mut self, service: &Service, edge: &Edge) -> Result<()> {
        let t = &self.closed;
        let body = json!({"email": "shut@x.example"});
        let path = format!("/v1/tenants/{t}/users");
        let made = service.post(&path, body).await?.must(201)?;
        let (id, token) = (made.id()?, made.header(TOKEN).to_owned());
        let reader = json!({"permissions": [{"action": "read"}]});
        edge.put(&format!("/v1/tenants/{t}/roles/reader"), &reader).await?;
        let list = json!({"writes": [
            {"op": "create", "relationship": role("user", &id, "reader", &Value::Null)}]});
        let path = format!("/v1/tenants/{t}/relationships");
        let bound = edge.ask(Method::POST, &path, &[(TOKEN, &token)], Some(&list)).await?;
        ensure!(bound.status == StatusCode::OK, "{} {}", bound.status, bound.body);
        ensure!(edge.check(t, &question(&id, "read", ("document", "d-1"))).await?, "before it");
        let path = format!("/v1/tenants/{t}/suspend");
        service.post(&path, Value::Null).await?.must(200)?;
        self.shut = Some(id);
        Ok(())
    }

    /// What is lost: joins, leaves, deletions, a user, roles.
    async fn after(&mut self, service: &Service, edge: &Edge) -> Result<()> {
        let (users, teams) = (self.users.clone(), self.teams.clone());
        self.member(service, 1, &users[3], false).await?;
        self.member(service, 0, &users[6], true).await?;
        self.change(service, &users[4], "").await?;
        self.change(service, &users[0], "deactivate").await?;
        let new = self.user(service, "u8").await?;
        self.grant(edge, ("user", &new), "d-3", true).await?;
        self.grant(edge, ("team", &teams[0]), "d-3", true).await?;
        self.grant(edge, ("team", &teams[1]), "d-2", false).await
    }

    /// All of it has arrived: what follows is lost from the graph by a drill alone.
    async fn settled(&self, edge: &Edge) -> Result<()> {
        self.agree(edge, &self.identities, &self.model).await?;
        let sql = "SELECT COUNT(*) AS n FROM outbox";
        until("everything is told", async || {
            let left = self.identities.count(sql, &[]).await?;
            Ok(if left == 0 { Ok(()) } else { Err(left.to_string()) })
        })
        .await
    }

    /// Rows are the graph's, and every check is answered as the model has it; nobody has anything of the tenant that
    /// is suspended.
    async fn agree(&self, edge: &Edge, identities: &Identities, model: &Model) -> Result<()> {
        let t = &self.tenant;
        let by_rows = Said::by_rows(identities, t).await?;
        until("rows, graph and checks agree", async || {
            let by_graph = Said::by_graph(edge, t, &self.teams).await?;
            if by_graph != by_rows {
                return Ok(Err(format!("{by_graph:?}\nrows: {by_rows:?}")));
            }
            for (n, user) in self.users.iter().enumerate() {
                for document in DOCUMENTS {
                    let asked = question(user, "read", ("document", document));
                    let (found, wanted) = (edge.check(t, &asked).await?, model.may(user, document));
                    if found != wanted {
                        return Ok(Err(format!("u{n} of {document}: {found}, not {wanted}")));
                    }
                }
            }
            let shut = self.shut.as_deref().context("nobody is shut out")?;
            let asked = question(shut, "read", ("document", "d-1"));
            let is_shut = !edge.check(&self.closed, &asked).await?;
            Ok(if is_shut { Ok(()) } else { Err("a suspended tenant is open".to_owned()) })
        })
        .await
    }

    /// Joins and deactivations after a restore are told and applied, with numbers that nothing else ever had.
    async fn goes_on(&mut self, service: &Service, edge: &Edge, before: &str) -> Result<()> {
        let tenant = TenantId::parse(&self.tenant)?;
        let number = |token: &str| match ConsistencyToken::decode(token, &tenant)? {
            ConsistencyToken::Identity { seq } => anyhow::Ok(seq),
            ConsistencyToken::Graph { .. } => anyhow::bail!("a token of the graph"),
        };
        let last = number(before)?;
        let user = self.user(service, "u9").await?;
        ensure!(number(&self.seq)? > last, "a number came twice");
        self.member(service, 0, &user, true).await?;
        ensure!(self.asks(edge, &user, &self.seq).await? == Ok(true), "who joined may");
        self.change(service, &user, "deactivate").await?;
        ensure!(self.asks(edge, &user, &self.seq).await? == Ok(false), "and does not afterwards");
        // Who shows a token from before waits for nothing.
        ensure!(self.asks(edge, &user, before).await? == Ok(false));
        Ok(())
    }

    /// All is as it is wanted, and goes on behind a change of before: the end of a drill.
    async fn ends_as(
        mut self,
        wanted: Model,
        (service, edge): (Service, Edge),
        identities: &Identities,
        before: &str,
    ) -> Result<()> {
        self.agree(&edge, identities, &wanted).await?;
        self.model = wanted;
        self.goes_on(&service, &edge, before).await?;
        self.agree(&edge, identities, &self.model).await?;
        edge.stop().await?;
        service.stop().await
    }

    /// Whether somebody may read `d-1`, from a state that holds a token; the status of a refusal.
    async fn asks(&self, edge: &Edge, user: &str, token: &str) -> Result<Result<bool, u16>> {
        let asked = question(user, "read", ("document", "d-1"));
        let path = format!("/v1/tenants/{}/check", self.tenant);
        let answer = edge.ask(Method::POST, &path, &[(TOKEN, token)], Some(&asked)).await?;
        let is_answer = answer.status == StatusCode::OK;
        Ok(if is_answer {
            Ok(answer.body["decision"] == true)
        } else {
            Err(answer.status.as_u16())
        })
    }

    // The steps of the document.

    /// `mysqldump` and `mysql` are MySQL's or MariaDB's.
    fn client(&self, program: &str) -> Result<(Command, String)> {
        let config = self.identities.config()?;
        let dsn = config.mysql.dsn.expose();
        let rest = dsn.strip_prefix("mysql://root@").context("another DSN")?;
        let (at, database) = rest.split_once('/').context("no database")?;
        let (host, port) = at.split_once(':').context("no port")?;
        let mut command = Command::new(program);
        command.args(["--protocol=tcp", "--user=root", "--host", host, "--port", port]);
        Ok((command, database.to_owned()))
    }

    fn dump(&self) -> Result<()> {
        let (mut dump, database) = self.client("mysqldump")?;
        dump.args(["--single-transaction", "--hex-blob", "--databases", &database]);
        dump.stdout(File::create(self.file("identity.sql"))?);
        succeeds(&mut dump).context("mysqldump of mariadb-client or mysql-client").map(drop)
    }

    fn drop_database(&self) -> Result<()> {
        let (mut client, database) = self.client("mysql")?;
        client.args(["--execute", &format!("DROP DATABASE {database}")]);
        succeeds(&mut client).map(drop)
    }

    /// Back from the dump; and its schema is this release's.
    fn restore(&self) -> Result<()> {
        let (mut client, _) = self.client("mysql")?;
        client.stdin(File::open(self.file("identity.sql"))?);
        succeeds(&mut client)?;
        succeeds(self.identities.command()?.arg("migrate")).map(drop)
    }

    fn renumber(&self) -> Result<()> {
        let said = succeeds(self.identities.command()?.arg("renumber"))?;
        ensure!(said.contains("numbers later"), "{said}");
        Ok(())
    }

    fn export(&self) -> Result<()> {
        let mut command = self.edges.command()?;
        command.args(["graph", "export", "--all", "--output"]).arg(self.file("graph"));
        succeeds(&mut command).map(drop)
    }

    fn import(&self, tenant: &str) -> Result<()> {
        let file = self.file("graph").join(format!("{tenant}.ndjson"));
        let mut command = self.edges.command()?;
        command.args(["graph", "import", "--tenant", tenant, "--input"]).arg(file);
        succeeds(command.args(["--skip-identities", "--skip-missing"])).map(drop)
    }

    async fn snapshot(&self, service: &Service, tenant: &str) -> Result<PathBuf> {
        let answer = service.get(&format!("/v1/tenants/{tenant}/snapshot")).await?.must(200)?;
        let file = self.file(&format!("{tenant}.snapshot"));
        std::fs::write(&file, answer.body.as_str().context("no text")?)?;
        Ok(file)
    }

    fn rebuild(&self, tenant: &str, snapshot: &Path) -> Result<Command> {
        let mut command = self.edges.command()?;
        command.args(["rebuild", "--tenant", tenant, "--snapshot"]).arg(snapshot);
        Ok(command)
    }

    /// Every tenant that the database has.
    async fn rebuild_all(&self, service: &Service, identities: &Identities) -> Result<()> {
        for row in identities.db.rows("SELECT id FROM tenants", &[]).await? {
            let tenant = row.text("id")?;
            let snapshot = self.snapshot(service, &tenant).await?;
            succeeds(&mut self.rebuild(&tenant, &snapshot)?)?;
        }
        Ok(())
    }
}

/// Runs a command that must succeed; what it says.
fn succeeds(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::piped()).output().with_context(|| format!("{command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {} {error}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a drill: it empties all of Dgraph, and needs engines of its own"]
async fn mysql_and_the_graph_are_restored_and_agree_again() -> Result<()> {
    let (mut bed, service, edge) = Bed::filled().await?;
    // The backups, of two moments: somebody whose role is in the first is gone in the second.
    bed.export()?;
    let granted = bed.model.grants.clone();
    let gone = bed.users[7].clone();
    bed.change(&service, &gone, "").await?;
    bed.dump()?;
    let wanted = Model { grants: granted, ..bed.model.clone() };
    bed.after(&service, &edge).await?;
    bed.settled(&edge).await?;
    let (seq, graph) = (bed.seq.clone(), bed.graph.clone());

    service.stop().await?;
    edge.stop().await?;
    bed.drop_database()?;
    empty_graph().await?;

    bed.restore()?;
    bed.renumber()?;
    succeeds(bed.edges.command()?.args(["schema", "apply"]))?;
    let identities = bed.identities.reconnected();
    let service = identities.start().await?;
    bed.rebuild_all(&service, &identities).await?;
    for tenant in [&bed.tenant, &bed.closed] {
        bed.import(tenant)?;
    }
    let edge = bed.edges.start().await?;

    ensure!(wanted.may(&bed.users[4], "d-1") && wanted.may(&bed.users[3], "d-2"));
    ensure!(bed.asks(&edge, &gone, &graph).await? == Err(400), "a token of the graph before");
    bed.ends_as(wanted, (service, edge), &identities, &seq).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a drill: it needs mysqldump, and engines of its own"]
async fn mysql_is_restored_behind_what_the_graph_knows_and_is_followed_again() -> Result<()> {
    let (mut bed, service, edge) = Bed::filled().await?;
    bed.dump()?;
    let backup = bed.model.clone();
    bed.after(&service, &edge).await?;
    bed.settled(&edge).await?;
    let seq = bed.seq.clone();

    // Edges answer all the while.
    service.stop().await?;
    bed.drop_database()?;
    bed.restore()?;
    let identities = bed.identities.reconnected();
    let service = identities.start().await?;
    // Without numbers of its own the graph is ahead, and knows better.
    let snapshot = bed.snapshot(&service, &bed.tenant).await?;
    let refused = bed.rebuild(&bed.tenant, &snapshot)?.output()?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(!refused.status.success() && said.contains("is applied already"), "{said}");
    bed.renumber()?;
    bed.rebuild_all(&service, &identities).await?;

    // Identities are the backup's; roles are those of now, but for users who were gone or are.
    let (deleted, new) = (&bed.users[4], &bed.users[8]);
    let mut wanted = Model { grants: bed.model.grants.clone(), ..backup };
    wanted.grants.retain(|(_, id, _)| id != deleted && id != new);
    bed.ends_as(wanted, (service, edge), &identities, &seq).await
}

//! Identities that sync brings: suspension, deletion, dead letters, rebuilds, and a process that dies.

use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::edge::{Edge, Edges, question, role};
use crate::world::{engines, until};

const DOCUMENT: (&str, &str) = ("document", "d-1");
const IDENTITY: (&str, &str) = ("SYNC__MODE", "identity");

fn user(id: &str) -> Value {
    json!({"id": id, "active": true})
}

fn joined(id: &str) -> Value {
    json!({"team_id": "t", "member": {"type": "user", "id": id}})
}

fn tenant(id: &str, status: &str) -> Value {
    json!({"id": id, "name": "Acme", "status": status})
}

/// Binds a subject to a role that may read, once sync has brought the subject.
async fn bound(edge: &Edge, t: &str, type_: &str, id: &str) -> Result<()> {
    let reader = json!({"permissions": [{"action": "read"}]});
    edge.put(&format!("/v1/tenants/{t}/roles/reader"), &reader).await?;
    let binding = role(type_, id, "reader", &Value::Null);
    let list = json!({"writes": [{"op": "touch", "relationship": binding}]});
    until(&format!("sync has brought {type_} {id}"), async || {
        let answer = edge.try_write(t, &list).await?;
        Ok(if answer.status == StatusCode::OK { Ok(()) } else { Err(answer.body.to_string()) })
    })
    .await
}

async fn decided(edge: &Edge, t: &str, who: &str, wanted: bool) -> Result<()> {
    until(&format!("{who} is decided {wanted}"), async || {
        let found = edge.check(t, &question(who, "read", DOCUMENT)).await?;
        Ok(if found == wanted { Ok(()) } else { Err("not yet".to_owned()) })
    })
    .await
}

#[tokio::test]
async fn a_suspended_tenant_is_denied_everything_until_it_is_active_again() -> Result<()> {
    let edges = Edges::new(&[IDENTITY]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("suspended"));
    edges
        .identities(
            &t,
            &[
                (1, "tenant.created", tenant(&t, "active")),
                (2, "user.created", user("u")),
                (3, "team.created", json!({"id": "t", "name": "t"})),
                (4, "team.member_added", joined("u")),
                (5, "user.created", user("v")),
            ],
        )
        .await?;
    bound(&edge, &t, "team", "t").await?;
    bound(&edge, &t, "user", "*").await?;
    for who in ["u", "v"] {
        decided(&edge, &t, who, true).await?;
    }
    edges.identities(&t, &[(6, "tenant.suspended", tenant(&t, "suspended"))]).await?;
    for who in ["u", "v", "nobody"] {
        decided(&edge, &t, who, false).await?;
    }
    let searched = json!({"subject": {"type": "user"}, "action": {"name": "read"},
        "resource": {"type": "document", "id": "d-1"}});
    let path = format!("/tenants/{t}/access/v1/search/subject");
    let found = edge.ask(Method::POST, &path, &[], Some(&searched)).await?;
    ensure!(found.body["results"] == json!([]), "{} {}", found.status, found.body);
    edges.identities(&t, &[(7, "tenant.updated", tenant(&t, "active"))]).await?;
    for who in ["u", "v"] {
        decided(&edge, &t, who, true).await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_was_deleted_or_never_came_has_nothing_of_what_everyone_has() -> Result<()> {
    let edges = Edges::new(&[IDENTITY]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("everyone"));
    edges.identities(&t, &[(1, "user.created", user("u")), (2, "user.created", user("v"))]).await?;
    bound(&edge, &t, "user", "*").await?;
    for who in ["u", "v"] {
        decided(&edge, &t, who, true).await?;
    }
    ensure!(!edge.check(&t, &question("stranger", "read", DOCUMENT)).await?);
    edges.identities(&t, &[(3, "user.deleted", json!({"id": "u"}))]).await?;
    decided(&edge, &t, "u", false).await?;
    edges.identities(&t, &[(4, "user.deactivated", json!({"id": "v", "active": false}))]).await?;
    decided(&edge, &t, "v", false).await?;
    // Whoever comes has it at once, a new one of the old name too.
    edges.identities(&t, &[(5, "user.created", user("u"))]).await?;
    decided(&edge, &t, "u", true).await
}

/// A snapshot's file.
fn snapshot(path: &Path, t: &str, seq: u64, lines: &[Value]) -> Result<()> {
    let header = json!({"type": "header", "tenant_id": t, "seq": seq, "status": "active"});
    let end = json!({"type": "end", "count": lines.len()});
    let all = std::iter::once(&header).chain(lines).chain(std::iter::once(&end));
    std::fs::write(path, all.map(|line| format!("{line}\n")).collect::<String>())?;
    Ok(())
}

fn rebuild(edges: &Edges, t: &str, from: &Path) -> Result<std::process::Command> {
    let mut command = edges.command()?;
    command.args(["rebuild", "--tenant", t, "--snapshot"]).arg(from).stdin(Stdio::null());
    Ok(command)
}

fn said(output: &Output) -> Result<String> {
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn a_rebuild_heals_a_tenant_while_checks_go_on() -> Result<()> {
    const CROWD: usize = 1500;
    let edges = Edges::new(&[IDENTITY]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("rebuilt"));
    let team = json!({"id": "t", "name": "t"});
    edges
        .identities(
            &t,
            &[
                (1, "user.created", user("stays")),
                (2, "user.created", user("goes")),
                (3, "team.created", team.clone()),
                (4, "team.member_added", joined("stays")),
                (5, "team.member_added", joined("goes")),
                // 6 is missing.
                (7, "user.created", user("u-0")),
            ],
        )
        .await?;
    bound(&edge, &t, "team", "t").await?;
    for (who, wanted) in [("stays", true), ("goes", true), ("u-0", false)] {
        decided(&edge, &t, who, wanted).await?;
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("snapshot.ndjson");
    let of = |kind: &str, mut data: Value| {
        data["type"] = kind.into();
        data
    };
    let mut lines =
        vec![of("team", team), of("user", user("stays")), of("member", joined("stays"))];
    lines.extend((0..CROWD).map(|n| of("user", user(&format!("u-{n}")))));
    lines.extend((0..CROWD).map(|n| of("member", joined(&format!("u-{n}")))));
    snapshot(&file, &t, 9, &lines)?;
    let mut child = rebuild(&edges, &t, &file)?.stdout(Stdio::piped()).spawn()?;
    let mut checked = 0;
    while child.try_wait()?.is_none() {
        // Who has it before and afterwards has it all the time; who never had it never has.
        ensure!(edge.check(&t, &question("stays", "read", DOCUMENT)).await?, "after {checked}");
        ensure!(!edge.check(&t, &question("stranger", "read", DOCUMENT)).await?);
        checked += 1;
    }
    let text = said(&child.wait_with_output()?)?;
    let expected = format!(
        "{t} is as of change 9: {} subjects, {} memberships, 0 lines",
        CROWD + 2,
        CROWD + 1
    );
    ensure!(text.contains(&expected), "{text}");
    ensure!(checked > 0, "it was over before anything was asked");
    for (who, wanted) in [("stays", true), ("goes", false), ("u-0", true), ("u-1499", true)] {
        decided(&edge, &t, who, wanted).await?;
    }
    // An older one is refused, and sync goes on behind the newer.
    snapshot(&file, &t, 8, &[])?;
    ensure!(!rebuild(&edges, &t, &file)?.output()?.status.success(), "an old snapshot is taken");
    edges.identities(&t, &[(10, "team.member_removed", joined("u-0"))]).await?;
    decided(&edge, &t, "u-0", false).await
}

fn retried(edges: &Edges) -> Result<String> {
    said(&edges.command()?.args(["sync", "retry"]).stdin(Stdio::null()).output()?)
}

async fn parked(edge: &Edge, count: f64) -> Result<()> {
    until("the change is parked", async || {
        let reason = "reason=\"unknown_type\"";
        let parked = edge.metric("triad_authz_sync_parked_total", reason).await?;
        let stopped = edge.metric("triad_authz_sync_stopped_tenants", "").await?;
        let done = parked >= count && stopped >= 1.0;
        Ok(if done { Ok(()) } else { Err(format!("{parked} parked, {stopped} stopped")) })
    })
    .await
}

/// What README says of a parked change: a retry heals as long as the process that held what came behind it
/// lives; afterwards a rebuild does.
#[tokio::test]
async fn a_parked_change_is_healed_by_a_retry_and_after_a_restart_by_a_rebuild() -> Result<()> {
    let edges = Edges::new(&[IDENTITY]).await?;
    let (edge, t, other) = (edges.start().await?, edges.tenant("a"), edges.tenant("b"));
    let history = [
        (1, "user.created", user("u")),
        (2, "user.enchanted", user("v")),
        (3, "user.created", user("w")),
    ];
    let mended = [(2, "user.created", user("v"))];
    edges.identities(&t, &history).await?;
    bound(&edge, &t, "user", "*").await?;
    parked(&edge, 1.0).await?;
    for (who, wanted) in [("u", true), ("v", false), ("w", false)] {
        decided(&edge, &t, who, wanted).await?;
    }
    edges.letters(&t, &mended).await?;
    let text = retried(&edges)?;
    ensure!(text.starts_with("2 read: 1 changes applied, 1 still cannot be, 0 tenants"), "{text}");
    for who in ["u", "v", "w"] {
        decided(&edge, &t, who, true).await?;
    }

    edges.identities(&other, &history).await?;
    bound(&edge, &other, "user", "*").await?;
    parked(&edge, 2.0).await?;
    // What is applied now was read later: the offsets of the others are committed.
    edges.identities(&t, &[(4, "user.created", user("later"))]).await?;
    decided(&edge, &t, "later", true).await?;
    edge.stop().await?;
    let edge = edges.start().await?;
    edges.letters(&other, &mended).await?;
    let text = retried(&edges)?;
    ensure!(text.starts_with("4 read: 1 changes applied, 2 still cannot be"), "{text}");
    edges.identities(&other, &[(4, "user.created", user("x"))]).await?;
    until("what was held is missed", async || {
        let stopped = edge.metric("triad_authz_sync_stopped_tenants", "").await?;
        Ok(if stopped >= 1.0 { Ok(()) } else { Err("nothing is missed".to_owned()) })
    })
    .await?;
    for (who, wanted) in [("v", true), ("w", false), ("x", false)] {
        decided(&edge, &other, who, wanted).await?;
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("snapshot.ndjson");
    let line = |id: &&str| json!({"type": "user", "id": id, "active": true});
    snapshot(&file, &other, 4, &["u", "v", "w", "x"].iter().map(line).collect::<Vec<_>>())?;
    said(&rebuild(&edges, &other, &file)?.output()?)?;
    edges.identities(&other, &[(5, "user.created", user("y"))]).await?;
    for who in ["u", "v", "w", "x", "y"] {
        decided(&edge, &other, who, true).await?;
    }
    Ok(())
}

/// Everything that a tenant has of a type, page by page.
async fn listed(edge: &Edge, t: &str, type_: &str) -> Result<Vec<String>> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/tenants/{t}/subjects/{type_}?limit=100{cursor}");
        let page = edge.ask(Method::GET, &path, &[], None).await?;
        ensure!(page.status == StatusCode::OK, "{path}: {} {}", page.status, page.body);
        let found = page.body["subjects"].as_array().with_context(|| page.body.to_string())?;
        ids.extend(found.iter().filter_map(|one| one["id"].as_str()).map(str::to_owned));
        match page.body["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(ids),
        }
    }
}

#[tokio::test]
async fn a_process_that_is_killed_during_sync_loses_and_doubles_nothing() -> Result<()> {
    const USERS: u64 = 400;
    // What was the dead one's goes to the next as soon as Kafka takes it for dead.
    let dead_after = ("KAFKA__PROPERTIES", "{session.timeout.ms: '6000'}");
    let edges = Edges::new(&[IDENTITY, dead_after]).await?;
    let (mut edge, t) = (edges.start().await?, edges.tenant("killed"));
    // Each joins, leaves and joins again, or the other way round: a change too few or too many shows.
    let history = (0..USERS).flat_map(|n| {
        let id = format!("u-{n}");
        let mut steps = vec![
            ("user.created", user(&id)),
            ("team.member_added", joined(&id)),
            ("team.member_removed", joined(&id)),
        ];
        if n % 2 == 1 {
            steps.push(("team.member_added", joined(&id)));
        }
        steps
    });
    let first = ("team.created", json!({"id": "t", "name": "t"}));
    let history: Vec<_> = (1..)
        .zip(std::iter::once(first).chain(history))
        .map(|(seq, (kind, data))| (seq, kind, data))
        .collect();
    let [first, second, third] = [0..500, 500..1000, 1000..history.len()];
    for part in [first, second] {
        let killed = async {
            until("some of it is applied", async || {
                let applied = edge.metric("triad_authz_sync_changes_total", "applied").await?;
                Ok(if applied >= 50.0 { Ok(()) } else { Err(format!("{applied}")) })
            })
            .await?;
            edge.strike()
        };
        tokio::try_join!(edges.identities(&t, &history[part]), killed)?;
        edge = edges.start().await?;
    }
    edges.identities(&t, &history[third]).await?;
    bound(&edge, &t, "team", "t").await?;
    let last = format!("u-{}", USERS - 1);
    decided(&edge, &t, &last, true).await?;
    let mut users = listed(&edge, &t, "user").await?;
    users.sort_by_key(|id| id[2..].parse::<u64>().ok());
    let expected: Vec<_> = (0..USERS).map(|n| format!("u-{n}")).collect();
    ensure!(users == expected, "{} users: {users:?}", users.len());
    for n in 0..USERS {
        let allowed = edge.check(&t, &question(&format!("u-{n}"), "read", DOCUMENT)).await?;
        ensure!(allowed == (n % 2 == 1), "u-{n} is decided {allowed}");
    }
    Ok(())
}

#[tokio::test]
async fn an_outage_of_the_graph_that_outlasts_the_group_s_patience_loses_nothing() -> Result<()> {
    let impatient =
        ("KAFKA__PROPERTIES", "{session.timeout.ms: '6000', max.poll.interval.ms: '6000'}");
    let edges = Edges::new(&[IDENTITY, impatient]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("outage"));
    let _other = edges.start().await?;
    let members = async |wanted: usize| {
        until(&format!("the group has {wanted} members"), async || {
            let found = edges.members()?;
            Ok(if found == wanted { Ok(()) } else { Err(format!("it has {found}")) })
        })
        .await
    };
    edges.identities(&t, &[(1, "user.created", user("u"))]).await?;
    bound(&edge, &t, "user", "*").await?;
    members(2).await?;
    engines(&["kill", "dgraph-alpha"])?;
    // Whoever has it waits for the graph, and is taken for gone; then the other.
    let gone = async {
        edges.identities(&t, &[(2, "user.created", user("v"))]).await?;
        members(0).await
    };
    let gone = gone.await;
    engines(&["start", "dgraph-alpha"])?;
    gone?;
    edges.identities(&t, &[(3, "user.created", user("w"))]).await?;
    for who in ["u", "v", "w"] {
        decided(&edge, &t, who, true).await?;
    }
    members(2).await
}

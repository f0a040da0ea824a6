//! A tenant read whole, at one change, while others write.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use contracts::identity::{Change, ChangeKind, SnapshotLine};
use futures::future::try_join_all;
use reqwest::StatusCode;
use serde_json::json;

use super::{Identities, Service};

const USERS: &str = "/v1/tenants/acme/users";
const SNAPSHOT: &str = "/v1/tenants/acme/snapshot";

/// What others may know of a tenant.
#[derive(Debug, Default, PartialEq)]
struct State {
    users: BTreeMap<String, bool>,
    teams: BTreeSet<String>,
    members: BTreeSet<(String, String)>,
}

impl State {
    /// As `identity.changes` up to a number says it.
    fn replay(changes: &[Change], seq: u64) -> Result<Self> {
        let mut state = Self::default();
        for change in changes.iter().take_while(|change| change.seq <= seq) {
            match &change.kind {
                ChangeKind::UserCreated(u) | ChangeKind::UserDeactivated(u) => {
                    state.users.insert(u.id.to_string(), u.active);
                }
                ChangeKind::UserDeleted(gone) => {
                    let id = gone.id.to_string();
                    state.users.remove(&id);
                    state.members.retain(|(_, member)| *member != id);
                }
                ChangeKind::TeamCreated(team) => {
                    state.teams.insert(team.id.to_string());
                }
                ChangeKind::TeamMemberAdded(m) => {
                    state.members.insert((m.team_id.to_string(), m.member.id.to_string()));
                }
                ChangeKind::TenantCreated(_) => {}
                other => anyhow::bail!("{other:?}"),
            }
        }
        Ok(state)
    }
}

/// A snapshot's number and what it says.
async fn snapshot(service: &Service) -> Result<(u64, State)> {
    let answer = service.get(SNAPSHOT).await?.must(200)?;
    let text = answer.body.as_str().context("no text")?;
    let lines: Vec<SnapshotLine> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut state = State::default();
    let (first, rest) = lines.split_first().context("nothing")?;
    let SnapshotLine::Header { tenant_id, seq, .. } = first else {
        anyhow::bail!("{first:?} is no header")
    };
    ensure!(tenant_id.as_str() == "acme");
    let (last, rest) = rest.split_last().context("no end")?;
    ensure!(*last == SnapshotLine::End { count: rest.len() as u64 }, "{last:?}");
    for line in rest {
        match line {
            SnapshotLine::User(user) => {
                state.users.insert(user.of.id.to_string(), user.of.active);
            }
            SnapshotLine::Team(team) => {
                state.teams.insert(team.of.id.to_string());
            }
            SnapshotLine::Member(m) => {
                state.members.insert((m.team_id.to_string(), m.member.id.to_string()));
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
    Ok((*seq, state))
}

#[tokio::test]
async fn a_snapshot_is_what_the_changes_up_to_its_number_say() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let team = service.team("acme", "t").await?;
    // More than a page of each.
    let sql = "INSERT INTO users (id, tenant_id, email, hashed_password, user_name, user_name_key, \
               is_active, attributes, version, created_at, updated_at) \
               SELECT CONCAT('bulk-', n.n), 'acme', CONCAT(n.n, '@bulk'), '!', CONCAT(n.n, '@bulk'), \
               CONCAT(n.n, '@bulk'), 1, '{}', 1, '2026-01-01', '2026-01-01' FROM \
               (SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS n FROM \
                (SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION \
                 SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) a, \
                (SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION \
                 SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) b, \
                (SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION \
                 SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) c, \
                (SELECT 0 AS d UNION SELECT 1) e) n";
    ensure!(identities.db.execute(sql, &[]).await? == 2000);
    let sql = "INSERT INTO team_members (tenant_id, team_id, user_id, created_at) \
               SELECT 'acme', ?, id, '2026-01-01' FROM users WHERE id LIKE 'bulk-%'";
    identities.db.execute(sql, &[team.as_str().into()]).await?;
    let writes = async |worker: usize| {
        for n in 0..10 {
            let id = service.user("acme", &format!("w{worker}-{n}")).await?;
            let member = format!("/v1/tenants/acme/teams/{team}/members/user/{id}");
            service.put(&member).await?.must(201)?;
            let user = format!("{USERS}/{id}");
            match n % 3 {
                0 => drop(service.delete(&user).await?.must(204)?),
                1 => drop(service.post(&format!("{user}/deactivate"), json!(null)).await?),
                _ => {}
            }
        }
        anyhow::Ok(())
    };
    let reads = async {
        let mut all = Vec::new();
        for _ in 0..6 {
            all.push(snapshot(&service).await?);
        }
        anyhow::Ok(all)
    };
    let (written, read) = tokio::join!(try_join_all((0..4).map(writes)), reads);
    written?;
    let mut read = read?;
    read.push(snapshot(&service).await?);
    let changes = identities.changes("acme").await?;
    ensure!(read.last().is_some_and(|(seq, _)| *seq == changes.len() as u64));
    ensure!(read.iter().any(|(seq, _)| *seq < changes.len() as u64), "nobody wrote meanwhile");
    for (seq, mut state) in read {
        let bulk = |id: &str| id.starts_with("bulk-");
        ensure!(state.users.keys().filter(|id| bulk(id)).count() == 2000);
        state.users.retain(|id, _| !bulk(id));
        ensure!(state.members.iter().filter(|(_, id)| bulk(id)).count() == 2000);
        state.members.retain(|(_, id)| !bulk(id));
        ensure!(state == State::replay(&changes, seq)?, "at {seq}: {state:?}");
    }
    service.stop().await
}

#[tokio::test]
async fn snapshots_are_bounded_and_those_of_strangers_are_not_found() -> Result<()> {
    let identities = Identities::new(&[("SNAPSHOTS__AT_ONCE", "1")]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    service.get("/v1/tenants/nobody/snapshot").await?.must(404)?;
    // The tenant's row is in nobody's way: a snapshot locks nothing.
    let answers = try_join_all((0..12).map(|_| service.get(SNAPSHOT))).await?;
    for answer in &answers {
        let is_refused =
            answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.header("retry-after") == "1";
        ensure!(answer.status == StatusCode::OK || is_refused, "{answer:?}");
    }
    ensure!(answers.iter().any(|answer| answer.status == StatusCode::OK));
    // Each gave its place back.
    service.get(SNAPSHOT).await?.must(200)?;
    service.stop().await
}

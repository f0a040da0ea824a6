//! Who there is, and who is in which team: by rows, by changes, by the graph, and by what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use contracts::identity::{Change, ChangeKind, MemberKind, SnapshotLine, User};
use serde_json::Value;

use crate::trio::work::gateway::Service;
use crate::trio::work::identities::Held;
use crate::trio::work::scene::{Scene, Tenant};

/// Differences that are described.
const DESCRIBED: usize = 6;
/// Pages of a list at most.
const PAGES: usize = 1000;

/// What can be compared: one text for each thing that is so.
pub(super) type Facts = BTreeSet<String>;

/// Users, teams, and pairs of a team and a user in it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    users: BTreeMap<String, User>,
    /// Names by id.
    teams: BTreeMap<String, String>,
    members: BTreeSet<(String, String)>,
}

impl Said {
    /// By changes, from the first one on.
    pub(super) fn by_changes<'a>(changes: impl Iterator<Item = &'a Change>) -> Self {
        let mut said = Self::default();
        for change in changes {
            match &change.kind {
                ChangeKind::UserCreated(user)
                | ChangeKind::UserUpdated(user)
                | ChangeKind::UserDeactivated(user)
                | ChangeKind::UserReactivated(user) => {
                    said.users.insert(user.id.to_string(), user.clone());
                }
                ChangeKind::UserDeleted(deleted) => {
                    let id = deleted.id.to_string();
                    said.users.remove(&id);
                    said.members.retain(|(_, member)| *member != id);
                }
                ChangeKind::TeamCreated(team) | ChangeKind::TeamUpdated(team) => {
                    said.teams.insert(team.id.to_string(), team.name.clone());
                }
                ChangeKind::TeamDeleted(deleted) => {
                    let id = deleted.id.to_string();
                    said.teams.remove(&id);
                    said.members.retain(|(team, _)| *team != id);
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

    /// By rows, as a snapshot tells them, and the number of the last change in it.
    ///
    /// # Errors
    /// When it is no snapshot, or was cut.
    pub(super) fn by_snapshot(lines: &[u8]) -> anyhow::Result<(Self, u64)> {
        let (mut said, mut last) = (Self::default(), None);
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: SnapshotLine =
                serde_json::from_slice(line).context("a line of a snapshot")?;
            match line {
                SnapshotLine::Header { seq, .. } => last = Some(seq),
                SnapshotLine::User(user) => {
                    said.users.insert(user.of.id.to_string(), user.of);
                }
                SnapshotLine::Team(team) => {
                    said.teams.insert(team.of.id.to_string(), team.of.name);
                }
                SnapshotLine::Member(told) if told.member.kind == MemberKind::User => {
                    said.members.insert((told.team_id.to_string(), told.member.id.to_string()));
                }
                SnapshotLine::End { .. } => {
                    return Ok((said, last.context("a snapshot without header")?));
                }
                _ => {}
            }
        }
        bail!("a snapshot was cut")
    }

    /// All that it says.
    pub(super) fn facts(&self) -> Facts {
        let users = self.users.values().map(|user| {
            let User { id, email, active, attributes } = user;
            format!("user {id} active={active} {email:?} {attributes:?}")
        });
        let teams = self.teams.iter().map(|(id, name)| format!("team {id} {name:?}"));
        users.chain(teams).chain(self.members()).collect()
    }

    /// What of it the graph's lists say.
    pub(super) fn seen(&self) -> Facts {
        let users = self.users.iter().map(|(id, user)| seen_user(id, user.active));
        let teams = self.teams.keys().map(|id| seen_team(id));
        users.chain(teams).chain(self.members()).collect()
    }

    fn members(&self) -> impl Iterator<Item = String> {
        self.members.iter().map(|(team, user)| seen_member(team, user))
    }

    /// What is otherwise than it was acknowledged.
    pub(super) fn unlike(&self, held: &Held) -> Option<String> {
        if let Some(back) = held.gone.iter().find(|id| self.users.contains_key(*id)) {
            return Some(format!("user {back} was deleted, and is there"));
        }
        let person = held.person.as_ref()?;
        let Some(user) = self.users.get(&person.id) else {
            return Some(format!("{person:?} is not there"));
        };
        let member = self.members.contains(&(held.crew.clone(), person.id.clone()));
        let is_like = (user.active, member) == (person.active, person.member);
        (!is_like).then(|| format!("{person:?} is active={}, member={member}", user.active))
    }
}

fn seen_user(id: &str, active: bool) -> String {
    format!("user {id} active={active}")
}

fn seen_team(id: &str) -> String {
    format!("team {id}")
}

fn seen_member(team: &str, user: &str) -> String {
    format!("member {user} of {team}")
}

/// What only one of them says.
pub(super) fn differ((one, a): (&str, &Facts), (other, b): (&str, &Facts)) -> Option<String> {
    let of = |name: &str, fact: &String| format!("only {name}: {fact}");
    let differences = a.difference(b).map(|fact| of(one, fact));
    let differences: Vec<_> =
        differences.chain(b.difference(a).map(|fact| of(other, fact))).collect();
    let shown = &differences[..differences.len().min(DESCRIBED)];
    (!differences.is_empty()).then(|| format!("{} differ: {}", differences.len(), shown.join("; ")))
}

/// What the graph's lists say of a tenant; `None` while nobody answers.
pub(super) async fn seen_in_graph(scene: &Scene, tenant: &Tenant) -> Option<Facts> {
    let mut seen = Facts::new();
    for user in list(scene, tenant, ("subjects/user?limit=1000", "subjects")).await.ok()? {
        seen.insert(seen_user(user["id"].as_str()?, user["active"] == true));
    }
    let teams = list(scene, tenant, ("subjects/team?limit=1000", "subjects")).await.ok()?;
    for team in &teams {
        let team = team["id"].as_str()?;
        seen.insert(seen_team(team));
        let what = format!("relationships?team={team}&limit=1000");
        for member in list(scene, tenant, (&what, "relationships")).await.ok()? {
            seen.insert(seen_member(team, member["subject"]["id"].as_str()?));
        }
    }
    Some(seen)
}

/// Every entry of a list, page by page.
async fn list(
    scene: &Scene,
    tenant: &Tenant,
    (what, name): (&str, &str),
) -> anyhow::Result<Vec<Value>> {
    let (mut found, mut next) = (Vec::new(), String::new());
    for _ in 0..PAGES {
        let path = tenant.path(&format!("{what}{next}"));
        let page = scene.gateway.read(Service::Edge, path).await;
        let page = page.with_context(|| format!("nobody tells {what}"))?.json();
        let entries = page[name].as_array();
        ensure!(entries.is_some(), "{what} has no entries");
        found.extend(entries.into_iter().flatten().cloned());
        match page["cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return Ok(found),
        }
    }
    bail!("{what} does not end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trio::work::identities::Person;

    const SNAPSHOT: &str = r#"{"type":"header","tenant_id":"acme","seq":7,"status":"active"}
{"type":"user","id":"u","email":"u@x.y","active":true}
{"type":"team","id":"t","name":"T"}
{"type":"member","team_id":"t","member":{"type":"user","id":"u"}}
{"type":"end","count":3}
"#;

    fn changes(lines: &[(&str, &str)]) -> Vec<Change> {
        let change = |(seq, (kind, data)): (usize, &(&str, &str))| {
            let text = format!(
                r#"{{"event_id":"00000000-0000-7000-8000-000000000001","tenant_id":"acme","seq":{},
                "type":"{kind}","occurred_at":"2026-11-22T14:03:07Z","data":{data}}}"#,
                seq + 1
            );
            Change::parse(text.as_bytes()).unwrap()
        };
        lines.iter().enumerate().map(change).collect()
    }

    const MADE: (&str, &str) = ("user.created", r#"{"id":"u","email":"u@x.y","active":true}"#);
    const TEAM: (&str, &str) = ("team.created", r#"{"id":"t","name":"T"}"#);
    const JOINED: (&str, &str) =
        ("team.member_added", r#"{"team_id":"t","member":{"type":"user","id":"u"}}"#);

    #[test]
    fn rows_and_changes_that_say_the_same_agree() {
        let (rows, last) = Said::by_snapshot(SNAPSHOT.as_bytes()).unwrap();
        assert_eq!(last, 7);
        let told = Said::by_changes(changes(&[TEAM, MADE, JOINED]).iter());
        assert_eq!(rows, told);
        assert_eq!(differ(("rows", &rows.facts()), ("Kafka", &told.facts())), None);
        let told = Said::by_changes(changes(&[TEAM, MADE]).iter());
        let text = differ(("rows", &rows.facts()), ("Kafka", &told.facts())).unwrap();
        assert_eq!(text, "1 differ: only rows: member u of t");
        let gone = ("user.deleted", r#"{"id":"u"}"#);
        assert_eq!(Said::by_changes(changes(&[MADE, JOINED, gone]).iter()), Said::default());
        let renamed = ("team.updated", r#"{"id":"t","name":"U"}"#);
        let told = Said::by_changes(changes(&[TEAM, MADE, JOINED, renamed]).iter());
        assert!(differ(("rows", &rows.facts()), ("Kafka", &told.facts())).is_some());
        assert_eq!(rows.seen(), told.seen(), "the graph has no names");
    }

    #[test]
    fn a_snapshot_without_its_end_was_cut() {
        let cut = &SNAPSHOT[..SNAPSHOT.len() - 30];
        assert!(Said::by_snapshot(cut.as_bytes()).is_err());
    }

    #[test]
    fn rows_are_held_to_what_was_acknowledged() {
        let (rows, _) = Said::by_snapshot(SNAPSHOT.as_bytes()).unwrap();
        let held = |active, member, gone: &[&str]| {
            let person = Some(Person { id: "u".to_owned(), active, member });
            let gone = gone.iter().map(|id| (*id).to_owned()).collect();
            Held { crew: "t".to_owned(), person, gone }
        };
        assert_eq!(rows.unlike(&held(true, true, &["v"])), None);
        for wrong in [held(false, true, &[]), held(true, false, &[]), held(true, true, &["u"])] {
            assert!(rows.unlike(&wrong).is_some(), "{wrong:?}");
        }
    }
}

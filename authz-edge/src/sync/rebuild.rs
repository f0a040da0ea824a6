//! A tenant made anew from a snapshot, while checks go on.
//!
//! Nothing is written before the snapshot is read to its end. Then the order of the steps keeps every
//! state in between from giving somebody more than they had before or have afterwards: first what is gone
//! goes, and the nesting of teams shrinks to what is in both; then each user and service account changes
//! at once from its old memberships to its new ones; last, the nesting of teams grows.

use std::collections::{BTreeMap, HashMap};

use chrono::Utc;
use contracts::TenantId;
use contracts::identity::{SnapshotLine, TenantStatus};
use serde_json::json;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use crate::graph::write::Writer;
use crate::graph::write::snapshot::{Rebuild, Step, StepError, Wanted};
use crate::model::{Invalid, SubjectRef, SubjectType};

/// Subjects and memberships of one transaction.
const BATCH: usize = 500;
/// The types that a snapshot names.
const TYPES: [SubjectType; 3] = [SubjectType::User, SubjectType::ServiceAccount, SubjectType::Team];

/// What a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rebuilt {
    /// The change behind which sync goes on.
    pub seq: u64,
    /// Users, service accounts and teams of the snapshot.
    pub subjects: usize,
    /// Its memberships.
    pub memberships: usize,
    /// Memberships that named what the snapshot does not have, and lines of unknown types.
    pub skipped: usize,
    /// Subjects that the snapshot did not name any more, or that were deleted and created again meanwhile.
    pub buried: usize,
}

/// Why a tenant was not rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The stream broke. Nothing was written.
    #[error("reading the snapshot: {0}")]
    Read(#[from] std::io::Error),
    /// Not a snapshot, not whole, or of another tenant. Nothing was written.
    #[error("the snapshot's line {line}: {reason}")]
    Malformed {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The graph did not take it. Sync applies nothing to the tenant until a rebuild is repeated, unless
    /// the snapshot was refused as [`StepError::Old`].
    #[error(transparent)]
    Step(#[from] StepError),
}

/// A snapshot that was read to its end.
#[derive(Debug, Clone, PartialEq)]
struct Snapshot {
    seq: u64,
    suspended: bool,
    subjects: HashMap<SubjectRef, Wanted>,
    memberships: usize,
    skipped: usize,
}

/// Makes the tenant what the snapshot says: `lines` is the body of `GET /v1/tenants/{tenant}/snapshot`.
/// The snapshot is held in memory, some 200 bytes for each subject. Repeating it is harmless.
///
/// Bindings of subjects that the snapshot names stay. One that was deleted and created again within the gap
/// inherits nothing, if the snapshot says which change created it; a rebuild that is repeated because it was
/// broken off then takes from it as well what it was bound to in between.
///
/// # Errors
/// [`RebuildError`].
pub async fn rebuild(
    writer: &Writer<'_>,
    tenant: &TenantId,
    lines: impl AsyncBufRead + Unpin,
) -> Result<Rebuilt, RebuildError> {
    let snapshot = read(tenant, lines).await?;
    let (seq, suspended) = (snapshot.seq, snapshot.suspended);
    let rebuild = Rebuild::begin(writer, tenant, seq, suspended).await?;
    let mut buried = 0;
    for type_ in TYPES {
        let mut after = Some(0);
        while let Some(from) = after {
            let seen = |subject: &SubjectRef| {
                let wanted = snapshot.subjects.get(subject);
                wanted.is_some_and(|wanted| !wanted.came_behind(rebuild.applied()))
            };
            let page = rebuild.sweep(type_, from, seen, Utc::now()).await?;
            buried += page.buried;
            after = page.after;
        }
    }
    let (teams, members): (Vec<_>, Vec<_>) =
        snapshot.subjects.into_values().partition(|w| w.subject.type_ == SubjectType::Team);
    let subjects = teams.len() + members.len();
    let steps = [
        (&teams, Step::Shrink),
        (&teams, Step::Subjects),
        (&members, Step::All),
        (&teams, Step::All),
    ];
    for (wanted, step) in steps {
        for batch in batches(wanted) {
            rebuild.settle(batch, step).await?;
        }
    }
    let Snapshot { memberships, skipped, .. } = snapshot;
    let details = [
        ("subjects", json!(subjects)),
        ("memberships", json!(memberships)),
        ("skipped", json!(skipped)),
        ("buried", json!(buried)),
    ];
    rebuild.end(seq, suspended, &details).await?;
    Ok(Rebuilt { seq, subjects, memberships, skipped, buried })
}

/// Cuts where subjects and their memberships reach [`BATCH`].
fn batches(wanted: &[Wanted]) -> impl Iterator<Item = &[Wanted]> {
    let mut rest = wanted;
    std::iter::from_fn(move || {
        let mut weight = 0;
        let within = |one: &&Wanted| {
            weight += 1 + one.teams.len();
            weight <= BATCH
        };
        let count = rest.iter().take_while(within).count().max(1).min(rest.len());
        let (batch, behind) = rest.split_at(count);
        rest = behind;
        (!batch.is_empty()).then_some(batch)
    })
}

async fn read(
    tenant: &TenantId,
    mut lines: impl AsyncBufRead + Unpin,
) -> Result<Snapshot, RebuildError> {
    let (mut reader, mut text, mut at) = (Reader::default(), String::new(), 0);
    loop {
        text.clear();
        at += 1;
        let malformed = |reason: String| RebuildError::Malformed { line: at, reason };
        if lines.read_line(&mut text).await? == 0 {
            return reader.finish().map_err(malformed);
        }
        let line = serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?;
        reader.line(tenant, line).map_err(malformed)?;
    }
}

/// Lines on their way into a snapshot.
#[derive(Default)]
struct Reader {
    header: Option<(u64, bool)>,
    subjects: HashMap<SubjectRef, Wanted>,
    memberships: BTreeMap<SubjectRef, Vec<String>>,
    count: u64,
    skipped: usize,
    ended: bool,
}

impl Reader {
    fn line(&mut self, tenant: &TenantId, line: SnapshotLine) -> Result<(), String> {
        if self.ended {
            return Err("a line behind the end".to_owned());
        }
        match (line, self.header.is_some()) {
            (SnapshotLine::Header { tenant_id, seq, status }, false) if tenant_id == *tenant => {
                self.header = Some((seq, status == TenantStatus::Suspended));
                return Ok(());
            }
            (SnapshotLine::Header { tenant_id, .. }, false) => {
                return Err(format!("a snapshot of {tenant_id}"));
            }
            (SnapshotLine::Header { .. }, true) => return Err("a second header".to_owned()),
            (_, false) => return Err("no header comes first".to_owned()),
            (SnapshotLine::End { count }, true) if count == self.count => self.ended = true,
            (SnapshotLine::End { count }, true) => {
                return Err(format!("{count} lines were sent, {} came", self.count));
            }
            (line, true) => {
                self.count += 1;
                self.content(&line).map_err(|invalid| invalid.to_string())?;
            }
        }
        Ok(())
    }

    fn content(&mut self, line: &SnapshotLine) -> Result<(), Invalid> {
        if let SnapshotLine::Member(membership) = line {
            let teams = self.memberships.entry(Wanted::member(&membership.member)).or_default();
            teams.push(membership.team_id.as_str().to_owned());
            return Ok(());
        }
        match Wanted::read(line)? {
            // No subject has the id that stands for everyone.
            Some(wanted) if !wanted.subject.is_everyone() => {
                self.subjects.insert(wanted.subject.clone(), wanted);
            }
            _ => self.skipped += 1,
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Snapshot, String> {
        let (seq, suspended) =
            self.header.filter(|_| self.ended).ok_or("the stream was cut before its end")?;
        let mut memberships = 0;
        for (member, teams) in self.memberships {
            for team in teams {
                let known =
                    self.subjects.contains_key(&SubjectRef::new(SubjectType::Team, team.as_str()));
                match self.subjects.get_mut(&member).filter(|_| known) {
                    Some(wanted) => memberships += usize::from(wanted.teams.insert(team)),
                    None => self.skipped += 1,
                }
            }
        }
        let (subjects, skipped) = (self.subjects, self.skipped);
        Ok(Snapshot { seq, suspended, subjects, memberships, skipped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"type":"header","tenant_id":"acme","seq":7,"status":"active"}"#;
    const BODY: [&str; 5] = [
        r#"{"type":"user","id":"ann","active":true}"#,
        r#"{"type":"team","id":"eng","name":"Eng"}"#,
        r#"{"type":"robot","id":"x"}"#,
        r#"{"type":"member","team_id":"eng","member":{"type":"user","id":"ann"}}"#,
        r#"{"type":"member","team_id":"ops","member":{"type":"user","id":"ann"}}"#,
    ];

    async fn read_lines(lines: &[&str]) -> Result<Snapshot, RebuildError> {
        read(&TenantId::parse("acme").unwrap(), lines.join("\n").as_bytes()).await
    }

    #[tokio::test]
    async fn a_snapshot_is_taken_whole_or_not_at_all() {
        let end = r#"{"type":"end","count":5}"#;
        let mut lines = vec![HEADER];
        lines.extend(BODY);
        lines.push(end);
        let snapshot = read_lines(&lines).await.unwrap();
        assert_eq!((snapshot.seq, snapshot.memberships, snapshot.skipped), (7, 1, 2));
        for cut in 0..lines.len() {
            assert!(read_lines(&lines[..cut]).await.is_err(), "cut at {cut}");
            let mut holed = lines.clone();
            holed.remove(cut);
            assert!(read_lines(&holed).await.is_err(), "without line {cut}");
        }
        lines.push(BODY[0]);
        assert!(read_lines(&lines).await.is_err());
        let other = HEADER.replace("acme", "ecma");
        assert!(read_lines(&[&other, r#"{"type":"end","count":0}"#]).await.is_err());
    }

    #[test]
    fn batches_hold_everything_once_and_none_is_too_large() {
        let wanted = |teams: usize| Wanted {
            subject: SubjectRef::new(SubjectType::User, teams.to_string()),
            inactive: false,
            attributes: crate::model::Properties::new(),
            teams: (0..teams).map(|n| n.to_string()).collect(),
            created_seq: None,
        };
        let all: Vec<_> = [400, 99, 1, 900, 3, 496].map(wanted).into();
        let cut: Vec<_> = batches(&all).map(<[_]>::len).collect();
        assert_eq!(cut, [1, 2, 1, 1, 1]);
        assert_eq!(batches(&all).flatten().count(), all.len());
        assert_eq!(batches(&[]).count(), 0);
    }
}

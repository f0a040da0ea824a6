//! What a rebuild from a snapshot writes, step by step; `sync::rebuild` has the order of the steps.
//!
//! A tenant's generation is odd while it is rebuilt: sync then applies nothing, and every step rests on
//! the generation, so that of two rebuilds the later one goes on alone.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use contracts::TenantId;
use contracts::identity::{Made, Member, SnapshotLine};
use serde::Deserialize;
use serde_json::Value;

use super::super::client::Answer;
use super::super::dql::{Uid, literals};
use super::super::store::GraphError;
use super::draft::{Draft, Id};
use super::identity::{TenantRow, member, program, properties, put, team, tenant_block, user};
use super::load::{Nodes, leads_to};
use super::{Author, WriteError, Writer};
use crate::model::{Invalid, Key, Properties, SubjectRef, SubjectType, check_properties};

/// Nodes of one page of a sweep.
const PAGE: usize = 500;

/// A subject as the snapshot has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Which one.
    pub subject: SubjectRef,
    /// Whether it is denied everything.
    pub inactive: bool,
    /// For conditions.
    pub attributes: Properties,
    /// Every team that it is in.
    pub teams: BTreeSet<String>,
    /// The change that created it, as far as the snapshot says.
    pub created_seq: Option<u64>,
}

impl Wanted {
    /// The subject of a line, in no team yet; `None` for a line of another kind.
    ///
    /// # Errors
    /// Attributes that the graph does not hold.
    pub fn read(line: &SnapshotLine) -> Result<Option<Self>, Invalid> {
        let (subject, active, attributes, created_seq) = match line {
            SnapshotLine::User(Made { of, created_seq }) => {
                (user(&of.id), of.active, properties(&of.attributes), *created_seq)
            }
            SnapshotLine::ServiceAccount(Made { of, created_seq }) => {
                (program(&of.id), of.active, properties(&of.attributes), *created_seq)
            }
            SnapshotLine::Team(Made { of, created_seq }) => {
                (team(&of.id), true, Properties::new(), *created_seq)
            }
            _ => return Ok(None),
        };
        check_properties(&subject.to_string(), Some(&attributes))?;
        let (inactive, teams) = (!active, BTreeSet::new());
        Ok(Some(Self { subject, inactive, attributes, teams, created_seq }))
    }

    /// Whether it came behind change `applied`, so that one of its id that is stored is a former one. A
    /// graph that sync never wrote to (0) has none: what it has was bound by hand to who is there.
    #[must_use]
    pub fn came_behind(&self, applied: u64) -> bool {
        applied > 0 && self.created_seq.is_some_and(|seq| seq > applied)
    }

    /// Who a member is.
    #[must_use]
    pub fn member(of: &Member) -> SubjectRef {
        member(of)
    }
}

/// How much of what is wanted is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Memberships that are not wanted are removed.
    Shrink,
    /// Subjects are made as they are wanted; memberships stay.
    Subjects,
    /// Both, and what is missing of memberships is added, at once for each subject.
    All,
}

/// Why a step was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The graph holds more than the snapshot.
    #[error("the snapshot is of change {snapshot}, and change {applied} is applied already")]
    Old {
        /// The snapshot's last change.
        snapshot: u64,
        /// The last one that was applied.
        applied: u64,
    },
    /// Another rebuild of this tenant has begun.
    #[error("another rebuild of the tenant has begun")]
    Superseded,
    /// The graph did not do it.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl From<WriteError> for StepError {
    fn from(error: WriteError) -> Self {
        Self::Graph(error.of_graph())
    }
}

#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    page: Vec<Row>,
}

/// A subject of a page.
#[derive(Deserialize)]
struct Row {
    uid: Uid,
    xid: String,
    #[serde(default)]
    version: i64,
}

/// One page of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Where the next one begins; none after the last.
    pub after: Option<u64>,
    /// Subjects that were buried.
    pub buried: usize,
}

/// One event for all that a rebuild changes.
fn record(
    draft: &mut Draft,
    tenant: &TenantId,
    action: &str,
    details: impl IntoIterator<Item = (&'static str, Value)>,
) {
    let author = Author::system(Utc::now());
    draft.event(tenant, &author, action, ("tenant", tenant.as_str()), details);
}

/// A tenant that is being rebuilt.
pub struct Rebuild<'a> {
    writer: &'a Writer<'a>,
    tenant: &'a TenantId,
    generation: i64,
    applied: u64,
}

impl<'a> Rebuild<'a> {
    /// Begins a generation: from here on sync applies nothing to the tenant. One that was suspended since
    /// is so at once.
    ///
    /// # Errors
    /// [`StepError::Old`], or the graph's.
    pub async fn begin(
        writer: &'a Writer<'a>,
        tenant: &'a TenantId,
        seq: u64,
        suspended: bool,
    ) -> Result<Self, StepError> {
        let plan = |answer: &Answer| {
            let (row, mut draft) = (TenantRow::read(answer)?, Draft::default());
            let applied = row.map_or(0, |row| row.seq);
            if applied > seq {
                return Ok((draft, Err(StepError::Old { snapshot: seq, applied })));
            }
            let before = row.map_or(0, |row| row.generation);
            let generation = before + 1 + before % 2;
            let node = TenantRow::id(row, tenant, &mut draft);
            draft.int(node, "Tenant.generation", generation);
            // As it is: a batch of sync that began before conflicts.
            TenantRow::set_seq(&mut draft, node, applied);
            if suspended {
                draft.flag(node, "Tenant.suspended", true);
                draft.change(Key::tenant(tenant));
            }
            let details = [("seq", seq.into()), ("applied_seq", applied.into())];
            record(&mut draft, tenant, "authz.identity.rebuild_started", details);
            Ok((draft, Ok((generation, applied))))
        };
        let dql = format!("{{ {} }}", tenant_block(tenant));
        let (generation, applied) = writer.transact(tenant, &dql, plan).await?.1?;
        Ok(Self { writer, tenant, generation, applied })
    }

    /// The last change that sync had applied when it began.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Ends it: sync goes on behind `seq`. `details` say what was done.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn end(
        self,
        seq: u64,
        suspended: bool,
        details: &[(&'static str, Value)],
    ) -> Result<(), StepError> {
        let plan = |answer: &Answer| {
            let mut draft = Draft::default();
            let node = match self.holds(answer)? {
                Ok(row) => TenantRow::id(Some(row), self.tenant, &mut draft),
                Err(error) => return Ok((draft, Err(error))),
            };
            draft.int(node, "Tenant.generation", self.generation + 1);
            TenantRow::set_seq(&mut draft, node, seq);
            draft.flag(node, "Tenant.suspended", suspended);
            draft.change(Key::tenant(self.tenant));
            let details = details.iter().cloned().chain([("seq", seq.into())]);
            record(&mut draft, self.tenant, "authz.identity.rebuilt", details);
            Ok((draft, Ok(())))
        };
        let dql = format!("{{ {} }}", tenant_block(self.tenant));
        self.writer.transact(self.tenant, &dql, plan).await?.1
    }

    fn holds(&self, answer: &Answer) -> Result<Result<TenantRow, StepError>, GraphError> {
        let row = TenantRow::read(answer)?.filter(|row| row.generation == self.generation);
        Ok(row.ok_or(StepError::Superseded))
    }

    /// Has two rebuilds conflict that write the same at the same time.
    fn guard(&self, row: TenantRow, draft: &mut Draft) {
        let node = TenantRow::id(Some(row), self.tenant, draft);
        draft.int(node, "Tenant.generation", self.generation);
    }

    /// Makes subjects as they are wanted, all in one transaction.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn settle(&self, wanted: &[Wanted], step: Step) -> Result<(), StepError> {
        let team = |id: &String| Key::subject(self.tenant, SubjectType::Team, id);
        let own = wanted.iter().map(|w| self.key(&w.subject));
        let keys: BTreeSet<_> =
            own.chain(wanted.iter().flat_map(|w| w.teams.iter().map(team))).collect();
        let dql = format!(
            "{{ {} nodes(func: eq(xid, {})) {{
                 uid xid version attributes Subject.inactive User.memberOf {{ uid }} }} }}",
            tenant_block(self.tenant),
            literals(keys.iter().map(Key::as_str))
        );
        let plan = |answer: &Answer| {
            let mut draft = Draft::default();
            match self.holds(answer)? {
                Ok(row) => self.guard(row, &mut draft),
                Err(error) => return Ok((draft, Err(error))),
            }
            let nodes = Nodes::read(answer)?;
            wanted.iter().for_each(|one| self.settle_one(one, step, &nodes, &mut draft));
            Ok((draft, Ok(())))
        };
        self.writer.transact(self.tenant, &dql, plan).await?.1
    }

    fn key(&self, subject: &SubjectRef) -> Key {
        Key::subject(self.tenant, subject.type_, &subject.id)
    }

    fn settle_one(&self, wanted: &Wanted, step: Step, nodes: &Nodes, draft: &mut Draft) {
        let key = self.key(&wanted.subject);
        let found = nodes.get(&key).zip(nodes.id(&key));
        let team = |id: &String| nodes.uid(&Key::subject(self.tenant, SubjectType::Team, id));
        let teams: BTreeSet<Uid> = wanted.teams.iter().filter_map(team).collect();
        if let Some((found, id)) = found.filter(|_| step != Step::Subjects) {
            for edge in found.member_of.iter().filter(|edge| !teams.contains(&edge.uid)) {
                draft.remove_edge(id, "User.memberOf", Id::Stored(edge.uid.0));
                draft.change(key.clone());
            }
        }
        if step == Step::Shrink {
            return;
        }
        let (inactive, attributes) = (wanted.inactive, &wanted.attributes);
        let id = put(draft, self.tenant, &wanted.subject, found, inactive, attributes);
        if step != Step::All {
            return;
        }
        let known = |uid| found.is_some_and(|(found, _)| leads_to(&found.member_of, Some(uid)));
        for team in teams.into_iter().filter(|uid| !known(*uid)) {
            draft.edge(id, "User.memberOf", Id::Stored(team.0));
            draft.change(key.clone());
        }
    }

    /// Buries the subjects of a type that are not `seen`, a page at a time.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn sweep(
        &self,
        type_: SubjectType,
        after: u64,
        seen: impl Fn(&SubjectRef) -> bool,
        now: DateTime<Utc>,
    ) -> Result<Page, StepError> {
        let list = literals([Key::subjects(self.tenant, type_).as_str()]);
        let dql = format!(
            "{{ {} page(func: eq(listed, {list}), first: {PAGE}, after: {after:#x})
                 @filter(has(xid)) {{ uid xid version }} }}",
            tenant_block(self.tenant)
        );
        let plan = |answer: &Answer| {
            let mut draft = Draft::default();
            match self.holds(answer)? {
                Ok(row) => self.guard(row, &mut draft),
                Err(error) => return Ok((draft, Err(error))),
            }
            let (rows, mut buried) = (answer.read::<Rows>()?.page, 0);
            for row in &rows {
                let key = Key::from_text(row.xid.as_str());
                let Some((_, _, id)) = key.parts(self.tenant) else { continue };
                let subject = SubjectRef::new(type_, id);
                if subject.is_everyone() || seen(&subject) {
                    continue;
                }
                let id = Id::Stored(row.uid.0);
                draft.int(id, "version", row.version + 1);
                draft.bury(id, &key, now.timestamp_micros());
                buried += 1;
            }
            // A page may be short by what the filter left out; only an empty one is the last.
            let after = rows.last().map(|row| row.uid.0);
            Ok((draft, Ok(Page { after, buried })))
        };
        self.writer.transact(self.tenant, &dql, plan).await?.1
    }
}

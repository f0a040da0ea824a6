//! Changes of identities: a contiguous batch of one tenant, and the number up to which it holds them, in
//! one transaction. Whoever replays a batch finds the number and changes nothing.

#[cfg(test)]
mod live;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use contracts::TenantId;
use contracts::identity::Change;
use serde::Deserialize;

use super::super::client::Answer;
use super::super::dql::{HasUid, literals};
use super::super::store::GraphError;
use super::draft::{Draft, Id};
use super::load::{Found, Nodes, leads_to};
use super::{WriteError, Writer, Written};
use crate::model::{Invalid, Key, Properties, SubjectRef, SubjectType};
use state::{Link, Standing, State, touched};

pub use state::check;
pub(super) use state::{member, program, properties, team, user};

/// What a batch did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Changes that were applied.
    pub applied: usize,
    /// Changes that had been applied before.
    pub repeated: usize,
    /// Memberships among them that named a team or a member that does not exist.
    pub skipped: usize,
    /// The number of the last change that the tenant holds now.
    pub last_seq: u64,
    /// Whose fences are to be raised.
    pub written: Written,
}

/// Why a batch was not applied. Nothing of it was, but for [`GraphError::Unknown`]: repeat it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Changes are missing.
    #[error("change {expected} is missing before {found}")]
    Gap {
        /// The one that is next.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// A rebuild of the tenant is going on, or was broken off.
    #[error("the tenant is being rebuilt")]
    Rebuilding,
    /// A change that the graph cannot hold.
    #[error("change {seq}: {invalid}")]
    Invalid {
        /// Its number.
        seq: u64,
        /// The rule that it breaks.
        invalid: Invalid,
    },
    /// The graph did not do it.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl From<WriteError> for ApplyError {
    fn from(error: WriteError) -> Self {
        Self::Graph(error.of_graph())
    }
}

/// The tenant's own node.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct TenantRow {
    #[serde(flatten)]
    node: HasUid,
    #[serde(rename = "Tenant.seq", default)]
    pub(super) seq: u64,
    #[serde(rename = "Tenant.suspended", default)]
    pub(super) suspended: bool,
    #[serde(rename = "Tenant.generation", default)]
    pub(super) generation: i64,
}

/// The block that reads it, under the name of `tenant`.
pub(super) fn tenant_block(tenant: &TenantId) -> String {
    let key = literals([Key::tenant(tenant).as_str()]);
    format!(
        "tenant(func: eq(xid, {key})) {{ uid Tenant.seq Tenant.suspended Tenant.generation }}\n"
    )
}

impl TenantRow {
    pub(super) fn read(answer: &Answer) -> Result<Option<Self>, GraphError> {
        #[derive(Deserialize)]
        struct Rows {
            #[serde(default)]
            tenant: Vec<TenantRow>,
        }
        Ok(answer.read::<Rows>()?.tenant.first().copied())
    }

    /// Odd while a rebuild is going on.
    pub(super) fn rebuilding(self) -> bool {
        self.generation % 2 != 0
    }

    /// Its node, made when it is not there.
    pub(super) fn id(row: Option<Self>, tenant: &TenantId, draft: &mut Draft) -> Id {
        match row {
            Some(row) => Id::Stored(row.node.uid.0),
            None => {
                let made = draft.node();
                draft.text(made, "xid", Key::tenant(tenant).as_str());
                made
            }
        }
    }

    pub(super) fn set_seq(draft: &mut Draft, tenant: Id, seq: u64) {
        draft.int(tenant, "Tenant.seq", i64::try_from(seq).unwrap_or(i64::MAX));
        draft.keep();
    }
}

fn query(tenant: &TenantId, subjects: &BTreeSet<SubjectRef>) -> String {
    let mut keys = vec![Key::tenant(tenant)];
    keys.extend(subjects.iter().map(|s| Key::subject(tenant, s.type_, &s.id)));
    let (block, keys) = (tenant_block(tenant), literals(keys.iter().map(Key::as_str)));
    format!(
        "{{ {block} N as var(func: eq(xid, {keys}))
           nodes(func: uid(N)) {{ uid xid version attributes Subject.inactive
             User.memberOf @filter(uid(N)) {{ uid }} }} }}"
    )
}

impl Writer<'_> {
    /// Applies changes of a tenant, in the order of their numbers and without gaps among them; those that
    /// were applied before are passed over. `now` marks what is deleted. Without changes, it says where
    /// the tenant stands.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub async fn apply_identity(
        &self,
        tenant: &TenantId,
        changes: &[Change],
        now: DateTime<Utc>,
    ) -> Result<Applied, ApplyError> {
        for change in changes {
            let refused = |invalid| ApplyError::Invalid { seq: change.seq, invalid };
            check(change).map_err(refused)?;
        }
        if let Some(pair) = changes.windows(2).find(|pair| pair[0].seq + 1 != pair[1].seq) {
            return Err(ApplyError::Gap { expected: pair[0].seq + 1, found: pair[1].seq });
        }
        let subjects: BTreeSet<_> = changes.iter().flat_map(touched).collect();
        let plan = |answer: &Answer| {
            let row = TenantRow::read(answer)?;
            let nodes = Nodes::read(answer)?;
            let batch = Batch { tenant, subjects: &subjects, nodes: &nodes, row, now };
            let mut draft = Draft::default();
            let outcome = batch.draft(changes, &mut draft);
            Ok((draft, outcome))
        };
        let (written, outcome) = self.transact(tenant, &query(tenant, &subjects), plan).await?;
        outcome.map(|applied| Applied { written, ..applied })
    }
}

/// A batch, and what it rests on.
struct Batch<'a> {
    tenant: &'a TenantId,
    subjects: &'a BTreeSet<SubjectRef>,
    nodes: &'a Nodes,
    row: Option<TenantRow>,
    now: DateTime<Utc>,
}

impl Batch<'_> {
    fn draft(&self, changes: &[Change], draft: &mut Draft) -> Result<Applied, ApplyError> {
        if self.row.is_some_and(TenantRow::rebuilding) {
            return Err(ApplyError::Rebuilding);
        }
        let seq = self.row.map_or(0, |row| row.seq);
        let fresh = &changes[changes.partition_point(|change| change.seq <= seq)..];
        let written = Written { revision: contracts::Revision(0), changed: Vec::new() };
        let mut applied = Applied {
            applied: fresh.len(),
            repeated: changes.len() - fresh.len(),
            skipped: 0,
            last_seq: seq,
            written,
        };
        let (Some(first), Some(last)) = (fresh.first(), fresh.last()) else { return Ok(applied) };
        if first.seq != seq + 1 {
            return Err(ApplyError::Gap { expected: seq + 1, found: first.seq });
        }
        let before = self.state();
        let mut after = before.clone();
        fresh.iter().for_each(|change| after.apply(change));
        applied.skipped = after.skipped;
        applied.last_seq = last.seq;
        self.write(&before, &after, last.seq, draft);
        Ok(applied)
    }

    fn key(&self, subject: &SubjectRef) -> Key {
        Key::subject(self.tenant, subject.type_, &subject.id)
    }

    /// As it is stored.
    fn state(&self) -> State {
        let mut state = State::default();
        state.suspended = self.row.is_some_and(|row| row.suspended);
        let teams: Vec<_> = self
            .subjects
            .iter()
            .filter(|subject| subject.type_ == SubjectType::Team)
            .filter_map(|team| Some((&team.id, self.nodes.uid(&self.key(team))?)))
            .collect();
        for subject in self.subjects {
            let Some(found) = self.nodes.get(&self.key(subject)) else { continue };
            let within = teams.iter().filter(|(_, uid)| leads_to(&found.member_of, Some(*uid)));
            let standing = Standing {
                incarnation: 0,
                inactive: found.inactive,
                attributes: attributes(found),
                teams: within.map(|(id, _)| ((*id).clone(), 0)).collect(),
            };
            state.subjects.insert(subject.clone(), standing);
        }
        state
    }

    fn write(&self, before: &State, after: &State, seq: u64, draft: &mut Draft) {
        let tenant = TenantRow::id(self.row, self.tenant, draft);
        TenantRow::set_seq(draft, tenant, seq);
        if before.suspended != after.suspended {
            draft.flag(tenant, "Tenant.suspended", after.suspended);
            draft.change(Key::tenant(self.tenant));
        }
        let mut ids = BTreeMap::new();
        for subject in self.subjects {
            let (key, standing) = (self.key(subject), after.subjects.get(subject));
            let found = self.nodes.get(&key).zip(self.nodes.id(&key));
            let is_gone = standing.is_none_or(|standing| standing.incarnation != 0);
            if let Some((found, id)) = found.filter(|_| is_gone) {
                draft.int(id, "version", found.version + 1);
                draft.bury(id, &key, self.now.timestamp_micros());
            }
            let Some(standing) = standing else { continue };
            let kept = found.filter(|_| standing.incarnation == 0);
            let (inactive, attributes) = (standing.inactive, &standing.attributes);
            let id = put(draft, self.tenant, subject, kept, inactive, attributes);
            ids.insert(subject.clone(), id);
        }
        for (subject, standing) in &after.subjects {
            let old = before.subjects.get(subject).filter(|_| standing.incarnation == 0);
            self.link(subject, old, standing, &ids, draft);
        }
    }

    /// Memberships that came and went. Those in what was buried are swept.
    fn link(
        &self,
        subject: &SubjectRef,
        before: Option<&Standing>,
        after: &Standing,
        ids: &BTreeMap<SubjectRef, Id>,
        draft: &mut Draft,
    ) {
        let none = BTreeSet::new();
        let before = before.map_or(&none, |standing| &standing.teams);
        let id = |link: &Link| ids.get(&SubjectRef::new(SubjectType::Team, link.0.as_str()));
        let Some(from) = ids.get(subject) else { return };
        for team in after.teams.difference(before).filter_map(id) {
            draft.edge(*from, "User.memberOf", *team);
            draft.change(self.key(subject));
        }
        for link in before.difference(&after.teams) {
            let team = Key::subject(self.tenant, SubjectType::Team, &link.0);
            if let Some(team) = self.nodes.id(&team) {
                draft.remove_edge(*from, "User.memberOf", team);
                draft.change(self.key(subject));
            }
        }
    }
}

fn attributes(found: &Found) -> Properties {
    let stored = found.attributes.as_deref().and_then(|text| serde_json::from_str(text).ok());
    stored.unwrap_or_default()
}

/// Makes a subject, or makes the stored one so.
pub(super) fn put(
    draft: &mut Draft,
    tenant: &TenantId,
    subject: &SubjectRef,
    found: Option<(&Found, Id)>,
    inactive: bool,
    wanted: &Properties,
) -> Id {
    let key = Key::subject(tenant, subject.type_, &subject.id);
    let (id, version) = match found {
        Some((found, id)) if found.inactive == inactive && attributes(found) == *wanted => {
            return id;
        }
        Some((found, id)) => (id, found.version + 1),
        None => (draft.keyed(tenant, &key), 1),
    };
    draft.int(id, "version", version);
    draft.text(id, "attributes", &serde_json::to_string(wanted).unwrap_or_default());
    draft.flag(id, "Subject.inactive", inactive);
    draft.change(key);
    id
}

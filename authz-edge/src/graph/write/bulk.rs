//! Many things in one transaction, for imports: as single writes, but that one event tells of all.

use std::collections::BTreeSet;

use contracts::TenantId;
use serde_json::Value;

use super::draft::Draft;
use super::load::{self, Nodes};
use super::relationships::{Plan, name};
use super::{Author, Entity, EntityForm, WriteError, Writer, Written};
use crate::model::{Key, Op, Relationship, Write, WriteList, check_properties};

/// The nodes of subjects and resources that relationships name: what writing them makes if it is missing.
/// Bindings belong to one relationship each, and roles are never made on the way.
pub fn shared_nodes(tenant: &TenantId, relationship: &Relationship, keys: &mut BTreeSet<Key>) {
    let mut named = BTreeSet::new();
    name(tenant, relationship, &mut named);
    let is_shared = |key: &Key| matches!(key.parts(tenant), Some(('s' | 'r', ..)));
    keys.extend(named.into_iter().filter(is_shared));
}

impl Writer<'_> {
    /// Makes the subjects and resources that are missing; those that only sync may make are left out, and
    /// named by the write that needs them.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn make_nodes(
        &self,
        tenant: &TenantId,
        keys: &BTreeSet<Key>,
        author: &Author,
    ) -> Result<Written, WriteError> {
        let plan = |answer: &_| {
            let nodes = Nodes::read(answer)?;
            let mut plan = Plan::new(tenant, &nodes, self.ownership, author);
            plan.draft = Draft::quiet();
            for key in keys {
                match plan.node(key) {
                    Ok(_) | Err(WriteError::Missing { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok((plan.draft, ()))
        };
        Ok(self.transact(tenant, &load::presence(keys), plan).await?.0)
    }

    /// Makes subjects and resources as they are wanted, and returns how many were not so. Each is named
    /// once.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing of the batch is written.
    pub async fn put_entities(
        &self,
        tenant: &TenantId,
        batch: &[(Entity, EntityForm)],
    ) -> Result<(Written, usize), WriteError> {
        for (entity, form) in batch {
            entity.check()?;
            check_properties("attributes", form.attributes.as_ref())?;
            self.refuse_managed(entity)?;
        }
        let keys = batch.iter().map(|(entity, _)| entity.key(tenant)).collect();
        let plan = |answer: &_| {
            let nodes = Nodes::read(answer)?;
            let (mut draft, mut written) = (Draft::quiet(), 0);
            for (entity, form) in batch {
                written += usize::from(entity.put(&mut draft, tenant, &nodes, form));
            }
            Ok((draft, written))
        };
        self.transact(tenant, &load::values(&keys), plan).await
    }

    /// Has relationships exist as they are given, and returns how many were not so; of two about the same
    /// one the later counts.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing of the batch is written.
    pub async fn touch_all(
        &self,
        tenant: &TenantId,
        batch: &[Relationship],
        author: &Author,
    ) -> Result<(Written, usize), WriteError> {
        let mut keys = BTreeSet::new();
        for relationship in batch {
            relationship.check()?;
            name(tenant, relationship, &mut keys);
        }
        let touch = |relationship: &Relationship| Write {
            op: Op::Touch,
            relationship: relationship.clone(),
        };
        let list = WriteList { writes: batch.iter().map(touch).collect(), preconditions: vec![] };
        let plan = |answer: &_| {
            let nodes = Nodes::read(answer)?;
            let mut plan = Plan::new(tenant, &nodes, self.ownership, author);
            plan.draft = Draft::quiet();
            plan.writes(&list)?;
            Ok((plan.draft, plan.written))
        };
        self.transact(tenant, &load::query(tenant, &keys), plan).await
    }

    /// Records what was done by many transactions.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn record(
        &self,
        tenant: &TenantId,
        author: &Author,
        action: &str,
        details: &[(&'static str, Value)],
    ) -> Result<Written, WriteError> {
        let plan = |_: &_| {
            let mut draft = Draft::default();
            let resource = ("tenant", tenant.as_str());
            draft.event(tenant, author, action, resource, details.iter().cloned());
            draft.keep();
            Ok((draft, ()))
        };
        let keys = BTreeSet::from([Key::tenant(tenant)]);
        Ok(self.transact(tenant, &load::presence(&keys), plan).await?.0)
    }
}

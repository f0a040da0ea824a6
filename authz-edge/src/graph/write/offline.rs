//! Whole graphs as N-Quads, for a database that has nothing yet and takes files (`dgraph bulk`).
//!
//! What is written is what imports leave once their changes are published: the same nodes, edges and guards,
//! and no outbox. Whoever loads it answers for there being no graph before: nothing is looked at.

use std::collections::BTreeMap;

use contracts::TenantId;

use super::draft::{Draft, Id};
use super::load::Nodes;
use super::relationships::Plan;
use super::{Author, Ownership, WriteError, role};
use crate::model::key::check_id;
use crate::model::{Key, Op, Relationship, Role, Write, WriteList};

/// Gives the nodes of one tenant after the other their ids.
#[derive(Debug, Clone, Copy)]
pub struct Offline {
    next: u64,
}

impl Offline {
    /// Ids from `first` on, which must be above 0 and of nobody else.
    #[must_use]
    pub fn new(first: u64) -> Self {
        Self { next: first.max(1) }
    }

    /// The first id that no tenant has had.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The N-Quads of a tenant that is told once: roles by id, and relationships, which must name no other
    /// roles. A few microseconds and some 500 bytes a relationship.
    ///
    /// # Errors
    /// `Invalid` for what no request could say, `Missing` for a role that is not among them.
    pub fn tenant(
        &mut self,
        tenant: &TenantId,
        roles: &[(String, Role)],
        relationships: Vec<Relationship>,
        author: &Author,
    ) -> Result<String, WriteError> {
        let nodes = Nodes::default();
        let mut plan = Plan::new(tenant, &nodes, Ownership::Anyone, author);
        plan.draft = Draft::offline(self.next);
        for (id, role) in roles {
            check_id("role", id)?;
            role.check()?;
            make_role(&mut plan, tenant, id, &role.clone().normal())?;
        }
        for relationship in &relationships {
            relationship.check()?;
        }
        let touch = |relationship| Write { op: Op::Touch, relationship };
        let writes = relationships.into_iter().map(touch).collect();
        plan.writes(&WriteList { writes, preconditions: vec![] })?;
        let (quads, next) = plan.draft.made();
        self.next = next;
        Ok(quads)
    }
}

fn make_role(
    plan: &mut Plan<'_>,
    tenant: &TenantId,
    id: &str,
    role: &Role,
) -> Result<(), WriteError> {
    let mut targets = BTreeMap::new();
    for target in role::targets(tenant, role) {
        // Every node of such a draft has its id already.
        if let Id::Stored(uid) = plan.node(&target)? {
            targets.insert(target, uid);
        }
    }
    let key = Key::role(tenant, id);
    let made = role::make(&mut plan.draft, tenant, &key, role, &targets)?;
    plan.is_made(key, made);
    Ok(())
}

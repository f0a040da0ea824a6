//! What a subject's view is made of. Each part is shared by all subjects that it is a part of, and voided by
//! changes of its own: who gets a new role, or a team that does, makes nobody else's part void.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Properties;
use super::view::{HeldRole, Holding, Node, RoleGrants, Standing, SubjectView};
use super::weight::share_of;

/// Who a subject is, and whose roles it has. Changed by memberships, its own attributes and standing.
#[derive(Debug, Clone)]
pub struct Closure {
    /// Whether it may act.
    pub standing: Standing,
    /// As stored.
    pub attributes: Option<Arc<Properties>>,
    /// Itself, everyone of its type, and its teams through any depth, as far as the graph knows them.
    pub holders: Box<[Node]>,
}

/// The roles of one holder, its teams' apart, and how it has them. Changed by its bindings.
pub type Holdings = Box<[(Node, Holding)]>;

/// What one role permits; `None` if it permits nothing, or was deleted. Changed with the role.
pub type Grants = Option<Arc<RoleGrants>>;

impl Closure {
    /// Memory that it holds, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.holders) + share_of(&self.attributes)
    }
}

/// Memory that holdings take, in bytes, roughly.
#[must_use]
pub fn holdings_bytes(holdings: &Holdings) -> usize {
    let types = holdings.iter().map(|(_, holding)| holding.covers.bytes());
    size_of_val(&**holdings) + types.sum::<usize>()
}

impl SubjectView {
    /// What follows from a closure, the holdings of each of its holders, and the roles in them.
    #[must_use]
    pub fn compose<'a>(
        closure: &Closure,
        holdings: impl IntoIterator<Item = &'a Holdings>,
        roles: impl IntoIterator<Item = (Node, Grants)>,
    ) -> Self {
        let mut held = BTreeMap::<Node, Vec<Holding>>::new();
        for (role, holding) in holdings.into_iter().flatten() {
            held.entry(*role).or_default().push(holding.clone());
        }
        let grants: BTreeMap<_, _> = roles.into_iter().collect();
        let roles = held.into_iter().filter_map(|(role, holdings)| {
            Some(HeldRole::new(grants.get(&role)?.clone()?, holdings))
        });
        Self {
            standing: closure.standing,
            attributes: closure.attributes.clone(),
            roles: roles.collect(),
        }
    }
}

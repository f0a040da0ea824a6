//! What is written beside the checks: changes that touch what is checked, so that caches have to
//! notice, and that leave every answer as it is, so that answers can be verified all the while.
//!
//! Of ten changes six are memberships, three bindings and one a role. Memberships are of checked users
//! in teams that hold nothing; bindings are of checked teams on documents that nobody asks about; roles
//! in use gain or lose an action that nobody asks for. What is added is removed again, a little later.

use super::graph::Shape;
use super::words::{Fact, Holder, Scope};
use crate::generate::Mix;

/// So many are added before as many are removed: writers that overtake each other do not meet.
const BLOCK: u64 = 64;
/// Teams without bindings, and documents that nobody asks about.
const SPARE: u32 = 256;

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The relationship is there afterwards.
    Add(Fact),
    /// The relationship is gone afterwards.
    Remove(Fact),
    /// The role has the same actions that matter, and one more or not.
    Role {
        /// Its number.
        role: u32,
        /// Whether it has one more.
        more: bool,
    },
}

impl Change {
    /// The relationship that is added (`true`) or removed. Where roles belong to the schema, none can be
    /// changed beside the checks; a binding on a document that nobody asks about stands for it.
    #[must_use]
    pub fn relationship(self, shape: &Shape) -> (bool, Fact) {
        match self {
            Self::Add(fact) => (true, fact),
            Self::Remove(fact) => (false, fact),
            Self::Role { role, more } => {
                let scope = Scope::Document(shape.resources + SPARE);
                (more, Fact::Binding { holder: Holder::Team(0), role, scope })
            }
        }
    }
}

/// Draws changes.
#[derive(Debug, Clone)]
pub struct Changes {
    shape: Shape,
    /// Users that are checked: the first ones.
    users: u32,
    /// The tenants' numbers.
    tenants: std::ops::Range<u32>,
}

impl Changes {
    /// Changes in `tenants`, which must not be empty, that touch the first `users` users.
    #[must_use]
    pub fn new(shape: &Shape, users: u32, tenants: std::ops::Range<u32>) -> Self {
        Self { shape: shape.clone(), users, tenants }
    }

    /// The numbers of the tenants that are written to.
    #[must_use]
    pub fn tenants(&self) -> std::ops::Range<u32> {
        self.tenants.clone()
    }

    /// Change number `index`, and the tenant's number.
    #[must_use]
    pub fn change(&self, index: u64) -> (u32, Change) {
        let (ten, place) = (index / 10, index % 10);
        match place {
            0..6 => self.relationship("member", ten * 6 + place, |mix| Fact::Member {
                user: mix.below(self.users),
                team: self.shape.teams() + mix.below(SPARE),
            }),
            6..9 => self.relationship("binding", ten * 3 + place - 6, |mix| Fact::Binding {
                holder: Holder::Team(mix.below(self.shape.teams())),
                role: mix.below(self.shape.roles),
                scope: Scope::Document(self.shape.resources + mix.below(SPARE)),
            }),
            _ => {
                let mut mix = self.mix("role", ten);
                let tenant = self.tenant(&mut mix);
                (tenant, Change::Role { role: mix.below(self.shape.roles), more: ten % 2 == 0 })
            }
        }
    }

    fn relationship(
        &self,
        kind: &str,
        number: u64,
        fact: impl Fn(&mut Mix) -> Fact,
    ) -> (u32, Change) {
        let (block, place) = (number / BLOCK, number % BLOCK);
        let mut mix = self.mix(kind, block / 2 * BLOCK + place);
        let tenant = self.tenant(&mut mix);
        let fact = fact(&mut mix);
        (tenant, if block % 2 == 0 { Change::Add(fact) } else { Change::Remove(fact) })
    }

    fn mix(&self, kind: &str, slot: u64) -> Mix {
        Mix::new(Mix::key(self.shape.seed, kind), slot)
    }

    fn tenant(&self, mix: &mut Mix) -> u32 {
        self.tenants.start + mix.below(self.tenants.len() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> (Shape, Changes) {
        let shape = Shape { seed: 1, users: 3000, resources: 2000, depth: 3, roles: 30 };
        (shape.clone(), Changes::new(&shape, 1000, 5..25))
    }

    #[test]
    fn of_ten_changes_six_are_memberships_three_bindings_and_one_a_role() {
        let (mut members, mut bindings, mut roles) = (0, 0, 0);
        for index in 0..1000 {
            let (tenant, change) = changes().1.change(index);
            assert!((5..25).contains(&tenant));
            match change {
                Change::Add(Fact::Member { .. }) | Change::Remove(Fact::Member { .. }) => {
                    members += 1;
                }
                Change::Role { .. } => roles += 1,
                _ => bindings += 1,
            }
        }
        assert_eq!((members, bindings, roles), (600, 300, 100));
    }

    #[test]
    fn what_is_added_is_removed_again_from_the_same_tenant() {
        let (_, changes) = changes();
        let mut there = Vec::new();
        // Whole pairs of blocks of both kinds.
        for index in 0..BLOCK * 2 * 10 {
            match changes.change(index) {
                (tenant, Change::Add(fact)) => there.push((tenant, fact)),
                (tenant, Change::Remove(fact)) => {
                    let at = there.iter().position(|known| *known == (tenant, fact)).unwrap();
                    there.swap_remove(at);
                }
                _ => {}
            }
        }
        assert!(there.is_empty());
    }

    #[test]
    fn changes_touch_what_is_checked_and_change_no_answer() {
        let (shape, changes) = changes();
        for index in 0..5000 {
            match changes.change(index).1 {
                Change::Add(fact) | Change::Remove(fact) => match fact {
                    Fact::Member { user, team } => assert!(user < 1000 && team >= shape.teams()),
                    Fact::Binding { holder: Holder::Team(team), scope, .. } => {
                        let Scope::Document(document) = scope else { panic!("{scope:?}") };
                        assert!(team < shape.teams() && document >= shape.resources);
                    }
                    fact => panic!("{fact:?}"),
                },
                Change::Role { role, .. } => assert!(role < shape.roles),
            }
        }
    }
}

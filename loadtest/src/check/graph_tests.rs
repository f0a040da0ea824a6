//! The answers that are computed against those of an evaluator that knows nothing but the facts.

use std::collections::HashSet;

use super::*;

fn shape(seed: u64, depth: u32) -> Shape {
    Shape { seed, users: 120, resources: 90, depth, roles: 6 }
}

/// Reads the facts as the targets do: team by team, folder by folder.
struct Naive(Vec<Fact>);

impl Naive {
    fn teams(&self, user: u32) -> HashSet<u32> {
        let direct = |fact: &Fact| match fact {
            Fact::Member { user: member, team } if *member == user => Some(*team),
            _ => None,
        };
        let mut open: Vec<u32> = self.0.iter().filter_map(direct).collect();
        let mut all = HashSet::new();
        while let Some(team) = open.pop() {
            if all.insert(team) {
                open.extend(self.0.iter().filter_map(|fact| match fact {
                    Fact::Nested { team: inner, parent } if *inner == team => Some(*parent),
                    _ => None,
                }));
            }
        }
        all
    }

    fn scopes(&self, document: u32) -> HashSet<Scope> {
        let mut all = HashSet::from([Scope::Documents, Scope::Document(document)]);
        let mut at = self.0.iter().find_map(|fact| match fact {
            Fact::Document { document: inner, folder } if *inner == document => Some(*folder),
            _ => None,
        });
        while let Some(folder) = at {
            all.insert(Scope::Folder(folder));
            at = self.0.iter().find_map(|fact| match fact {
                Fact::Folder { folder: inner, parent } if *inner == folder => *parent,
                _ => None,
            });
        }
        all
    }

    fn allows(&self, user: u32, action: Action, document: u32) -> bool {
        let (teams, scopes) = (self.teams(user), self.scopes(document));
        self.0.iter().any(|fact| match fact {
            Fact::Binding { holder, role, scope } => {
                let held = match holder {
                    Holder::User(holder) => *holder == user,
                    Holder::Team(team) => teams.contains(team),
                };
                held && scopes.contains(scope) && Family::of(*role).actions().contains(&action)
            }
            _ => false,
        })
    }
}

#[test]
fn every_answer_is_what_the_facts_say() {
    for (seed, depth) in [(1, 1), (2, 3), (3, 3), (4, 7)] {
        let graph = Graph::new(&shape(seed, depth), 0);
        let naive = Naive(graph.facts().collect());
        let mut allowed = 0;
        for user in 0..graph.shape.users {
            for document in (user % 5..graph.shape.resources).step_by(5) {
                for action in Action::ALL {
                    let expected = naive.allows(user, action, document);
                    let found = graph.allows(user, action, document);
                    assert_eq!(found, expected, "seed {seed}: {user} {action:?} {document}");
                    allowed += u32::from(expected);
                }
            }
        }
        assert!(allowed > 0, "seed {seed}");
    }
}

#[test]
fn both_answers_are_common_at_every_depth() {
    for depth in [1, 3, 10, 20] {
        let shape = Shape { seed: 1, users: 10_000, resources: 5000, depth, roles: 30 };
        let graph = Graph::new(&shape, 0);
        let (mut mix, tries) = (Mix::new(7, 7), 20_000);
        let mut pair = || graph.allows(mix.below(10_000), Action::Read, mix.below(5000));
        let share = f64::from((0..tries).filter(|_| pair()).count() as u32) / f64::from(tries);
        assert!((0.05..0.5).contains(&share), "depth {depth}: {share}");
    }
}

#[test]
fn teams_are_nested_as_deep_as_asked() {
    for depth in [1, 3, 20] {
        let graph = Graph::new(&shape(1, depth), 0);
        let (mut team, mut levels) = (graph.teams_of_user[0][0], 1);
        while let Some(parent) = known(graph.teams_of_team[team as usize]).next() {
            (team, levels) = (parent, levels + 1);
        }
        assert_eq!(levels, depth);
    }
}

#[test]
fn a_graph_is_made_the_same_again_and_tenants_differ() {
    let facts = |shape: &Shape, rank| Graph::new(shape, rank).facts().collect::<Vec<_>>();
    let one = shape(1, 3);
    assert_eq!(facts(&one, 0), facts(&one, 0));
    assert_ne!(facts(&one, 0), facts(&one, 1));
    assert_ne!(facts(&one, 0), facts(&shape(2, 3), 0));
    let names = [shape(1, 3), shape(2, 3), shape(1, 4)].map(|shape| shape.name());
    assert_eq!(HashSet::from(names).len(), 3);
}

#[test]
fn no_relationship_comes_twice_also_not_by_family() {
    // Few folders: every other team draws one of them twice.
    let graph = Graph::new(&Shape { users: 2000, resources: 20, ..shape(5, 3) }, 0);
    let mut seen = HashSet::new();
    for fact in graph.facts() {
        let told = match fact {
            Fact::Binding { holder, role, scope } => {
                format!("{holder:?} {:?} {scope:?}", Family::of(role))
            }
            fact => format!("{fact:?}"),
        };
        assert!(seen.insert(told), "{fact:?}");
    }
}

//! The graph that is asked about: a pure function of its shape and the tenant's number, so that the
//! right answer to every question is known without asking anybody.
//!
//! Users belong to one or two teams, teams to one or two teams of the level above. Teams hold roles on
//! folders, on documents and, some, on all documents; every document has an owner, who manages it.
//! Documents lie in folders, most folders in another folder.

use serde::Serialize;

use super::words::{Action, Fact, Family, Holder, Scope};
use crate::generate::Mix;

/// Stands for no second team.
const NONE: u32 = u32::MAX;
/// Users for each team.
const TEAM_SIZE: u32 = 20;
/// Documents for each folder, and folders for each one at the top.
const FOLDER_SIZE: u32 = 10;
/// Folders that each team holds a role on.
const FOLDERS_OF_A_TEAM: u32 = 2;

/// What determines a tenant's graph, together with the tenant's number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Another seed makes another graph.
    pub seed: u64,
    /// Users of each tenant.
    pub users: u32,
    /// Documents of each tenant.
    pub resources: u32,
    /// Levels of teams.
    pub depth: u32,
    /// Roles of each tenant; at least one of each family.
    pub roles: u32,
}

impl Shape {
    /// Teams of each tenant; whole levels.
    #[must_use]
    pub fn teams(&self) -> u32 {
        (self.users / TEAM_SIZE / self.depth).max(1) * self.depth
    }

    /// Folders of each tenant.
    #[must_use]
    pub fn folders(&self) -> u32 {
        (self.resources / FOLDER_SIZE).max(1)
    }

    /// A name that no other shape has: graphs of different shapes never meet in one target.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { seed, users, resources, depth, roles } = self;
        let key = Mix::key(*seed, &format!("{users}/{resources}/{depth}/{roles}"));
        format!("lt-{:08x}", key >> 32)
    }

    /// The name of tenant number `rank`.
    #[must_use]
    pub fn tenant(&self, rank: u32) -> String {
        format!("{}-{rank:04}", self.name())
    }
}

/// A set of documents.
type Documents = Vec<u64>;

/// Of a team: what it reaches with each action, itself and through the teams it belongs to.
type Reach = [Documents; 3];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Binding {
    team: u32,
    family: Family,
    scope: Scope,
    role: u32,
}

/// One tenant's graph.
#[derive(Debug, Clone)]
pub struct Graph {
    shape: Shape,
    teams_of_user: Vec<[u32; 2]>,
    teams_of_team: Vec<[u32; 2]>,
    folder_of_folder: Vec<Option<u32>>,
    folder_of_document: Vec<u32>,
    owner_of_document: Vec<u32>,
    bindings: Vec<Binding>,
    reach: Vec<Reach>,
}

impl Graph {
    /// The graph of tenant number `rank`.
    #[must_use]
    pub fn new(shape: &Shape, rank: u32) -> Self {
        let draw = |what: &str, index: u32| {
            let key = Mix::key(shape.seed ^ u64::from(rank).rotate_left(40), what);
            Mix::new(key, u64::from(index))
        };
        let folders = shape.folders();
        let top = (folders / FOLDER_SIZE).max(1);
        let mut graph = Self {
            teams_of_user: (0..shape.users)
                .map(|i| teams_of_user(shape, draw("user", i)))
                .collect(),
            teams_of_team: (0..shape.teams())
                .map(|i| teams_of_team(shape, i, draw("team", i)))
                .collect(),
            folder_of_folder: (0..folders)
                .map(|i| (i >= top).then(|| draw("folder", i).below(top)))
                .collect(),
            folder_of_document: (0..shape.resources)
                .map(|i| draw("document", i).below(folders))
                .collect(),
            owner_of_document: (0..shape.resources)
                .map(|i| draw("owner", i).below(shape.users))
                .collect(),
            bindings: bindings(shape, |team| draw("binding", team)),
            reach: Vec::new(),
            shape: shape.clone(),
        };
        graph.reach = graph.reach();
        graph
    }

    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether `user` may do `action` with `document`. Some nanoseconds.
    #[must_use]
    pub fn allows(&self, user: u32, action: Action, document: u32) -> bool {
        let (word, bit) = (document as usize / 64, document % 64);
        let reaches = |team: u32| self.reach[team as usize][action as usize][word] >> bit & 1 == 1;
        self.owner_of_document[document as usize] == user
            || known(self.teams_of_user[user as usize]).any(reaches)
    }

    /// All relationships, each once.
    pub fn facts(&self) -> impl Iterator<Item = Fact> {
        let members = number(&self.teams_of_user)
            .flat_map(|(user, teams)| known(*teams).map(move |team| Fact::Member { user, team }));
        let nested = number(&self.teams_of_team).flat_map(|(team, parents)| {
            known(*parents).map(move |parent| Fact::Nested { team, parent })
        });
        let folders = number(&self.folder_of_folder)
            .map(|(folder, parent)| Fact::Folder { folder, parent: *parent });
        let documents = number(&self.folder_of_document)
            .map(|(document, folder)| Fact::Document { document, folder: *folder });
        let owners = number(&self.owner_of_document).map(|(document, user)| Fact::Binding {
            holder: Holder::User(*user),
            role: owner_role(document, &self.shape),
            scope: Scope::Document(document),
        });
        let bindings = self.bindings.iter().map(|binding| Fact::Binding {
            holder: Holder::Team(binding.team),
            role: binding.role,
            scope: binding.scope,
        });
        members.chain(nested).chain(folders).chain(documents).chain(owners).chain(bindings)
    }

    /// What each team reaches. Levels are done from the outermost inwards, so that the teams that a
    /// team belongs to are done before it.
    fn reach(&self) -> Vec<Reach> {
        let words = (self.shape.resources as usize).div_ceil(64);
        let below = self.documents_below(words);
        let mut reach = vec![[(); 3].map(|()| vec![0; words]); self.shape.teams() as usize];
        for binding in &self.bindings {
            for action in binding.family.actions() {
                let documents = &mut reach[binding.team as usize][*action as usize];
                match binding.scope {
                    Scope::Document(document) => insert(documents, document),
                    Scope::Folder(folder) => unite(documents, &below[folder as usize]),
                    Scope::Documents => documents.fill(u64::MAX),
                }
            }
        }
        let mut order: Vec<u32> = (0..self.shape.teams()).collect();
        order.sort_by_key(|team| team % self.shape.depth);
        for team in order {
            for parent in known(self.teams_of_team[team as usize]) {
                let outer = reach[parent as usize].clone();
                for (documents, outer) in reach[team as usize].iter_mut().zip(&outer) {
                    unite(documents, outer);
                }
            }
        }
        reach
    }

    /// The documents in each folder and the folders in it.
    fn documents_below(&self, words: usize) -> Vec<Documents> {
        let mut below = vec![vec![0; words]; self.folder_of_folder.len()];
        for (document, folder) in number(&self.folder_of_document) {
            insert(&mut below[*folder as usize], document);
            if let Some(parent) = self.folder_of_folder[*folder as usize] {
                insert(&mut below[parent as usize], document);
            }
        }
        below
    }
}

/// A team of the innermost level, and in half of the cases one of any level.
fn teams_of_user(shape: &Shape, mut mix: Mix) -> [u32; 2] {
    let columns = shape.teams() / shape.depth;
    let first = mix.below(columns) * shape.depth + shape.depth - 1;
    let second = if mix.chance(50) { mix.below(shape.teams()) } else { NONE };
    [first, if second == first { NONE } else { second }]
}

/// A team's level is its number modulo the depth; it belongs to one team of the level above, and in a
/// tenth of the cases to another one.
fn teams_of_team(shape: &Shape, team: u32, mut mix: Mix) -> [u32; 2] {
    let (columns, level) = (shape.teams() / shape.depth, team % shape.depth);
    if level == 0 {
        return [NONE, NONE];
    }
    let mut above = || mix.below(columns) * shape.depth + level - 1;
    let (first, second) = (above(), above());
    [first, if second == first || !mix.chance(10) { NONE } else { second }]
}

/// What teams hold. One family a team and scope: targets without roles of their own could not tell two
/// such bindings apart.
fn bindings(shape: &Shape, draw: impl Fn(u32) -> Mix) -> Vec<Binding> {
    let mut all = Vec::new();
    for team in 0..shape.teams() {
        let mut mix = draw(team);
        let mut hold = |scope: Scope, role: u32| {
            all.push(Binding { team, family: Family::of(role), scope, role });
        };
        for _ in 0..FOLDERS_OF_A_TEAM {
            hold(Scope::Folder(mix.below(shape.folders())), mix.below(shape.roles));
        }
        hold(Scope::Document(mix.below(shape.resources)), mix.below(shape.roles));
        // So many that a tenth of the users has one on its way up, whatever the depth.
        if mix.below(10 * shape.depth) == 0 {
            hold(Scope::Documents, mix.below(shape.roles));
        }
    }
    all.sort_unstable();
    all.dedup_by_key(|binding| (binding.team, binding.family, binding.scope));
    all
}

/// A role of the managers' family.
fn owner_role(document: u32, shape: &Shape) -> u32 {
    let managers = shape.roles / Family::ALL.len() as u32;
    document % managers * Family::ALL.len() as u32 + Family::Manager as u32
}

fn known(teams: [u32; 2]) -> impl Iterator<Item = u32> {
    teams.into_iter().filter(|team| *team != NONE)
}

fn number<T>(items: &[T]) -> impl Iterator<Item = (u32, &T)> {
    (0_u32..).zip(items)
}

fn insert(documents: &mut [u64], document: u32) {
    documents[document as usize / 64] |= 1 << (document % 64);
}

fn unite(documents: &mut [u64], others: &[u64]) {
    for (word, other) in documents.iter_mut().zip(others) {
        *word |= other;
    }
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;

//! Which questions are asked: question `i` is a function of the key space, the seed and `i`, and comes
//! with the answer that is right.

use clap::ValueEnum;
use serde::Serialize;

use super::graph::{Graph, Shape};
use super::words::Action;
use crate::generate::Mix;
use crate::generate::zipf::Alias;

/// Users and documents of the hot key space.
const HOT: u32 = 1000;
/// Pairs that are drawn until the answer is the wanted one; then any is taken.
const TRIES: u32 = 32;
/// The first of the cold walk are asked during the warm-up, over and over.
const COLD_WARM_UP: u64 = 64;

/// A key space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// Of the first 1 000 users and documents, both by Zipf; every question was asked before.
    Hot,
    /// All users and documents, uniform pairs; each of them was seen before, few pairs were.
    Wide,
    /// Every question's user and document unseen so far: one walk through the space, then the end.
    Cold,
}

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The tenant's number.
    pub tenant: u32,
    /// Who.
    pub user: u32,
    /// What.
    pub action: Action,
    /// With what.
    pub document: u32,
    /// Whether it is allowed.
    pub expected: bool,
}

/// How questions are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Draw {
    /// The key space.
    pub keys: Keys,
    /// Tenants that are asked about, all alike.
    pub tenants: u32,
    /// Share of questions whose answer is allow, as far as the graph has such pairs; not for the cold
    /// walk, which takes pairs as they come.
    pub allow_share: f64,
    /// Zipf's exponent, for hot keys.
    pub exponent: f64,
    /// So many hot questions are drawn, and then asked over and over, so that all targets have the same
    /// share of new ones, none, however fast they are; 0 to draw for ever, which leaves new ones.
    pub pool: u64,
    /// Another seed asks other questions.
    pub seed: u64,
}

/// A key space over the graphs of its tenants.
#[derive(Debug, Clone)]
pub struct Space {
    graphs: Vec<Graph>,
    draw: Draw,
    key: u64,
    hot_users: Alias,
    hot_documents: Alias,
    /// Where the cold walk begins.
    start: u64,
    /// All hot questions of a pool: looking for each while it is asked would load the machine by how many tenants there are.
    pool: Vec<Question>,
}

impl Space {
    /// Makes the graphs of all tenants.
    #[must_use]
    pub fn new(shape: &Shape, draw: Draw) -> Self {
        let hot = |count: u32| Alias::zipf(count.min(HOT), draw.exponent, 0.0);
        let mut space = Self {
            graphs: (0..draw.tenants).map(|rank| Graph::new(shape, rank)).collect(),
            key: Mix::key(draw.seed, "questions"),
            hot_users: hot(shape.users),
            hot_documents: hot(shape.resources),
            start: 0,
            pool: Vec::new(),
            draw,
        };
        space.start =
            u64::from(space.mix(0).below(u32::try_from(space.walk()).unwrap_or(u32::MAX)));
        if draw.keys == Keys::Hot {
            space.pool = (0..draw.pool).map(|index| space.drawn(space.mix(index))).collect();
        }
        space
    }

    /// Question `index`; `None` when the cold walk is over.
    #[must_use]
    pub fn question(&self, index: u64) -> Option<Question> {
        match self.draw.keys {
            Keys::Cold => self.step(index + COLD_WARM_UP.min(self.walk() / 2)),
            Keys::Hot => Some(self.hot(index)),
            Keys::Wide => Some(self.drawn(self.mix(index))),
        }
    }

    /// Question `index` of the warm-up, which ends when all is shown that is to be seen before.
    #[must_use]
    pub fn warm_up(&self, index: u64) -> Option<Question> {
        match self.draw.keys {
            Keys::Hot => (self.draw.pool == 0 || index < self.draw.pool).then(|| self.hot(index)),
            Keys::Wide => self.show(index),
            Keys::Cold => self.step(index % COLD_WARM_UP.min(self.walk() / 2).max(1)),
        }
    }

    /// How many users may be asked about.
    #[must_use]
    pub fn users(&self) -> u32 {
        let users = self.shape().users;
        if self.draw.keys == Keys::Hot { users.min(HOT) } else { users }
    }

    /// Questions of the cold walk, all tenants together.
    #[must_use]
    pub fn walk(&self) -> u64 {
        let pairs = self.shape().users.min(self.shape().resources);
        u64::from(pairs) * u64::from(self.draw.tenants)
    }

    /// How many questions a warm-up asks that shows everything; `None` when it does not try.
    #[must_use]
    pub fn to_show(&self) -> Option<u64> {
        match self.draw.keys {
            Keys::Hot => Some(self.draw.pool).filter(|pool| *pool > 0),
            Keys::Wide => Some(self.all()),
            Keys::Cold => None,
        }
    }

    fn all(&self) -> u64 {
        let pairs = self.shape().users.max(self.shape().resources);
        u64::from(pairs) * u64::from(self.draw.tenants)
    }

    /// The shape of its graphs.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        self.graphs[0].shape()
    }

    /// Tenants that are asked about.
    #[must_use]
    pub fn tenants(&self) -> u32 {
        self.draw.tenants
    }

    fn hot(&self, index: u64) -> Question {
        let asked = index.checked_rem(self.draw.pool).map(|at| self.pool[at as usize]);
        asked.unwrap_or_else(|| self.drawn(self.mix(index)))
    }

    fn mix(&self, index: u64) -> Mix {
        Mix::new(self.key, index)
    }

    fn drawn(&self, mut mix: Mix) -> Question {
        let tenant = mix.below(self.draw.tenants);
        let wanted = f64::from(mix.below(1 << 20)) < self.draw.allow_share * f64::from(1 << 20);
        let mut question = self.pair(tenant, &mut mix);
        for _ in 1..TRIES {
            if question.expected == wanted {
                break;
            }
            question = self.pair(tenant, &mut mix);
        }
        question
    }

    fn pair(&self, tenant: u32, mix: &mut Mix) -> Question {
        let (user, document) = match self.draw.keys {
            Keys::Hot => (self.hot_users.sample(mix), self.hot_documents.sample(mix)),
            Keys::Wide | Keys::Cold => {
                (mix.below(self.shape().users), mix.below(self.shape().resources))
            }
        };
        // Reading is what is asked most.
        let action = match mix.below(10) {
            0..7 => Action::Read,
            7..9 => Action::Write,
            _ => Action::Share,
        };
        self.judged(tenant, user, action, document)
    }

    fn judged(&self, tenant: u32, user: u32, action: Action, document: u32) -> Question {
        let expected = self.graphs[tenant as usize].allows(user, action, document);
        Question { tenant, user, action, document, expected }
    }

    /// Step `index` of the cold walk.
    fn step(&self, index: u64) -> Option<Question> {
        (index < self.walk()).then(|| self.diagonal((self.start + index) % self.walk()))
    }

    fn show(&self, index: u64) -> Option<Question> {
        (index < self.all()).then(|| self.diagonal(index))
    }

    fn diagonal(&self, index: u64) -> Question {
        let tenants = u64::from(self.draw.tenants);
        // Below the number of users or documents, which are 32 bits wide.
        let (tenant, at) = ((index % tenants) as u32, (index / tenants) as u32);
        let (user, document) = (at % self.shape().users, at % self.shape().resources);
        self.judged(tenant, user, Action::Read, document)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn space(keys: Keys, tenants: u32) -> Space {
        let shape = Shape { seed: 1, users: 3000, resources: 2000, depth: 3, roles: 30 };
        Space::new(
            &shape,
            Draw { keys, tenants, allow_share: 0.5, exponent: 1.0, pool: 0, seed: 1 },
        )
    }

    #[test]
    fn hot_keys_are_few_and_come_as_zipf_says() {
        // Without a wish for answers, which bends the distribution.
        let mut space = space(Keys::Hot, 1);
        let mut users = vec![0_u32; HOT as usize];
        let draws = 100_000;
        for index in 0..draws {
            let pair = space.pair(0, &mut Mix::new(3, index));
            users[pair.user as usize] += 1;
            assert!(pair.document < HOT);
        }
        let harmonic: f64 = (1..=HOT).map(|rank| 1.0 / f64::from(rank)).sum();
        for rank in [0_u32, 1, 9] {
            let expected = draws as f64 / f64::from(rank + 1) / harmonic;
            let found = f64::from(users[rank as usize]);
            assert!((found - expected).abs() < 0.1 * expected, "rank {rank}: {found} {expected}");
        }
        space.draw.exponent = 0.0;
        let flat = Space::new(space.shape(), space.draw);
        let first = (0..draws).filter(|i| flat.pair(0, &mut Mix::new(3, *i)).user == 0).count();
        assert!((50..200).contains(&first), "{first} of 100 expected");
    }

    #[test]
    fn answers_are_right_and_their_shares_as_wished() {
        for keys in [Keys::Hot, Keys::Wide] {
            let space = space(keys, 2);
            let questions: Vec<_> = (0..5000).filter_map(|i| space.question(i)).collect();
            let allowed = questions.iter().filter(|question| question.expected).count();
            assert!((2000..3000).contains(&allowed), "{keys:?}: {allowed}");
            let first = questions.iter().filter(|question| question.tenant == 0).count();
            assert!((2000..3000).contains(&first), "{keys:?}: {first} of the first tenant");
            for question in &questions {
                let Question { tenant, user, action, document, expected } = *question;
                let graph = &space.graphs[tenant as usize];
                assert_eq!(graph.allows(user, action, document), expected);
            }
            assert_eq!(questions[7], space.question(7).unwrap(), "made the same again");
        }
    }

    #[test]
    fn wide_pairs_are_new_and_their_parts_were_shown() {
        let space = space(Keys::Wide, 2);
        let shown: Vec<_> = (0..).map_while(|index| space.warm_up(index)).collect();
        let count = |of: fn(&Question) -> (u32, u32)| shown.iter().map(of).collect::<HashSet<_>>();
        assert_eq!(count(|q| (q.tenant, q.user)).len(), 6000);
        assert_eq!(count(|q| (q.tenant, q.document)).len(), 4000);
        let pairs: HashSet<_> = (0..20_000)
            .filter_map(|index| space.question(index))
            .map(|q| (q.tenant, q.user, q.document))
            .collect();
        assert!(pairs.len() > 19_000, "{} of 20000 pairs are new", pairs.len());
    }

    #[test]
    fn every_question_of_the_pool_was_asked_in_the_warm_up() {
        let endless = space(Keys::Hot, 2);
        let space = Space::new(endless.shape(), Draw { pool: 500, ..endless.draw });
        let warm: Vec<_> = (0..).map_while(|index| space.warm_up(index)).collect();
        let asked: Vec<_> = (0..500).filter_map(|index| space.question(index)).collect();
        assert_eq!(warm, asked);
        assert_eq!(space.question(1234), space.question(234));
        assert_eq!(space.question(234), endless.question(234), "a pool is the first of them all");
    }

    #[test]
    fn the_cold_walk_meets_everything_once_and_ends() {
        let space = space(Keys::Cold, 2);
        let walk: Vec<_> = (0..).map_while(|index| space.question(index)).collect();
        assert_eq!(walk.len() as u64, space.walk() - COLD_WARM_UP);
        let users: HashSet<_> = walk.iter().map(|q| (q.tenant, q.user)).collect();
        let documents: HashSet<_> = walk.iter().map(|q| (q.tenant, q.document)).collect();
        assert_eq!((users.len(), documents.len()), (walk.len(), walk.len()));
        for index in 0..1000 {
            let warm = space.warm_up(index).unwrap();
            assert!(!users.contains(&(warm.tenant, warm.user)), "the warm-up spoils nothing");
        }
    }
}

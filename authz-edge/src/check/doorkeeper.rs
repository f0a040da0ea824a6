//! Which decisions are worth an entry: those that are asked for a second time.
//!
//! Where most pairs are asked for once, their entries cost more than the decisions, which the views give
//! in a microsecond or two, and push out those that are asked for again. It is the doorkeeper of TinyLFU
//! (Einziger, Friedman, Manes: "TinyLFU: A Highly Efficient Cache Admission Policy", 2017, section 3.4.2),
//! with tags in place of a Bloom filter: the newer question of a place forgets the older one, so that
//! nothing has to be reset.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::fast::RandomState;

/// The questions that were asked last.
pub struct Doorkeeper {
    tags: Box<[AtomicU32]>,
    hasher: RandomState,
}

impl Doorkeeper {
    /// One that remembers so many questions at most, four bytes each; with 0 it admits everything.
    #[must_use]
    pub fn new(places: usize) -> Self {
        let places = if places == 0 { 0 } else { places.next_power_of_two() };
        Self {
            tags: (0..places).map(|_| AtomicU32::new(0)).collect(),
            hasher: RandomState::default(),
        }
    }

    /// Whether the question was asked before, as far as that is remembered; it is from now on. One in four
    /// billion is taken for another.
    #[must_use]
    pub fn admits(&self, key: &[u8]) -> bool {
        let hash = self.hasher.hash_one(key);
        let (place, tag) =
            (hash as usize & self.tags.len().wrapping_sub(1), (hash >> 32) as u32 | 1);
        self.tags.get(place).is_none_or(|known| known.swap(tag, Ordering::Relaxed) == tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_again_is_admitted() {
        let door = Doorkeeper::new(1 << 10);
        for key in [b"a", b"b"] {
            assert!(!door.admits(key));
            assert!(door.admits(key) && door.admits(key));
        }
    }

    #[test]
    fn what_came_long_ago_is_forgotten() {
        let door = Doorkeeper::new(1 << 4);
        assert!(!door.admits(b"a"));
        assert!((0..1000_u32).all(|n| !door.admits(&n.to_be_bytes())));
        assert!(!door.admits(b"a"));
    }

    #[test]
    fn without_places_everyone_is_admitted() {
        assert!(Doorkeeper::new(0).admits(b"a"));
    }
}

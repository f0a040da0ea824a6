//! Sets of nodes, in the order of their ids. Copies are cheap and share what they have in common.

use std::ops::Bound;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

/// A set beyond this is a tree of chunks, each at most so large.
const CHUNK: usize = 128;

type Chunks = RedBlackTreeMapSync<u64, Arc<Vec<u64>>>;

/// A set of nodes.
#[derive(Debug, Clone, Default)]
pub(super) enum Uids {
    #[default]
    None,
    One(u64),
    Few(Arc<Vec<u64>>),
    Many(Arc<Tree>),
}

/// Chunks by the least id that each may hold: the first by zero, so that each id has one.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    chunks: Chunks,
    len: usize,
}

impl Uids {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Few(few) => few.len(),
            Self::Many(tree) => tree.len,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn contains(&self, uid: u64) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => *one == uid,
            Self::Few(few) => few.binary_search(&uid).is_ok(),
            Self::Many(tree) => {
                tree.chunk(uid).is_some_and(|(_, chunk)| chunk.binary_search(&uid).is_ok())
            }
        }
    }

    /// Whether it was not there.
    pub(super) fn insert(&mut self, uid: u64) -> bool {
        match self {
            Self::None => *self = Self::One(uid),
            Self::One(one) if *one == uid => return false,
            Self::One(one) => *self = Self::Few(Arc::new(vec![uid.min(*one), uid.max(*one)])),
            Self::Few(few) => {
                let Err(at) = few.binary_search(&uid) else { return false };
                let list = Arc::make_mut(few);
                list.insert(at, uid);
                if list.len() > CHUNK {
                    let list = std::mem::take(list);
                    *self = Self::Many(Arc::new(Tree::new(&list)));
                }
            }
            Self::Many(tree) => return Arc::make_mut(tree).insert(uid),
        }
        true
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, uid: u64) -> bool {
        match self {
            Self::One(one) if *one == uid => *self = Self::None,
            Self::None | Self::One(_) => return false,
            Self::Few(few) => {
                let Ok(at) = few.binary_search(&uid) else { return false };
                if let [one, other] = few[..] {
                    *self = Self::One(if at == 0 { other } else { one });
                } else {
                    Arc::make_mut(few).remove(at);
                }
            }
            Self::Many(tree) => {
                if !Arc::make_mut(tree).remove(uid) {
                    return false;
                }
                if tree.len <= CHUNK / 2 {
                    let list = self.after(0).collect();
                    *self = Self::Few(Arc::new(list));
                }
            }
        }
        true
    }

    /// Those whose ids are above `after`.
    pub(super) fn after(&self, after: u64) -> After<'_> {
        let behind = |list: &'_ [u64]| list.partition_point(|uid| *uid <= after);
        match self {
            Self::None => After::few(&[]),
            Self::One(one) => After::few(&std::slice::from_ref(one)[behind(&[*one])..]),
            Self::Few(few) => After::few(&few[behind(few)..]),
            Self::Many(tree) => {
                let (from, chunk) = match tree.chunk(after) {
                    Some((low, chunk)) => (Bound::Excluded(low), &chunk[behind(chunk)..]),
                    None => (Bound::Unbounded, &[][..]),
                };
                let rest = tree.chunks.range((from, Bound::Unbounded));
                After {
                    chunk: chunk.iter(),
                    rest: Some(Box::new(rest.map(|(_, chunk)| &***chunk))),
                }
            }
        }
    }
}

impl Tree {
    fn new(list: &[u64]) -> Self {
        let mut chunks = Chunks::new_sync();
        for (at, chunk) in list.chunks(CHUNK).enumerate() {
            chunks.insert_mut(if at == 0 { 0 } else { chunk[0] }, Arc::new(chunk.to_vec()));
        }
        Self { chunks, len: list.len() }
    }

    /// Where `uid` is if it is there.
    fn chunk(&self, uid: u64) -> Option<(u64, &Vec<u64>)> {
        self.chunks.range(..=uid).next_back().map(|(low, chunk)| (*low, &**chunk))
    }

    fn insert(&mut self, uid: u64) -> bool {
        let Some((low, chunk)) = self.chunk(uid) else {
            // The first chunk went.
            self.chunks.insert_mut(0, Arc::new(vec![uid]));
            self.len += 1;
            return true;
        };
        let Err(at) = chunk.binary_search(&uid) else { return false };
        self.len += 1;
        // Ids mostly grow: whatever comes behind a full chunk begins one.
        if at >= CHUNK {
            self.chunks.insert_mut(uid, Arc::new(vec![uid]));
            return true;
        }
        let split = self.chunks.get_mut(&low).and_then(|chunk| {
            let chunk = Arc::make_mut(chunk);
            chunk.insert(at, uid);
            (chunk.len() > CHUNK).then(|| chunk.split_off(CHUNK / 2))
        });
        if let Some(upper) = split {
            self.chunks.insert_mut(upper[0], Arc::new(upper));
        }
        true
    }

    fn remove(&mut self, uid: u64) -> bool {
        let Some((low, chunk)) = self.chunk(uid) else { return false };
        let Ok(at) = chunk.binary_search(&uid) else { return false };
        let is_last = chunk.len() == 1;
        self.len -= 1;
        if is_last {
            self.chunks.remove_mut(&low);
        } else if let Some(chunk) = self.chunks.get_mut(&low) {
            Arc::make_mut(chunk).remove(at);
        }
        true
    }
}

type Rest<'a> = Box<dyn Iterator<Item = &'a [u64]> + Send + 'a>;

/// Ids in their order.
pub(super) struct After<'a> {
    chunk: std::slice::Iter<'a, u64>,
    rest: Option<Rest<'a>>,
}

impl<'a> After<'a> {
    pub(super) fn few(list: &'a [u64]) -> Self {
        Self { chunk: list.iter(), rest: None }
    }
}

impl Iterator for After<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            if let Some(uid) = self.chunk.next() {
                return Some(*uid);
            }
            self.chunk = self.rest.as_mut()?.next()?.iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_in_order_and_copies_stay_as_they_are(
            steps in prop::collection::vec((any::<bool>(), 1..700_u64), 0..1200),
            after in 0..800_u64,
        ) {
            let (mut set, mut model) = (Uids::default(), BTreeSet::new());
            let mut copy = (set.clone(), model.clone());
            for (at, (is_in, uid)) in steps.into_iter().enumerate() {
                // Mostly growing at first, so that there are several chunks.
                if is_in || at < 400 {
                    prop_assert_eq!(set.insert(uid), model.insert(uid));
                } else {
                    prop_assert_eq!(set.remove(uid), model.remove(&uid));
                }
                if at == 600 {
                    copy = (set.clone(), model.clone());
                }
            }
            for (set, model) in [(set, model), copy] {
                prop_assert_eq!(set.len(), model.len());
                let found: Vec<_> = set.after(after).collect();
                let wanted: Vec<_> = model.range(after + 1..).copied().collect();
                prop_assert_eq!(found, wanted);
                prop_assert_eq!(set.contains(after), model.contains(&after));
            }
        }
    }

    #[test]
    fn what_grows_and_shrinks_from_below_stays_small() {
        let mut set = Uids::default();
        (1..=10_000).for_each(|uid| _ = set.insert(uid));
        let Uids::Many(tree) = &set else { panic!("it is large") };
        assert_eq!(tree.chunks.size(), 10_000_usize.div_ceil(CHUNK));
        (1..=9_990).for_each(|uid| _ = set.remove(uid));
        assert_eq!(set.after(0).collect::<Vec<_>>(), (9_991..=10_000).collect::<Vec<_>>());
        assert!(matches!(set, Uids::Few(_)));
    }
}

//! Reading, and what is to be written.

use super::{DiskError, tables::Tables};
use fjall::{Guard, Iter, Keyspace, OwnedWriteBatch, Slice};
use std::{fmt, ops::RangeBounds};

/// A part of the store, sorted by key. Clones are the same one.
#[derive(Clone)]
pub struct Space(Keyspace);

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Space").field(&self.0.name()).finish()
    }
}

impl Space {
    pub(super) fn new(keyspace: Keyspace) -> Self {
        Self(keyspace)
    }

    /// A key's value, as far as it is durable. Reads the disk.
    ///
    /// # Errors
    /// [`DiskError::Failed`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Slice>, DiskError> {
        Ok(self.0.get(key)?)
    }

    /// All pairs, as they are now. Reads the disk as it is walked.
    #[must_use]
    pub fn iter(&self) -> Pairs {
        Pairs(self.0.iter())
    }

    /// The pairs of a range of keys, as they are now.
    #[must_use]
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Pairs {
        Pairs(self.0.range(range))
    }

    /// The pairs whose keys begin with `prefix`, as they are now.
    #[must_use]
    pub fn prefix(&self, prefix: &[u8]) -> Pairs {
        Pairs(self.0.prefix(prefix))
    }

    /// Bytes of its tables on disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.0.disk_space()
    }
}

/// Pairs in the order of their keys, from both ends.
pub struct Pairs(Iter);

fn pair(guard: Guard) -> Result<(Slice, Slice), DiskError> {
    Ok(guard.into_inner()?)
}

impl Iterator for Pairs {
    type Item = Result<(Slice, Slice), DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(pair)
    }
}

impl DoubleEndedIterator for Pairs {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(pair)
    }
}

/// What is to be written, all together or not at all. Of a key's changes the last counts.
#[derive(Default)]
pub struct Changes {
    list: Vec<Change>,
    bytes: usize,
}

struct Change {
    space: Space,
    key: Slice,
    /// None deletes.
    value: Option<Slice>,
}

/// What a change costs beside its key and value, in bytes.
const OVERHEAD: usize = 64;

impl Change {
    fn bytes(&self) -> usize {
        OVERHEAD + self.key.len() + self.value.as_ref().map_or(0, |value| value.len())
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (changes, bytes) = (self.list.len(), self.bytes);
        f.debug_struct("Changes").field("changes", &changes).field("bytes", &bytes).finish()
    }
}

impl Changes {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a key its value.
    pub fn put(&mut self, space: &Space, key: impl Into<Slice>, value: impl Into<Slice>) {
        self.push(space, key.into(), Some(value.into()));
    }

    /// Deletes a key.
    pub fn delete(&mut self, space: &Space, key: impl Into<Slice>) {
        self.push(space, key.into(), None);
    }

    fn push(&mut self, space: &Space, key: Slice, value: Option<Slice>) {
        let change = Change { space: space.clone(), key, value };
        self.bytes += change.bytes();
        self.list.push(change);
    }

    /// What they take while they wait, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn add_to(self, batch: &mut OwnedWriteBatch, tables: &mut Tables) {
        for change in self.list {
            tables.count(&change.space.0, change.bytes());
            let Change { space, key, value } = change;
            match value {
                Some(value) => batch.insert(&space.0, key, value),
                None => batch.remove(&space.0, key),
            }
        }
    }
}

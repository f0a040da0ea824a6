//! What a window writes, several transactions at once.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use rand::Rng as _;

use super::TransferError;
use super::format::{Line, RoleLine};
use super::import::Import;
use super::window::{Window, entity_batches, last_of_each, relationship_batches};
use crate::graph::GraphError;
use crate::graph::write::{Ownership, WriteError, shared_nodes};
use crate::model::{Key, Relationship, SubjectType};

/// How often a transaction whose outcome is not known is repeated.
const ATTEMPTS: u32 = 8;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(10);
/// Nodes that are known to be there, at most; 16 bytes each.
const KNOWN: usize = 4 << 20;

impl Import<'_> {
    /// Writes a window; how many lines changed something, and how many were left out.
    pub(super) async fn window(
        &self,
        window: Window,
        known: &mut Known,
    ) -> Result<(u64, u64), TransferError> {
        let before = window.lines.len();
        let mut lines = window.lines;
        if self.options.skip_identities || self.writer.ownership == Ownership::Sync {
            self.leave_out_identities(&mut lines)?;
        }
        let mut skipped = (before - lines.len()) as u64;
        let written = match lines.first() {
            None => 0,
            Some((_, Line::Role(_))) => self.roles(lines).await?,
            Some((_, Line::Relationship(_))) => {
                let (written, missing) = self.relationships(lines, known).await?;
                skipped += missing;
                written
            }
            Some(_) => self.entities(lines, known).await?,
        };
        Ok((written, skipped))
    }

    fn leave_out_identities(&self, lines: &mut Vec<(u64, Line)>) -> Result<(), TransferError> {
        let is_identity = |line: &Line| {
            let membership = |of: &Relationship| matches!(of, Relationship::MemberOf { .. });
            match line {
                Line::Subject(_) => true,
                Line::Relationship(relationship) => membership(relationship),
                _ => false,
            }
        };
        if !self.options.skip_identities
            && let Some((number, _)) = lines.iter().find(|(_, line)| is_identity(line))
        {
            let what = "this line (left out by --skip-identities)".to_owned();
            return Err(at(*number, WriteError::Managed { what }));
        }
        lines.retain(|(_, line)| !is_identity(line));
        Ok(())
    }

    async fn roles(&self, lines: Vec<(u64, Line)>) -> Result<u64, TransferError> {
        let role = |(number, line)| match line {
            Line::Role(role) => Some((number, role)),
            _ => None,
        };
        let roles: Vec<_> = lines.into_iter().filter_map(role).collect();
        let roles = last_of_each(roles, |(_, role)| role.id.clone());
        let put = |(number, line): (u64, RoleLine)| async move {
            let role = line.role();
            let put = repeated(async || {
                self.writer.put_role(self.tenant, &line.id, &role, &self.author).await
            });
            let (written, _) = put.await.map_err(|error| at(number, error))?;
            Ok::<_, TransferError>(u64::from(!written.changed.is_empty()))
        };
        self.each(roles, put).await
    }

    async fn entities(
        &self,
        lines: Vec<(u64, Line)>,
        known: &mut Known,
    ) -> Result<u64, TransferError> {
        let entity = |(number, line): (u64, Line)| {
            line.entity().map(|(entity, form)| (number, entity, form))
        };
        let all: Vec<_> = lines.into_iter().filter_map(entity).collect();
        let all = last_of_each(all, |(_, entity, _)| entity.key(self.tenant));
        let keys: Vec<_> = all.iter().map(|(_, entity, _)| entity.key(self.tenant)).collect();
        let put = |batch: Vec<_>| async move {
            let (numbers, batch): (Vec<u64>, Vec<_>) =
                batch.into_iter().map(|(number, entity, form)| (number, (entity, form))).unzip();
            let put = repeated(async || self.writer.put_entities(self.tenant, &batch).await);
            let (_, written) = put.await.map_err(|error| at(numbers[0], error))?;
            Ok::<_, TransferError>(written as u64)
        };
        let written = self.each(entity_batches(all, self.options.batch), put).await?;
        for key in &keys {
            known.is_new(key);
        }
        Ok(written)
    }

    /// How many did not exist yet, and how many were left out.
    async fn relationships(
        &self,
        lines: Vec<(u64, Line)>,
        known: &mut Known,
    ) -> Result<(u64, u64), TransferError> {
        let relationship = |(number, line)| match line {
            Line::Relationship(relationship) => Some((number, relationship)),
            _ => None,
        };
        let all: Vec<_> = lines.into_iter().filter_map(relationship).collect();
        self.shared(&all, known).await?;
        let missing = AtomicU64::new(0);
        let count = &missing;
        let touch = |batch: Vec<(u64, Relationship)>| async move {
            let (written, left_out) = self.touch(batch).await?;
            count.fetch_add(left_out, Ordering::Relaxed);
            Ok::<_, TransferError>(written)
        };
        let written = self.each(relationship_batches(all, self.options.batch), touch).await?;
        Ok((written, missing.into_inner()))
    }

    /// Has a batch exist; how many of it did not yet, and how many were left out. Of subjects that are missing the
    /// graph names one at a time, so each costs a transaction more.
    async fn touch(
        &self,
        mut batch: Vec<(u64, Relationship)>,
    ) -> Result<(u64, u64), TransferError> {
        let all = batch.len();
        while !batch.is_empty() {
            let wanted: Vec<Relationship> = batch.iter().map(|(_, one)| one.clone()).collect();
            let touched =
                repeated(async || self.writer.touch_all(self.tenant, &wanted, &self.author).await);
            let error = match touched.await {
                Ok((_, written)) => return Ok((written as u64, (all - batch.len()) as u64)),
                Err(error) => error,
            };
            let before = batch.len();
            if self.options.skip_missing {
                batch.retain(|(_, one)| !is_of_missing(&error, one));
            }
            if batch.len() == before {
                let place = wanted.iter().position(|one| is_about(&error, one)).unwrap_or(0);
                return Err(at(batch[place].0, error));
            }
        }
        Ok((0, all as u64))
    }

    /// Makes the nodes that relationships of several batches share, so that these do not conflict.
    async fn shared(
        &self,
        all: &[(u64, Relationship)],
        known: &mut Known,
    ) -> Result<(), TransferError> {
        let mut keys = BTreeSet::new();
        all.iter().for_each(|(_, one)| shared_nodes(self.tenant, one, &mut keys));
        let keys: Vec<_> = keys.into_iter().filter(|key| known.is_new(key)).collect();
        let batches: Vec<BTreeSet<Key>> =
            keys.chunks(self.options.batch).map(|keys| keys.iter().cloned().collect()).collect();
        let first = all.first().map_or(0, |(number, _)| *number);
        let make = |keys: BTreeSet<Key>| async move {
            let made =
                repeated(async || self.writer.make_nodes(self.tenant, &keys, &self.author).await);
            made.await.map(|_| 0).map_err(|error| at(first, error))
        };
        self.each(batches, make).await.map(drop)
    }

    /// Does something to each, several at once; the sum of what they return.
    async fn each<T, F: Future<Output = Result<u64, TransferError>>>(
        &self,
        all: Vec<T>,
        step: impl Fn(T) -> F,
    ) -> Result<u64, TransferError> {
        let steps = stream::iter(all).map(step).buffer_unordered(self.options.in_flight);
        steps.try_fold(0, |sum, one| async move { Ok(sum + one) }).await
    }
}

pub(super) fn at(line: u64, error: WriteError) -> TransferError {
    match error {
        WriteError::Graph(error) => TransferError::Graph(error),
        error => TransferError::Write { line, error },
    }
}

/// Whether a relationship is what was refused: it names what is missing.
fn is_about(error: &WriteError, relationship: &Relationship) -> bool {
    let WriteError::Missing { what } = error else { return false };
    let named = |type_: SubjectType, id: &str| *what == format!("{} {id}", type_.as_str());
    match relationship {
        Relationship::HasRole { subject, role, .. } => {
            *what == format!("role {role}") || named(subject.type_, &subject.id)
        }
        Relationship::MemberOf { subject, team } => {
            named(subject.type_, &subject.id) || named(SubjectType::Team, team)
        }
        Relationship::Parent { .. } => false,
    }
}

/// Whether whose role it is is what is missing.
fn is_of_missing(error: &WriteError, relationship: &Relationship) -> bool {
    let (WriteError::Missing { what }, Relationship::HasRole { subject, .. }) =
        (error, relationship)
    else {
        return false;
    };
    *what == format!("{} {}", subject.type_.as_str(), subject.id)
}

/// Repeats a write that may be repeated until its outcome is known.
pub(super) async fn repeated<T>(
    write: impl AsyncFn() -> Result<T, WriteError>,
) -> Result<T, WriteError> {
    let mut backoff = FIRST_BACKOFF;
    for _ in 1..ATTEMPTS {
        match write().await {
            Err(WriteError::Graph(
                GraphError::Unavailable(_) | GraphError::Unknown(_) | GraphError::Contended,
            )) => {}
            done => return done,
        }
        tokio::time::sleep(backoff.mul_f64(rand::rng().random_range(0.5..1.0))).await;
        backoff = (2 * backoff).min(LAST_BACKOFF);
    }
    write().await
}

/// Nodes that are there. One that is taken for known by mistake is made by its first batch.
#[derive(Default)]
pub(super) struct Known {
    hashes: HashSet<u64>,
    state: RandomState,
}

impl Known {
    fn is_new(&mut self, key: &Key) -> bool {
        use std::hash::BuildHasher as _;
        if self.hashes.len() >= KNOWN {
            self.hashes.clear();
        }
        self.hashes.insert(self.state.hash_one(key))
    }
}

//! The cached views: read once, shared by all decisions about a subject or a resource.

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use contracts::{Revision, TenantId};
use foldhash::fast::RandomState;
use metrics::counter;
use moka::sync::Cache;

use super::fences::Fences;
use super::flights::Flights;
use super::freshness::Freshness;
use super::question::CheckError;
use super::stamp::{Millis, Present, Stamp};
use super::subjects::{Known, Subjects};
use super::turns::Turns;
use crate::clock::Clock;
use crate::graph::{Graph, GraphError};
use crate::metrics::{evictions, invalidations};
use crate::model::view::ResourceView;
use crate::model::{Key, ResourceRef, SubjectType};

/// How often a waiter takes part in another fill because the one it waited for came too early.
const ATTEMPTS: u32 = 5;

/// A view and what it depends on.
#[derive(Debug)]
pub struct Viewed<T> {
    /// The view.
    pub view: T,
    /// What it depends on.
    pub stamp: Arc<Stamp>,
}

/// What a view must have in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Everything up to here.
    pub revision: Revision,
    /// It was not read before this.
    pub since: Millis,
}

impl From<Revision> for Need {
    fn from(revision: Revision) -> Self {
        Self { revision, since: 0 }
    }
}

/// Something that was read, or made of what was.
pub(super) trait Stamped {
    /// What it depends on.
    fn stamp(&self) -> &Stamp;
}

impl<T> Stamped for Viewed<T> {
    fn stamp(&self) -> &Stamp {
        &self.stamp
    }
}

/// What is known about a subject; without a view it is too large for one.
pub type Subject = Arc<Known>;
/// What is known about a resource.
pub type Resource = Arc<Viewed<ResourceView>>;

/// Bounds of the views.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long an entry counts after the read that made it, or after the last watermark at which its
    /// fences held.
    pub life: Duration,
    /// How long an entry counts at most, whatever watermarks come.
    pub max_life: Duration,
    /// Weight of subjects' views and of what they are made of, bytes.
    pub subject_bytes: u64,
    /// Weight of resources' views, bytes.
    pub resource_bytes: u64,
    /// Reads at once.
    pub fills: usize,
    /// With a watermark older than this, reads are strict.
    pub strict_after: Duration,
    /// Time for one fill, its repetition included; and for its turn.
    pub deadline: Duration,
}

/// What all of them share.
pub struct Shared<G> {
    /// The store.
    pub graph: G,
    /// What changed when.
    pub fences: Arc<Fences>,
    /// Watermark and epoch.
    pub freshness: Arc<Freshness>,
    /// The time.
    pub clock: Clock,
    /// The bounds.
    pub options: Options,
    /// Whose turn it is to read.
    pub(super) turns: Turns,
}

/// The views of both kinds.
pub struct Views<G> {
    shared: Arc<Shared<G>>,
    subjects: Arc<Subjects>,
    resources: Cache<Key, Resource, RandomState>,
    resource_flights: Flights<(Key, bool), Resource, CheckError>,
}

/// What moka needs for an entry, in bytes, roughly.
const ENTRY: usize = 160;

/// A cache whose entries weigh so much and what moka needs for them.
pub(super) fn weighed<K, V>(
    kind: &'static str,
    bytes: u64,
    weigh: impl Fn(&K, &V) -> usize + Send + Sync + 'static,
) -> Cache<K, V, RandomState>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(bytes)
        .weigher(move |key: &K, entry: &V| {
            u32::try_from(ENTRY + weigh(key, entry)).unwrap_or(u32::MAX)
        })
        .eviction_listener(evictions(kind))
        .build_with_hasher(RandomState::default())
}

/// Takes out what `is_past` of. Some 0.5 µs an entry, and 5 µs for each that goes; whoever asks meanwhile is not held up.
pub(super) fn prune<K, V>(cache: &Cache<K, V, RandomState>, is_past: impl Fn(&V) -> bool)
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    for (key, entry) in cache {
        // One that was put in its place meanwhile goes, too, and is read again.
        if is_past(&entry) {
            cache.invalidate(&*key);
        }
    }
    // Else its memory is kept until somebody asks for something else.
    cache.run_pending_tasks();
}

impl<G: Graph> Views<G> {
    /// Empty ones.
    #[must_use]
    pub fn new(
        graph: G,
        fences: Arc<Fences>,
        freshness: Arc<Freshness>,
        clock: Clock,
        options: Options,
    ) -> Self {
        let turns = Turns::new(options.fills, options.deadline);
        let subjects = Arc::new(Subjects::new(options.subject_bytes));
        let resources = weighed("resource", options.resource_bytes, |key: &Key, of: &Resource| {
            key.as_str().len() + of.view.bytes() + of.stamp.bytes()
        });
        let shared = Arc::new(Shared { graph, fences, freshness, clock, options, turns });
        Self { shared, subjects, resources, resource_flights: Flights::default() }
    }

    /// What all views share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared<G>> {
        &self.shared
    }

    /// A subject's view with everything up to `need` in it; and whether it was cached.
    ///
    /// # Errors
    /// [`CheckError`].
    pub async fn subject(
        &self,
        tenant: &TenantId,
        (type_, id): (SubjectType, &str),
        need: Need,
    ) -> Result<(Subject, bool), CheckError> {
        self.subjects.get(&self.shared, tenant, (type_, id), need).await
    }

    /// A resource's view with everything up to `need` in it; and whether it was cached.
    ///
    /// # Errors
    /// [`CheckError`].
    pub async fn resource(
        &self,
        tenant: &TenantId,
        (type_, id): (&str, &str),
        need: Need,
    ) -> Result<(Resource, bool), CheckError> {
        let key = Key::resource(tenant, type_, id);
        let fill = |strict| {
            let (shared, tenant, resource) =
                (Arc::clone(&self.shared), tenant.clone(), ResourceRef::new(type_, id));
            async move {
                let read = |mode| shared.graph.resource(&tenant, &resource, mode);
                shared.fill(&tenant, strict, "resource", read).await.map(Arc::new)
            }
        };
        self.shared.get(&key, need, &self.resources, &self.resource_flights, fill).await
    }

    /// Takes out what counts no more.
    pub(super) fn prune(&self, present: Present) {
        self.subjects.prune(present);
        prune(&self.resources, |resource| resource.stamp.is_past(present));
    }

    /// Kinds, entries and weights, for gauges.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, u64, u64); 4] {
        let [subjects, holders, roles] = self.subjects.sizes();
        let resources = (self.resources.entry_count(), self.resources.weighted_size());
        [("subject", subjects), ("holder", holders), ("role", roles), ("resource", resources)]
            .map(|(kind, (entries, weight))| (kind, entries, weight))
    }
}

impl<G: Graph> Shared<G> {
    /// Whether what was read serves who needs everything up to `need`: it is either that new itself, or
    /// holds, which must be looked at afterwards, at a watermark that is: fences come before watermarks.
    #[must_use]
    pub fn serves(&self, stamp: &Stamp, need: Need) -> bool {
        stamp.begun() >= need.since
            && (stamp.revision >= need.revision || self.freshness.watermark() >= need.revision)
    }

    /// What stamps are compared with now.
    #[must_use]
    pub fn present(&self) -> Present {
        // In this order: a watermark that came after a clear says nothing of what was read before it.
        let confirmed = self.freshness.confirmed();
        let generation = self.freshness.generation();
        Present { now: self.clock.millis(), confirmed, generation }
    }

    /// Whether an entry holds now; what does not is counted once, whatever shares it.
    #[must_use]
    pub fn holds(&self, stamp: &Stamp) -> bool {
        self.held(stamp, self.present())
    }

    /// Whether an entry holds at a present that was looked at before.
    pub(super) fn held(&self, stamp: &Stamp, present: Present) -> bool {
        let held = stamp.check(&self.fences, present);
        if let Err(void) = held
            && stamp.first_void()
        {
            invalidations(void).increment(1);
        }
        held.is_ok()
    }

    async fn get<T, F>(
        &self,
        key: &Key,
        need: Need,
        cache: &Cache<Key, Arc<Viewed<T>>, RandomState>,
        flights: &Flights<(Key, bool), Arc<Viewed<T>>, CheckError>,
        fill: impl Fn(bool) -> F,
    ) -> Result<(Arc<Viewed<T>>, bool), CheckError>
    where
        T: Send + Sync + 'static,
        F: Future<Output = Result<Arc<Viewed<T>>, CheckError>> + Send + 'static,
    {
        if let Some(found) = cache.get(key)
            && self.serves(&found.stamp, need)
            && self.holds(&found.stamp)
        {
            return Ok((found, true));
        }
        Ok((self.fetch(key, need, cache, flights, fill).await?, false))
    }

    /// What a fill has found, which is cached.
    pub(super) async fn fetch<T, F>(
        &self,
        key: &Key,
        need: Need,
        cache: &Cache<Key, Arc<T>, RandomState>,
        flights: &Flights<(Key, bool), Arc<T>, CheckError>,
        fill: impl Fn(bool) -> F,
    ) -> Result<Arc<T>, CheckError>
    where
        T: Stamped + Send + Sync + 'static,
        F: Future<Output = Result<Arc<T>, CheckError>> + Send + 'static,
    {
        let filling = |strict| {
            let (cache, key, filling) = (cache.clone(), key.clone(), fill(strict));
            async move {
                let filled = filling.await;
                // By the fill itself: who asked first may have left.
                if let Ok(found) = &filled {
                    cache.insert(key, Arc::clone(found));
                }
                filled
            }
        };
        self.join(key, need, flights, filling).await
    }

    /// What a fill has found that serves `need`: one that is under way, or one that is begun here.
    pub(super) async fn join<K, T, F>(
        &self,
        key: &K,
        need: Need,
        flights: &Flights<(K, bool), Arc<T>, CheckError>,
        fill: impl Fn(bool) -> F,
    ) -> Result<Arc<T>, CheckError>
    where
        K: Eq + Hash + Clone + Send + 'static,
        T: Stamped + Send + Sync + 'static,
        F: Future<Output = Result<Arc<T>, CheckError>> + Send + 'static,
    {
        let mut strict = self.freshness.watermark() < need.revision;
        for _ in 0..ATTEMPTS {
            let lost = CheckError::Graph(GraphError::Unavailable("a fill died".to_owned()));
            let flight = (key.clone(), strict);
            let (filled, begun) = flights.join(&flight, || fill(strict), lost).await;
            let found = filled?;
            if !begun {
                counter!("triad_authz_shared_fills_total").increment(1);
            }
            // What was begun here began after the question did, whatever happened since.
            if self.serves(found.stamp(), need) && (begun || self.holds(found.stamp())) {
                return Ok(found);
            }
            // Every revision that was given out is below a strict read that is begun later.
            if begun && strict && found.stamp().revision < need.revision {
                return Err(CheckError::Behind("the graph has no such revision yet".to_owned()));
            }
            strict = true;
        }
        Err(CheckError::Behind("what it depends on changes faster than it can be read".to_owned()))
    }
}

//! Up to which change of a tenant's identities the graph is: what identity tokens wait for.
//!
//! What was found is remembered, so that an old token costs no read and asks for nothing that is newer than
//! itself. Whoever waits shares one look at a time with all others who wait in its tenant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use contracts::{GraphEpoch, Revision, TenantId};
use foldhash::fast::RandomState;
use moka::sync::Cache;
use tokio::time::{Instant, sleep};

use super::checker::Checker;
use super::flights::Flights;
use super::question::{AtLeast, CheckError};
use super::views::Shared;
use crate::graph::{Graph, GraphError};

/// Between looks at what sync has applied.
const LOOK: Duration = Duration::from_millis(20);
/// Tenants of which that is remembered.
const TENANTS: u64 = 100_000;

/// A look at a tenant.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// In which graph.
    epoch: GraphEpoch,
    /// The last change that was applied.
    seq: u64,
    /// The first revision that was seen with it.
    revision: Revision,
}

/// What is known of all tenants.
pub struct Applied {
    known: Cache<TenantId, Found, RandomState>,
    looks: Flights<TenantId, Found, CheckError>,
}

impl Default for Applied {
    fn default() -> Self {
        let known =
            Cache::builder().max_capacity(TENANTS).build_with_hasher(RandomState::default());
        Self { known, looks: Flights::default() }
    }
}

impl Applied {
    /// A revision with the change `wanted` in it. Looks until there is one, for `wait` and one look more.
    ///
    /// # Errors
    /// `Behind` when that takes too long.
    pub async fn revision<G: Graph>(
        &self,
        shared: &Arc<Shared<G>>,
        tenant: &TenantId,
        wanted: u64,
        wait: Duration,
    ) -> Result<Revision, CheckError> {
        if let Some(known) = self.known(tenant, shared.freshness.epoch())
            && known.seq >= wanted
        {
            return Ok(known.revision);
        }
        let (deadline, mut pause) = (Instant::now() + wait, Duration::ZERO);
        loop {
            let Found { seq, revision, .. } = self.look(shared, tenant, pause).await?;
            if seq >= wanted {
                return Ok(revision);
            }
            if Instant::now() >= deadline {
                let reason = format!("identity change {wanted}; sync has applied {seq}");
                return Err(CheckError::Behind(reason));
            }
            pause = LOOK;
        }
    }

    fn known(&self, tenant: &TenantId, epoch: GraphEpoch) -> Option<Found> {
        self.known.get(tenant).filter(|known| known.epoch == epoch)
    }

    /// What the look that is under way finds, or one that begins after `pause`. Numbers only go up, so
    /// that a look that began before it was asked for does as well.
    async fn look<G: Graph>(
        &self,
        shared: &Arc<Shared<G>>,
        tenant: &TenantId,
        pause: Duration,
    ) -> Result<Found, CheckError> {
        let look = || {
            let (shared, tenant, cache) = (Arc::clone(shared), tenant.clone(), self.known.clone());
            async move {
                sleep(pause).await;
                let epoch = shared.freshness.epoch();
                let read = shared.in_turn(&tenant, shared.graph.applied(&tenant));
                let (seq, revision) = read.await?;
                let known = cache.get(&tenant).filter(|known| known.epoch == epoch);
                if let Some(known) = known.filter(|known| known.seq >= seq) {
                    return Ok(known);
                }
                let found = Found { epoch, seq, revision };
                cache.insert(tenant, found);
                Ok(found)
            }
        };
        let lost = CheckError::Graph(GraphError::Unavailable("a look died".to_owned()));
        self.looks.join(tenant, look, lost).await.0
    }
}

/// What became of the identity tokens of a batch.
#[derive(Debug, Default)]
pub struct Reached(BTreeMap<u64, Result<Revision, CheckError>>);

impl Reached {
    /// The same, without a wait.
    ///
    /// # Errors
    /// `Behind` for an identity token that was not reached.
    pub fn now(&self, at_least: AtLeast) -> Result<AtLeast, CheckError> {
        let AtLeast::Identity(seq) = at_least else { return Ok(at_least) };
        self.0.get(&seq).map_or(Ok(at_least), |reached| reached.clone().map(AtLeast::Revision))
    }
}

impl<G: Graph> Checker<G> {
    /// Waits for all identity tokens of a batch at once, and so no longer than for one.
    pub async fn reached(
        &self,
        tenant: &TenantId,
        all: impl IntoIterator<Item = AtLeast>,
    ) -> Reached {
        let seqs: BTreeSet<_> = all
            .into_iter()
            .filter_map(|at_least| match at_least {
                AtLeast::Identity(seq) => Some(seq),
                AtLeast::Bound | AtLeast::Revision(_) => None,
            })
            .collect();
        let wait = async |seq| (seq, self.need(tenant, AtLeast::Identity(seq)).await);
        Reached(futures::future::join_all(seqs.into_iter().map(wait)).await.into_iter().collect())
    }
}

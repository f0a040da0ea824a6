//! The cached views of subjects, and the parts that they are made of.
//!
//! A view is void as soon as one of its parts is: a role that is edited, a binding of a team. The other parts
//! are not, and neither are those of whoever else has that role or team. So a view is made anew from the
//! parts that hold, which costs no read, and from a read of those that do not, which all who need them share.
//! Who is not known yet is read as a whole. See `docs/adr/0019-parts.md`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use contracts::{Revision, TenantId};
use foldhash::fast::RandomState;
use moka::sync::Cache;

use super::flights::Flights;
use super::question::CheckError;
use super::stamp::{Present, Stamp, Void};
use super::views::{Need, Shared, Stamped, Subject, Viewed, prune, weighed};
use crate::graph::store::{MAX_ITEMS, MAX_VIEW_BYTES, Part, Parts, Whole};
use crate::graph::{Graph, GraphError};
use crate::model::parts::{Closure, Grants, Holdings, holdings_bytes};
use crate::model::view::{Node, SubjectView};
use crate::model::{Key, SubjectRef, SubjectType};

/// Whoever lacks more parts than this is read as a whole.
const MOST_PARTS: usize = 64;
/// How often parts are read that became void before all who waited for them had seen them: once more, as all of
/// these would be read as wholes otherwise.
const MENDS: u32 = 2;

/// A subject's view, what it depends on, and the part of it that nobody shares.
#[derive(Debug)]
pub struct Known {
    /// The view; none of who is too large for one.
    pub view: Option<SubjectView>,
    /// What it depends on.
    pub stamp: Arc<Stamp>,
    /// None of who is too large to be read as a whole.
    closure: Option<Arc<Viewed<Closure>>>,
}

impl Stamped for Known {
    fn stamp(&self) -> &Stamp {
        &self.stamp
    }
}

/// Views of subjects, and their parts.
pub(super) struct Subjects {
    views: Cache<Key, Subject, RandomState>,
    holders: Cache<Node, Arc<Viewed<Holdings>>, RandomState>,
    roles: Cache<Node, Arc<Viewed<Grants>>, RandomState>,
    flights: Flights<(Key, bool), Subject, CheckError>,
    part_flights: Flights<Missing, Arc<Found>, CheckError>,
}

/// Parts that are not known, or do not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Missing {
    holders: Vec<Node>,
    roles: Vec<Node>,
}

/// Parts as one read found them.
#[derive(Default)]
struct Found {
    holders: HashMap<Node, Arc<Viewed<Holdings>>>,
    roles: HashMap<Node, Arc<Viewed<Grants>>>,
}

/// Everything that one fill needs.
struct Fill<G> {
    subjects: Arc<Subjects>,
    shared: Arc<Shared<G>>,
    tenant: TenantId,
    subject: SubjectRef,
    key: Key,
    need: Need,
}

impl Subjects {
    /// None; they weigh `bytes` at most, half of it views.
    pub(super) fn new(bytes: u64) -> Self {
        let views = weighed("subject", bytes / 2, |key: &Key, known: &Subject| {
            let view = known.view.as_ref().map_or(0, SubjectView::bytes);
            let closure = known.closure.as_ref().map_or(0, |of| of.view.bytes() + of.stamp.bytes());
            key.as_str().len() + view + known.stamp.bytes() + closure
        });
        let holders = weighed("holder", bytes / 4, |_: &Node, part: &Arc<Viewed<Holdings>>| {
            holdings_bytes(&part.view) + part.stamp.bytes()
        });
        let roles = weighed("role", bytes / 4, |_: &Node, part: &Arc<Viewed<Grants>>| {
            part.view.as_ref().map_or(0, |grants| grants.bytes()) + part.stamp.bytes()
        });
        let (flights, part_flights) = (Flights::default(), Flights::default());
        Self { views, holders, roles, flights, part_flights }
    }

    /// Takes out what counts no more. A view that is past may still have a closure of which a view is made: the closure
    /// of a later read.
    pub(super) fn prune(&self, present: Present) {
        prune(&self.views, |known| {
            let closure = known.closure.as_ref();
            known.stamp.is_past(present) && closure.is_none_or(|of| of.stamp.is_past(present))
        });
        prune(&self.holders, |part| part.stamp.is_past(present));
        prune(&self.roles, |part| part.stamp.is_past(present));
    }

    /// Entries and weights: views, holders, roles.
    pub(super) fn sizes(&self) -> [(u64, u64); 3] {
        [
            (self.views.entry_count(), self.views.weighted_size()),
            (self.holders.entry_count(), self.holders.weighted_size()),
            (self.roles.entry_count(), self.roles.weighted_size()),
        ]
    }

    /// A subject's view with everything up to `need` in it; and whether nothing was read for it.
    pub(super) async fn get<G: Graph>(
        self: &Arc<Self>,
        shared: &Arc<Shared<G>>,
        tenant: &TenantId,
        (type_, id): (SubjectType, &str),
        need: Need,
    ) -> Result<(Subject, bool), CheckError> {
        let key = Key::subject(tenant, type_, id);
        if let Some(known) = self.views.get(&key) {
            if shared.serves(&known.stamp, need) && shared.holds(&known.stamp) {
                return Ok((known, true));
            }
            if let Some(closure) = usable(known.closure.clone(), shared, need)
                && let Ok(made) = self.compose(shared, &closure, need, &Found::default())
                && is_usable(&made.stamp, shared, need)
            {
                self.views.insert(key, Arc::clone(&made));
                return Ok((made, true));
            }
        }
        let fill = |strict| {
            let (subjects, shared) = (Arc::clone(self), Arc::clone(shared));
            let (tenant, subject, key) = (tenant.clone(), SubjectRef::new(type_, id), key.clone());
            let fill = Fill { subjects, shared, tenant, subject, key, need };
            async move { fill.fill(strict).await }
        };
        Ok((shared.fetch(&key, need, &self.views, &self.flights, fill).await?, false))
    }

    /// A view of the parts that one read has found, or that are cached and hold; or those that are missing.
    fn compose<G: Graph>(
        &self,
        shared: &Shared<G>,
        closure: &Arc<Viewed<Closure>>,
        need: Need,
        found: &Found,
    ) -> Result<Subject, Missing> {
        let (mut held, mut roles, mut missing) = (Vec::new(), Vec::new(), Missing::default());
        let named = closure.stamp.revision;
        for holder in &closure.view.holders {
            let known = found.holders.get(holder).cloned().or_else(|| self.holders.get(holder));
            match usable(known, shared, need).filter(|part| knows(&part.stamp, named)) {
                Some(part) => held.push(part),
                None => missing.holders.push(*holder),
            }
        }
        // Each with the first read that has found it.
        let mut named = BTreeMap::<Node, Revision>::new();
        for part in &held {
            for (role, _) in &part.view {
                let first = named.entry(*role).or_insert(part.stamp.revision);
                *first = part.stamp.revision.min(*first);
            }
        }
        for (role, named) in named {
            let known = found.roles.get(&role).cloned().or_else(|| self.roles.get(&role));
            match usable(known, shared, need).filter(|part| knows(&part.stamp, named)) {
                Some(part) => roles.push((role, part)),
                None => missing.roles.push(role),
            }
        }
        if missing != Missing::default() {
            return Err(missing);
        }
        let stamps = held.iter().map(|part| &*part.stamp);
        let stamps: Vec<_> = stamps.chain(roles.iter().map(|(_, part)| &*part.stamp)).collect();
        let stamp = closure.stamp.of_all(&stamps);
        let held = held.iter().map(|part| &part.view);
        let roles = roles.iter().map(|(role, part)| (*role, part.view.clone()));
        let view = SubjectView::compose(&closure.view, held, roles);
        Ok(known(view, Arc::new(stamp), Arc::clone(closure)))
    }

    /// Keeps the parts of one read, each with what it alone depends on.
    fn keep<G: Graph>(&self, shared: &Shared<G>, parts: Parts, read: &Stamp) -> Found {
        let stamp = |key: &Option<Key>| Arc::new(read.part(&shared.fences, key));
        let holders = keep(&self.holders, parts.holders, stamp);
        Found { holders, roles: keep(&self.roles, parts.roles, stamp) }
    }
}

fn keep<T: Send + Sync + 'static>(
    cache: &Cache<Node, Arc<Viewed<T>>, RandomState>,
    parts: Vec<Part<T>>,
    stamp: impl Fn(&Option<Key>) -> Arc<Stamp>,
) -> HashMap<Node, Arc<Viewed<T>>> {
    let kept = parts.into_iter().map(|Part { node, key, part }| {
        let viewed = Arc::new(Viewed { stamp: stamp(&key), view: part });
        cache.insert(node, Arc::clone(&viewed));
        (node, viewed)
    });
    kept.collect()
}

fn known(view: SubjectView, stamp: Arc<Stamp>, closure: Arc<Viewed<Closure>>) -> Subject {
    let fits = view.items() <= MAX_ITEMS && view.unshared_bytes() <= MAX_VIEW_BYTES;
    Arc::new(Known { view: fits.then_some(view), stamp, closure: Some(closure) })
}

/// Whether something holds and is new enough. In this order: a fence comes before the watermark that covers it.
fn is_usable<G: Graph>(stamp: &Stamp, shared: &Shared<G>, need: Need) -> bool {
    shared.serves(stamp, need) && stamp.check(&shared.fences, shared.present()).is_ok()
}

/// A part, if it holds and is new enough.
fn usable<G: Graph, T>(
    part: Option<Arc<Viewed<T>>>,
    shared: &Shared<G>,
    need: Need,
) -> Option<Arc<Viewed<T>>> {
    part.filter(|part| is_usable(&part.stamp, shared, need))
}

/// Whether a read of a part knows its node, which a read at `named` has found: without a key it was deleted,
/// unless the read of the part is older, and the node was not there yet.
fn knows(part: &Stamp, named: Revision) -> bool {
    !part.is_of_nothing() || part.revision >= named
}

impl<G: Graph> Fill<G> {
    async fn fill(&self, strict: bool) -> Result<Subject, CheckError> {
        // Several reads one after the other take no longer than one and its turn may.
        let most = 2 * self.shared.options.deadline;
        let filled = tokio::time::timeout(most, async {
            let mended = if strict { None } else { self.mend().await? };
            match mended {
                Some(mended) => Ok(mended),
                None => self.whole(strict).await,
            }
        });
        let late = || GraphError::Unavailable("reads took too long".to_owned());
        filled.await.map_err(|_| late())?
    }

    /// What is known, with a read of the parts of it that do not hold. `None` where that is not enough.
    async fn mend(&self) -> Result<Option<Subject>, CheckError> {
        let Self { subjects, shared, need, .. } = self;
        let Some(closure) = self.closure().await? else { return Ok(None) };
        let mut found = Arc::<Found>::default();
        for read_before in 0..=MENDS {
            let missing = match subjects.compose(shared, &closure, *need, &found) {
                // Each part may hold, and not all of them for as long as the view must.
                Ok(made) => return Ok(Some(made).filter(|of| is_usable(&of.stamp, shared, *need))),
                Err(missing) => missing,
            };
            if read_before == MENDS || missing.holders.len() + missing.roles.len() > MOST_PARTS {
                break;
            }
            let lost = CheckError::Graph(GraphError::Unavailable("a fill died".to_owned()));
            let read = || {
                let (subjects, shared) = (Arc::clone(subjects), Arc::clone(shared));
                read(subjects, shared, self.tenant.clone(), missing.clone())
            };
            found = subjects.part_flights.join(&missing, read, lost).await.0?;
        }
        Ok(None)
    }

    /// The closure of who is known: as it is cached, or read again where a membership has changed. Whatever
    /// else makes it void makes other parts void, too.
    async fn closure(&self) -> Result<Option<Arc<Viewed<Closure>>>, CheckError> {
        let Self { subjects, shared, tenant, subject, need, .. } = self;
        let known = subjects.views.get(&self.key).and_then(|known| known.closure.clone());
        let Some(known) = known.filter(|known| shared.serves(&known.stamp, *need)) else {
            return Ok(None);
        };
        match known.stamp.check(&shared.fences, shared.present()) {
            Ok(()) => return Ok(Some(known)),
            Err(Void::Fence) => {}
            Err(Void::Life | Void::Cleared) => return Ok(None),
        }
        let read = |mode| shared.graph.closure(tenant, subject, mode);
        let Viewed { view, stamp } = shared.fill(tenant, false, "closure", read).await?;
        Ok(view.map(|view| Arc::new(Viewed { view, stamp })))
    }

    async fn whole(&self, strict: bool) -> Result<Subject, CheckError> {
        let Self { subjects, shared, tenant, subject, .. } = self;
        let read = |mode| shared.graph.subject(tenant, subject, mode);
        let Viewed { view, stamp } = shared.fill(tenant, strict, "subject", read).await?;
        let Some(Whole { closure, keys, parts }) = view else {
            return Ok(Arc::new(Known { view: None, stamp, closure: None }));
        };
        let part = Arc::new(stamp.part(&shared.fences, &keys));
        let closure = Arc::new(Viewed { view: closure, stamp: part });
        let found = subjects.keep(shared, parts, &stamp);
        let held = found.holders.values().map(|part| &part.view);
        let roles = found.roles.iter().map(|(role, part)| (*role, part.view.clone()));
        Ok(known(SubjectView::compose(&closure.view, held, roles), stamp, closure))
    }
}

async fn read<G: Graph>(
    subjects: Arc<Subjects>,
    shared: Arc<Shared<G>>,
    tenant: TenantId,
    missing: Missing,
) -> Result<Arc<Found>, CheckError> {
    let read = |mode| shared.graph.parts(&tenant, &missing.holders, &missing.roles, mode);
    let Viewed { view, stamp } = shared.fill(&tenant, false, "parts", read).await?;
    Ok(Arc::new(subjects.keep(&shared, view, &stamp)))
}

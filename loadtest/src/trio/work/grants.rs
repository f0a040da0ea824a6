//! Grants and revocations of a role on documents, to users and to teams.
//!
//! Touching and deleting can be repeated, but an attempt that nobody answered (its replica stands still, say) may be
//! done long after its repeat was acknowledged, and behind the write that follows. A right of which that can be is
//! revoked once more and then not written any more, and another one takes its place; it is still asked about.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};

use super::book::{Workload, lock};
use super::checks::{Board, By, Right, Shown, check};
use super::model::History;
use super::pace::{Ending, paced};
use super::scene::{Scene, binding, relationships};
use crate::generate::Mix;

/// Writes under way at most.
const SLOTS: usize = 32;
/// Rights of one holder at a time.
const EACH: usize = 2;

/// Somebody who is granted things one after the other.
struct Holder {
    tenant: usize,
    /// Whom the role is bound to.
    holder: Value,
    /// Who is asked about.
    user: String,
    is_busy: AtomicBool,
    right: Mutex<Arc<Right>>,
}

/// See the module.
pub(super) struct Grants {
    holders: Vec<Holder>,
    board: Arc<Board>,
    serial: AtomicU64,
    /// All that there have been.
    all: Mutex<Vec<Arc<Right>>>,
}

impl Grants {
    /// Holders in all tenants, who have nothing yet.
    pub(super) fn new(scene: &Scene, board: Arc<Board>) -> Self {
        let mut grants =
            Self { holders: Vec::new(), board, serial: AtomicU64::new(0), all: Mutex::default() };
        for (tenant, of) in scene.tenants.iter().enumerate() {
            for (user, team) in &of.steady {
                let subjects = [("user", user), ("team", team)];
                for (kind, id) in subjects.into_iter().flat_map(|one| [one; EACH]) {
                    let right = grants.fresh(tenant, user, None);
                    let (holder, user) = (json!({"type": kind, "id": id}), user.clone());
                    let (is_busy, right) = (AtomicBool::new(false), Mutex::new(right));
                    grants.holders.push(Holder { tenant, holder, user, is_busy, right });
                }
            }
        }
        grants
    }

    /// All rights that there have been.
    pub(super) fn all(&self) -> Vec<Arc<Right>> {
        lock(&self.all).clone()
    }

    /// A right on a document that nobody has heard of, in the place of another.
    fn fresh(&self, tenant: usize, user: &str, old: Option<&Arc<Right>>) -> Arc<Right> {
        let resource = format!("d-{}", self.serial.fetch_add(1, Ordering::Relaxed));
        let history = Mutex::new(History::new(false, Instant::now()));
        let right = Right { tenant, subject: user.to_owned(), resource, by: By::Binding, history };
        let right = Arc::new(right);
        lock(&self.all).push(Arc::clone(&right));
        self.board.replace(old, Arc::clone(&right));
        right
    }

    /// A holder with whom nothing is under way, who has it then.
    fn take(&self, mix: &mut Mix) -> Option<usize> {
        let count = self.holders.len();
        let first = mix.below(u32::try_from(count).unwrap_or(u32::MAX)) as usize;
        let mut places = (first..count).chain(0..first);
        places.find(|at| !self.holders[*at].is_busy.swap(true, Ordering::AcqRel))
    }

    /// Grants what a holder has not, or revokes what it has; asks about it then.
    async fn turn(&self, scene: &Scene, at: usize, ending: &Ending) {
        let holder = &self.holders[at];
        let right = Arc::clone(&lock(&holder.right));
        let (give, write) = {
            let mut history = lock(&right.history);
            let give = !history.allows();
            (give, history.begin(give, Instant::now()))
        };
        let op = if give { "touch" } else { "delete" };
        let relationship = binding(&holder.holder, &right.resource);
        let list = json!({"writes": [{"op": op, "relationship": relationship}]});
        let tenant = &scene.tenants[holder.tenant];
        let request = relationships(tenant, &list);
        let workload = Workload::Grants;
        let asked = scene.gateway.insist(Some(workload), &request, &[200], ending).await;
        if asked.doubtful {
            lock(&right.history).doubt(write);
        }
        if let Some(answer) = asked.answer {
            scene.graph_token(&tenant.id, &answer, workload);
            let is_over = {
                let mut history = lock(&right.history);
                history.acknowledge(write, Instant::now(), answer.token.clone());
                !give && history.is_doubtful()
            };
            // Of both kinds of writes, some show their token either way.
            let shown = if write / 2 % 2 == 0 { Shown::Header } else { Shown::Body };
            check(scene, &right, shown).await;
            if is_over {
                let fresh = self.fresh(holder.tenant, &holder.user, Some(&right));
                *lock(&holder.right) = fresh;
            }
        }
        holder.is_busy.store(false, Ordering::Release);
    }
}

/// Grants and revokes.
pub(super) async fn run(
    scene: Arc<Scene>,
    grants: Arc<Grants>,
    rate: u32,
    ending: Ending,
) -> anyhow::Result<()> {
    let mut mix = Mix::new(Mix::key(scene.seed, "grants"), 0);
    let (book, until) = (Arc::clone(&scene.book), ending.clone());
    paced((rate, SLOTS), ending, &book, move || {
        let at = grants.take(&mut mix)?;
        let (scene, grants, until) = (Arc::clone(&scene), Arc::clone(&grants), until.clone());
        Some(async move { grants.turn(&scene, at, &until).await })
    })
    .await
}

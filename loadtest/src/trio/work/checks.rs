//! Checks, each held to the history of what it asks about.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use reqwest::Method;
use serde_json::{Value, json};

use super::book::{Workload, lock};
use super::gateway::{Answer, Request, Service};
use super::model::{self, History};
use super::pace::{Ending, paced};
use super::scene::{ACTION, Scene};
use crate::generate::Mix;

/// Checks under way at most.
const SLOTS: usize = 64;
/// Of a hundred checks, those that show the token of the last write.
const WITH_TOKEN: u32 = 40;
/// Of a hundred, those of rights that nobody writes any more, of which so many of the latest.
const OF_PAST: u32 = 20;
const RECENT: usize = 32;
/// Of those, so many are asked about in the end.
const PAST: usize = 1000;

/// By what a right comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A binding, which edges write.
    Binding,
    /// A user and its memberships, which sync brings when Kafka is there.
    Identity,
}

/// Whether somebody may read something, as it changes.
pub(super) struct Right {
    /// Its place among the tenants.
    pub(super) tenant: usize,
    /// A user.
    pub(super) subject: String,
    /// A document.
    pub(super) resource: String,
    pub(super) by: By,
    pub(super) history: Mutex<History>,
}

/// How a question shows the token of the last write of what it asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Header,
    /// As `at_least` in the body.
    Body,
}

impl Shown {
    pub(super) const ALL: [Self; 3] = [Self::Nothing, Self::Header, Self::Body];

    /// Either way of showing it.
    pub(super) fn either(mix: &mut Mix) -> Self {
        if mix.chance(50) { Self::Header } else { Self::Body }
    }
}

/// The rights that are asked about.
#[derive(Default)]
pub(super) struct Board(RwLock<Rights>);

#[derive(Default)]
struct Rights {
    /// Those that come and go.
    current: Vec<Arc<Right>>,
    /// Those that nobody writes any more, the latest: what was acknowledged last holds for good.
    past: VecDeque<Arc<Right>>,
}

impl Board {
    /// Puts a right there in the place of another, which nobody writes any more.
    pub(super) fn replace(&self, old: Option<&Arc<Right>>, new: Arc<Right>) {
        let mut rights = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Rights { current, past } = &mut *rights;
        let place = old.and_then(|old| current.iter().position(|right| Arc::ptr_eq(right, old)));
        match place {
            Some(place) => past.push_back(std::mem::replace(&mut current[place], new)),
            None => current.push(new),
        }
        if past.len() > PAST {
            past.pop_front();
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Right>> {
        let rights = self.0.read().unwrap_or_else(PoisonError::into_inner);
        rights.current.iter().chain(&rights.past).cloned().collect()
    }

    /// One of those that come and go, or now and then of the last that no longer do.
    fn pick(&self, mix: &mut Mix) -> Option<Arc<Right>> {
        let rights = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Rights { current, past } = &*rights;
        let recent = past.len().min(RECENT);
        if recent > 0 && mix.chance(OF_PAST) {
            let back = mix.below(u32::try_from(recent).unwrap_or(u32::MAX)) as usize;
            return past.get(past.len() - 1 - back).cloned();
        }
        let at = mix.below(u32::try_from(current.len()).unwrap_or(u32::MAX)) as usize;
        current.get(at).cloned()
    }
}

/// Asks about the rights of the board.
pub(super) async fn run(
    scene: Arc<Scene>,
    board: Arc<Board>,
    rate: u32,
    ending: Ending,
) -> anyhow::Result<()> {
    let mut mix = Mix::new(Mix::key(scene.seed, "checks"), 0);
    let book = Arc::clone(&scene.book);
    paced((rate, SLOTS), ending, &book, move || {
        let right = board.pick(&mut mix)?;
        let shown = if mix.chance(WITH_TOKEN) { Shown::either(&mut mix) } else { Shown::Nothing };
        let scene = Arc::clone(&scene);
        Some(async move {
            check(&scene, &right, shown).await;
        })
    })
    .await
}

/// Asks about a right; the decision, if there was one.
pub(super) async fn check(scene: &Scene, right: &Right, shown: Shown) -> Option<bool> {
    let ask = question(scene, right, shown);
    let asked = scene.gateway.ask(Some(Workload::Checks), &ask.request, &[200]).await;
    judge(scene, right, &ask, &asked.answer?, false)
}

/// The same of one replica, when everything agrees and nothing is written any more: for longer than the bound, which
/// holds for identities, too, then.
pub(super) async fn check_at(
    scene: &Scene,
    right: &Right,
    (shown, replica): (Shown, usize),
) -> Option<bool> {
    let ask = question(scene, right, shown);
    let gateway = &scene.gateway;
    let asked = gateway.ask_of(Some(Workload::Checks), &ask.request, &[200], &[replica]).await;
    judge(scene, right, &ask, &asked.answer?, true)
}

/// A question, and the write whose token it shows.
struct Ask {
    request: Request,
    at_least: Option<usize>,
}

fn question(scene: &Scene, right: &Right, shown: Shown) -> Ask {
    let tenant = &scene.tenants[right.tenant];
    let mut body = json!({
        "subject": {"type": "user", "id": right.subject},
        "action": {"name": ACTION},
        "resource": {"type": "document", "id": right.resource},
    });
    let token = if shown == Shown::Nothing { None } else { lock(&right.history).token() };
    let at_least = token.as_ref().map(|(write, _)| *write);
    let mut header = None;
    if let Some((_, token)) = token {
        match shown {
            Shown::Body => body["at_least"] = Value::from(&*token),
            _ => header = Some(token),
        }
    }
    let request = Request::send(Service::Edge, Method::POST, tenant.path("check"), &body);
    Ask { request: request.at_least(header), at_least }
}

/// Holds an answer to what is known; its decision.
fn judge(
    scene: &Scene,
    right: &Right,
    ask: &Ask,
    answer: &Answer,
    is_settled: bool,
) -> Option<bool> {
    scene.graph_token(&scene.tenants[right.tenant].id, answer, Workload::Checks);
    let Some(allowed) = answer.json()["decision"].as_bool() else {
        scene.book.violation("answers", || format!("a check without decision: {}", answer.shown()));
        return None;
    };
    let (sent, received) = (answer.sent, answer.received);
    let said = model::Answer { allowed, sent, received, at_least: ask.at_least };
    hold(scene, right, &said, is_settled);
    Some(allowed)
}

/// Holds an answer to the history.
fn hold(scene: &Scene, right: &Right, said: &model::Answer, is_settled: bool) {
    let bound = Some(scene.site.bounds.all());
    let (bound, invariant) = match (right.by, said.allowed) {
        (By::Binding, true) => (bound, "never_grants"),
        (By::Binding, false) => (bound, "never_forgets"),
        // Sync waits for Kafka for as long as Kafka is away.
        (By::Identity, _) => (bound.filter(|_| is_settled), "identities"),
    };
    let counted =
        if said.at_least.is_some() { "checks with a token" } else { "checks without a token" };
    scene.book.tell(counted, 1);
    let history = lock(&right.history);
    if !history.explains(said, bound) {
        scene.book.violation(invariant, || {
            let Right { subject, resource, tenant, .. } = right;
            let tenant = &scene.tenants[*tenant].id;
            let described = history.describe(said, scene.book.begun);
            format!("user {subject} on document {resource} in {tenant}: {described}")
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_right_takes_the_place_of_the_one_before() {
        let right = |resource: &str| {
            let history = Mutex::new(History::new(false, Instant::now()));
            let (subject, resource) = ("u".to_owned(), resource.to_owned());
            Arc::new(Right { tenant: 0, subject, resource, by: By::Binding, history })
        };
        let board = Board::default();
        let (one, two, three) = (right("1"), right("2"), right("3"));
        assert!(board.pick(&mut Mix::new(1, 1)).is_none());
        board.replace(None, Arc::clone(&one));
        board.replace(None, two);
        board.replace(Some(&one), three);
        let names: Vec<_> = board.all().iter().map(|right| right.resource.clone()).collect();
        assert_eq!(names, ["3", "2", "1"], "what it was is asked about, too");
        let mut mix = Mix::new(1, 1);
        let picked: BTreeSet<_> =
            (0..200).filter_map(|_| Some(board.pick(&mut mix)?.resource.clone())).collect();
        assert_eq!(picked.len(), 3);
    }
}

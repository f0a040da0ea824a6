//! Checks, each held to the history of what it asks about.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use reqwest::Method;
use serde_json::{Value, json};

use super::book::{Workload, lock};
use super::gateway::{Request, Service};
use super::model::{self, History};
use super::pace::{Ending, paced};
use super::scene::{ACTION, Scene};
use crate::generate::Mix;

/// Checks under way at most.
const SLOTS: usize = 64;
/// Of a hundred checks, those that show the token of the last write.
const WITH_TOKEN: u32 = 40;

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

/// The rights that are asked about now.
#[derive(Default)]
pub(super) struct Board(RwLock<Vec<Arc<Right>>>);

impl Board {
    /// Puts a right there in the place of another.
    pub(super) fn replace(&self, old: Option<&Arc<Right>>, new: Arc<Right>) {
        let mut rights = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let place = old.and_then(|old| rights.iter().position(|right| Arc::ptr_eq(right, old)));
        match place {
            Some(place) => rights[place] = new,
            None => rights.push(new),
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Right>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pick(&self, mix: &mut Mix) -> Option<Arc<Right>> {
        let rights = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let at = mix.below(u32::try_from(rights.len()).unwrap_or(u32::MAX)) as usize;
        rights.get(at).cloned()
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
        let (scene, with_token) = (Arc::clone(&scene), mix.chance(WITH_TOKEN));
        Some(async move {
            check(&scene, &right, with_token).await;
        })
    })
    .await
}

/// Asks about a right, with the token of its last write if it shall; the decision, if there was one.
pub(super) async fn check(scene: &Scene, right: &Right, with_token: bool) -> Option<bool> {
    let tenant = &scene.tenants[right.tenant];
    let shown = if with_token { lock(&right.history).token() } else { None };
    let mut body = json!({
        "subject": {"type": "user", "id": right.subject},
        "action": {"name": ACTION},
        "resource": {"type": "document", "id": right.resource},
    });
    let at_least = shown.as_ref().map(|(write, _)| *write);
    // A token may come in the body or as a header.
    let mut header = None;
    match shown {
        Some((write, token)) if write % 2 == 0 => header = Some(token),
        Some((_, token)) => body["at_least"] = Value::from(&*token),
        None => {}
    }
    let ask = Request::send(Service::Edge, Method::POST, tenant.path("check"), &body);
    let ask = ask.at_least(header);
    let answer = scene.gateway.ask(Some(Workload::Checks), &ask, &[200]).await.answer?;
    scene.graph_token(&tenant.id, &answer, Workload::Checks);
    let Some(allowed) = answer.json()["decision"].as_bool() else {
        scene.book.violation("answers", || format!("a check without decision: {}", answer.shown()));
        return None;
    };
    let (sent, received) = (answer.sent, answer.received);
    let said = model::Answer { allowed, sent, received, at_least };
    hold(scene, right, &said);
    Some(allowed)
}

/// Holds an answer to the history.
fn hold(scene: &Scene, right: &Right, said: &model::Answer) {
    let bounds = scene.site.bounds;
    let (bound, invariant) = match (right.by, said.allowed) {
        (By::Binding, true) => (Some(bounds.entry_life + bounds.grace), "never_grants"),
        (By::Binding, false) => (Some(bounds.entry_life + bounds.grace), "never_forgets"),
        // Sync waits for Kafka for as long as Kafka is away.
        (By::Identity, _) => (None, "identities"),
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
        assert_eq!(names, ["3", "2"]);
    }
}

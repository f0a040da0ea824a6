//! Lives of users: made, put into a crew and taken out of it, deactivated and reactivated, changed and deleted; each
//! write with an Idempotency-Key, and repeated until it is acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::book::{Workload, lock};
use super::checks::{Board, By, Right, Shown, check};
use super::gateway::{Answer, Request, Service};
use super::model::History;
use super::pace::{Ending, paced};
use super::scene::{Scene, Tenant, vault};
use crate::generate::Mix;

/// Writes under way at most.
const SLOTS: usize = 32;
/// Users of a crew at a time.
const EACH: usize = 4;
/// Statuses of what was made, is shown as it is now, and is gone.
const MADE: &[u16] = &[201];
const SHOWN: &[u16] = &[200];
const GONE: &[u16] = &[204];

/// What is done to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Join,
    Leave,
    Deactivate,
    Reactivate,
    Update,
    /// Of the crew.
    Rename,
    Delete,
}

/// A user as it was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) active: bool,
    pub(super) member: bool,
}

impl Person {
    fn may(&self) -> bool {
        self.active && self.member
    }

    /// What it is after a step.
    fn after(&self, step: Step) -> Self {
        let Self { id, active, member } = self.clone();
        match step {
            Step::Create | Step::Update | Step::Rename => Self { id, active, member },
            Step::Join => Self { id, active, member: true },
            Step::Leave => Self { id, active, member: false },
            Step::Deactivate => Self { id, active: false, member },
            Step::Reactivate => Self { id, active: true, member },
            Step::Delete => Self { id, active: false, member: false },
        }
    }
}

/// What is done next: always something that changes something.
fn next(person: Option<&Person>, mix: &mut Mix) -> Step {
    let Some(person) = person else { return Step::Create };
    match mix.below(20) {
        0 | 1 => Step::Delete,
        2 => Step::Update,
        3 => Step::Rename,
        4..12 if person.active => Step::Deactivate,
        4..12 => Step::Reactivate,
        _ if person.member => Step::Leave,
        _ => Step::Join,
    }
}

/// A user's place: when it is deleted, another one takes it.
struct Place {
    /// Among the tenants.
    tenant: usize,
    crew: String,
    name: String,
    is_busy: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps: u64,
    person: Option<Person>,
    right: Option<Arc<Right>>,
    /// Ids that were deleted.
    gone: Vec<String>,
    /// A step was begun whose outcome nobody knows.
    is_open: bool,
}

/// What the places of a crew hold, as far as that is known.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) crew: String,
    pub(super) person: Option<Person>,
    pub(super) gone: Vec<String>,
}

/// See the module.
pub(super) struct Identities {
    places: Vec<Place>,
    board: Arc<Board>,
}

impl Identities {
    /// Places in all crews, with nobody in them.
    pub(super) fn new(scene: &Scene, board: Arc<Board>) -> Self {
        let mut places = Vec::new();
        for (tenant, of) in scene.tenants.iter().enumerate() {
            for (c, crew) in of.crews.iter().enumerate() {
                places.extend((0..EACH).map(|n| Place {
                    tenant,
                    crew: crew.clone(),
                    name: format!("c{c}u{n}"),
                    is_busy: AtomicBool::new(false),
                    state: Mutex::default(),
                }));
            }
        }
        Self { places, board }
    }

    /// What the places of a tenant hold whose last step was acknowledged.
    pub(super) fn held(&self, tenant: usize) -> Vec<Held> {
        let places = self.places.iter().filter(|place| place.tenant == tenant);
        let held = places.filter_map(|place| {
            let state = lock(&place.state);
            let (person, gone) = (state.person.clone(), state.gone.clone());
            (!state.is_open).then(|| Held { crew: place.crew.clone(), person, gone })
        });
        held.collect()
    }

    fn take(&self, mix: &mut Mix) -> Option<usize> {
        let count = self.places.len();
        let first = mix.below(u32::try_from(count).unwrap_or(u32::MAX)) as usize;
        let mut order = (first..count).chain(0..first);
        order.find(|at| !self.places[*at].is_busy.swap(true, Ordering::AcqRel))
    }

    /// Does one step, and asks about it then.
    async fn turn(&self, scene: &Scene, at: usize, mut mix: Mix, ending: &Ending) {
        let place = &self.places[at];
        let tenant = &scene.tenants[place.tenant];
        let (step, request, write) = {
            let mut state = lock(&place.state);
            let step = next(state.person.as_ref(), &mut mix);
            state.steps += 1;
            state.is_open = true;
            let request = place.request(scene, tenant, step, &state);
            let right = state.right.as_ref().zip(state.person.as_ref());
            let write = right.map(|(right, person)| {
                lock(&right.history).begin(person.after(step).may(), Instant::now())
            });
            (step, request, write)
        };
        let (request, expected, kind) = request;
        let workload = Some(Workload::Identities);
        let asked = scene.gateway.insist(workload, &request, expected, ending).await;
        if let Some(answer) = asked.answer {
            scene.mutated(&tenant.id, &answer, kind);
            let done = self.done(place, (step, write), &answer);
            match done {
                Ok(right) => {
                    check(scene, &right, Shown::either(&mut mix)).await;
                }
                Err(error) => scene.book.violation("answers", || {
                    format!("{kind} in {}: {error:#}: {}", tenant.id, answer.shown())
                }),
            }
        }
        place.is_busy.store(false, Ordering::Release);
    }

    /// Notes an acknowledged step; the right that it is about.
    fn done(
        &self,
        place: &Place,
        (step, write): (Step, Option<usize>),
        answer: &Answer,
    ) -> anyhow::Result<Arc<Right>> {
        let mut state = lock(&place.state);
        if step == Step::Create {
            let id = answer.text("id").context("a user without id")?;
            // Nobody has asked about it yet.
            let history = Mutex::new(History::new(false, Instant::now()));
            let (tenant, resource) = (place.tenant, vault(&place.crew));
            let (subject, by) = (id.clone(), By::Identity);
            let right = Arc::new(Right { tenant, subject, resource, by, history });
            self.board.replace(state.right.as_ref(), Arc::clone(&right));
            state.person = Some(Person { id, active: true, member: false });
            state.right = Some(Arc::clone(&right));
            state.is_open = false;
            return Ok(right);
        }
        let person = state.person.take().context("a step of nobody")?;
        let right = state.right.clone().context("a step without a right")?;
        if let Some(write) = write {
            lock(&right.history).acknowledge(write, Instant::now(), answer.token.clone());
        }
        if step == Step::Delete {
            state.gone.push(person.id);
        } else {
            state.person = Some(person.after(step));
        }
        state.is_open = false;
        Ok(right)
    }
}

/// A request, the statuses that acknowledge it, and the type of the change that it makes.
type Asks = (Request, &'static [u16], &'static str);

impl Place {
    fn request(&self, scene: &Scene, tenant: &Tenant, step: Step, state: &State) -> Asks {
        let id = state.person.as_ref().map(|person| person.id.as_str()).unwrap_or_default();
        let (users, nothing) = (tenant.path("users"), Value::Null);
        let user = format!("{users}/{id}");
        let crew = tenant.path(&format!("teams/{}", self.crew));
        let member = format!("{crew}/members/user/{id}");
        let n = state.steps;
        let email = json!({"email": format!("{}n{n}@{}.example", self.name, tenant.id)});
        let patch = json!({"attributes": {"step": n}});
        let named = json!({"name": format!("{} {n}", self.name)});
        let (method, path, body, expected, kind) = match step {
            Step::Create => (Method::POST, users, email, MADE, "user.created"),
            Step::Join => (Method::PUT, member, nothing, MADE, "team.member_added"),
            Step::Leave => (Method::DELETE, member, nothing, GONE, "team.member_removed"),
            Step::Deactivate => {
                (Method::POST, format!("{user}/deactivate"), nothing, SHOWN, "user.deactivated")
            }
            Step::Reactivate => {
                (Method::POST, format!("{user}/reactivate"), nothing, SHOWN, "user.reactivated")
            }
            Step::Update => (Method::PATCH, user, patch, SHOWN, "user.updated"),
            Step::Rename => (Method::PATCH, crew, named, SHOWN, "team.updated"),
            Step::Delete => (Method::DELETE, user, nothing, GONE, "user.deleted"),
        };
        let request = Request::send(Service::Identity, method, path, &body);
        let key = format!("{}-{}-{}-{n}", scene.id, self.tenant, self.name);
        (request.keyed(key), expected, kind)
    }
}

/// Lets users live.
pub(super) async fn run(
    scene: Arc<Scene>,
    identities: Arc<Identities>,
    rate: u32,
    ending: Ending,
) -> anyhow::Result<()> {
    let key = Mix::key(scene.seed, "identities");
    let (mut mix, mut turns) = (Mix::new(key, 0), 0);
    let (book, until) = (Arc::clone(&scene.book), ending.clone());
    paced((rate, SLOTS), ending, &book, move || {
        let at = identities.take(&mut mix)?;
        turns += 1;
        let own = Mix::new(key, turns);
        let (scene, identities) = (Arc::clone(&scene), Arc::clone(&identities));
        let until = until.clone();
        Some(async move { identities.turn(&scene, at, own, &until).await })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_changes_something_and_all_of_them_come() {
        let (mut mix, mut person) = (Mix::new(1, 1), None::<Person>);
        let mut seen = Vec::new();
        for _ in 0..500 {
            let step = next(person.as_ref(), &mut mix);
            if !seen.contains(&step) {
                seen.push(step);
            }
            person = match (&person, step) {
                (None, step) => {
                    assert_eq!(step, Step::Create);
                    Some(Person { id: "u".to_owned(), active: true, member: false })
                }
                (Some(_), Step::Delete) => None,
                (Some(person), step) => {
                    let after = person.after(step);
                    assert!(
                        matches!(step, Step::Update | Step::Rename) || after != *person,
                        "{step:?} of {person:?}"
                    );
                    Some(after)
                }
            };
        }
        assert_eq!(seen.len(), 8, "{seen:?}");
    }

    #[test]
    fn only_who_is_active_and_in_the_crew_may() {
        let person = Person { id: "u".to_owned(), active: true, member: true };
        assert!(person.may() && person.after(Step::Update).may());
        for step in [Step::Leave, Step::Deactivate, Step::Delete] {
            assert!(!person.after(step).may(), "{step:?}");
        }
    }
}

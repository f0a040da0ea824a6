//! Audit events over HTTP, stamped by the client: a request that is repeated brings the same events.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use super::book::{Workload, lock};
use super::gateway::{Request, Service};
use super::pace::{Ending, paced};
use super::scene::Scene;
use crate::generate::Mix;

/// Requests under way at most.
const SLOTS: usize = 64;
/// Events of one request.
const EACH: u64 = 2;

/// What became of a request, whose number is its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Post {
    /// The time of its events, milliseconds since 1970.
    at_ms: i64,
    /// Whether it was acknowledged; else its events may be there or not.
    pub(super) acknowledged: bool,
}

#[cfg(test)]
impl Post {
    pub(super) fn example(acknowledged: bool) -> Self {
        Self { at_ms: 1_795_356_187_123, acknowledged }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Posts(Mutex<Vec<Post>>);

impl Posts {
    /// All requests.
    pub(super) fn all(&self) -> Vec<Post> {
        lock(&self.0).clone()
    }
}

/// The number of the first event of a request.
fn first(request: usize) -> u64 {
    request as u64 * EACH
}

/// The request that an event is of.
pub(super) fn request_of(event: u64) -> usize {
    usize::try_from(event / EACH).unwrap_or(usize::MAX)
}

/// The events of the requests of a tenant's place among so many.
pub(super) fn of_tenant(
    place: usize,
    tenants: usize,
    requests: usize,
) -> impl Iterator<Item = u64> {
    (0..requests)
        .filter(move |request| request % tenants == place)
        .flat_map(|request| first(request)..first(request) + EACH)
}

/// What the id of a posted event begins with.
pub(super) fn prefix(work: &str) -> String {
    format!("{work}-p")
}

/// Event number `event`, as it is sent and as it is shown, apart from the id that it is stored under.
pub(super) fn event((work, seed): (&str, u64), tenant: &str, event: u64, post: Post) -> Value {
    let mut mix = Mix::new(Mix::key(seed, "posts"), event);
    let time = DateTime::<Utc>::from_timestamp_millis(post.at_ms).unwrap_or_default();
    let status = mix.pick(&["SUCCESS", "FAILURE", "DENIED"]);
    json!({
        "id": format!("{}{event}", prefix(work)),
        "tenant_id": tenant,
        "event_time": time.to_rfc3339_opts(SecondsFormat::Millis, true),
        "actor_id": format!("u-{}", mix.below(50)),
        "actor_type": "user",
        "action": "work.posted",
        "resource_type": "document",
        "resource_id": format!("d-{}", mix.below(1000)),
        "status": status,
        "source_ip": "203.0.113.7",
        "details": {"number": event.to_string(), "note": format!("„{:x}“ ☂", mix.bits())},
    })
}

/// Sends one request until it is acknowledged.
async fn post(scene: &Scene, posts: &Posts, ending: &Ending) {
    let (number, post) = {
        let mut sent = lock(&posts.0);
        sent.push(Post { at_ms: Utc::now().timestamp_millis(), acknowledged: false });
        (sent.len() - 1, sent[sent.len() - 1])
    };
    let tenant = &scene.tenants[number % scene.tenants.len()];
    let work = (scene.id.as_str(), scene.seed);
    let events = first(number)..first(number) + EACH;
    let events: Vec<_> = events.map(|n| event(work, tenant.id.as_str(), n, post)).collect();
    let body = Value::Array(events);
    let request = Request::send(Service::Ingest, Method::POST, tenant.path("audit"), &body);
    let asked = scene.gateway.insist(Some(Workload::Posts), &request, &[202], ending).await;
    let Some(answer) = asked.answer else { return };
    lock(&posts.0)[number].acknowledged = true;
    let ids = |list: &Value| -> Vec<Value> {
        list.as_array().into_iter().flatten().map(|event| event["id"].clone()).collect()
    };
    if ids(&answer.json()["events"]) != ids(&body) {
        scene.book.violation("answers", || format!("receipts for {body}: {}", answer.shown()));
    }
}

/// Posts events, `rate` of them a second.
pub(super) async fn run(
    scene: Arc<Scene>,
    posts: Arc<Posts>,
    rate: u32,
    ending: Ending,
) -> anyhow::Result<()> {
    let requests = rate.div_ceil(u32::try_from(EACH).unwrap_or(1));
    let (book, until) = (Arc::clone(&scene.book), ending.clone());
    paced((requests, SLOTS), ending, &book, move || {
        let (scene, posts, until) = (Arc::clone(&scene), Arc::clone(&posts), until.clone());
        Some(async move { post(&scene, &posts, &until).await })
    })
    .await
}

#[cfg(test)]
mod tests {
    use ingest::event::{Limits, decode};

    use super::*;

    #[test]
    fn an_event_is_taken_and_made_the_same_again() {
        let limits = Limits { max_record_bytes: 65_536, max_fields: 64, max_depth: 16 };
        let post = Post::example(false);
        for number in 0..100 {
            let made = event(("w1", 1), "acme", number, post);
            assert_eq!(made, event(("w1", 1), "acme", number, post));
            let text = made.to_string();
            assert!(decode(text.as_bytes(), &limits).is_ok(), "{text}");
        }
        assert_ne!(event(("w1", 1), "acme", 7, post), event(("w1", 2), "acme", 7, post));
    }

    #[test]
    fn every_event_belongs_to_one_tenant_and_one_request() {
        let mut all: Vec<u64> = (0..3).flat_map(|place| of_tenant(place, 3, 10)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<_>>());
        assert!(of_tenant(1, 3, 10).all(|event| request_of(event) % 3 == 1));
    }
}

//! The audit trail of a tenant: what was posted, what was changed, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Duration, SecondsFormat, Utc};
use contracts::identity::ChangeKind;
use serde_json::Value;

use super::Problem;
use crate::trio::work::gateway::Service;
use crate::trio::work::model::History;
use crate::trio::work::posts::{self, Post};
use crate::trio::work::scene::{Scene, Tenant};

/// Problems of one tenant that are described.
const DESCRIBED: usize = 20;
/// What is audited beside changes and bindings: roles, decisions, tokens and logins, of which nothing is promised here.
const BESIDE: [&str; 3] = ["authz.", "token.", "login."];
/// Pages of a trail at most.
const PAGES: usize = 10_000;

/// What a tenant's trail should have in it.
pub(super) struct Expected {
    pub(super) work: String,
    pub(super) seed: u64,
    pub(super) tenant: String,
    /// Its place among so many.
    pub(super) place: (usize, usize),
    /// The requests of all tenants.
    pub(super) posts: Vec<Post>,
    /// The type of each change of identities.
    pub(super) changes: BTreeMap<u64, &'static str>,
    /// By document, what was done to its binding.
    pub(super) bindings: BTreeMap<String, Tally>,
}

/// Acknowledged writes of a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    touched: u64,
    deleted: u64,
    /// Whether nothing else can have been done.
    exact: bool,
}

impl Tally {
    pub(super) fn of(history: &History) -> Self {
        let (touched, deleted) = (history.acknowledged(true), history.acknowledged(false));
        Self { touched, deleted, exact: history.is_settled() && !history.is_doubtful() }
    }

    /// Of a binding that was made before anything else, perhaps with a repeat.
    pub(super) fn made() -> Self {
        Self { touched: 1, deleted: 0, exact: false }
    }

    /// Whether so many audit events are those of it.
    fn is_told(self, touched: u64, deleted: u64) -> bool {
        if self.exact {
            (touched, deleted) == (self.touched, self.deleted)
        } else {
            touched >= self.touched && deleted >= self.deleted
        }
    }
}

/// What is in a trail.
#[derive(Debug, Default)]
pub(super) struct Trail {
    events: u64,
    ids: BTreeSet<String>,
    posted: BTreeSet<u64>,
    changed: BTreeMap<u64, Vec<String>>,
    /// By document, touched and deleted.
    bound: BTreeMap<String, (u64, u64)>,
    problems: Vec<Problem>,
}

impl Trail {
    /// How many events.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Books one event, as it is shown.
    fn take(&mut self, expected: &Expected, event: &Value) {
        self.events += 1;
        let id = event["id"].as_str().unwrap_or_default();
        let action = event["action"].as_str().unwrap_or_default();
        let number = id.strip_prefix(&posts::prefix(&expected.work));
        let invariant = if number.is_some() { "accounting" } else { "audited" };
        if !self.ids.insert(id.to_owned()) {
            self.problems.push((invariant, format!("there twice: {event}")));
        }
        if let Some(number) = number {
            return self.post(expected, number, event);
        }
        let details = &event["details"];
        if ChangeKind::NAMES.contains(&action) {
            let seq = details["seq"].as_str().and_then(|seq| seq.parse().ok()).unwrap_or(0);
            self.changed.entry(seq).or_default().push(action.to_owned());
        } else if let Some(done) = action.strip_prefix("authz.relationship.") {
            let text = details["relationship"].as_str().unwrap_or_default();
            let relationship: Value = serde_json::from_str(text).unwrap_or_default();
            let document = relationship["on"]["id"].as_str().unwrap_or_default().to_owned();
            let (touched, deleted) = self.bound.entry(document).or_default();
            match done {
                "deleted" => *deleted += 1,
                _ => *touched += 1,
            }
        } else if !BESIDE.iter().any(|of| action.starts_with(of)) {
            self.problems.push(("accounting", format!("nobody sent {event}")));
        }
    }

    fn post(&mut self, expected: &Expected, number: &str, event: &Value) {
        let number = number.parse::<u64>().ok();
        let post = number.and_then(|n| {
            let request = posts::request_of(n);
            let own = request % expected.place.1 == expected.place.0;
            Some((n, *expected.posts.get(request).filter(|_| own)?))
        });
        let Some((number, post)) = post else {
            return self.problems.push(("accounting", format!("nobody posted {event}")));
        };
        let of = (expected.work.as_str(), expected.seed);
        let sent = posts::event(of, &expected.tenant, number, post);
        let mut shown = event.clone();
        let stored = shown.as_object_mut().and_then(|members| members.remove("event_id"));
        if shown != sent || stored.is_none() {
            self.problems.push(("accounting", format!("{event} was posted as {sent}")));
        }
        self.posted.insert(number);
    }

    /// What is wrong with it.
    pub(super) fn judge(mut self, expected: &Expected) -> Vec<Problem> {
        let tenant = &expected.tenant;
        let (place, tenants) = expected.place;
        for event in posts::of_tenant(place, tenants, expected.posts.len()) {
            let post = expected.posts.get(posts::request_of(event));
            if post.is_some_and(|post| post.acknowledged) && !self.posted.contains(&event) {
                let id = format!("{}{event}", posts::prefix(&expected.work));
                self.problems.push(("accounting", format!("{id} in {tenant} is not stored")));
            }
        }
        for (seq, kind) in &expected.changes {
            let told = self.changed.remove(seq).unwrap_or_default();
            if told != [*kind] {
                let text = format!("change {seq} ({kind}) in {tenant} is audited as {told:?}");
                self.problems.push(("audited", text));
            }
        }
        for (seq, told) in &self.changed {
            let text = format!("{told:?} in {tenant} says change {seq}, which was not told");
            self.problems.push(("audited", text));
        }
        for (document, tally) in &expected.bindings {
            let (touched, deleted) = self.bound.remove(document).unwrap_or_default();
            if !tally.is_told(touched, deleted) {
                let text = format!(
                    "the binding of {document} in {tenant} is audited as touched {touched} and deleted \
                     {deleted} times, acknowledged were {tally:?}"
                );
                self.problems.push(("audited", text));
            }
        }
        for (document, done) in &self.bound {
            let text = format!("a binding of {document:?} in {tenant} was never written: {done:?}");
            self.problems.push(("audited", text));
        }
        let count = self.problems.len();
        if count > DESCRIBED {
            let invariant = self.problems[DESCRIBED].0;
            self.problems.truncate(DESCRIBED);
            self.problems.push((invariant, format!("{tenant}: {} more", count - DESCRIBED)));
        }
        self.problems
    }
}

/// Reads a tenant's trail; `None` while nobody answers.
pub(super) async fn read(scene: &Scene, tenant: &Tenant, expected: &Expected) -> Option<Trail> {
    let text = |time: chrono::DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let elapsed = Duration::from_std(scene.book.begun.elapsed()).unwrap_or_default();
    let now = Utc::now();
    let (from, to) = (now - elapsed - Duration::minutes(5), now + Duration::minutes(5));
    let query = format!("audit?from={}&to={}&order=oldest&limit=1000", text(from), text(to));
    let (mut trail, mut next) = (Trail::default(), String::new());
    for _ in 0..PAGES {
        let path = tenant.path(&format!("{query}{next}"));
        let page = scene.gateway.read(Service::Ingest, path).await?.json();
        for event in page["events"].as_array()? {
            trail.take(expected, event);
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return Some(trail),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;

    fn expected() -> Expected {
        let mut history = History::new(false, Instant::now());
        for allowed in [true, false] {
            let write = history.begin(allowed, Instant::now());
            history.acknowledge(write, Instant::now(), None);
        }
        Expected {
            work: "w1".to_owned(),
            seed: 1,
            tenant: "acme".to_owned(),
            place: (0, 1),
            posts: vec![Post::example(true), Post::example(false)],
            changes: BTreeMap::from([(1, "user.created")]),
            bindings: BTreeMap::from([
                ("d-1".to_owned(), Tally::of(&history)),
                ("vault-1".to_owned(), Tally::made()),
            ]),
        }
    }

    fn posted(expected: &Expected, number: u64) -> Value {
        let post = expected.posts[posts::request_of(number)];
        let mut event = posts::event(("w1", 1), "acme", number, post);
        event["event_id"] = "00000000-0000-1000-8000-000000000000".into();
        event
    }

    fn bound(id: &str, done: &str, document: &str) -> Value {
        let on = json!({"on": {"type": "document", "id": document}});
        json!({"id": id, "action": format!("authz.relationship.{done}"),
            "details": {"relationship": on.to_string()}})
    }

    fn changed(id: &str, action: &str, seq: u64) -> Value {
        json!({"id": id, "action": action, "details": {"seq": seq.to_string()}})
    }

    /// All that is expected, apart from those at these places.
    fn all_but(expected: &Expected, except: &[usize]) -> Vec<Value> {
        let all = [
            posted(expected, 0),
            posted(expected, 1),
            changed("a", "user.created", 1),
            bound("b", "touched", "d-1"),
            bound("c", "deleted", "d-1"),
            bound("d", "touched", "vault-1"),
            json!({"id": "e", "action": "authz.role.put"}),
        ];
        let kept = all.into_iter().enumerate().filter(|(at, _)| !except.contains(at));
        kept.map(|(_, event)| event).collect()
    }

    fn problems(expected: &Expected, events: &[Value]) -> Vec<&'static str> {
        let mut trail = Trail::default();
        events.iter().for_each(|event| trail.take(expected, event));
        trail.judge(expected).into_iter().map(|(invariant, _)| invariant).collect()
    }

    #[test]
    fn what_is_there_once_is_as_it_should_be_and_what_nobody_acknowledged_may_be() {
        let expected = expected();
        let mut events = all_but(&expected, &[]);
        assert_eq!(problems(&expected, &events), [""; 0]);
        events.push(posted(&expected, 2));
        assert_eq!(problems(&expected, &events), [""; 0]);
    }

    #[test]
    fn what_is_missing_is_found() {
        let expected = expected();
        for at in 0..6 {
            let invariant = if at < 2 { "accounting" } else { "audited" };
            assert_eq!(problems(&expected, &all_but(&expected, &[at])), [invariant], "{at}");
        }
    }

    #[test]
    fn what_is_there_twice_or_was_never_sent_is_found() {
        let expected = expected();
        let with = |event: Value| {
            let mut events = all_but(&expected, &[]);
            events.push(event);
            problems(&expected, &events)
        };
        assert_eq!(with(posted(&expected, 0)), ["accounting"], "twice");
        assert_eq!(
            with(changed("a2", "user.created", 1)),
            ["audited"],
            "of one change, two events"
        );
        assert_eq!(with(changed("a2", "user.deleted", 2)), ["audited"], "of no change");
        assert_eq!(with(bound("b2", "touched", "d-1")), ["audited"]);
        assert_eq!(with(bound("b2", "touched", "d-2")), ["audited"], "of no binding");
        assert_eq!(with(bound("b2", "touched", "")), ["audited"], "of nobody knows what");
        let mut strange = posted(&expected, 0);
        strange["id"] = "w1-p99".into();
        assert_eq!(with(strange), ["accounting"]);
        assert_eq!(with(json!({"id": "x", "action": "odd"})), ["accounting"]);
    }

    #[test]
    fn other_content_is_found() {
        let expected = expected();
        let mut events = all_but(&expected, &[]);
        events[0]["status"] = "OTHER".into();
        assert_eq!(problems(&expected, &events), ["accounting"]);
    }

    #[test]
    fn of_a_doubtful_binding_more_may_be_told_but_not_less() {
        let tally = Tally { touched: 1, deleted: 1, exact: false };
        assert!(tally.is_told(2, 1) && tally.is_told(1, 1) && !tally.is_told(0, 1));
        let tally = Tally { exact: true, ..tally };
        assert!(!tally.is_told(2, 1));
    }
}

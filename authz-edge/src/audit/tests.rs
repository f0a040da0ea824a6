//! What becomes an event, and what becomes of it.

use std::collections::VecDeque;
use std::sync::Mutex;

use contracts::audit::{ActorType, AuditEvent, Status};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use service_kit::auth::AuthMode;
use service_kit::bus::{Ack, BusError, PublishError, Record};
use service_kit::shutdown::Shutdown;
use tokio::task::JoinHandle;

use super::*;
use crate::ext_authz::tests::world::{World, bearer, config, routes, status};

/// Keeps what it takes, after it has answered as it was told.
#[derive(Default)]
struct Bus {
    answers: Mutex<VecDeque<PublishError>>,
    offered: Mutex<Vec<Record>>,
    taken: Mutex<Vec<Record>>,
    dead: Option<String>,
}

impl Publisher for Bus {
    async fn publish(&self, topic: &str, record: Record) -> Result<Ack, PublishError> {
        assert_eq!(topic, "audit");
        self.offered.lock().unwrap().push(record.clone());
        if let Some(error) = self.answers.lock().unwrap().pop_front() {
            return Err(error);
        }
        let mut taken = self.taken.lock().unwrap();
        taken.push(record);
        Ok(Ack { partition: 0, offset: i64::try_from(taken.len()).unwrap() })
    }

    async fn partitions(&self, _: &str) -> Result<i32, BusError> {
        Ok(1)
    }

    fn fatal(&self) -> Option<String> {
        self.dead.clone()
    }
}

fn configured(mode: Mode, queue: usize) -> DecisionAuditConfig {
    DecisionAuditConfig { mode, sample_one_in: 10, queue }
}

/// What was published, once nobody audits any more.
pub(crate) struct Recorded {
    bus: Arc<Bus>,
    publishing: JoinHandle<()>,
}

impl Recorded {
    pub(crate) async fn events(self) -> Vec<AuditEvent> {
        self.publishing.await.unwrap();
        let taken = self.bus.taken.lock().unwrap();
        let event = |record: &Record| {
            let event: AuditEvent = serde_json::from_slice(&record.payload).unwrap();
            assert_eq!(record.key.as_deref(), Some(event.tenant_id.as_str().as_bytes()));
            event
        };
        taken.iter().map(event).collect()
    }
}

/// An audit, and what it publishes.
pub(crate) fn recorded(mode: Mode, queue: usize) -> (DecisionAudit, Recorded) {
    let bus = Arc::new(Bus::default());
    let (audit, publishing) =
        DecisionAudit::new(&configured(mode, queue), Arc::clone(&bus), "audit");
    let (_never, forever) = Shutdown::new();
    let publishing = tokio::spawn(publishing.unwrap().run(forever));
    (audit, Recorded { bus, publishing })
}

fn answer(audit: &DecisionAudit, resource: &str, allowed: bool) {
    let tenant = TenantId::parse("acme").unwrap();
    let attempt = Attempt {
        tenant: &tenant,
        subject_type: "user",
        subject: "u-1",
        action: "read",
        resource_type: "doc",
        resource,
    };
    let headers = HeaderMap::from_iter([(
        service_kit::track::REQUEST_ID,
        axum::http::HeaderValue::from_static("r-1"),
    )]);
    let caller = Some("service_account:gateway");
    let asker = Asker { caller, headers: &headers, route: Route::Check };
    audit.answered(attempt, (allowed, Revision(7)), &asker);
}

/// What the metric says of `queued`, `dropped`, `published`, `failed`, `retried`.
fn counted(metrics: &PrometheusHandle) -> [u64; 5] {
    let text = metrics.render();
    ["queued", "dropped", "published", "failed", "retried"].map(|outcome| {
        let series = format!("triad_authz_decision_audit_total{{outcome=\"{outcome}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.map_or(0, |value| value.parse().unwrap())
    })
}

/// Runs with metrics of its own, on one thread, which is how they are found.
fn with_metrics(test: impl AsyncFnOnce(&PrometheusHandle)) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(test(&handle)));
}

#[tokio::test]
async fn an_event_says_who_attempted_what_and_who_asked() {
    let (audit, kafka) = recorded(Mode::All, 10);
    answer(&audit, "7", true);
    answer(&audit, "8", false);
    drop(audit);
    let events = kafka.events().await;
    let [allowed, denied] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&*allowed.action, allowed.tenant_id.as_str()), ("authz.check", "acme"));
    assert_eq!(
        (allowed.actor_type, allowed.actor_id.as_deref()),
        (Some(ActorType::User), Some("u-1"))
    );
    assert_eq!(allowed.resource_type.as_deref(), Some("doc"));
    assert_eq!(
        (allowed.resource_id.as_deref(), denied.resource_id.as_deref()),
        (Some("7"), Some("8"))
    );
    assert_eq!((allowed.status, denied.status), (Some(Status::Success), Some(Status::Denied)));
    let expected = json!({"action": "read", "caller": "service_account:gateway",
        "request_id": "r-1", "revision": "7", "route": "check"});
    assert_eq!(json!(allowed.details), expected);
    assert!(allowed.id.is_some() && allowed.id != denied.id && allowed.event_time.is_some());
}

#[tokio::test]
async fn only_denials_are_audited_where_denials_are() {
    let (audit, kafka) = recorded(Mode::Denied, 10);
    for (resource, allowed) in [("1", true), ("2", false), ("3", true)] {
        answer(&audit, resource, allowed);
    }
    drop(audit);
    let events = kafka.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].resource_id.as_deref(), events[0].status),
        (Some("2"), Some(Status::Denied))
    );
}

#[tokio::test]
async fn a_sample_is_exactly_one_in_so_many_whoever_asks() {
    let (audit, kafka) = recorded(Mode::Sampled, 1000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..250).for_each(|_| answer(&audit, "7", true)));
        }
    });
    drop(audit);
    let events = kafka.events().await;
    assert_eq!(events.len(), 100);
    assert!(events.iter().all(|event| event.details["sampled_one_in"] == "10"));
}

#[tokio::test]
async fn what_is_no_id_is_left_out_and_not_published_as_one() {
    let (audit, kafka) = recorded(Mode::All, 10);
    answer(&audit, &"x".repeat(129), false);
    answer(&audit, "a\nb", false);
    drop(audit);
    let events = kafka.events().await;
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.resource_id.is_none() && event.actor_id.is_some()));
}

#[test]
fn a_full_queue_drops_and_counts_and_checks_are_answered() {
    with_metrics(async |metrics| {
        let bus = Arc::new(Bus::default());
        let (audit, publishing) =
            DecisionAudit::new(&configured(Mode::All, 1), Arc::clone(&bus), "audit");
        let world = World::audited(AuthMode::Jwt, &config(&routes()), audit).await;
        let bearer = bearer("acme", "user:u-1");
        for (method, expected) in [("GET", 200), ("PUT", 403), ("GET", 200)] {
            let verdict = world.ask(method, "/v1/docs/7", &[("authorization", &bearer)]).await;
            assert_eq!(status(&verdict), expected);
        }
        assert_eq!(counted(metrics), [1, 2, 0, 0, 0]);
        // What was queued is published once somebody does; and then there is room again.
        let (last, ended) = Shutdown::new();
        last.trigger();
        publishing.unwrap().run(ended).await;
        assert_eq!(counted(metrics), [1, 2, 1, 0, 0]);
        let event: AuditEvent =
            serde_json::from_slice(&bus.taken.lock().unwrap()[0].payload).unwrap();
        let expected = json!({"action": "read", "caller": "user:u-1", "revision": "10",
            "route": "ext_authz"});
        assert_eq!(json!(event.details), expected);
    });
}

#[tokio::test]
async fn denials_without_a_check_are_audited_when_it_is_known_whose_they_are() {
    let (audit, kafka) = recorded(Mode::Denied, 10);
    let world = World::audited(AuthMode::Jwt, &config(&routes()), audit).await;
    let bearer = bearer("acme", "user:u-1");
    let long = format!("/v1/docs/{}", "x".repeat(200));
    for path in ["/nowhere", &long] {
        assert_eq!(status(&world.ask("GET", path, &[("authorization", &bearer)]).await), 403);
    }
    assert_eq!(status(&world.ask("GET", "/v1/docs/7", &[]).await), 401);
    drop(world);
    let events = kafka.events().await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((events[0].actor_id.as_deref(), &events[0].resource_id), (Some("u-1"), &None));
}

#[test]
fn what_is_not_taken_is_offered_again_as_the_same_event() {
    with_metrics(async |metrics| {
        tokio::time::pause();
        let unknown = || PublishError::UnknownOutcome("timed out".to_owned());
        let large = PublishError::TooLarge { bytes: 2, limit: 1 };
        let answers = [unknown(), large, PublishError::QueueFull, unknown()];
        let bus = Arc::new(Bus { answers: Mutex::new(answers.into()), ..Bus::default() });
        let (audit, publishing) =
            DecisionAudit::new(&configured(Mode::All, 3), Arc::clone(&bus), "audit");
        for resource in ["1", "2", "3"] {
            answer(&audit, resource, true);
        }
        drop(audit);
        let (_never, forever) = Shutdown::new();
        publishing.unwrap().run(forever).await;
        // Three, then the first and the last of them, then the first again.
        let (offered, taken) = (bus.offered.lock().unwrap(), bus.taken.lock().unwrap());
        assert_eq!((offered.len(), taken.len()), (6, 2));
        assert_eq!(
            (&offered[3], &offered[4], &offered[5]),
            (&offered[0], &offered[2], &offered[0])
        );
        assert_eq!(counted(metrics), [3, 0, 2, 1, 3]);
    });
}

#[test]
fn what_is_left_when_it_ends_is_counted_as_failed() {
    with_metrics(async |metrics| {
        let answers = vec![PublishError::Refused("fenced".to_owned())];
        let dead = Some("fenced".to_owned());
        let bus = Bus { answers: Mutex::new(answers.into()), dead, ..Bus::default() };
        let (audit, publishing) =
            DecisionAudit::new(&configured(Mode::All, 8), Arc::new(bus), "audit");
        for resource in ["1", "2", "3"] {
            answer(&audit, resource, true);
        }
        // The publisher is dead: what it did not take is not offered for ever.
        publishing.unwrap().run(Shutdown::new().1).await;
        assert_eq!(counted(metrics), [3, 0, 2, 1, 1]);
        answer(&audit, "4", true);
        assert_eq!(counted(metrics)[1], 1, "nobody is there to publish it");
    });
}

#[test]
fn with_off_there_is_nothing_to_publish_and_values_out_of_range_are_refused() {
    let bus = Arc::new(Bus::default());
    let (audit, publishing) = DecisionAudit::new(&configured(Mode::Off, 1), bus, "audit");
    assert!(audit.0.is_none() && publishing.is_none());
    let sample = DecisionAuditConfig { sample_one_in: 0, ..configured(Mode::Sampled, 1) };
    for (config, key) in [
        (configured(Mode::All, 0), "decision_audit.queue"),
        (configured(Mode::All, 1_000_001), "decision_audit.queue"),
        (sample, "decision_audit.sample_one_in"),
    ] {
        assert_eq!(config.validate().unwrap_err().key(), key);
    }
    assert!(configured(Mode::All, 1_000_000).validate().is_ok());
}

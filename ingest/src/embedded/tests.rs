//! The store against the model of the page algorithm, and against restarts.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use contracts::TenantId;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use service_kit::bus::local::{Kind, LocalBus, Sink};
use service_kit::bus::{Ack, Bus, PublishError, PublisherOptions, Record};
use service_kit::config::{Source, load};
use service_kit::embedded::Folder;

use super::*;
use crate::destination::Destination;
use crate::event::{Origin, Ticks};
use crate::query::model::Model;
use crate::query::store::Store as _;
use crate::query::{self, Engine, Filter, Order, RangeQuery, TimeRange};

const DAY: i64 = 86_400_000;

fn config() -> Config {
    let env_prefix = "TRIAD_INGEST__";
    load(&Source { defaults: crate::config::DEFAULTS, file: None, env_prefix, env: Vec::new() })
        .unwrap()
}

struct Bed {
    store: AuditStore,
    bus: Bus,
    _folder: Folder,
}

fn open(path: &Path) -> Bed {
    let (folder, config) = (Folder::take(path).unwrap(), config());
    let disk = Disk::open(&folder).unwrap();
    let letters = config.kafka.dead_letter_topic.as_str();
    let bus = LocalBus::open(&disk, [(letters, Kind::Durable(Duration::ZERO))]).unwrap();
    let bus = Bus::Local(bus);
    let options = PublisherOptions {
        client_id: String::new(),
        max_buffer_kib: 0,
        timeout: Duration::ZERO,
        max_message_bytes: usize::MAX,
    };
    let publisher = bus.publisher(options).unwrap();
    Bed { store: AuditStore::open(&config, &disk, publisher).unwrap(), bus, _folder: folder }
}

impl Bed {
    async fn take(&self, event: &serde_json::Value) -> Result<Ack, PublishError> {
        let payload = Bytes::from(serde_json::to_vec(event).unwrap());
        Sink::take(&self.store, Record { payload, ..Record::default() }).await
    }

    /// As a request's.
    async fn accept(&self, events: &[serde_json::Value], now: i64) -> Result<Ack, PublishError> {
        let origin = Origin { topic: "".into(), partition: 0, offset: 0, timestamp: now };
        let keep = |event: &serde_json::Value| {
            let text = event.to_string();
            let judged = self.store.0.judge.judge(text.as_bytes(), &origin).unwrap();
            self.store.keep(&text, &judged, Ticks::from_millis(now))
        };
        let rows = events.iter().map(keep).collect();
        let tenant = TenantId::parse("acme").unwrap();
        let outcomes = Destination::take(&self.store, &tenant, None, rows).await;
        outcomes.into_iter().next().unwrap()
    }

    /// Every event of a tenant, page by page.
    async fn all(&self, tenant: &str, filter: Filter, order: Order, limit: usize) -> Vec<String> {
        let layouts = self.store.layouts();
        pages(self.store.clone(), layouts, tenant, filter, order, limit).await
    }
}

async fn pages<S: query::store::Store>(
    store: S,
    layouts: Arc<Layouts>,
    tenant: &str,
    filter: Filter,
    order: Order,
    limit: usize,
) -> Vec<String> {
    let options = query::Options::new(&config().query, &config().limits);
    let engine = Engine::new(store, move || Some(Arc::clone(&layouts)), options);
    let tenant = TenantId::parse(tenant).unwrap();
    let range = TimeRange { from: Ticks::EPOCH, to: Ticks::MAX };
    let query = RangeQuery { tenant, range, filter, order };
    let (mut resume, mut found) = (None, Vec::new());
    loop {
        let now = Utc::now().timestamp_millis();
        let page = engine.page(&query, resume, limit, now).await.unwrap();
        found.extend(page.events.iter().map(|event| format!("{event:?}")));
        resume = page.next;
        if resume.is_none() {
            return found;
        }
    }
}

fn events(now: i64) -> impl Strategy<Value = Vec<serde_json::Value>> {
    let ago = prop_oneof![Just(0), 1000_i64..1003, 0..5 * DAY, 20 * DAY..25 * DAY];
    let word = || proptest::option::of("[ab]");
    let one = (ago, 0_u8..40, word(), word(), "[ab]", any::<bool>());
    let one = one.prop_map(move |(ago, id, actor, resource, action, more)| {
        let time = Ticks::from_millis(now - ago).to_rfc3339();
        let details = if more { json!({"k": "v", "n": 7}) } else { json!({}) };
        let ip = if more { Some("2001:db8::7") } else { Some("203.0.113.7") };
        json!({"id": format!("e-{id}"), "event_time": time, "actor_id": actor, "resource_id": resource,
            "resource_type": "document", "action": action, "status": "DENIED", "source_ip": ip, "details": details})
    });
    proptest::collection::vec(one, 0..60)
}

/// What the model holds of the same events.
fn model(store: &AuditStore, tenant: &str, events: &[serde_json::Value], now: i64) -> Model {
    let mut model = Model::default();
    for event in events {
        let text = serde_json::to_vec(event).unwrap();
        let origin = Origin { topic: "".into(), partition: 0, offset: 0, timestamp: now };
        let judged = store.0.judge.judge(&text, &origin).unwrap();
        let own = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        let event = &judged.event;
        let details = event.details.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let stored = query::StoredEvent {
            position: query::Position { time: judged.time.millis(), id: judged.id },
            source_id: own(&event.id),
            actor_id: own(&event.actor_id),
            actor_type: own(&event.actor_type),
            action: event.action.to_string(),
            resource_id: own(&event.resource_id),
            resource_type: own(&event.resource_type),
            status: own(&event.status),
            source_ip: event.source_ip,
            details,
        };
        model.insert(&store.layouts(), tenant, stored);
    }
    model
}

#[test]
fn pages_are_those_of_the_model_whatever_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let (bed, now) = (open(dir.path()), Utc::now().timestamp_millis());
    let field = || proptest::option::weighted(0.3, "[ab]");
    let case = (events(now), field(), field(), any::<bool>(), 1_usize..20);
    let cases = std::sync::atomic::AtomicUsize::new(0);
    let mut runner = TestRunner::new(ProptestConfig { cases: 48, ..ProptestConfig::default() });
    let outcome = runner.run(&case, |(mut events, actor_id, action, newest, limit)| {
        let case = cases.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // One is the beginning of the other: what separates them counts.
        let (tenant, other) = (format!("t{case}"), format!("t{case}-"));
        for event in &mut events {
            event["tenant_id"] = json!(tenant);
        }
        let filter = Filter { actor_id, action, ..Filter::default() };
        let order = if newest { Order::Newest } else { Order::Oldest };
        runtime.block_on(async {
            // All at once, as a request's, and one by one, as records.
            let (whole, alone) = events.split_at(events.len() / 2);
            bed.accept(whole, now).await.unwrap();
            for event in alone {
                bed.take(event).await.unwrap();
            }
            for event in &events {
                let mut elsewhere = event.clone();
                elsewhere["tenant_id"] = json!(other);
                bed.take(&elsewhere).await.unwrap();
            }
            let model = model(&bed.store, &tenant, &events, now);
            let layouts = bed.store.layouts();
            let expected = pages(model, layouts, &tenant, filter.clone(), order, limit).await;
            let found = bed.all(&tenant, filter.clone(), order, limit).await;
            prop_assert_eq!(found, expected);
            Ok(())
        })
    });
    outcome.unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart_and_once_however_often_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let time = Ticks::from_millis(Utc::now().timestamp_millis()).to_rfc3339();
    let event = |action: &str| json!({"tenant_id": "acme", "id": "e", "event_time": time, "action": action});
    let bed = open(dir.path());
    for action in ["read", "read", "write"] {
        bed.take(&event(action)).await.unwrap();
    }
    drop(bed);
    let bed = open(dir.path());
    bed.take(&event("read")).await.unwrap();
    let all = bed.all("acme", Filter::default(), Order::Newest, 10).await;
    assert_eq!(all.len(), 2, "one content is one row, another is another");
    // Without id and time each is an event of its own.
    for _ in 0..2 {
        bed.take(&json!({"tenant_id": "ecma", "action": "read"})).await.unwrap();
    }
    assert_eq!(bed.all("ecma", Filter::default(), Order::Oldest, 10).await.len(), 2);
}

#[tokio::test]
async fn what_breaks_a_rule_is_a_dead_letter_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let bed = open(dir.path());
    let letters = bed.bus.follow(&config().kafka.dead_letter_topic).await.unwrap();
    bed.take(&json!({"tenant_id": "acme"})).await.unwrap();
    let letter = letters.next(Duration::from_secs(10)).await.unwrap().unwrap();
    let reason = letter.headers.iter().find(|(name, _)| name == contracts::audit::header::REASON);
    assert_eq!(reason.unwrap().1, "missing_field");
    assert_eq!(letter.payload.unwrap(), r#"{"tenant_id":"acme"}"#);
    assert!(bed.all("acme", Filter::default(), Order::Newest, 10).await.is_empty());
}

#[tokio::test]
async fn rows_whose_life_is_over_are_not_read_and_then_deleted_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let (bed, now) = (open(dir.path()), Utc::now().timestamp_millis());
    let year = 365 * DAY;
    // As if they had been written in time.
    let put = async |tenant: &str, age: i64, id: &str| {
        let time = Ticks::from_millis(now - age).to_rfc3339();
        let text =
            json!({"tenant_id": tenant, "id": id, "event_time": time, "action": "x"}).to_string();
        let origin = Origin { topic: "".into(), partition: 0, offset: 0, timestamp: now - age };
        let judged = bed.store.0.judge.judge(text.as_bytes(), &origin).unwrap();
        let row = bed.store.keep(&text, &judged, Ticks::from_millis(now - age));
        bed.store.store([row]).await.unwrap();
    };
    for tenant in ["acme", "acme-b", "z"] {
        for n in 0..3 {
            put(tenant, year + 1000 + n, &format!("old-{n}")).await;
            put(tenant, year - 100_000 - n, &format!("young-{n}")).await;
        }
    }
    let left = async || {
        let mut left = Vec::new();
        for tenant in ["acme", "acme-b", "z"] {
            left.push(bed.all(tenant, Filter::default(), Order::Oldest, 10).await.len());
        }
        left
    };
    assert_eq!(left().await, [3, 3, 3], "the old ones are not read");
    assert_eq!(bed.store.0.tables[0].iter().count(), 18);
    assert_eq!(bed.store.delete_old(now).await, Ok(9));
    assert_eq!(bed.store.0.tables[0].iter().count(), 9);
    assert_eq!(left().await, [3, 3, 3]);
    assert_eq!(bed.store.delete_old(now).await, Ok(0));
}

#[tokio::test]
async fn one_event_is_found_by_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let bed = open(dir.path());
    let event = json!({"tenant_id": "acme", "id": "e", "action": "x"});
    bed.take(&event).await.unwrap();
    let layout = Layout::DEFAULT;
    let slice = query::store::Slice {
        class: layout.class,
        tenant: "acme",
        bucket: crate::layout::Bucket::new(layout.granularity, 0, None),
        from: 0,
        to: i64::MAX,
        order: Order::Newest,
        after: None,
        filter: &Filter::default(),
        limit: 5,
    };
    let at = bed.store.fetch(slice).await.unwrap()[0].position;
    let get = async |tenant| bed.store.get(layout.class, tenant, slice.bucket, at).await.unwrap();
    assert_eq!(get("acme").await.unwrap().source_id.as_deref(), Some("e"));
    assert!(get("ecma").await.is_none());
}

#[tokio::test]
async fn every_row_leaves_once_and_behind_the_last_one_that_left() {
    let dir = tempfile::tempdir().unwrap();
    let bed = open(dir.path());
    for (tenant, id) in [("acme", "1"), ("acme-b", "2"), ("acme", "3"), ("z", "4")] {
        bed.take(&json!({"tenant_id": tenant, "id": id, "action": "x"})).await.unwrap();
    }
    let all: Vec<_> = bed.store.leaving(None).map(Result::unwrap).collect();
    let tenants: Vec<_> = all.iter().map(|row| row.tenant.as_str()).collect();
    assert_eq!(tenants, ["acme", "acme", "acme-b", "z"]);
    let rest: Vec<_> =
        bed.store.leaving(Some(&all[1].place)).map(|row| row.unwrap().place).collect();
    assert_eq!(rest, [all[2].place.clone(), all[3].place.clone()]);
    assert_eq!(bed.store.leaving(Some(&all[3].place)).count(), 0);
    let found = bed.store.tenants().unwrap();
    assert_eq!(
        found.iter().map(|(tenant, ..)| tenant.as_str()).collect::<Vec<_>>(),
        ["acme", "acme-b", "z"]
    );
    assert_eq!((found[0].1, found[0].2), (all[0].time, all[1].time));
}

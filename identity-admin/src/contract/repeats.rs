//! What is done once though it is asked for twice, and what is forgotten.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use contracts::TenantId;
use contracts::identity::Change;
use serde_json::json;
use service_kit::bus::{Ack, BusError, PublishError, Publisher, Record};
use service_kit::shutdown::Shutdown;

use super::bed::{Answer, Bed};
use super::on_each_database;
use crate::change::{Topic, outbox_level, renumber};
use crate::db::params;
use crate::relay::{Lease, Options, Relay, parked};
use crate::sweep;

on_each_database!(
    a_repeat_gets_the_first_answer_for_a_day,
    what_has_ended_is_swept_and_nothing_else,
    a_lease_is_one_holder_s_until_it_ends,
    the_relay_tells_every_change_in_order_and_forgets_it,
    what_is_too_large_is_parked_until_an_operator_decides,
    numbers_go_on_behind_all_that_was_told_before_a_restore,
);

async fn keyed(bed: &Bed, key: &str, path: &str, body: serde_json::Value) -> Answer {
    bed.ask(("POST", path), &[("idempotency-key", key)], body.to_string()).await
}

async fn a_repeat_gets_the_first_answer_for_a_day(bed: &Bed) {
    let users = "/v1/tenants/acme/users";
    let body = json!({"email": "ada@x.y"});
    let first = keyed(bed, "k", users, body.clone()).await.must(201);
    let again = keyed(bed, "k", users, body.clone()).await.must(201);
    assert_eq!((first.text.as_str(), first.etag()), (again.text.as_str(), again.etag()));
    keyed(bed, "k", users, json!({"email": "eve@x.y"})).await.must(422);
    assert_eq!(bed.changes("acme").await.len(), 3, "a repeat takes no number");
    // What was refused may be asked again.
    keyed(bed, "l", users, body.clone()).await.must(409);
    bed.delete(&format!("{users}/{}", first.id())).await.must(204);
    let second = keyed(bed, "l", users, body).await.must(201);
    // A secret is kept encrypted, and told again.
    let accounts = "/v1/tenants/acme/service-accounts";
    let account = bed.post(accounts, json!({"name": "s"})).await.must(201).id();
    let keys = format!("{accounts}/{account}/keys");
    let secret = keyed(bed, "m", &keys, json!({"name": "n"})).await.must(201);
    let again = keyed(bed, "m", &keys, json!({"name": "n"})).await.must(201);
    assert_eq!(again.body["secret"], secret.body["secret"]);
    let kept = bed.db.rows("SELECT answer, key_id FROM idempotency_keys", params![]).await.unwrap();
    let text = secret.body["secret"].as_str().unwrap();
    for row in &kept {
        assert!(!String::from_utf8_lossy(&row.bytes("answer").unwrap()).contains(text));
    }
    assert_eq!(kept.iter().filter(|row| row.opt_text("key_id").unwrap().is_some()).count(), 1);
    // Its life is over: it gives way.
    bed.step(chrono::Duration::hours(24));
    bed.delete(&format!("{users}/{}", second.id())).await.must(204);
    let third = keyed(bed, "k", users, json!({"email": "other@x.y"})).await.must(201);
    assert_ne!(third.id(), first.id());
    bed.changes("acme").await;
}

async fn what_has_ended_is_swept_and_nothing_else(bed: &Bed) {
    let now = bed.core.clock.now();
    let micro = chrono::Duration::microseconds(1);
    let sql = "INSERT INTO login_attempts (id, failures, expires_at) VALUES (?, 1, ?)";
    // More than one batch, many at one time.
    for n in 0..1203_u32 {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let ends = now - micro * i32::try_from(n / 3).unwrap();
        bed.db.execute(sql, params![&id, ends]).await.unwrap();
    }
    bed.db.execute(sql, params![&[9; 32], now + micro]).await.unwrap();
    assert_eq!(sweep::once(&bed.core, "login_attempts").await.unwrap(), 1203);
    for table in sweep::TABLES {
        assert_eq!(sweep::once(&bed.core, table).await.unwrap(), 0, "{table}");
    }
    let left = "SELECT COUNT(*) AS n FROM login_attempts";
    assert_eq!(bed.count(left, params![]).await, 1);
}

async fn a_lease_is_one_holder_s_until_it_ends(bed: &Bed) {
    let life = Duration::from_secs(10);
    let (now, db) = (bed.core.clock.now(), &bed.db);
    let mut one = Lease::new("outbox", "one".to_owned(), life);
    let mut other = Lease::new("outbox", "other".to_owned(), life);
    assert!(one.hold(db, now).await.unwrap());
    assert!(!other.hold(db, now + Duration::from_secs(9)).await.unwrap());
    let held = "SELECT term AS n FROM relay_leases WHERE name = 'outbox'";
    assert_eq!(bed.count(held, params![]).await, 1);
    assert!(other.hold(db, now + life).await.unwrap());
    assert_eq!(bed.count(held, params![]).await, 2, "another holder is another term");
    assert!(!Lease::new("none", "one".to_owned(), life).hold(db, now).await.unwrap());
}

/// Takes all that is not larger than it may be.
#[derive(Clone, Default)]
struct Bus {
    taken: Arc<Mutex<Vec<(String, Record)>>>,
    limit: usize,
}

impl Publisher for Bus {
    async fn publish(&self, topic: &str, record: Record) -> Result<Ack, PublishError> {
        let bytes = record.payload.len();
        if bytes > self.limit {
            return Err(PublishError::TooLarge { bytes, limit: self.limit });
        }
        let mut taken = self.taken.lock().unwrap();
        taken.push((topic.to_owned(), record));
        Ok(Ack { partition: 0, offset: i64::try_from(taken.len()).unwrap() })
    }

    async fn partitions(&self, _: &str) -> Result<i32, BusError> {
        Ok(1)
    }
}

/// Relays all that waits, as at the end of a process; the changes of `acme` that were told.
async fn relayed(bed: &Bed, limit: usize) -> Vec<Change> {
    let options = Options {
        changes_topic: "changes".to_owned(),
        audit_topic: "audit".to_owned(),
        lease: Duration::from_secs(10),
        poll: Duration::from_millis(100),
        batch: 3,
    };
    let bus = Bus { limit, ..Bus::default() };
    let relay = Relay::new(Arc::clone(&bed.core), bus.clone(), options, "test".to_owned());
    let (trigger, shutdown) = Shutdown::new();
    trigger.trigger();
    relay.run(shutdown, Duration::from_secs(30)).await;
    let taken = bus.taken.lock().unwrap();
    let own = |(topic, record): &&(String, Record)| {
        topic == "changes" && record.key.as_deref() == Some(b"acme")
    };
    taken.iter().filter(own).map(|(_, record)| Change::parse(&record.payload).unwrap()).collect()
}

async fn the_relay_tells_every_change_in_order_and_forgets_it(bed: &Bed) {
    for n in 0..7 {
        bed.user(&format!("u{n}")).await;
    }
    bed.tenant("other").await;
    let seqs = |told: &[Change]| told.iter().map(|change| change.seq).collect::<Vec<_>>();
    assert_eq!(seqs(&relayed(bed, usize::MAX).await), (1..=9).collect::<Vec<_>>());
    let level = outbox_level(&bed.db, &bed.core.clock).await.unwrap();
    assert_eq!((level.depth, level.parked), (0, Topic::ALL.map(|topic| (topic, 0))));
    bed.user("late").await;
    bed.step(chrono::Duration::milliseconds(1500));
    let level = outbox_level(&bed.db, &bed.core.clock).await.unwrap();
    assert_eq!((level.depth, level.age_seconds), (2, 1.5));
    assert_eq!(seqs(&relayed(bed, usize::MAX).await), [10]);
}

async fn what_is_too_large_is_parked_until_an_operator_decides(bed: &Bed) {
    relayed(bed, usize::MAX).await;
    let body = json!({"email": "ada@x.y", "attributes": {"large": "日".repeat(3000)}});
    bed.post("/v1/tenants/acme/users", body).await.must(201);
    bed.user("behind").await;
    assert!(relayed(bed, 4096).await.is_empty(), "what follows waits");
    let listed = parked::list(&bed.core).await.unwrap();
    assert_eq!(listed.len(), 1);
    let (id, bytes) = (listed[0].id, listed[0].bytes);
    assert_eq!((listed[0].tenant.as_str(), listed[0].seq), ("acme", 3));
    assert!(bytes > 9000, "{bytes} bytes, not characters");
    assert_eq!(listed[0].since, bed.core.clock.now());
    let level = outbox_level(&bed.db, &bed.core.clock).await.unwrap();
    assert_eq!(level.parked, [(Topic::Changes, 1), (Topic::Audit, 0)]);
    assert!(parked::retry(&bed.core, id).await.unwrap());
    assert!(!parked::retry(&bed.core, id).await.unwrap());
    assert!(relayed(bed, 4096).await.is_empty());
    assert!(parked::skip(&bed.core, id, "too large").await.unwrap());
    assert!(!parked::skip(&bed.core, id, "too large").await.unwrap());
    let told = relayed(bed, 4096).await;
    let told: Vec<_> = told.iter().map(|change| (change.seq, change.kind.name())).collect();
    assert_eq!(told, [(3, "change.skipped"), (4, "user.created")]);
}

async fn numbers_go_on_behind_all_that_was_told_before_a_restore(bed: &Bed) {
    bed.tenant("other").await;
    let counted = "SELECT seq AS n FROM tenant_changes WHERE tenant_id = ?";
    let before = bed.count(counted, params!["acme"]).await;
    let raised = renumber(&bed.core, None, 1000).await.unwrap();
    // The installation's own is one of them.
    assert_eq!(raised, 3);
    let other = TenantId::parse("other").unwrap();
    assert_eq!(renumber(&bed.core, Some(&other), 5).await.unwrap(), 1);
    assert_eq!(bed.count(counted, params!["acme"]).await, before + 1000);
    assert_eq!(bed.count(counted, params!["other"]).await, before + 1005);
    bed.user("later").await;
    let told = "SELECT MAX(seq) AS n FROM outbox WHERE tenant_id = ? AND topic = 'changes'";
    assert_eq!(bed.count(told, params!["acme"]).await, before + 1001);
    let nobody = TenantId::parse("nobody").unwrap();
    assert_eq!(renumber(&bed.core, Some(&nobody), 5).await.unwrap(), 0);
}

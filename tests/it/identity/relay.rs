//! From the outbox to Kafka: order, crashes, outages, parked rows, and whose turn it is.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use contracts::identity::{Change, ChangeKind};
use futures::future::try_join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::bus::KafkaFollower;

use super::{Identities, Service};
use crate::world::{PATIENCE, engines, until};

/// What a topic was told, by tenant.
pub(crate) struct Told {
    follower: KafkaFollower,
    changes: BTreeMap<String, Vec<Change>>,
}

impl Told {
    /// From now on.
    pub(crate) async fn begin(identities: &Identities) -> Result<Self> {
        let kafka = identities.config()?.kafka;
        let follower = KafkaFollower::begin(&kafka.cluster(), &kafka.changes_topic).await?;
        Ok(Self { follower, changes: BTreeMap::new() })
    }

    /// Reads until a tenant's change of that number was told. Its record has the tenant's key; numbers come
    /// without gaps, and what comes again is what it was.
    pub(crate) async fn until(&mut self, tenant: &str, seq: u64) -> Result<&[Change]> {
        while self.last(tenant) < seq {
            let message = self.follower.next(PATIENCE).await?.context("nothing more was told")?;
            let change = Change::parse(message.payload.as_deref().unwrap_or_default())?;
            let of = change.tenant_id.to_string();
            ensure!(message.key.as_deref() == Some(of.as_bytes()), "{:?}", message.key);
            let known = self.changes.entry(of).or_default();
            match known.iter().find(|known| known.seq == change.seq) {
                Some(known) => ensure!(*known == change, "{known:?} was told again as {change:?}"),
                None => {
                    ensure!(change.seq == known.len() as u64 + 1, "a gap before {change:?}");
                    known.push(change);
                }
            }
        }
        Ok(&self.changes[tenant])
    }

    fn last(&self, tenant: &str) -> u64 {
        self.changes.get(tenant).map_or(0, |changes| changes.len() as u64)
    }
}

fn users(tenant: &str) -> String {
    format!("/v1/tenants/{tenant}/users")
}

/// Creates users until so many are there, whatever happens to services meanwhile; each once.
async fn create(service: &Service, tenant: &str, from: usize, count: usize) -> Result<()> {
    let one = async |n: usize| {
        let body = json!({"email": format!("u{n}@x.y")});
        let key = format!("k-{n}");
        until("it is created", async || {
            let answer = service.keyed(&users(tenant), &key, body.clone()).await?;
            let is_done = answer.status == StatusCode::CREATED;
            Ok(if is_done { Ok(()) } else { Err(answer.body.to_string()) })
        })
        .await
    };
    try_join_all((from..from + count).map(one)).await.map(drop)
}

async fn until_empty(identities: &Identities) -> Result<()> {
    until("the outbox is empty", async || {
        let left = identities.count("SELECT COUNT(*) AS n FROM outbox", &[]).await?;
        Ok(if left == 0 { Ok(()) } else { Err(left.to_string()) })
    })
    .await
}

fn outbox(identities: &Identities, arguments: &[&str]) -> Result<String> {
    let output =
        identities.command()?.arg("outbox").args(arguments).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{arguments:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn every_change_is_told_in_order_with_its_audit_event() -> Result<()> {
    let identities = Identities::with_kafka(&[]).await?;
    let kafka = identities.config()?.kafka;
    let audit = KafkaFollower::begin(&kafka.cluster(), &kafka.audit_topic).await?;
    let mut told = Told::begin(&identities).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let user = service.user("acme", "u").await?;
    let team = service.team("acme", "t").await?;
    service.put(&format!("/v1/tenants/acme/teams/{team}/members/user/{user}")).await?.must(201)?;
    service.delete(&format!("{}/{user}", users("acme"))).await?.must(204)?;
    let changes = told.until("acme", 6).await?;
    let names: Vec<_> = changes.iter().map(|change| change.kind.name()).collect();
    let expected = [
        "tenant.created",
        "user.created",
        "user.created",
        "team.created",
        "team.member_added",
        "user.deleted",
    ];
    ensure!(names == expected, "{names:?}");
    let mut audited = Vec::new();
    while audited.len() < 6 {
        let message = audit.next(PATIENCE).await?.context("nothing more was audited")?;
        let event: Value = serde_json::from_slice(&message.payload.unwrap_or_default())?;
        audited.push((event["details"]["seq"].as_u64(), event["action"].clone()));
    }
    for (number, (audited, name)) in (1..).zip(audited.iter().zip(expected)) {
        ensure!(*audited == (Some(number), json!(name)), "{audited:?}");
    }
    until_empty(&identities).await?;
    let relayed = service.process().metric("triad_identity_relayed_total", "").await?;
    ensure!(relayed >= 12.0, "{relayed}");
    service.stop().await
}

#[tokio::test]
async fn killed_relays_lose_nothing_and_tell_nothing_that_is_not_so() -> Result<()> {
    let identities = Identities::with_kafka(&[("RELAY__LEASE_SECONDS", "1")]).await?;
    let mut told = Told::begin(&identities).await?;
    let stays = identities.start().await?;
    stays.tenant("acme").await?;
    for round in 0..3 {
        let other = identities.start().await?;
        // Half of the writes go to the one that dies.
        let begun = 40 * round;
        let writes = create(&stays, "acme", begun, 20);
        let lost = async {
            // What becomes of its writes is not known: some are told, and those that are were made.
            let path = users("acme");
            let own =
                (0..20).map(|n| other.post(&path, json!({"email": format!("d{round}-{n}@x.y")})));
            let own = futures::future::join_all(own);
            let _ = tokio::time::timeout(std::time::Duration::from_millis(150), own).await;
            other.kill()
        };
        let (written, killed) = tokio::join!(writes, lost);
        written?;
        killed?;
    }
    let sql = "SELECT seq AS n FROM tenant_changes WHERE tenant_id = 'acme'";
    // Who was killed may still be committing.
    until_empty(&identities).await?;
    let last = u64::try_from(identities.count(sql, &[]).await?)?;
    let changes = told.until("acme", last).await?;
    let mut made = 0;
    for change in changes {
        if let ChangeKind::UserCreated(user) = &change.kind {
            let path = format!("{}/{}", users("acme"), user.id);
            stays.get(&path).await?.must(200)?;
            made += 1;
        }
    }
    let rows = identities.count("SELECT COUNT(*) AS n FROM users", &[]).await?;
    ensure!(i64::from(made) == rows && rows > 60, "{made} told, {rows} there");
    until_empty(&identities).await?;
    stays.stop().await
}

#[tokio::test]
async fn while_kafka_is_away_everything_is_written_and_later_told() -> Result<()> {
    let identities = Identities::with_kafka(&[("KAFKA__PRODUCER_TIMEOUT_MS", "1000")]).await?;
    let mut told = Told::begin(&identities).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    told.until("acme", 2).await?;
    tokio::task::spawn_blocking(|| engines(&["kill", "kafka"])).await??;
    create(&service, "acme", 0, 30).await?;
    ensure!(service.process().is_ready().await?, "writes need no Kafka");
    until("the outage is seen", async || {
        let seen = service.process().metric("triad_identity_unpublished_total", "").await?;
        Ok(if seen > 0.0 { Ok(()) } else { Err("not yet".to_owned()) })
    })
    .await?;
    ensure!(identities.count("SELECT COUNT(*) AS n FROM outbox", &[]).await? >= 60);
    tokio::task::spawn_blocking(|| engines(&["start", "kafka"])).await??;
    told.until("acme", 32).await?;
    until_empty(&identities).await?;
    service.stop().await
}

#[tokio::test]
async fn what_kafka_never_takes_stops_its_tenant_until_an_operator_decides() -> Result<()> {
    let small = ("KAFKA__MAX_MESSAGE_BYTES", "4096");
    let identities = Identities::with_kafka(&[small]).await?;
    let mut told = Told::begin(&identities).await?;
    let service = identities.start().await?;
    for tenant in ["acme", "other"] {
        service.tenant(tenant).await?;
    }
    let large = json!({"email": "large@x.y", "attributes": {"a": "x".repeat(5000)}});
    let large = service.post(&users("acme"), large).await?.must(201)?.id()?;
    service.user("acme", "behind").await?;
    let listed = async || {
        let mut listed = String::new();
        until("it is parked", async || {
            listed = outbox(&identities, &["list"])?;
            Ok(if listed.is_empty() { Err("nothing".to_owned()) } else { Ok(()) })
        })
        .await?;
        let fields: Vec<_> = listed.lines().next().unwrap_or_default().split('\t').collect();
        ensure!(fields[1..4] == ["changes", "acme", "3"], "{listed}");
        anyhow::Ok(fields[0].to_owned())
    };
    let id = listed().await?;
    // Others go on.
    service.user("other", "u").await?;
    told.until("other", 3).await?;
    ensure!(told.last("acme") == 2);
    // Nothing has become smaller.
    outbox(&identities, &["retry", &id])?;
    ensure!(listed().await? == id);
    ensure!(outbox(&identities, &["skip", "0", "--reason", "r"]).is_err());
    outbox(&identities, &["skip", &id, "--reason", "too large"])?;
    let changes = told.until("acme", 4).await?;
    ensure!(matches!(&changes[2].kind, ChangeKind::ChangeSkipped(skipped)
        if skipped.reason.as_deref() == Some("too large")));
    ensure!(matches!(&changes[3].kind, ChangeKind::UserCreated(_)));
    until_empty(&identities).await?;
    service.get(&format!("{}/{large}", users("acme"))).await?.must(200)?;
    service.stop().await
}

#[tokio::test]
async fn one_replica_relays_and_another_follows_it() -> Result<()> {
    let identities = Identities::with_kafka(&[("RELAY__LEASE_SECONDS", "1")]).await?;
    let mut told = Told::begin(&identities).await?;
    let (one, two) = (identities.start().await?, identities.start().await?);
    one.tenant("acme").await?;
    let leads = async |service: &Service| {
        anyhow::Ok(service.process().metric("triad_identity_relay_leads", "").await? > 0.0)
    };
    let (mut first, mut second) = (one, two);
    until("one leads", async || {
        if leads(&second).await? {
            std::mem::swap(&mut first, &mut second);
        }
        Ok(if leads(&first).await? { Ok(()) } else { Err("nobody does".to_owned()) })
    })
    .await?;
    ensure!(!leads(&second).await?, "both lead");
    let mut made = 0;
    for service in [&second, &first] {
        made += 1;
        service.user("acme", &format!("u{made}")).await?;
    }
    told.until("acme", 4).await?;
    first.kill()?;
    second.user("acme", "after").await?;
    told.until("acme", 5).await?;
    ensure!(leads(&second).await?);
    // In order, the lease is given back: nobody waits for its end.
    let third = identities.start().await?;
    third.user("acme", "third").await?;
    second.stop().await?;
    told.until("acme", 6).await?;
    third.stop().await
}

#[tokio::test]
async fn a_row_that_is_still_being_written_holds_up_no_other() -> Result<()> {
    let identities = Identities::with_kafka(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    until_empty(&identities).await?;
    let mut writing = identities.db.begin().await?;
    let sql = "INSERT INTO outbox (topic, tenant_id, event_id, payload, created_at) \
               VALUES ('audit', 'other', '', '{}', NOW(6))";
    writing.execute(sql, &[]).await?;
    // What is told is deleted beside it, and what is deleted keeps nobody from writing.
    create(&service, "acme", 0, 20).await?;
    until_empty(&identities).await?;
    create(&service, "acme", 20, 20).await?;
    until_empty(&identities).await?;
    writing.rollback().await;
    service.stop().await
}

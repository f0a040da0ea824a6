//! The audit log as one table in MySQL: events into it, and first pages out of it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context;
use chrono::{DateTime, NaiveDateTime};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::mysql::{MySqlPool, MySqlRow};
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr as _};
use tokio::task::JoinSet;

use crate::generate::Generator;
use crate::latency::{Latency, Recorder};
use crate::run::Run;
use crate::scenario::readers::Questions;
use crate::stop::Stop;

/// Rows of an insert.
const BATCH: u64 = 100;
/// Inserts at once.
pub(super) const WRITERS: u32 = 8;

/// What such a table has: a growing key, and an index for each question that is asked of it.
pub(super) const SCHEMA: &str = "CREATE TABLE audit_log (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  tenant_id VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  event_time DATETIME(6) NOT NULL,
  actor_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  actor_type VARCHAR(16) CHARACTER SET ascii NULL,
  action VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  resource_type VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  resource_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  status VARCHAR(16) CHARACTER SET ascii NULL,
  source_ip VARCHAR(45) CHARACTER SET ascii NULL,
  details JSON NULL,
  source_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  KEY by_time (tenant_id, event_time),
  KEY by_actor (tenant_id, actor_id, event_time),
  KEY by_resource (tenant_id, resource_id, event_time)
) ENGINE = InnoDB";

const COLUMNS: [&str; 11] = [
    "tenant_id",
    "event_time",
    "actor_id",
    "actor_type",
    "action",
    "resource_type",
    "resource_id",
    "status",
    "source_ip",
    "details",
    "source_id",
];

const PAGE: &str = "SELECT id, tenant_id, event_time, actor_id, actor_type, action, resource_type, \
    resource_id, status, source_ip, CAST(details AS CHAR) AS details, source_id FROM audit_log \
    WHERE tenant_id = ? AND event_time >= ? AND event_time < ? \
    ORDER BY event_time DESC, id DESC LIMIT 100";

/// An event as it is published, borrowed from its JSON.
#[derive(Deserialize)]
struct Event<'a> {
    id: &'a str,
    tenant_id: &'a str,
    action: &'a str,
    actor_id: Option<&'a str>,
    actor_type: Option<&'a str>,
    resource_type: Option<&'a str>,
    resource_id: Option<&'a str>,
    status: Option<&'a str>,
    source_ip: Option<&'a str>,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
}

/// Inserts all events of `run`; rows a second, or `None` when it was not done by `until`.
///
/// # Errors
/// When MySQL refuses or does not answer.
pub(super) async fn insert(
    pool: &MySqlPool,
    run: &Run,
    until: Instant,
    stop: &Stop,
) -> anyhow::Result<Option<f64>> {
    let (begun, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (pool, next, stop) = (pool.clone(), Arc::clone(&next), stop.clone());
        let (run, generator) = (run.clone(), Generator::new(run));
        writers.spawn(async move {
            let mut events = Vec::new();
            loop {
                let first = next.fetch_add(BATCH, Ordering::Relaxed);
                if first >= run.events {
                    return anyhow::Ok(true);
                }
                stop.check()?;
                if Instant::now() > until {
                    return Ok(false);
                }
                let last = (first + BATCH).min(run.events);
                events.clear();
                for index in first..last {
                    let mut event = Vec::with_capacity(512);
                    generator.event(index, &mut event);
                    events.push((time(&run, index), event));
                }
                write(&pool, &events).await?;
            }
        });
    }
    let mut done = true;
    while let Some(writer) = writers.join_next().await {
        done &= writer??;
    }
    Ok(done.then(|| run.events as f64 / begun.elapsed().as_secs_f64()))
}

async fn write(pool: &MySqlPool, events: &[(NaiveDateTime, Vec<u8>)]) -> anyhow::Result<()> {
    let mut insert = sqlx::query(AssertSqlSafe(statement(events.len())));
    for (time, event) in events {
        let event: Event<'_> = serde_json::from_slice(event).context("an event of our own")?;
        let details = event.details.map(RawValue::get);
        insert = insert.bind(event.tenant_id).bind(*time).bind(event.actor_id);
        insert = insert.bind(event.actor_type).bind(event.action).bind(event.resource_type);
        insert = insert.bind(event.resource_id).bind(event.status).bind(event.source_ip);
        insert = insert.bind(details).bind(event.id);
    }
    insert.execute(pool).await?;
    Ok(())
}

/// An insert of so many rows. There are two at most, so the server prepares each once.
fn statement(rows: usize) -> String {
    let marks = format!("({})", vec!["?"; COLUMNS.len()].join(", "));
    let mut text = format!("INSERT INTO audit_log ({}) VALUES ", COLUMNS.join(", "));
    for row in 0..rows {
        // Writing to a string does not fail.
        let _ = write!(text, "{}{marks}", if row > 0 { ", " } else { "" });
    }
    text
}

fn time(run: &Run, index: u64) -> NaiveDateTime {
    let micros = (run.time(index) / 10).cast_signed();
    DateTime::from_timestamp_micros(micros).unwrap_or_default().naive_utc()
}

/// First pages of a tenant's day, one after the other, about the events of `run`.
///
/// # Errors
/// When MySQL refuses or does not answer.
pub(super) async fn pages(pool: &MySqlPool, run: &Run, count: u64) -> anyhow::Result<Latency> {
    let (questions, mut seen) = (Questions::about(run), Recorder::default());
    let mut found = 0;
    for number in 0..count {
        let (tenant, [from, to]) = questions.range(number);
        let asked = Instant::now();
        let page = sqlx::query(PAGE.into_sql_str()).bind(&tenant);
        let page = page.bind(from.naive_utc()).bind(to.naive_utc()).fetch_all(pool).await?;
        found += columns(&page)?;
        seen.record(asked.elapsed());
    }
    anyhow::ensure!(found > 0, "no page held an event");
    Ok(seen.summary())
}

/// Reads every column, as whoever answers with them has to.
fn columns(page: &[MySqlRow]) -> anyhow::Result<usize> {
    for row in page {
        row.try_get::<u64, _>(0)?;
        row.try_get::<NaiveDateTime, _>(2)?;
        for text in [1, 3, 4, 5, 6, 7, 8, 9, 10, 11] {
            row.try_get::<Option<String>, _>(text)?;
        }
    }
    Ok(page.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_has_a_mark_for_every_cell() {
        let text = statement(3);
        assert_eq!(text.matches('?').count(), 3 * COLUMNS.len());
        assert_eq!(text.matches("), (").count(), 2);
        assert!(text.starts_with("INSERT INTO audit_log (tenant_id, ") && text.ends_with("?)"));
    }

    #[test]
    fn every_generated_event_has_its_row() {
        let run = Run::example(2000);
        let generator = Generator::new(&run);
        for index in 0..run.events {
            let mut bytes = Vec::new();
            generator.event(index, &mut bytes);
            let event: Event<'_> = serde_json::from_slice(&bytes).unwrap();
            assert!(event.tenant_id.starts_with("acme-") && event.details.is_some());
        }
        let first = time(&run, 0).and_utc().timestamp_micros();
        assert_eq!(first.unsigned_abs(), run.base / 10);
    }
}

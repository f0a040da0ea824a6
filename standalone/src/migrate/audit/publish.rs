//! Rows as records on the source topic. Each is proved to make the very row before any of its batch is sent, and a
//! batch is noted once all of it is acknowledged: what is sent twice is stored once.

use std::time::Duration;

use chrono::Utc;
use futures::future::try_join_all;
use ingest::Config;
use ingest::embedded::{AuditStore, Leaving};
use ingest::event::Judge;
use ingest::layout::ClassId;
use service_kit::bus::{KafkaPublisher, Publisher as _, PublisherOptions};

use crate::migrate::MigrateError;
use crate::migrate::progress::Saved;
use crate::migrate::tell::tell;

/// Rows of a batch, and their bytes, about.
const ROWS: usize = 2000;
const BYTES: usize = 8 << 20;
/// Between lines on how far it is, in rows.
const TOLD: u64 = 100_000;

/// Publishes every row behind the last batch that was noted.
pub(super) async fn all(
    from: &AuditStore,
    config: &Config,
    saved: &mut Saved,
) -> Result<(), MigrateError> {
    if saved.state.events.is_whole {
        return Ok(());
    }
    let to = Records::new(config)?;
    let mut rows = from.leaving(saved.state.events.after.as_ref());
    loop {
        let (batch, behind) = tokio::task::spawn_blocking(move || {
            let batch = take(&mut rows);
            (batch, rows)
        })
        .await
        .map_err(|error| MigrateError::Refused(format!("reading events: {error}")))?;
        let batch = batch?;
        rows = behind;
        let place = batch.last().map(|row| row.place.clone());
        let published = to.publish(&batch).await?;
        let events = &mut saved.state.events;
        let before = events.published / TOLD;
        events.published += published;
        events.expired += batch.len() as u64 - published;
        events.is_whole = place.is_none();
        events.after = place.or(events.after.take());
        if events.published / TOLD > before {
            tell(&format!("events: {} published", events.published));
        }
        saved.save()?;
        if saved.state.events.is_whole {
            return Ok(());
        }
    }
}

fn take(
    rows: &mut impl Iterator<Item = Result<Leaving, service_kit::embedded::DiskError>>,
) -> Result<Vec<Leaving>, MigrateError> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < ROWS && bytes < BYTES {
        let Some(row) = rows.next().transpose()? else { break };
        bytes += row.bytes();
        batch.push(row);
    }
    Ok(batch)
}

struct Records<'a> {
    publisher: KafkaPublisher,
    judge: Judge,
    topic: &'a str,
}

impl<'a> Records<'a> {
    fn new(config: &'a Config) -> Result<Self, MigrateError> {
        let kafka = &config.kafka;
        let options = PublisherOptions {
            client_id: "triad-migrate".to_owned(),
            // All of a batch waits at once, and JSON is longer than rows.
            max_buffer_kib: kafka.producer_buffer_kib.max(64 << 10),
            timeout: Duration::from_millis(kafka.producer_timeout_ms),
            max_message_bytes: ingest::topics::max_source_bytes(config),
        };
        let publisher = KafkaPublisher::new(&kafka.cluster(), options)?;
        Ok(Self { publisher, judge: Judge::new(&config.limits), topic: &kafka.topic })
    }

    /// How many were sent: those whose life is not over.
    async fn publish(&self, batch: &[Leaving]) -> Result<u64, MigrateError> {
        let now = Utc::now().timestamp_millis();
        let lives = |row: &&Leaving| ClassId::ONE_YEAR.remaining_seconds(row.time, now).is_some();
        let records = batch.iter().filter(lives).map(|row| row.record(&self.judge, self.topic));
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let count = records.len() as u64;
        let sent = records.into_iter().map(|record| self.publisher.publish(self.topic, record));
        try_join_all(sent).await?;
        Ok(count)
    }
}

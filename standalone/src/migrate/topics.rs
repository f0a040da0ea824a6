//! What services hear of by topic, and could not learn otherwise.
//!
//! Identity changes of the last hour or so: a token that was revoked just now is void until it would have expired, and
//! who verifies tokens learns of it from the topic. The graph holds them already and skips them. And dead letters of
//! events, with the headers that they lie there with.

use std::time::Duration;

use chrono::Utc;
use service_kit::bus::{Bus, Follower, KafkaPublisher, Publisher as _, PublisherOptions, Record};

use super::MigrateError;
use super::here::Here;
use super::progress::Saved;
use super::tell::tell;
use crate::serve::config::Services;

/// Above the longest life of a token, the difference of clocks included (`service_kit::auth`).
const REMEMBERED: chrono::Duration = chrono::Duration::minutes(70);

/// Publishes them, once more if it was broken off: both say the same the second time.
pub(super) async fn carry(
    here: &Here,
    targets: &Services,
    saved: &mut Saved,
) -> Result<(), MigrateError> {
    if saved.state.events.topics_are_whole {
        return Ok(());
    }
    let bus = Bus::Local(here.stores.bus.clone());
    let (from, to) = (&here.services.identity.kafka, &targets.identity.kafka);
    let publisher = KafkaPublisher::new(&to.cluster(), to.publisher())?;
    let recent = bus.follow_since(&from.changes_topic, Utc::now() - REMEMBERED).await?;
    let changes = forward(&recent, &publisher, &to.changes_topic).await?;
    let (from, to) = (&here.services.ingest.kafka, &targets.ingest.kafka);
    let options = PublisherOptions {
        client_id: "triad-migrate".to_owned(),
        max_buffer_kib: to.producer_buffer_kib,
        timeout: Duration::from_millis(to.producer_timeout_ms),
        max_message_bytes: ingest::topics::max_dead_letter_bytes(&targets.ingest),
    };
    let publisher = KafkaPublisher::new(&to.cluster(), options)?;
    let letters = bus.follow_since(&from.dead_letter_topic, chrono::DateTime::UNIX_EPOCH).await?;
    let letters = forward(&letters, &publisher, &to.dead_letter_topic).await?;
    tell(&format!("topics: {changes} recent identity changes, {letters} dead letters"));
    saved.state.events.topics_are_whole = true;
    saved.save()
}

/// What is on a topic now, in its order; how many records.
async fn forward(from: &Follower, to: &KafkaPublisher, topic: &str) -> Result<u64, MigrateError> {
    let mut count = 0;
    while let Some(message) = from
        .next(Duration::ZERO)
        .await
        .map_err(|error| MigrateError::Refused(format!("a topic here cannot be read: {error}")))?
    {
        let payload = message.payload.unwrap_or_default();
        let record =
            Record { key: message.key, partition: None, payload, headers: message.headers };
        to.publish(topic, record).await?;
        count += 1;
    }
    Ok(count)
}

//! Dead letters: the original record, with its origin and the rule that it broke, acknowledged by all
//! in-sync replicas before its offset counts as durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use contracts::audit::header;
use metrics::counter;
use rand::Rng;
use service_kit::bus::{PublishError, Publisher, Record};
use service_kit::health::Component;
use tracing::{info, warn};

use super::chunk::{Chunk, RecordMeta};
use crate::event::Rejection;
use crate::letter;
use crate::metrics::dead_letters;
use crate::topics::DEAD_LETTER_ROOM;

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_secs(5);
/// Failing for longer than this takes the process out of readiness.
const PATIENCE: Duration = Duration::from_secs(5);
/// A letter that is refused as too large so often is truncated.
const REFUSALS: usize = 3;

/// Publishes dead letters. Cheap to clone.
pub struct DeadLetters<P>(Arc<Inner<P>>);

struct Inner<P> {
    publisher: Arc<P>,
    topic: String,
    max_bytes: usize,
    health: Component,
}

impl<P> Clone for DeadLetters<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Publisher> DeadLetters<P> {
    /// Dead letters go to `topic`, which takes records of `max_bytes` at least.
    #[must_use]
    pub fn new(publisher: Arc<P>, topic: String, max_bytes: usize, health: Component) -> Self {
        health.ready();
        Self(Arc::new(Inner { publisher, topic, max_bytes, health }))
    }

    /// Publishes one record of `chunk` and settles it. Tries for as long as it takes: until then
    /// nothing behind it is committed.
    pub async fn send(&self, chunk: &Chunk, index: usize, rejection: &Rejection) {
        let record = &chunk.records()[index];
        let mut letter = letter(chunk, record, rejection);
        let mut refused = 0;
        let (since, mut backoff) = (Instant::now(), FIRST_BACKOFF);
        while let Err(error) = self.0.publisher.publish(&self.0.topic, letter.clone()).await {
            counter!("triad_ingest_dead_letter_retries_total").increment(1);
            if since.elapsed() > PATIENCE {
                self.0.health.not_ready(format!("{}: {error}", self.0.topic));
                warn!(%error, topic = self.0.topic, "a dead letter is not taken; trying on");
            }
            if let PublishError::TooLarge { .. } = error {
                refused += 1;
                warn!(%error, "the dead-letter topic takes smaller records than the source");
                // One of a batch is refused with it, so only a large one is to blame, and not at once.
                if refused >= REFUSALS && letter.size() > self.0.max_bytes {
                    truncate(&mut letter, self.0.max_bytes);
                }
            }
            let pause = rand::rng().random_range(Duration::ZERO..=backoff);
            backoff = (backoff * 2).min(LAST_BACKOFF);
            tokio::time::sleep(pause).await;
        }
        self.0.health.ready();
        dead_letters(rejection.reason).increment(1);
        let trace =
            chunk.headers(record).iter().find(|(name, _)| name == service_kit::trace::HEADER);
        let trace =
            trace.and_then(|(_, value)| std::str::from_utf8(value).ok()).unwrap_or_default();
        info!(
            reason = %rejection.reason,
            origin = ?chunk.origin(record),
            trace,
            detail = rejection.detail,
            "dead letter"
        );
        chunk.settled(1);
    }
}

/// The original key, headers and bytes.
fn letter(chunk: &Chunk, record: &RecordMeta, rejection: &Rejection) -> Record {
    let own = chunk.headers(record).iter();
    let own = own.map(|(name, value)| (name.clone(), Bytes::copy_from_slice(value)));
    Record {
        key: chunk.key(record).map(Bytes::copy_from_slice),
        payload: Bytes::copy_from_slice(chunk.value(record)),
        headers: letter::headers(own, &chunk.origin(record), rejection),
        ..Record::default()
    }
}

/// Keeps origin, reason and what fits of the value: the rest would hold up its partition for ever.
fn truncate(letter: &mut Record, max_bytes: usize) {
    let size = letter.payload.len();
    letter.key = None;
    letter.headers.retain(|(name, _)| letter::is_of_a_letter(name));
    letter.headers.push((header::TRUNCATED_FROM.to_owned(), size.to_string().into()));
    letter.payload.truncate(max_bytes.saturating_sub(DEAD_LETTER_ROOM));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_letter_fits_and_says_what_it_was() {
        let foreign = ("x-mine".to_owned(), Bytes::from(vec![0; 9000]));
        let reason = (header::REASON.to_owned(), Bytes::from_static(b"too_large"));
        let mut letter = Record {
            key: Some(vec![1; 50_000].into()),
            payload: vec![b' '; 100_000].into(),
            headers: vec![foreign, reason.clone()],
            ..Record::default()
        };
        truncate(&mut letter, 20_000);
        assert!(letter.size() <= 20_000, "{}", letter.size());
        assert_eq!(letter.payload.len(), 20_000 - DEAD_LETTER_ROOM);
        let size = (header::TRUNCATED_FROM.to_owned(), Bytes::from_static(b"100000"));
        assert_eq!(letter.headers, [reason, size]);
    }
}

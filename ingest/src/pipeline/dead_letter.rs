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
use crate::metrics::dead_letters;

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_secs(5);
/// Failing for longer than this takes the process out of readiness.
const PATIENCE: Duration = Duration::from_secs(5);

/// Publishes dead letters. Cheap to clone.
pub struct DeadLetters<P>(Arc<Inner<P>>);

struct Inner<P> {
    publisher: Arc<P>,
    topic: String,
    health: Component,
}

impl<P> Clone for DeadLetters<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Publisher> DeadLetters<P> {
    /// Dead letters go to `topic`.
    #[must_use]
    pub fn new(publisher: Arc<P>, topic: String, health: Component) -> Self {
        health.ready();
        Self(Arc::new(Inner { publisher, topic, health }))
    }

    /// Publishes one record of `chunk` and settles it. Tries for as long as it takes: until then
    /// nothing behind it is committed.
    pub async fn send(&self, chunk: &Chunk, index: usize, rejection: &Rejection) {
        let record = &chunk.records()[index];
        let letter = letter(chunk, record, rejection);
        let (since, mut backoff) = (Instant::now(), FIRST_BACKOFF);
        while let Err(error) = self.0.publisher.publish(&self.0.topic, letter.clone()).await {
            counter!("triad_ingest_dead_letter_retries_total").increment(1);
            if since.elapsed() > PATIENCE {
                self.0.health.not_ready(format!("{}: {error}", self.0.topic));
                warn!(%error, topic = self.0.topic, "a dead letter is not taken; trying on");
            }
            if let PublishError::TooLarge { .. } = error {
                warn!(%error, "the dead-letter topic takes smaller records than the source");
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

/// The original key, headers and bytes; headers of an earlier death are replaced.
fn letter(chunk: &Chunk, record: &RecordMeta, rejection: &Rejection) -> Record {
    let own = |name: &str| {
        [header::REASON, header::ERROR].contains(&name) || name.starts_with("x-origin-")
    };
    let kept = chunk.headers(record).iter().filter(|(name, _)| !own(name));
    let mut headers: Vec<(String, Bytes)> =
        kept.map(|(name, value)| (name.clone(), Bytes::copy_from_slice(value))).collect();
    let origin = chunk.origin(record).to_headers();
    headers.extend(origin.map(|(name, value)| (name.to_owned(), Bytes::from(value))));
    headers
        .push((header::REASON.to_owned(), Bytes::from_static(rejection.reason.code().as_bytes())));
    let error = cut(&rejection.detail, header::MAX_ERROR_BYTES);
    headers.push((header::ERROR.to_owned(), Bytes::copy_from_slice(error.as_bytes())));
    Record {
        key: chunk.key(record).map(Bytes::copy_from_slice),
        payload: Bytes::copy_from_slice(chunk.value(record)),
        headers,
    }
}

/// The longest prefix of at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_cut_between_characters() {
        assert_eq!(cut("abc", 10), "abc");
        assert_eq!(cut("aéb", 2), "a");
        assert_eq!(cut("aéb", 3), "aé");
    }
}

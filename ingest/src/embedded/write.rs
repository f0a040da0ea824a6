//! Records into rows.

use std::sync::{Arc, PoisonError};

use chrono::Utc;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use service_kit::bus::local::{Sink, published};
use service_kit::bus::{Ack, PublishError, Publisher as _, Record};
use service_kit::embedded::{Changes, Submitted};

use super::{AuditStore, key};
use crate::event::body::encode_body;
use crate::event::{Judged, Origin, Rejection, content_bits};
use crate::letter;
use crate::metrics::dead_letters;
use crate::query::Position;
use crate::recent::Seen;

/// Rows have no place in a log.
const ACK: Ack = Ack { partition: 0, offset: -1 };

impl Sink for AuditStore {
    /// One store write, shared with whoever writes at the same time. Refuses at once when too much waits.
    fn take(&self, record: Record) -> BoxFuture<'static, Result<Ack, PublishError>> {
        let now = Utc::now().timestamp_millis();
        let origin = self.origin(&record, now);
        match self.0.judge.judge(&record.payload, &origin) {
            Ok(judged) => match self.submit(&judged, now) {
                Ok(Some(submitted)) => self.stored(submitted, record.payload.len()).boxed(),
                Ok(None) => {
                    self.0.metrics.expired.increment(1);
                    ready(Ok(ACK)).boxed()
                }
                Err(error) => ready(Err(error)).boxed(),
            },
            Err(rejection) => self.clone().bury(record, origin, rejection).boxed(),
        }
    }
}

impl AuditStore {
    fn origin(&self, record: &Record, now: i64) -> Origin {
        let headers = record.headers.iter().map(|(name, value)| (name.as_str(), &**value));
        Origin::from_headers(headers).unwrap_or_else(|| Origin {
            topic: Arc::clone(&self.0.topic),
            partition: 0,
            // Whatever comes without an id is another event each time.
            offset: i64::from_le_bytes(rand::random()),
            timestamp: now,
        })
    }

    /// The row on its way to the disk; `None` when its life is over.
    pub(super) fn submit(
        &self,
        judged: &Judged<'_>,
        now: i64,
    ) -> Result<Option<Submitted>, PublishError> {
        let (event, time, id) = (&judged.event, judged.time, judged.id);
        let layout = self.0.layouts.governing(&event.tenant, time.millis());
        if layout.class.remaining_seconds(time.millis(), now).is_none() {
            return Ok(None);
        }
        let mut body = Vec::with_capacity(512);
        encode_body(event, time, id, &mut body);
        let mut changes = Changes::new();
        let at = Position { time: time.millis(), id };
        changes.put(&self.0.tables[layout.class.index()], key::of(&event.tenant, at), body);
        let room = self.0.disk.try_room(changes.bytes()).ok_or(PublishError::QueueFull)?;
        let seen = {
            let mut recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.note(judged.identity(), content_bits(id))
        };
        match seen {
            Seen::New => {}
            Seen::Same => self.0.metrics.redelivered.increment(1),
            Seen::Conflict => self.0.metrics.conflicts.increment(1),
        }
        Ok(Some(self.0.disk.submit(changes, room)))
    }

    fn stored(
        &self,
        submitted: Submitted,
        bytes: usize,
    ) -> impl Future<Output = Result<Ack, PublishError>> + Send + use<> {
        let store = self.clone();
        async move {
            published(submitted.await)?;
            store.0.metrics.stored.increment(1);
            store.0.metrics.stored_bytes.increment(bytes as u64);
            Ok(ACK)
        }
    }

    /// Over HTTP nothing comes here: what it accepts was judged by the same rules.
    async fn bury(
        self,
        mut record: Record,
        origin: Origin,
        rejection: Rejection,
    ) -> Result<Ack, PublishError> {
        record.headers = letter::headers(record.headers.into_iter(), &origin, &rejection);
        self.0.dead_letters.publish(&self.0.dead_letter_topic, record).await?;
        self.0.metrics.dead_lettered.increment(1);
        dead_letters(rejection.reason).increment(1);
        Ok(ACK)
    }
}

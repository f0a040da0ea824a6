//! Records into rows.

use std::sync::{Arc, PoisonError};

use chrono::Utc;
use contracts::TenantId;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use service_kit::bus::local::{Sink, published};
use service_kit::bus::{Ack, PublishError, Publisher as _, Record};
use service_kit::embedded::Changes;

use super::{AuditStore, key};
use crate::destination::Destination;
use crate::event::body::encode_body;
use crate::event::{Judged, Origin, Rejection, Ticks, content_bits};
use crate::layout::ClassId;
use crate::letter;
use crate::metrics::dead_letters;
use crate::query::Position;
use crate::recent::Seen;

/// Rows have no place in a log.
const ACK: Ack = Ack { partition: 0, offset: -1 };

/// A row on its way to the disk.
pub struct Row {
    class: ClassId,
    key: Vec<u8>,
    body: Vec<u8>,
    /// Tenant and producer's id, and the content: what [`Recent`](crate::recent::Recent) knows rows by.
    known_by: (u64, u64),
    /// Of what it was made from.
    bytes: usize,
}

/// What is accepted over HTTP comes here as it was checked, all of a request in one write.
impl Destination for AuditStore {
    /// `None` when its life is over.
    type Item = Option<Row>;

    fn keep(&self, text: &str, judged: &Judged<'_>, now: Ticks) -> Option<Row> {
        self.row(judged, text.len(), now.millis())
    }

    async fn take(
        &self,
        _: &TenantId,
        _: Option<String>,
        events: Vec<Option<Row>>,
    ) -> Vec<Result<Ack, PublishError>> {
        vec![self.store(events).await]
    }
}

/// What other parts of this process publish.
impl Sink for AuditStore {
    /// One store write, shared with whoever writes at the same time. Refuses at once when too much waits.
    fn take(&self, record: Record) -> BoxFuture<'static, Result<Ack, PublishError>> {
        let now = Utc::now().timestamp_millis();
        let origin = self.origin(&record, now);
        match self.0.judge.judge(&record.payload, &origin) {
            Ok(judged) => self.store([self.row(&judged, record.payload.len(), now)]).boxed(),
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

    /// `None` when its life is over.
    fn row(&self, judged: &Judged<'_>, bytes: usize, now: i64) -> Option<Row> {
        let (event, time, id) = (&judged.event, judged.time, judged.id);
        let class = self.0.layouts.governing(&event.tenant, time.millis()).class;
        class.remaining_seconds(time.millis(), now)?;
        let mut body = Vec::with_capacity(512);
        encode_body(event, time, id, &mut body);
        let key = key::of(&event.tenant, Position { time: time.millis(), id });
        Some(Row { class, key, body, known_by: (judged.identity(), content_bits(id)), bytes })
    }

    /// Submits rows at once, in the order of calls; what comes back is done when all of them are durable.
    pub(super) fn store<R: IntoIterator<Item = Option<Row>>>(
        &self,
        rows: R,
    ) -> impl Future<Output = Result<Ack, PublishError>> + Send + use<R> {
        let (mut changes, mut known) = (Changes::new(), Vec::new());
        let (mut bytes, mut expired) = (0, 0);
        for row in rows {
            let Some(row) = row else {
                expired += 1;
                continue;
            };
            changes.put(&self.0.tables[row.class.index()], row.key, row.body);
            known.push(row.known_by);
            bytes += row.bytes as u64;
        }
        let submitted = match self.0.disk.try_room(changes.bytes()) {
            _ if changes.is_empty() => Ok(None),
            None => Err(PublishError::QueueFull),
            Some(room) => {
                self.note(&known);
                Ok(Some(self.0.disk.submit(changes, room)))
            }
        };
        let store = self.clone();
        async move {
            if let Some(submitted) = submitted? {
                published(submitted.await)?;
            }
            let metrics = &store.0.metrics;
            metrics.stored.increment(known.len() as u64);
            metrics.stored_bytes.increment(bytes);
            metrics.expired.increment(expired);
            Ok(ACK)
        }
    }

    fn note(&self, rows: &[(u64, u64)]) {
        let mut recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for (identity, content) in rows {
            match recent.note(*identity, *content) {
                Seen::New => {}
                Seen::Same => self.0.metrics.redelivered.increment(1),
                Seen::Conflict => self.0.metrics.conflicts.increment(1),
            }
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

//! Where accepted events go.

use std::sync::Arc;

use axum::body::Bytes;
use contracts::TenantId;
use futures::future::join_all;
use service_kit::bus::{Ack, PublishError, Publisher, Record};

use crate::event::{Judged, Ticks};

/// Takes accepted events for good.
pub trait Destination: Send + Sync + 'static {
    /// What is kept of an event until all of its request are checked.
    type Item: Send;

    /// What to keep of an event that passed every rule; `text` is what it was decoded from, `now` when its request was
    /// checked.
    fn keep(&self, text: &str, judged: &Judged<'_>, now: Ticks) -> Self::Item;

    /// Takes one tenant's events, in order. Done when the fate of all is known: an outcome for each, or one
    /// for all when they stand or fall together. Dropping it takes nothing back.
    fn take(
        &self,
        tenant: &TenantId,
        trace: Option<String>,
        events: Vec<Self::Item>,
    ) -> impl Future<Output = Vec<Result<Ack, PublishError>>> + Send;
}

/// Into a topic, as their producers wrote them, keyed by their tenant.
pub struct ToTopic<P> {
    /// Publishes them.
    pub publisher: Arc<P>,
    /// The topic.
    pub topic: String,
}

impl<P: Publisher> Destination for ToTopic<P> {
    type Item = Bytes;

    fn keep(&self, text: &str, _: &Judged<'_>, _: Ticks) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    async fn take(
        &self,
        tenant: &TenantId,
        trace: Option<String>,
        events: Vec<Bytes>,
    ) -> Vec<Result<Ack, PublishError>> {
        let key = Bytes::copy_from_slice(tenant.as_str().as_bytes());
        let header = trace.map(|trace| (service_kit::trace::HEADER.to_owned(), Bytes::from(trace)));
        let publish = |payload| {
            let headers = header.iter().cloned().collect();
            let record = Record { key: Some(key.clone()), payload, headers, ..Record::default() };
            self.publisher.publish(&self.topic, record)
        };
        // All are polled in order before the first answer is waited for.
        join_all(events.into_iter().map(publish).collect::<Vec<_>>()).await
    }
}

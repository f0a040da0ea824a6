//! Records of `identity.changes`: changes, or poison, which is parked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contracts::TenantId;
use contracts::audit::header;
use contracts::identity::{Change, ChangeError};
use metrics::counter;
use rand::Rng as _;
use service_kit::bus::{Message, PublishError, Publisher, Record};
use service_kit::health::Component;
use tokio::time::sleep;

use crate::graph::write::identity::check;
use crate::metrics::{Unfit, sync_parked};

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(5);

/// A record as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Received {
    Change(Box<Change>),
    Poison(Poison),
}

/// A record that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Poison {
    /// Whose number it takes, as far as that is to be read.
    pub(super) place: Option<(TenantId, u64)>,
    reason: Unfit,
    error: String,
}

pub(super) fn receive(message: &Message) -> Received {
    let payload = message.payload.as_deref().unwrap_or_default();
    let (place, reason, error) = match Change::parse(payload) {
        Ok(change) => match check(&change) {
            Ok(()) => return Received::Change(Box::new(change)),
            Err(invalid) => {
                let place = Some((change.tenant_id, change.seq));
                (place, Unfit::Invalid, invalid.to_string())
            }
        },
        Err(error) => {
            let text = error.to_string();
            match error {
                ChangeError::Malformed { .. } => (None, Unfit::Malformed, text),
                ChangeError::UnknownType { tenant_id, seq, .. } => {
                    (Some((tenant_id, seq)), Unfit::UnknownType, text)
                }
                ChangeError::Invalid { tenant_id, seq, .. } => {
                    (Some((tenant_id, seq)), Unfit::Invalid, text)
                }
            }
        }
    };
    Received::Poison(Poison { place, reason, error })
}

/// Where poison goes.
pub(super) struct Intake<'a, P> {
    pub(super) publisher: Arc<P>,
    pub(super) topic: String,
    pub(super) health: &'a Component,
}

impl<P: Publisher> Intake<'_, P> {
    /// Publishes a record to the dead letters, however long that takes: behind it the offset is committed.
    pub(super) async fn park(&self, message: &Message, poison: &Poison) {
        let (partition, offset) = (message.partition, message.offset);
        tracing::error!(
            partition, offset, reason = poison.reason.as_str(), error = %poison.error,
            "an identity change is parked; its tenant stops until a retry or a rebuild"
        );
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.publisher.publish(&self.topic, letter(message, poison)).await {
                Ok(_) => break,
                Err(error @ PublishError::TooLarge { .. }) => {
                    // It stays in the topic for as long as that keeps it; a rebuild heals its tenant.
                    tracing::error!(partition, offset, %error, "not parked");
                    break;
                }
                Err(error) => {
                    self.health.not_ready(format!("{}: {error}", self.topic));
                    tracing::warn!(%error, "parking an identity change");
                    let jittered = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
                    sleep(jittered).await;
                    backoff = (2 * backoff).min(LAST_BACKOFF);
                }
            }
        }
        self.health.ready();
        counter!("triad_authz_sync_changes_total", "outcome" => "parked").increment(1);
        sync_parked(poison.reason).increment(1);
    }
}

fn letter(message: &Message, poison: &Poison) -> Record {
    let mut end = poison.error.len().min(header::MAX_ERROR_BYTES);
    while !poison.error.is_char_boundary(end) {
        end -= 1;
    }
    let mut headers = vec![
        (header::ORIGIN_TOPIC, message.topic.clone()),
        (header::ORIGIN_PARTITION, message.partition.to_string()),
        (header::ORIGIN_OFFSET, message.offset.to_string()),
        (header::REASON, poison.reason.as_str().to_owned()),
        (header::ERROR, poison.error[..end].to_owned()),
    ];
    if let Some(timestamp) = message.timestamp {
        headers.push((header::ORIGIN_TIMESTAMP, timestamp.to_string()));
    }
    Record {
        key: message.key.clone(),
        payload: message.payload.clone().unwrap_or_default(),
        headers: headers.into_iter().map(|(name, v)| (name.to_owned(), Bytes::from(v))).collect(),
        ..Record::default()
    }
}

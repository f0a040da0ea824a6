//! What every edge hears of `authz.changes`: fences at once, the watermark when all partitions have it.

use std::sync::Arc;
use std::time::Duration;

use contracts::Revision;
use contracts::authz::ChangeRecord;
use metrics::counter;
use service_kit::bus::{FollowError, KafkaConfig, KafkaFollower, Message};
use service_kit::health::Component;
use service_kit::shutdown::Shutdown;
use tokio::time::{Instant, sleep};

use crate::check::fences::Fences;
use crate::check::freshness::Freshness;
use crate::clock::Clock;
use crate::model::Key;

/// Between looks whether the topic got other partitions.
const LOOK: Duration = Duration::from_secs(10);
const BACKOFF: Duration = Duration::from_millis(500);
const WAIT: Duration = Duration::from_millis(500);

/// Applies changes to this process's fences and watermark.
pub struct Listener {
    fences: Arc<Fences>,
    freshness: Arc<Freshness>,
    clock: Clock,
    /// Of each partition, what was heard last: the watermark, and when it was true.
    heard: Vec<(Revision, u64)>,
}

impl Listener {
    /// For a topic of so many partitions; nothing is heard yet.
    #[must_use]
    pub fn new(
        fences: Arc<Fences>,
        freshness: Arc<Freshness>,
        clock: Clock,
        partitions: usize,
    ) -> Self {
        Self { fences, freshness, clock, heard: vec![(Revision(0), 0); partitions] }
    }

    /// Applies one record.
    pub fn hear(&mut self, partition: usize, payload: &[u8]) {
        let epoch = self.freshness.epoch();
        match serde_json::from_slice(payload) {
            Ok(ChangeRecord::Fence { epoch: of, fence, tenant, keys }) if of == epoch => {
                counter!("triad_authz_fences_total").increment(keys.len() as u64);
                let keys: Vec<_> = keys.into_iter().map(Key::from_text).collect();
                self.fences.raise(&tenant, &keys, fence);
            }
            Ok(ChangeRecord::Watermark { epoch: of, watermark, at_ms }) if of == epoch => {
                self.advance(partition, watermark, at_ms);
            }
            // Of another graph: our entries have nothing to do with it.
            Ok(ChangeRecord::Fence { .. } | ChangeRecord::Watermark { .. }) => {}
            // A newer relay says something that may void what is held here.
            Ok(ChangeRecord::Unknown) | Err(_) => self.freshness.clear("unknown_change"),
        }
    }

    fn advance(&mut self, partition: usize, watermark: Revision, at_ms: u64) {
        let (wall, now) = (self.clock.micros() / 1000, self.clock.millis());
        // How old it is by the relay's clock; ours may be behind that.
        let age = u64::try_from(wall).unwrap_or(0).saturating_sub(at_ms);
        let at = now.saturating_sub(age);
        let Some(heard) = self.heard.get_mut(partition) else { return };
        *heard = (*heard).max((watermark, at));
        // A fence may be in any partition: only what all of them have passed is sure.
        if let Some((watermark, at)) = self.heard.iter().copied().min()
            && watermark > Revision(0)
        {
            self.freshness.advance(watermark, at);
        }
    }
}

/// Where changes are, and what they are applied to.
pub struct Source {
    /// The cluster.
    pub kafka: KafkaConfig,
    /// The topic.
    pub topic: String,
    /// What is raised.
    pub fences: Arc<Fences>,
    /// What is advanced.
    pub freshness: Arc<Freshness>,
    /// The time.
    pub clock: Clock,
    /// Not ready until changes are heard for the first time.
    pub health: Component,
}

impl Source {
    /// Listens until the drain. Whatever may have been missed clears everything: offsets are fixed
    /// first, then the cache is cleared, so that no read falls between.
    pub async fn run(self, shutdown: Shutdown) {
        while !shutdown.is_draining() {
            let followed = tokio::select! {
                followed = self.follow() => followed,
                () = shutdown.draining() => return,
            };
            if let Err(reason) = followed {
                tracing::warn!(reason, "authz.changes");
            }
            sleep(BACKOFF).await;
        }
    }

    async fn follow(&self) -> Result<(), String> {
        let follower = KafkaFollower::begin(&self.kafka, &self.topic)
            .await
            .map_err(|error| error.to_string())?;
        self.freshness.clear("followed");
        let partitions = usize::try_from(follower.partitions()).unwrap_or(0);
        let (fences, freshness) = (Arc::clone(&self.fences), Arc::clone(&self.freshness));
        let mut listener = Listener::new(fences, freshness, self.clock.clone(), partitions);
        let mut looked = Instant::now();
        loop {
            match follower.next(WAIT).await {
                Ok(Some(message)) => self.hear(&mut listener, &message),
                Ok(None) => {}
                Err(FollowError::Lost(reason) | FollowError::Failed(reason)) => {
                    self.freshness.clear("lost");
                    return Err(reason);
                }
            }
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                // Nobody answers: nothing is to be heard from new partitions either.
                if follower.has_other_partitions().await == Ok(true) {
                    self.freshness.clear("partitions");
                    return Err("the topic has other partitions".to_owned());
                }
            }
        }
    }

    fn hear(&self, listener: &mut Listener, message: &Message) {
        let partition = usize::try_from(message.partition).unwrap_or(usize::MAX);
        listener.hear(partition, message.payload.as_deref().unwrap_or_default());
        if self.freshness.watermark() > Revision(0) {
            self.health.ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::{GraphEpoch, TenantId};

    use super::*;

    fn record(record: &ChangeRecord) -> Vec<u8> {
        serde_json::to_vec(record).unwrap()
    }

    fn listener() -> (Listener, Arc<Fences>, Arc<Freshness>) {
        let (fences, freshness) = (Arc::<Fences>::default(), Arc::<Freshness>::default());
        freshness.set_epoch(GraphEpoch(7));
        let clock = Clock::manual();
        let listener = Listener::new(Arc::clone(&fences), Arc::clone(&freshness), clock, 2);
        (listener, fences, freshness)
    }

    fn watermark(epoch: u64, at: u64) -> Vec<u8> {
        let watermark = Revision(at);
        record(&ChangeRecord::Watermark { epoch: GraphEpoch(epoch), watermark, at_ms: 0 })
    }

    #[test]
    fn the_watermark_is_what_all_partitions_have_passed() {
        let (mut listener, _, freshness) = listener();
        listener.hear(0, &watermark(7, 10));
        assert_eq!(freshness.watermark(), Revision(0));
        listener.hear(1, &watermark(7, 12));
        assert_eq!(freshness.watermark(), Revision(10));
        listener.hear(0, &watermark(7, 9));
        listener.hear(0, &watermark(8, 99));
        assert_eq!(freshness.watermark(), Revision(10));
    }

    #[test]
    fn fences_of_this_graph_are_raised_and_what_is_not_understood_clears_everything() {
        let (mut listener, fences, freshness) = listener();
        let tenant = TenantId::parse("acme").unwrap();
        let key = Key::role(&tenant, "r");
        let fence = |epoch| {
            let keys = vec![key.as_str().to_owned()];
            let (epoch, fence) = (GraphEpoch(epoch), Revision(5));
            record(&ChangeRecord::Fence { epoch, fence, tenant: tenant.clone(), keys })
        };
        listener.hear(0, &fence(8));
        assert!(fences.allow(&[fences.place(&key)], Revision(1)));
        listener.hear(0, &fence(7));
        assert!(!fences.allow(&[fences.place(&key)], Revision(4)));
        let before = freshness.generation();
        listener.hear(0, br#"{"type":"of tomorrow"}"#);
        listener.hear(0, b"?");
        assert_eq!(freshness.generation(), before + 2);
    }
}

//! What every edge hears of `authz.changes`: fences at once, the watermark when all partitions have it.

use std::sync::Arc;
use std::time::Duration;

use contracts::Revision;
use contracts::authz::ChangeRecord;
use metrics::counter;
use service_kit::bus::{Bus, FollowError, Message};
use service_kit::health::Component;
use service_kit::shutdown::Shutdown;
use tokio::time::{Instant, sleep};

use crate::check::fences::Fences;
use crate::check::freshness::Freshness;
use crate::check::stamp::millis;
use crate::clock::Clock;
use crate::model::Key;

/// Between looks whether the topic got other partitions.
const LOOK: Duration = Duration::from_secs(10);
const BACKOFF: Duration = Duration::from_millis(500);
const WAIT: Duration = Duration::from_millis(500);
/// Between looks whether this edge is ready.
const REPORT: Duration = Duration::from_millis(200);

/// Applies changes to this process's fences and watermark.
pub struct Listener {
    fences: Arc<Fences>,
    freshness: Arc<Freshness>,
    /// Of which what was heard is.
    generation: u64,
    /// The last watermark of each partition.
    heard: Vec<Revision>,
}

impl Listener {
    /// For a topic of so many partitions; nothing is heard yet.
    #[must_use]
    pub fn new(fences: Arc<Fences>, freshness: Arc<Freshness>, partitions: usize) -> Self {
        let generation = freshness.generation();
        Self { fences, freshness, generation, heard: vec![Revision(0); partitions] }
    }

    /// Applies one record.
    pub fn hear(&mut self, partition: usize, payload: &[u8]) {
        // What was heard before a clear is of another graph, or of before what was missed.
        let generation = self.freshness.generation();
        if generation != self.generation {
            self.generation = generation;
            self.heard.fill(Revision(0));
        }
        let epoch = self.freshness.epoch();
        match serde_json::from_slice(payload) {
            Ok(ChangeRecord::Fence { epoch: of, fence, tenant, keys }) if of == epoch => {
                counter!("triad_authz_fences_total").increment(keys.len() as u64);
                let keys: Vec<_> = keys.into_iter().map(Key::from_text).collect();
                self.fences.raise(&tenant, &keys, fence);
            }
            // When it was read is said by a clock that is not ours, and not asked: see `Freshness`.
            Ok(ChangeRecord::Watermark { epoch: of, watermark, at_ms: _ }) if of == epoch => {
                self.advance(partition, watermark);
            }
            // Of another graph: our entries have nothing to do with it.
            Ok(ChangeRecord::Fence { .. } | ChangeRecord::Watermark { .. }) => {}
            // A newer relay says something that may void what is held here, or one could not read what it
            // has to tell.
            Ok(ChangeRecord::Unknown) | Err(_) => self.freshness.clear("unknown_change"),
        }
    }

    fn advance(&mut self, partition: usize, watermark: Revision) {
        let Some(heard) = self.heard.get_mut(partition) else { return };
        *heard = (*heard).max(watermark);
        // A fence may be in any partition: only what all of them have passed is sure.
        if let Some(watermark) = self.heard.iter().min() {
            self.freshness.hear(self.generation, *watermark);
        }
    }
}

/// Where changes are, and what they are applied to.
pub struct Source {
    /// Where the topic is.
    pub bus: Bus,
    /// The topic.
    pub topic: String,
    /// What is raised.
    pub fences: Arc<Fences>,
    /// What is advanced.
    pub freshness: Arc<Freshness>,
    /// The time.
    pub clock: Clock,
    /// With a watermark older than this, checks are refused; `None` never refuses them.
    pub refused_after: Option<Duration>,
    /// Not ready until changes are heard for the first time, and while checks are refused.
    pub health: Component,
}

impl Source {
    /// Listens until the drain. Whatever may have been missed clears everything: offsets are fixed
    /// first, then the cache is cleared, so that no read falls between.
    pub async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            () = self.listen() => {}
            () = self.report() => {}
            () = shutdown.draining() => {}
        }
    }

    async fn listen(&self) {
        loop {
            if let Err(reason) = self.follow().await {
                tracing::warn!(reason, "authz.changes");
            }
            sleep(BACKOFF).await;
        }
    }

    /// An edge that hears nothing answers from strict reads, and is as right as others: it stays ready,
    /// unless it is told to refuse.
    async fn report(&self) {
        loop {
            self.judge();
            sleep(REPORT).await;
        }
    }

    fn judge(&self) {
        let now = self.clock.millis();
        match self.refused_after.map(millis) {
            Some(limit) if self.freshness.lag(now) > limit => {
                self.health
                    .not_ready("changes are behind by more than freshness.fail_closed_on_lag_ms");
            }
            _ if self.freshness.age(now) < u64::MAX => self.health.ready(),
            // What was ready once stays so.
            _ => {}
        }
    }

    async fn follow(&self) -> Result<(), String> {
        let follower = self.bus.follow(&self.topic).await.map_err(|error| error.to_string())?;
        self.freshness.clear("followed");
        let partitions = usize::try_from(follower.partitions()).unwrap_or(0);
        let (fences, freshness) = (Arc::clone(&self.fences), Arc::clone(&self.freshness));
        let mut listener = Listener::new(fences, freshness, partitions);
        let mut looked = Instant::now();
        loop {
            match follower.next(WAIT).await {
                Ok(Some(message)) => hear(&mut listener, &message),
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
}

fn hear(listener: &mut Listener, message: &Message) {
    let partition = usize::try_from(message.partition).unwrap_or(usize::MAX);
    listener.hear(partition, message.payload.as_deref().unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use contracts::{GraphEpoch, TenantId};
    use service_kit::bus::KafkaConfig;
    use service_kit::health::Health;

    use super::*;

    fn record(record: &ChangeRecord) -> Vec<u8> {
        serde_json::to_vec(record).unwrap()
    }

    fn listener() -> (Listener, Arc<Fences>, Arc<Freshness>) {
        let (fences, freshness) = (Arc::<Fences>::default(), Arc::<Freshness>::default());
        freshness.set_epoch(GraphEpoch(7));
        let listener = Listener::new(Arc::clone(&fences), Arc::clone(&freshness), 2);
        freshness.has_read(freshness.generation(), Revision(1), 50);
        (listener, fences, freshness)
    }

    fn watermark(epoch: u64, at: u64) -> Vec<u8> {
        watermark_of(epoch, at, 0)
    }

    fn watermark_of(epoch: u64, at: u64, at_ms: u64) -> Vec<u8> {
        let watermark = Revision(at);
        record(&ChangeRecord::Watermark { epoch: GraphEpoch(epoch), watermark, at_ms })
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
    fn no_clock_of_a_relay_makes_a_watermark_older_or_younger() {
        for at_ms in [0, 1, u64::MAX] {
            let (mut listener, _, freshness) = listener();
            (0..2).for_each(|partition| listener.hear(partition, &watermark_of(7, 10, at_ms)));
            assert_eq!(freshness.confirmed(), 50, "{at_ms}");
        }
    }

    #[test]
    fn watermarks_of_the_graph_before_say_nothing_of_the_next() {
        let (mut listener, _, freshness) = listener();
        (0..2).for_each(|partition| listener.hear(partition, &watermark(7, 1000)));
        assert_eq!(freshness.watermark(), Revision(1000));
        freshness.set_epoch(GraphEpoch(8));
        freshness.has_read(freshness.generation(), Revision(2), 60);
        listener.hear(0, &watermark(8, 3));
        assert_eq!(freshness.watermark(), Revision(0));
        listener.hear(1, &watermark(8, 4));
        assert_eq!(freshness.watermark(), Revision(3));
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

    #[test]
    fn an_edge_that_refuses_is_not_ready_and_one_that_hears_nothing_stays_ready() {
        let (_, fences, freshness) = listener();
        let (health, clock) = (Health::new(), Clock::manual());
        let kafka = KafkaConfig { brokers: Vec::new(), properties: BTreeMap::new() };
        let bus = Bus::Kafka(kafka);
        let mut source = Source {
            bus,
            topic: "changes".to_owned(),
            fences,
            freshness: Arc::clone(&freshness),
            clock: clock.clone(),
            refused_after: None,
            health: health.component("authz_changes"),
        };
        let mut ready = |refused_after| {
            source.refused_after = refused_after;
            source.judge();
            health.ready().is_ok()
        };
        let limit = Some(Duration::from_millis(100));
        assert!(!ready(None), "nothing was heard yet");
        freshness.advance(Revision(1), clock.millis());
        assert!(ready(None));
        clock.step(101, 0);
        assert!(ready(None));
        assert!(!ready(limit));
        freshness.advance(Revision(2), clock.millis());
        assert!(ready(limit));
        freshness.follow_identities();
        assert!(!ready(limit), "identity sync is not known to be caught up");
        freshness.caught_up(clock.millis());
        assert!(ready(limit));
        freshness.clear("lost");
        assert!(!ready(limit));
    }
}

//! Clients that go on when librdkafka does not.
//!
//! A cluster whose brokers are all fenced (a single one that stood still, all of them while they start) answers for a moment with
//! topics and no brokers. librdkafka 2.10 and later forgets its brokers then, those it was configured with among them, and
//! asks these again a moment later, unless another such answer comes first: then it never does
//! (confluentinc/librdkafka#5301), and whatever is asked of the client ends with its deadline, for good. Its statistics still
//! come, and show no broker. Such a client is put aside, and another one is made.

use super::BusError;
use rdkafka::{
    client::ClientContext,
    consumer::ConsumerContext,
    error::KafkaResult,
    statistics::{Broker, Statistics},
};
use std::{
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// Looks in a row at which a client knows no broker before it is lost: between forgetting its brokers and asking
/// those of its configuration is a moment without any.
const LOOKS: u32 = 2;

/// Whether a client is lost: it knows no broker, and never will. Clones watch the same client, whose context one of
/// them is.
#[derive(Clone, Debug, Default)]
pub struct BrokerWatch(Arc<AtomicU32>);

impl BrokerWatch {
    /// The option by which a client tells its statistics, every 5 s here: without it there is nothing to look at.
    pub const STATISTICS: (&str, &str) = ("statistics.interval.ms", "5000");

    /// Takes a client's statistics into account.
    pub fn look(&self, statistics: &Statistics) {
        let is_one = |broker: &Broker| matches!(broker.source.as_str(), "configured" | "learned");
        let knows_one = statistics.brokers.values().any(is_one);
        let seen = |looks| (looks < LOOKS).then(|| if knows_one { 0 } else { looks + 1 });
        // Nothing to be changed: who is lost stays so.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, seen);
    }

    /// Takes the client for lost, whatever its statistics say.
    pub fn give_up(&self) {
        self.0.store(LOOKS, Ordering::Relaxed);
    }

    /// Whether it is lost. A client whose brokers do not answer is not.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= LOOKS
    }
}

impl ClientContext for BrokerWatch {
    fn stats(&self, statistics: Statistics) {
        self.look(&statistics);
    }
}

impl ConsumerContext for BrokerWatch {}

/// A client and its watch. Of a lost one nobody waits for the end.
pub(super) struct Watched<C: Send + 'static> {
    /// There until the end.
    client: Option<C>,
    watch: BrokerWatch,
}

impl<C: Send + 'static> Watched<C> {
    /// A client with this configuration, which `make` makes.
    pub(super) fn new(
        mut config: rdkafka::ClientConfig,
        make: impl FnOnce(rdkafka::ClientConfig, BrokerWatch) -> KafkaResult<C>,
    ) -> Result<Self, BusError> {
        let (statistics, interval) = BrokerWatch::STATISTICS;
        config.set(statistics, interval);
        let watch = BrokerWatch::default();
        let client = make(config, watch.clone()).map_err(BusError::kafka)?;
        Ok(Self { client: Some(client), watch })
    }

    /// Whether another one is needed.
    pub(super) fn is_lost(&self) -> bool {
        self.watch.is_lost()
    }
}

impl<C: Send + 'static> Deref for Watched<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.client.as_ref().expect("a client is there until it is dropped")
    }
}

impl<C: Send + 'static> Drop for Watched<C> {
    fn drop(&mut self) {
        if self.is_lost() {
            put_aside(self.client.take());
        }
    }
}

/// Closes a lost client on a thread of its own: it says good-bye to brokers that it does not know, which may never end
/// (librdkafka#4884). Without a thread to be had, here.
pub fn put_aside<C: Send + 'static>(client: C) {
    let aside = std::thread::Builder::new().name("kafka-aside".to_owned());
    if let Err(error) = aside.spawn(move || drop(client)) {
        tracing::warn!(%error, "no thread to close a client of Kafka's");
    }
}

type Make<C> = dyn Fn(rdkafka::ClientConfig, BrokerWatch) -> KafkaResult<C> + Send + Sync;

/// A client that is made anew when it is lost.
pub(super) struct Renewed<C: Send + 'static> {
    config: rdkafka::ClientConfig,
    make: Box<Make<C>>,
    now: Mutex<Arc<Watched<C>>>,
}

impl<C: Send + 'static> Renewed<C> {
    /// The first one.
    pub(super) fn new(
        config: rdkafka::ClientConfig,
        make: impl Fn(rdkafka::ClientConfig, BrokerWatch) -> KafkaResult<C> + Send + Sync + 'static,
    ) -> Result<Self, BusError> {
        let first = Watched::new(config.clone(), &make)?;
        Ok(Self { config, make: Box::new(make), now: Mutex::new(Arc::new(first)) })
    }

    /// The client, another one when the last is lost. Hold it for one use, not longer.
    pub(super) fn client(&self) -> Arc<Watched<C>> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.is_lost() {
            match Watched::new(self.config.clone(), &self.make) {
                Ok(client) => {
                    tracing::warn!(
                        "a client of Kafka's knows no broker any more: a new one is made"
                    );
                    *now = Arc::new(client);
                }
                // The last one says as much, in its way; the next call tries again.
                Err(error) => tracing::error!(%error, "a client of Kafka's cannot be made anew"),
            }
        }
        Arc::clone(&now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Statistics with brokers of these sources.
    fn statistics(sources: &[&str]) -> Statistics {
        let broker = |source: &&str| {
            let broker = Broker { source: (*source).to_owned(), ..Broker::default() };
            ((*source).to_owned(), broker)
        };
        Statistics { brokers: sources.iter().map(broker).collect(), ..Statistics::default() }
    }

    #[test]
    fn a_client_is_lost_that_goes_on_without_a_broker() {
        let watch = BrokerWatch::default();
        let look = |sources: &[&str]| {
            watch.look(&statistics(sources));
            watch.is_lost()
        };
        assert!(!look(&["configured"]));
        assert!(!look(&["logical"]), "its own are asked next");
        assert!(!look(&["learned", "logical"]));
        assert!(!look(&["logical", "internal"]));
        assert!(look(&[]));
        assert!(look(&["learned"]), "another one is made already");
    }

    /// A client that says when it ends.
    struct Client(std::sync::mpsc::SyncSender<u32>, u32);

    impl Drop for Client {
        fn drop(&mut self) {
            self.0.send(self.1).unwrap();
        }
    }

    #[test]
    fn a_lost_one_is_put_aside_when_nobody_uses_it() {
        let (said, heard) = std::sync::mpsc::sync_channel(4);
        let made = AtomicU32::new(0);
        let renewed = Renewed::new(rdkafka::ClientConfig::new(), move |config, _| {
            let (statistics, interval) = BrokerWatch::STATISTICS;
            assert_eq!(config.get(statistics), Some(interval));
            Ok(Client(said.clone(), made.fetch_add(1, Ordering::Relaxed)))
        })
        .unwrap();
        let first = renewed.client();
        assert_eq!((first.1, renewed.client().1), (0, 0));
        first.watch.give_up();
        assert_eq!((renewed.client().1, renewed.client().1), (1, 1));
        assert!(heard.try_recv().is_err(), "it is still used");
        drop(first);
        assert_eq!(heard.recv().unwrap(), 0);
        drop(renewed);
        assert_eq!(heard.try_recv().unwrap(), 1, "who is not lost ends before that goes on");
    }

    #[test]
    fn who_cannot_be_made_anew_stays() {
        let made = AtomicU32::new(0);
        let refused = || rdkafka::error::KafkaError::ClientCreation("no".to_owned());
        let renewed = Renewed::new(rdkafka::ClientConfig::new(), move |_, _| {
            let number = made.fetch_add(1, Ordering::Relaxed);
            if number == 1 { Err(refused()) } else { Ok(number) }
        })
        .unwrap();
        renewed.client().watch.give_up();
        assert_eq!((**renewed.client(), **renewed.client()), (0, 2));
    }
}

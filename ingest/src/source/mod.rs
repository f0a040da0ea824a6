//! The source: one polling thread a consumer, which owns the Kafka client.
//!
//! The thread copies records into chunks and hands them on. It never waits for Cassandra: above the
//! byte budget it waits a little, then pauses partitions and keeps polling, so that the group keeps
//! its member and rebalances go on. Pausing throws away what was prefetched, hence the wait before and
//! the low mark behind it.

mod poller;
mod rebalance;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use service_kit::bus::{BrokerWatch, Publisher};
use service_kit::health::Component;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::Config;
use crate::pipeline::Intake;
use rebalance::Assignments;

/// How long leaving the group may take. Closing a consumer in the middle of a rebalance may never end
/// (librdkafka#4884); the group goes on without the member after its session timeout then.
const LEAVE: Duration = Duration::from_secs(3);

/// The running source.
pub struct Source {
    stop: Arc<AtomicBool>,
    /// What was in flight is committed, as far as it will be.
    committed: oneshot::Receiver<()>,
    thread: std::thread::JoinHandle<()>,
}

/// Why the source did not start.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The client refused its configuration or its subscription.
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The thread could not be made.
    #[error("polling thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Source {
    /// Subscribes and starts the polling thread. Brokers that do not answer yet are no error.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn start<P: Publisher>(
        config: &Config,
        intake: Intake<P>,
        health: Component,
    ) -> Result<Self, SourceError> {
        let make = {
            let (config, watermarks) = (config.clone(), Arc::clone(&intake.watermarks));
            move || {
                let assignments =
                    Assignments::new(&config, Arc::clone(&watermarks), health.clone());
                let consumer = consumer(&config, assignments)?;
                consumer.subscribe(&[config.kafka.topic.as_str()])?;
                Ok(consumer)
            }
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (done, committed) = oneshot::channel();
        let poller = poller::Poller::new(config, Box::new(make), intake, Arc::clone(&stop), done)?;
        let thread = std::thread::Builder::new()
            .name("kafka-poll".to_owned())
            .spawn(move || poller.run())?;
        Ok(Self { stop, committed, thread })
    }

    /// Stops fetching, waits up to half of `drain_deadline_ms` for what is in flight, commits and leaves the
    /// group.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Release);
        // A thread that panicked ends this, too.
        let _ = self.committed.await;
        let joined = tokio::task::spawn_blocking(move || self.thread.join());
        match timeout(LEAVE, joined).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) => tracing::error!("the polling thread panicked"),
            Err(_) => tracing::warn!("the group is left without saying so"),
        }
    }
}

fn consumer(
    config: &Config,
    assignments: Assignments,
) -> Result<BaseConsumer<Assignments>, KafkaError> {
    let (statistics, interval) = BrokerWatch::STATISTICS;
    config
        .kafka
        .cluster()
        .client()
        .set("client.id", "triad-ingest")
        .set("group.id", &config.kafka.group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", config.kafka.session_timeout_ms.to_string())
        .set("max.poll.interval.ms", config.kafka.max_poll_interval_ms.to_string())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Every assignment starts at an explicit offset; what is out of range is looked into.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("queued.max.messages.kbytes", config.kafka.prefetch_kib.to_string())
        .set("queued.min.messages", "100000")
        .set("fetch.message.max.bytes", "1048576")
        // Under load fewer, fuller fetches: the broker, the chunks and the batches behind them cost less.
        // A record waits for company for 20 ms at most.
        .set("fetch.wait.max.ms", "20")
        .set("fetch.min.bytes", "262144")
        // The default of a second starves the pipeline: it empties what is fetched ahead in less.
        .set("fetch.queue.backoff.ms", "20")
        .set("check.crcs", "true")
        .set(statistics, interval)
        .create_with_context(assignments)
}

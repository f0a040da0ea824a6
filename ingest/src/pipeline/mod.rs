//! From records to durable rows: decode on workers, gather by Cassandra partition, write, tell the
//! watermark.
//!
//! | stage | runs on | bounded by |
//! |---|---|---|
//! | source | one polling thread ([`crate::source`]) | [`budget`], then pausing partitions |
//! | decode | a task a chunk | the budget: a chunk holds its bytes from delivery to settlement |
//! | gather | one task, which owns all open batches and takes chunks as they were delivered | the same bytes |
//! | write | a task a batch | `pipeline.batches_in_flight` |

pub mod batch;
pub mod budget;
pub mod chunk;
mod dead_letter;
pub mod decode;
mod gather;
mod granule;
pub mod watermark;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use dead_letter::DeadLetters;

use crate::config::Config;
use crate::layout::promotion::RowCounts;
use crate::layout::registry::Registry;
use crate::metrics::PipelineMetrics;
use crate::sink::Sink;
use crate::sink::skip::GranuleWriter;
use batch::BatchLimits;
use budget::Budget;
use chunk::{Chunk, Records};
use decode::{Decoded, Decoder};
use gather::Gather;
use granule::Granules;
use service_kit::bus::Publisher;
use watermark::{Epoch, Watermarks};

/// What the pipeline is made of.
pub struct Parts<P> {
    /// Where rows go.
    pub sink: Sink,
    /// Where the skip index goes, if there is one.
    pub skip: Option<GranuleWriter>,
    /// Where refused records go.
    pub dead_letters: DeadLetters<P>,
    /// What places rows.
    pub registry: Registry,
    /// What is told of the rows of each tenant.
    pub counts: Arc<RowCounts>,
}

/// The way into the pipeline, for the source. The pipeline ends when every intake is dropped and
/// everything delivered is settled.
pub struct Intake<P> {
    /// Bytes in flight.
    pub budget: Arc<Budget>,
    /// What may be committed.
    pub watermarks: Arc<Watermarks>,
    stage: Stage<P>,
    runtime: tokio::runtime::Handle,
    topic: Arc<str>,
}

/// What a decoding task needs.
struct Stage<P> {
    decoder: Arc<Decoder>,
    registry: Registry,
    dead_letters: DeadLetters<P>,
    metrics: Arc<PipelineMetrics>,
    /// Chunks in the order of their delivery, each to come when it is decoded.
    order: mpsc::UnboundedSender<oneshot::Receiver<Decoded>>,
}

impl<P> Clone for Stage<P> {
    fn clone(&self) -> Self {
        Self {
            decoder: Arc::clone(&self.decoder),
            registry: self.registry.clone(),
            dead_letters: self.dead_letters.clone(),
            metrics: Arc::clone(&self.metrics),
            order: self.order.clone(),
        }
    }
}

/// Starts the pipeline on the current runtime: the way in, and the task that ends with it.
pub fn start<P: Publisher>(config: &Config, parts: Parts<P>) -> (Intake<P>, JoinHandle<()>) {
    let metrics = Arc::new(PipelineMetrics::default());
    #[allow(clippy::disallowed_methods, reason = "bounded by the budget that each chunk holds")]
    let (order, rows) = mpsc::unbounded_channel();
    let limits = BatchLimits {
        bytes: config.pipeline.batch_bytes,
        rows: config.pipeline.batch_rows,
        linger_min: Duration::from_millis(config.pipeline.linger_min_ms),
        linger_max: Duration::from_millis(config.pipeline.linger_max_ms),
    };
    let watermarks = Arc::new(Watermarks::default());
    let linger = Duration::from_millis(config.pipeline.index_linger_ms);
    let (granules, watch) =
        parts.skip.map(|writer| Granules::start(writer, linger, Arc::clone(&watermarks))).unzip();
    let gather = Gather::new(
        limits,
        config.pipeline.batches_in_flight,
        config.layout.partition_rows,
        parts.sink,
        granules,
        parts.dead_letters.clone(),
        parts.counts,
        Arc::clone(&metrics),
    );
    let task = tokio::spawn(async move {
        gather.run(rows).await;
        if let Some(watch) = watch {
            watch.abort();
        }
    });
    let intake = Intake {
        budget: Budget::new(config.pipeline.in_flight_bytes),
        watermarks,
        stage: Stage {
            decoder: Arc::new(Decoder::new(&config.limits)),
            registry: parts.registry,
            dead_letters: parts.dead_letters,
            metrics,
            order,
        },
        runtime: tokio::runtime::Handle::current(),
        topic: config.kafka.topic.as_str().into(),
    };
    (intake, task)
}

impl<P: Publisher> Intake<P> {
    /// Shows what is in flight; called now and then, also when nothing is delivered.
    // Precision is lost far beyond any memory.
    #[allow(clippy::cast_precision_loss)]
    pub fn observe(&self) {
        self.stage.metrics.in_flight_bytes.set(self.budget.used() as f64);
    }

    /// Delivers records of `partition`, consecutive and after those delivered before. Records of an
    /// assignment that is over are dropped: whoever has the partition now reads them again.
    pub fn deliver(
        &self,
        partition: i32,
        epoch: Epoch,
        records: Records,
        share: &Arc<AtomicUsize>,
    ) {
        let Some(next_offset) = records.next_offset() else { return };
        let Some(ticket) = self.watermarks.deliver(partition, epoch, next_offset) else { return };
        let permit = self.budget.take(records.cost(), share);
        let topic = Arc::clone(&self.topic);
        let marks = Arc::clone(&self.watermarks);
        let chunk = Chunk::new(topic, partition, records, ticket, marks, permit);
        let (decoded, turn) = oneshot::channel();
        // The gatherer ends after the last sender, so this cannot fail.
        let _ = self.stage.order.send(turn);
        self.runtime.spawn(self.stage.clone().run(chunk, decoded));
    }
}

impl<P: Publisher> Stage<P> {
    /// Keeps a sender until dead letters are acknowledged: the gatherer does not end before.
    async fn run(self, chunk: Arc<Chunk>, turn: oneshot::Sender<Decoded>) {
        // Without a fresh registry nothing may be placed: the chunk waits, and the budget holds up
        // the source.
        let layouts = self.registry.fresh().await;
        let mut decoded = self.decoder.decode(chunk, &layouts);
        let refused = std::mem::take(&mut decoded.refused);
        self.metrics.expired.increment(decoded.expired as u64);
        decoded.chunk.settled(decoded.expired);
        let chunk = (!refused.is_empty()).then(|| Arc::clone(&decoded.chunk));
        // The gatherer ends after the last sender, so this cannot fail.
        let _ = turn.send(decoded);
        let Some(chunk) = chunk else { return };
        for (index, rejection) in refused {
            self.dead_letters.send(&chunk, index, &rejection).await;
            self.metrics.dead_lettered.increment(1);
        }
    }
}

//! Publishing a run's records: idempotent, acknowledged by all in-sync replicas, at a rate or flat out.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext,
    ThreadedProducer,
};
use rdkafka::util::IntoOpaque;
use rdkafka::{ClientConfig, ClientContext};
use serde::Serialize;

use crate::engines::Engines;
use crate::generate::poison::Kind;
use crate::generate::{Draft, Generator};
use crate::run::Run;
use crate::stop::Stop;

/// The header that names a record that has no readable id: the run and the index.
pub const INDEX_HEADER: &str = "loadtest-index";

/// How long a record is tried: longer than any drill keeps Kafka away.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(300);

/// What was published.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Produced {
    /// Records that every in-sync replica has.
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// From the first record to the last acknowledgement.
    pub seconds: f64,
    /// Records a second.
    pub per_second: f64,
}

/// Counts acknowledgements; the first refusal is kept.
#[derive(Default)]
struct Deliveries {
    acknowledged: AtomicU64,
    refused: AtomicU64,
    first: std::sync::OnceLock<String>,
}

#[derive(Clone, Default)]
struct Context(Arc<Deliveries>);

impl ClientContext for Context {}

impl ProducerContext<NoCustomPartitioner> for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.0.acknowledged.fetch_add(1, Ordering::Relaxed),
            Err((error, message)) => {
                let size = message.payload_len();
                self.0.first.get_or_init(|| format!("{error} ({size} bytes)"));
                self.0.refused.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

/// Publishes the records of `range`. Blocks: call it on a thread of its own. `sent` is told how far it
/// is, some thousands of records at a time.
///
/// # Errors
/// When a record is refused or not acknowledged in time, or `stop` says so.
pub fn produce(
    engines: &Engines,
    run: &Run,
    range: Range<u64>,
    rate: Option<f64>,
    stop: &Stop,
    sent: impl Fn(u64),
) -> anyhow::Result<Produced> {
    let context = Context::default();
    let producer: ThreadedProducer<Context> =
        client(engines, run).create_with_context(context.clone())?;
    let generator = Generator::new(run);
    let (begun, mut draft, mut bytes) = (Instant::now(), Draft::default(), 0);
    // Two hundred times a second when there is a rate: bursts would be lag.
    #[allow(clippy::cast_sign_loss, reason = "clamped")]
    let often = rate.map_or(256, |rate| (rate / 200.0).clamp(1.0, 256.0) as u64);
    for (done, index) in (0_u64..).zip(range.clone()) {
        if done % often == 0 {
            sent(done);
            stop.check()?;
            pace(begun, done, rate);
        }
        generator.record(index, &mut draft);
        bytes += draft.value.len() as u64;
        send(&producer, run, index, &draft, stop)?;
        if let Some(first) = context.0.first.get() {
            bail!("Kafka refused a record: {first}");
        }
    }
    flush(&producer, stop)?;
    let (acknowledged, refused) =
        (context.0.acknowledged.load(Ordering::Relaxed), context.0.refused.load(Ordering::Relaxed));
    let records = range.end - range.start;
    ensure!(
        refused == 0,
        "Kafka refused {refused} records: {}",
        context.0.first.get().map_or("", |e| e)
    );
    ensure!(acknowledged == records, "{acknowledged} of {records} records were acknowledged");
    sent(records);
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Produced { records, bytes, seconds, per_second: records as f64 / seconds })
}

/// A producer of the run's records: idempotent, acknowledged by all in-sync replicas.
pub(crate) fn client(engines: &Engines, run: &Run) -> ClientConfig {
    let mut client = engines.client();
    let largest = (run.oversized_bytes + 64 * 1024).max(1 << 20);
    client
        .set("client.id", "triad-loadtest")
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "200000")
        .set("queue.buffering.max.kbytes", "131072")
        .set("message.max.bytes", largest.to_string())
        .set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string());
    client
}

/// Waits until record `done` is due.
fn pace(begun: Instant, done: u64, rate: Option<f64>) {
    let Some(rate) = rate else { return };
    let due = begun + Duration::from_secs_f64(done as f64 / rate);
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}

fn send(
    producer: &ThreadedProducer<Context>,
    run: &Run,
    index: u64,
    draft: &Draft,
    stop: &Stop,
) -> anyhow::Result<()> {
    let mut record = record(run, index, draft, ());
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                stop.check()?;
                std::thread::sleep(Duration::from_millis(1));
                record = back;
            }
            Err((error, _)) => bail!("record {index}: {error}"),
        }
    }
}

/// Record `index` of the run, which `draft` holds; `opaque` comes with the news of its delivery.
pub(crate) fn record<'a, D: IntoOpaque>(
    run: &'a Run,
    index: u64,
    draft: &'a Draft,
    opaque: D,
) -> BaseRecord<'a, [u8], [u8], D> {
    let record: BaseRecord<'a, [u8], [u8], D> =
        BaseRecord::with_opaque_to(run.names.topic.as_str(), opaque);
    let record = record.key(draft.key.as_slice()).payload(draft.value.as_slice());
    match run.kind(index) {
        Kind::Good => record,
        Kind::Poison(_) | Kind::Oversized => {
            let name = format!("{}-{index}", run.id);
            record.headers(
                OwnedHeaders::new().insert(Header { key: INDEX_HEADER, value: Some(&name) }),
            )
        }
    }
}

fn flush(producer: &ThreadedProducer<Context>, stop: &Stop) -> anyhow::Result<()> {
    loop {
        match producer.flush(Duration::from_millis(200)) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) => stop.check()?,
            Err(error) => bail!("flush: {error}"),
        }
    }
}

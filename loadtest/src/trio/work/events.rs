//! Audit events of a producer of its own, poison among them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::bail;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{
    DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer,
};
use rdkafka::{ClientContext, Message as _, Statistics};
use service_kit::bus::BrokerWatch;

use super::book::{Book, Workload, lock};
use super::scene::Scene;
use crate::generate::{Draft, Generator};
use crate::produce::{client, record};
use crate::run::{Run, TICKS_PER_SECOND};
use crate::stop::Stop;

/// How many tenants share the events; they are others than those who are asked about.
const TENANTS: u32 = 40;
const POISON_EVERY: u64 = 97;
/// A producer that is later than this has lost its turns.
const LATE: Duration = Duration::from_millis(500);
/// For acknowledgements, once nothing more is sent.
const FLUSH_WITHIN: Duration = Duration::from_secs(60);
const FLUSH: Duration = Duration::from_millis(200);

/// The run of a work, without end yet: `rate` events a second from now on.
pub(super) fn run_of(scene: &Scene, rate: u32) -> Run {
    let micros = chrono::Utc::now().timestamp_micros();
    Run {
        id: scene.id.clone(),
        seed: scene.seed,
        events: 0,
        tenants: TENANTS,
        exponent: 1.0,
        hot: 0.0,
        base: micros.unsigned_abs() * 10,
        step: TICKS_PER_SECOND / u64::from(rate.max(1)),
        poison_every: POISON_EVERY,
        oversized_every: 0,
        oversized_bytes: 0,
        oversized_decodes: false,
        random_keys: false,
        names: scene.site.names.clone(),
    }
}

/// What became of each record, by its index.
pub(super) struct Sent {
    book: Arc<Book>,
    /// The partition and offset of its acknowledgement.
    places: Mutex<Vec<Option<(i32, i64)>>>,
}

impl Sent {
    pub(super) fn new(book: Arc<Book>) -> Self {
        Self { book, places: Mutex::default() }
    }

    /// Where each record was acknowledged.
    pub(super) fn places(&self) -> Vec<Option<(i32, i64)>> {
        lock(&self.places).clone()
    }
}

/// One record on its way.
struct OnItsWay {
    index: u64,
    since: Instant,
}

#[derive(Clone)]
struct Context {
    sent: Arc<Sent>,
    watch: BrokerWatch,
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        self.watch.look(&statistics);
    }
}

impl ProducerContext<NoCustomPartitioner> for Context {
    type DeliveryOpaque = Box<OnItsWay>;

    fn delivery(&self, result: &DeliveryResult<'_>, record: Box<OnItsWay>) {
        match result {
            Ok(message) => {
                let place = (message.partition(), message.offset());
                if let Some(found) = lock(&self.sent.places).get_mut(record.index as usize) {
                    *found = Some(place);
                }
                self.sent.book.done(Workload::Events, record.since.elapsed());
            }
            Err(_) => self.sent.book.failed(Workload::Events),
        }
    }
}

/// Publishes the run's records until `stop` says so, and waits for acknowledgements unless `gone` says so. Blocks: call
/// it on a thread of its own.
///
/// # Errors
/// When the producer cannot go on.
pub(super) fn publish(
    scene: &Scene,
    run: &Run,
    (rate, sent): (u32, &Arc<Sent>),
    (stop, gone): (&Stop, &Stop),
) -> anyhow::Result<()> {
    let Some(period) = Duration::from_secs(1).checked_div(rate) else { return Ok(()) };
    let mut client = client(&scene.site.engines, run);
    let (statistics, interval) = BrokerWatch::STATISTICS;
    client.set(statistics, interval);
    let begin = || {
        let context = Context { sent: Arc::clone(sent), watch: BrokerWatch::default() };
        let producer: ThreadedProducer<Context> = client.create_with_context(context.clone())?;
        anyhow::Ok((producer, context.watch))
    };
    let (mut producer, mut watch) = begin()?;
    let generator = Generator::new(run);
    let (mut draft, mut due) = (Draft::default(), Instant::now());
    while stop.check().is_ok() && gone.check().is_ok() {
        due = (due + period).max(Instant::now().checked_sub(LATE).unwrap_or(due));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if watch.is_lost() {
            // Faults are for the replicas: what this one had on its way may be there or not.
            (producer, watch) = begin()?;
        }
        let index = {
            let mut places = lock(&sent.places);
            places.push(None);
            places.len() as u64 - 1
        };
        generator.record(index, &mut draft);
        let opaque = Box::new(OnItsWay { index, since: Instant::now() });
        match producer.send(record(run, index, &draft, opaque)) {
            Ok(()) => {}
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                // It was never taken, so the next one has its number.
                lock(&sent.places).pop();
                sent.book.failed(Workload::Events);
            }
            Err((error, _)) => bail!("record {index}: {error}"),
        }
    }
    let deadline = Instant::now() + FLUSH_WITHIN;
    while Instant::now() < deadline && gone.check().is_ok() {
        match producer.flush(FLUSH) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut)) => {}
            Err(error) => bail!("flush: {error}"),
        }
    }
    // What nobody acknowledged may be there or not.
    Ok(())
}

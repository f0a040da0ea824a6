//! When things are sent: one after the other, or at a rate whoever is slow.
//!
//! At a rate, each has an intended start, and its latency counts from there. A target that stalls then
//! has every question on its account that should have been asked meanwhile; counted from the actual
//! start, those would be left out (Tene, "How NOT to Measure Latency", coordinated omission).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::stop::Stop;

/// Starts are released at most so often; more often, releasing would be what costs.
const QUANTUM: Duration = Duration::from_micros(100);
/// What was due in time may be sent for so long after the end.
const GRACE: Duration = Duration::from_secs(5);

/// How things follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// On each connection one after the other.
    Closed,
    /// So many a second, spread over the connections that are free.
    Open(f64),
}

/// The intended starts of a rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    begun: Instant,
    per_second: f64,
    total: u64,
}

#[allow(clippy::cast_sign_loss, reason = "rates and durations are not negative")]
impl Schedule {
    pub(super) fn new(begun: Instant, per_second: f64, span: Duration) -> Self {
        let total = (span.as_secs_f64() * per_second).ceil() as u64;
        Self { begun, per_second, total }
    }

    /// When number `index` is to start.
    pub(super) fn intended(&self, index: u64) -> Instant {
        self.begun + Duration::from_secs_f64(index as f64 / self.per_second)
    }

    /// How many are to have started `elapsed` after the beginning.
    fn due(&self, elapsed: Duration) -> u64 {
        ((elapsed.as_secs_f64() * self.per_second) as u64 + 1).min(self.total)
    }
}

/// Hands out turns until the time is over.
pub(super) struct Gate {
    begun: Instant,
    until: Instant,
    next: AtomicU64,
    open: Option<(Schedule, Semaphore)>,
}

/// One turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Its number.
    pub(super) index: u64,
    /// When it was to start, at a rate.
    pub(super) intended: Option<Instant>,
}

impl Turn {
    /// What the target took, as those see it who want to ask at that rate.
    pub(super) fn latency(&self, sent: Instant, done: Instant) -> Duration {
        done.saturating_duration_since(self.intended.unwrap_or(sent))
    }
}

impl Gate {
    /// Opens now, for `span`.
    pub(super) fn new(pace: Pace, span: Duration) -> Arc<Self> {
        let begun = Instant::now();
        let open = match pace {
            Pace::Closed => None,
            Pace::Open(per_second) => {
                Some((Schedule::new(begun, per_second, span), Semaphore::new(0)))
            }
        };
        Arc::new(Self { begun, until: begun + span, next: AtomicU64::new(0), open })
    }

    /// When it opened.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// The next turn, when its time has come; `None` when there are no more.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let Some((schedule, permits)) = &self.open else {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            return (Instant::now() < self.until).then_some(Turn { index, intended: None });
        };
        permits.acquire().await.ok()?.forget();
        if Instant::now() > self.until + GRACE {
            return None;
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let intended = Some(schedule.intended(index));
        (index < schedule.total).then_some(Turn { index, intended })
    }

    /// Those that were due and never sent, with how long they had been waiting by now.
    pub(super) fn unsent(&self) -> impl Iterator<Item = Duration> {
        let now = Instant::now();
        let sent = self.next.load(Ordering::Relaxed);
        let left = self.open.as_ref().map(|(schedule, _)| (*schedule, sent..schedule.total));
        left.into_iter().flat_map(move |(schedule, left)| {
            left.map(move |index| now.saturating_duration_since(schedule.intended(index)))
        })
    }

    /// Releases turns as they become due; returns when all are, or when `stop` says so. Blocks: the
    /// timers of the runtime are a millisecond coarse, which would be added to every latency.
    pub(super) fn release(&self, callers: usize, stop: &Stop) {
        let Some((schedule, permits)) = &self.open else { return };
        let mut released = 0;
        while released < schedule.total && stop.check().is_ok() {
            let due = schedule.due(self.begun.elapsed());
            permits.add_permits((due - released) as usize);
            released = due;
            let wait = schedule.intended(due).saturating_duration_since(Instant::now());
            // Often enough to notice a stop.
            std::thread::sleep(wait.clamp(QUANTUM, Duration::from_millis(50)));
        }
        // Who waits for a turn now learns that there are no more.
        permits.add_permits(callers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::{Latency, Recorder};

    /// One connection to a target that takes 1 ms, and once stops for a second: its latencies as `turn`
    /// counts them.
    fn stalled_once(turn: impl Fn(u64, Instant) -> (Turn, Instant), count: u64) -> Latency {
        let mut recorder = Recorder::default();
        let mut free = Instant::now();
        for index in 0..count {
            let (turn, sent) = turn(index, free);
            let took = if index == count / 2 { 1000 } else { 1 };
            free = sent + Duration::from_millis(took);
            recorder.record(turn.latency(sent, free));
        }
        recorder.summary()
    }

    #[test]
    fn a_stall_is_on_the_account_of_all_that_should_have_been_sent_meanwhile() {
        let schedule = Schedule::new(Instant::now(), 100.0, Duration::from_secs(10));
        let open = stalled_once(
            |index, free| {
                let intended = schedule.intended(index);
                (Turn { index, intended: Some(intended) }, intended.max(free))
            },
            1000,
        );
        // A hundred should have been sent while it stopped, waiting for 500 ms on average.
        assert!(open.p50_ms < 2.0, "{open:?}");
        assert!((300.0..700.0).contains(&open.p95_ms), "{open:?}");
        assert!(open.p99_ms > 800.0, "{open:?}");
        let closed = stalled_once(|index, free| (Turn { index, intended: None }, free), 1000);
        assert!(closed.p99_ms < 2.0 && closed.max_ms > 999.0, "{closed:?}");
    }

    #[test]
    fn everything_is_due_once_and_in_time() {
        let schedule = Schedule::new(Instant::now(), 1000.0, Duration::from_millis(100));
        let due = |micros| schedule.due(Duration::from_micros(micros));
        assert_eq!([due(0), due(999), due(1001), due(99_999)], [1, 1, 2, 100]);
        assert_eq!(due(5_000_000), 100, "no more than the span has");
        assert_eq!(schedule.intended(100) - schedule.begun, Duration::from_millis(100));
    }

    #[tokio::test]
    async fn all_turns_are_handed_out_and_then_the_gate_is_closed() {
        let gate = Gate::new(Pace::Open(2000.0), Duration::from_millis(50));
        let stop = Stop::after(Duration::from_secs(60));
        let releasing = tokio::task::spawn_blocking({
            let gate = Arc::clone(&gate);
            move || gate.release(1, &stop)
        });
        let mut turns = Vec::new();
        while let Some(turn) = gate.turn().await {
            turns.push(turn.index);
        }
        releasing.await.unwrap();
        assert_eq!(turns, (0..100).collect::<Vec<_>>());
        assert_eq!(gate.unsent().count(), 0);
    }

    #[test]
    fn what_was_due_and_never_sent_is_not_forgotten() {
        let gate = Gate::new(Pace::Open(1000.0), Duration::from_millis(20));
        assert_eq!(gate.unsent().count(), 20);
        assert_eq!(Gate::new(Pace::Closed, Duration::ZERO).unsent().count(), 0);
    }
}

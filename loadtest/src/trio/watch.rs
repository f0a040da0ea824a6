//! Looking at a trio while something is done to it: what the work does, and what is wrong.

use std::time::{Duration, Instant};

use super::stage::Stage;
use super::timeline::Timeline;
use super::work::{Violation, Work};
use crate::progress::say;

/// What is held of processes, beside the invariants of the work: name, and what it says.
pub const INVARIANTS: [(&str, &str); 3] = [
    (
        "process",
        "no replica ends by itself, and one that is told to ends within its deadline, with success",
    ),
    ("panic", "no replica panics"),
    ("ready", "every replica is ready, and lets in who may, soon after everything is put right"),
];
/// Between looks, if nobody says.
const WINDOW: Duration = Duration::from_secs(2);

/// What was seen so far.
pub struct Watch {
    begun: Instant,
    interval: Duration,
    timeline: Timeline,
    violations: Vec<Violation>,
}

impl Watch {
    /// Of work that began then.
    #[must_use]
    pub fn new(begun: Instant) -> Self {
        Self::every(begun, WINDOW)
    }

    /// The same, with so long between looks.
    #[must_use]
    pub fn every(begun: Instant, interval: Duration) -> Self {
        Self { begun, interval, timeline: Timeline::default(), violations: Vec::new() }
    }

    /// Looks while something is done, and once more after it.
    ///
    /// # Errors
    /// What is done has, and processes that cannot be started again.
    pub async fn during<T>(
        &mut self,
        stage: &Stage,
        work: &Work,
        doing: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let mut doing = std::pin::pin!(doing);
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first one comes at once.
        ticks.tick().await;
        loop {
            let done = tokio::select! {
                done = &mut doing => Some(done?),
                _ = ticks.tick() => None,
            };
            self.timeline.add(self.begun.elapsed().as_secs_f64(), work.window());
            for violation in work.violations() {
                self.take(violation);
            }
            self.look(stage)?;
            if let Some(done) = done {
                return Ok(done);
            }
        }
    }

    /// Looks at the processes: who ended is started again, and is a violation.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn look(&mut self, stage: &Stage) -> anyhow::Result<()> {
        stage.supervise()?;
        for finding in stage.findings() {
            self.add("process", finding);
        }
        Ok(())
    }

    /// Something that must not be, now.
    pub fn add(&mut self, invariant: &'static str, detail: String) {
        let at = self.begun.elapsed().as_secs_f64();
        self.take(Violation { invariant, at, detail });
    }

    /// Something that must not be, unless it is known already.
    pub fn take(&mut self, violation: Violation) {
        let is_same = |known: &Violation| {
            known.invariant == violation.invariant && known.detail == violation.detail
        };
        if !self.violations.iter().any(is_same) {
            let Violation { invariant, at, detail } = &violation;
            say(&format!("{at:>7.1} s  VIOLATED {invariant}: {detail}"));
            self.violations.push(violation);
        }
    }

    /// How many violations there are.
    #[must_use]
    pub fn violated(&self) -> usize {
        self.violations.len()
    }

    /// What was seen.
    #[must_use]
    pub fn end(self) -> (Timeline, Vec<Violation>) {
        (self.timeline, self.violations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_taken_once() {
        let mut watch = Watch::new(Instant::now());
        for _ in 0..2 {
            watch.add("process", "edge-1 ended".to_owned());
        }
        watch.add("process", "edge-2 ended".to_owned());
        assert_eq!(watch.violated(), 2);
        let (_, violations) = watch.end();
        assert_eq!(violations[0].detail, "edge-1 ended");
    }
}

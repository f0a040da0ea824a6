//! Looking at a trio while something is done to it: what the work does, and what is wrong.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::stage::Stage;
use super::timeline::Timeline;
use super::work::{Violation, Work};
use crate::progress::say;

/// What is held of processes, beside the invariants of the work: name, and what it says.
pub const INVARIANTS: [(&str, &str); 4] = [
    (
        "process",
        "no replica ends by itself, and one that is told to ends within its deadline, with success",
    ),
    ("panic", "no replica panics"),
    ("ready", "every replica is ready, and lets in who may, soon after everything is put right"),
    ("verdict", "what was done can be verified to its end"),
];
/// For all to agree in the end.
const AGREED_WITHIN: Duration = Duration::from_secs(180);
/// Between looks, if nobody says.
const WINDOW: Duration = Duration::from_secs(2);
/// Lines about violations of one invariant, at most: all are in what comes of it.
const SAID: usize = 5;

/// What was seen so far.
pub struct Watch {
    begun: Instant,
    interval: Duration,
    timeline: Timeline,
    /// What the work says, as it said it last.
    heard: Vec<Violation>,
    /// What was found beside it.
    own: Vec<Violation>,
    /// Lines about each invariant so far.
    said: BTreeMap<&'static str, usize>,
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
        let (timeline, said) = (Timeline::default(), BTreeMap::new());
        Self { begun, interval, timeline, heard: Vec::new(), own: Vec::new(), said }
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
        let heard = work.hearing();
        loop {
            let done = tokio::select! {
                done = &mut doing => Some(done?),
                _ = ticks.tick() => None,
            };
            self.timeline.add(self.begun.elapsed().as_secs_f64(), work.window());
            self.hear(heard());
            self.look(stage)?;
            if let Some(done) = done {
                return Ok(done);
            }
        }
    }

    /// Ends the work and verifies it, within three minutes and a little longer; how much was verified, by what. What
    /// keeps that from being done is wrong, too, and hides nothing that was seen before.
    pub async fn verify(&mut self, work: Work) -> BTreeMap<&'static str, u64> {
        let heard = work.hearing();
        let verdict = async {
            let finished = Box::pin(work.stop()).await.context("ending the work")?;
            Box::pin(finished.verify(AGREED_WITHIN)).await.context("verifying")
        };
        let verdict = verdict.await;
        self.hear(heard());
        verdict.unwrap_or_else(|error| {
            self.add("verdict", format!("{error:#}"));
            BTreeMap::new()
        })
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
        debug_assert!(INVARIANTS.iter().any(|(name, _)| *name == invariant), "{invariant}");
        let violation = Violation { invariant, at: self.begun.elapsed().as_secs_f64(), detail };
        self.say(&violation);
        self.own.push(violation);
    }

    /// All that the work says is wrong so far; it says the same again, and more.
    pub fn hear(&mut self, violations: Vec<Violation>) {
        for violation in &violations {
            let is_known = |known: &Violation| {
                known.invariant == violation.invariant && known.detail == violation.detail
            };
            if !self.heard.iter().any(is_known) {
                self.say(violation);
            }
        }
        self.heard = violations;
    }

    /// A line for people; of one invariant not too many.
    fn say(&mut self, Violation { invariant, at, detail }: &Violation) {
        let said = self.said.entry(*invariant).or_default();
        *said += 1;
        if *said <= SAID {
            say(&format!("{at:>7.1} s  VIOLATED {invariant}: {detail}"));
        }
    }

    /// How many violations there are.
    #[must_use]
    pub fn violated(&self) -> usize {
        self.heard.len() + self.own.len()
    }

    /// What was seen.
    #[must_use]
    pub fn end(self) -> (Timeline, Vec<Violation>) {
        (self.timeline, [self.heard, self.own].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trio::work;

    #[test]
    fn the_page_names_every_invariant() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/chaos.md");
        let page = std::fs::read_to_string(page).unwrap();
        for (name, says) in INVARIANTS.iter().chain(&work::INVARIANTS) {
            assert!(page.contains(&format!("| `{name}` | {says} |")), "{name}");
        }
    }

    #[test]
    fn what_the_work_says_again_counts_once() {
        let mut watch = Watch::new(Instant::now());
        let said = |detail: &str| {
            let detail = detail.to_owned();
            Violation { invariant: "accounting", at: 1.0, detail }
        };
        watch.hear(vec![said("a")]);
        watch.add("process", "edge-1 ended".to_owned());
        watch.hear(vec![said("a"), said("b")]);
        assert_eq!((watch.violated(), watch.said["accounting"]), (3, 2));
        let (_, violations) = watch.end();
        let details: Vec<_> = violations.iter().map(|found| found.detail.as_str()).collect();
        assert_eq!(details, ["a", "b", "edge-1 ended"]);
    }
}

//! What is done to whom, and when: made from a seed alone.
//!
//! A plan is a row of episodes of one to three faults that overlap, with quiet moments between them and at the end. What an
//! episode holds is drawn by weight, but for some faults of each seed that are dealt: twenty seeds in a row have all of
//! the catalogue (`fault`).

use std::collections::VecDeque;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::fault::{Fault, Kind, Outline, catalogue};
use crate::generate::Mix;

/// Before anything fails.
const FIRST_MS: u64 = 5_000;
/// At the end, when everything works.
const QUIET_MS: u64 = 20_000;
/// No fault is shorter.
const SHORTEST_MS: u64 = 2_000;
/// Faults of an episode begin within this.
const SPREAD_MS: u32 = 6_000;
/// Between episodes: at least, and how much more at most.
const BETWEEN_MS: (u64, u32) = (3_000, 5_000);
/// Faults of an episode, at most.
const AT_ONCE: u32 = 3;
/// Draws of a fault that has a place beside the others of its episode.
const DRAWS: usize = 8;
/// Seeds in a row that have everything.
const ROUND: u64 = 20;

/// Faults over the time of a run, in the order in which they begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What it was made from.
    pub seed: u64,
    /// How long the run is.
    pub seconds: u64,
    /// See [`Fault`].
    pub faults: Vec<Fault>,
}

impl Plan {
    /// The plan of that seed, for a run of so many seconds. The same everywhere and always.
    #[must_use]
    pub fn new(seed: u64, seconds: u64) -> Self {
        let mut mix = Mix::new(Mix::key(seed, "chaos"), 0);
        let all = catalogue();
        let mut dealt = deal(seed, all.len());
        let end = (seconds * 1000).saturating_sub(QUIET_MS);
        let (mut faults, mut at) = (Vec::new(), FIRST_MS);
        while at + SHORTEST_MS <= end {
            let mut episode = Vec::new();
            for _ in 0..=mix.below(AT_ONCE) {
                let Some(outline) = choose(&mut mix, &all, &mut dealt, &episode) else { continue };
                let begin = at + u64::from(mix.below(SPREAD_MS));
                let lasts = outline.lasts(&mut mix).min(end.saturating_sub(begin));
                if lasts >= SHORTEST_MS {
                    episode.push(outline.fault(begin, lasts));
                }
            }
            let over = episode.iter().map(|fault| fault.until_ms() + fault.rest_ms()).max();
            at = over.unwrap_or(at) + BETWEEN_MS.0 + u64::from(mix.below(BETWEEN_MS.1));
            faults.extend(episode);
        }
        faults.sort_by_key(|fault| fault.at_ms);
        Self { seed, seconds, faults }
    }

    /// Reads a plan, as [`Plan`] is written.
    ///
    /// # Errors
    /// When it is none, or holds what cannot be done.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut plan: Self = serde_json::from_str(text).context("no plan")?;
        plan.faults.sort_by_key(|fault| fault.at_ms);
        for (at, fault) in plan.faults.iter().enumerate() {
            let words = fault.words();
            fault.check().context(words.clone())?;
            ensure!(fault.until_ms() <= plan.seconds * 1000, "{words}: it ends after the run");
            let clashes = |other: &&Fault| other.overlaps(fault) && other.clashes(fault);
            if let Some(other) = plan.faults[..at].iter().find(clashes) {
                anyhow::bail!("{words}, and {} at the same time", other.words());
            }
        }
        Ok(plan)
    }

    /// The same without cuts of the network, and those.
    #[must_use]
    pub fn without_cuts(mut self) -> (Self, Vec<Fault>) {
        let is_cut = |fault: &mut Fault| matches!(fault.kind, Kind::Cut(_));
        let cuts = self.faults.extract_if(.., is_cut).collect();
        (self, cuts)
    }

    /// When all faults are over: before the quiet end, unless a plan of one's own has them until later. In milliseconds.
    #[must_use]
    pub fn faults_until_ms(&self) -> u64 {
        let planned = self.faults.iter().map(Fault::until_ms).max();
        planned.unwrap_or(0).max((self.seconds * 1000).saturating_sub(QUIET_MS))
    }
}

/// What is dealt to a seed, as places in the catalogue: the next seed has others.
fn deal(seed: u64, count: usize) -> VecDeque<usize> {
    let mut order: Vec<_> = (0..count).collect();
    let mut mix = Mix::new(Mix::key(0, "catalogue"), 0);
    for last in (1..count).rev() {
        order.swap(last, mix.below(last as u32 + 1) as usize);
    }
    order.into_iter().skip((seed % ROUND) as usize).step_by(ROUND as usize).collect()
}

/// What was dealt, then what is drawn, if it has a place beside the others.
fn choose<'a>(
    mix: &mut Mix,
    all: &'a [Outline],
    dealt: &mut VecDeque<usize>,
    episode: &[Fault],
) -> Option<&'a Outline> {
    let fits = |outline: &Outline| !episode.iter().any(|fault| outline.clashes(fault));
    let first = dealt.iter().position(|at| fits(&all[*at]));
    if let Some(at) = first.and_then(|first| dealt.remove(first)) {
        return Some(&all[at]);
    }
    let total: u32 = all.iter().map(|outline| outline.weight).sum();
    for _ in 0..DRAWS {
        let mut left = mix.below(total);
        let drawn = all.iter().find(|outline| {
            let is_it = left < outline.weight;
            left = left.saturating_sub(outline.weight);
            is_it
        });
        if let Some(outline) = drawn.filter(|outline| fits(outline)) {
            return Some(outline);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trio::member::{Engine, Member};

    const SECONDS: u64 = 180;
    const EXPECTED: [&str; 8] = [
        "7052 pause ingest-2 for 9.9 s",
        "9721 pause cassandra-1 and cassandra-2 for 4.3 s",
        "31234 pause mysql for 13.9 s",
        "58661 pause kafka for 6.4 s",
        "62686 kill identity-1 for 9.7 s",
        "86693 pause dgraph-zero for 15.1 s",
        "88355 restart identity-1 within 4.6 s",
        "117351 kill cassandra-3 for 6.4 s",
    ];

    fn plans() -> impl Iterator<Item = Plan> {
        (1..=ROUND).map(|seed| Plan::new(seed, SECONDS))
    }

    #[test]
    fn a_seed_is_the_same_plan_everywhere() {
        let plan = Plan::new(1, SECONDS);
        let words: Vec<_> =
            plan.faults.iter().map(|f| format!("{} {}", f.at_ms, f.words())).collect();
        assert_eq!(words, EXPECTED);
        assert_eq!(Plan::parse(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
    }

    #[test]
    fn twenty_seeds_in_a_row_have_everything() {
        for first in [0, 1, 977] {
            let faults: Vec<_> =
                (first..first + ROUND).flat_map(|seed| Plan::new(seed, SECONDS).faults).collect();
            for outline in catalogue() {
                let is_it = |f: &Fault| f.kind == outline.kind && f.members == outline.members;
                assert!(faults.iter().any(is_it), "{first}: {outline:?}");
            }
        }
    }

    #[test]
    fn faults_are_over_before_the_quiet_end_and_three_at_once_at_most() {
        let mut most = 0;
        for plan in plans() {
            for fault in &plan.faults {
                assert!(fault.at_ms >= FIRST_MS && fault.for_ms >= SHORTEST_MS, "{fault:?}");
                assert!(fault.until_ms() <= SECONDS * 1000 - QUIET_MS, "{fault:?}");
                let at_once = plan.faults.iter().filter(|other| other.overlaps(fault)).count();
                assert!(at_once <= AT_ONCE as usize, "{plan:?}");
                most = most.max(at_once);
            }
            assert!(plan.faults.len() >= 5, "{plan:?}");
            // Which also looks for faults that clash.
            Plan::parse(&serde_json::to_string(&plan).unwrap()).unwrap();
        }
        assert_eq!(most, AT_ONCE as usize);
    }

    #[test]
    fn what_is_late_is_over_before_the_quiet_end_too() {
        let plan = Plan::new(1, SECONDS);
        assert_eq!(plan.faults_until_ms(), SECONDS * 1000 - QUIET_MS);
        let fault =
            |at_ms| Fault { at_ms, for_ms: 3000, kind: Kind::Kill, members: vec![Member::Kafka] };
        let late = Plan { seed: 1, seconds: 10, faults: vec![fault(5000), fault(0)] };
        assert_eq!(late.faults_until_ms(), 8000, "of one's own");
        assert_eq!(Plan { faults: Vec::new(), ..late }.faults_until_ms(), 0);
    }

    #[test]
    fn a_plan_without_cuts_is_the_same_otherwise() {
        let is_cut = |fault: &Fault| matches!(fault.kind, Kind::Cut(_));
        let mut without = 0;
        for (all, (some, cuts)) in plans().zip(plans().map(Plan::without_cuts)) {
            let (those, rest): (Vec<_>, Vec<_>) = all.faults.into_iter().partition(is_cut);
            without += cuts.len();
            assert_eq!((some.faults, cuts), (rest, those));
        }
        assert!(without > 0);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let fault = |at_ms, kind, members: &[Member]| Fault {
            at_ms,
            for_ms: 3000,
            kind,
            members: members.to_vec(),
        };
        let parsed = |faults: Vec<Fault>| {
            let plan = Plan { seed: 1, seconds: 10, faults };
            Plan::parse(&serde_json::to_string(&plan).unwrap())
        };
        let kill = |at_ms| fault(at_ms, Kind::Kill, &[Member::Edge1]);
        parsed(vec![kill(0), kill(3000)]).unwrap();
        parsed(vec![kill(0), fault(0, Kind::Cut(Engine::Kafka), &[Member::Edge2])]).unwrap();
        parsed(vec![kill(0), kill(2999)]).unwrap_err();
        parsed(vec![kill(7001)]).unwrap_err();
        parsed(vec![fault(0, Kind::Restart, &[Member::Kafka])]).unwrap_err();
        parsed(vec![fault(0, Kind::Cut(Engine::Mysql), &[Member::Edge1])]).unwrap_err();
        parsed(vec![fault(0, Kind::Kill, &[])]).unwrap_err();
        Plan::parse("{}").unwrap_err();
    }
}

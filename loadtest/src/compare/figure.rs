//! One quantity, of Triad and of each peer, and how they stand to each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::latency::median;

/// What is ours among the sides.
pub(super) const OWN: &str = "Triad";

/// A quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Figure {
    pub(super) id: String,
    pub(super) what: String,
    pub(super) unit: String,
    pub(super) more_is_better: bool,
    /// Ours first.
    pub(super) sides: Vec<Side>,
    /// How many times better Triad is to be, by peer.
    pub(super) goals: BTreeMap<String, f64>,
}

/// Somebody's values of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Side {
    pub(super) name: String,
    /// By round.
    pub(super) values: Vec<f64>,
    /// No peer: shown for scale.
    pub(super) beside: bool,
}

impl Side {
    pub(super) fn median(&self) -> f64 {
        median(self.values.clone())
    }

    /// The lowest and the highest value; zeros without any.
    pub(super) fn range(&self) -> (f64, f64) {
        let values = || self.values.iter().copied();
        let (low, high) = (values().reduce(f64::min), values().reduce(f64::max));
        (low.unwrap_or(0.0), high.unwrap_or(0.0))
    }
}

impl Figure {
    /// A quantity of which more is better, with Triad's values.
    pub(super) fn more(id: &str, unit: &str, what: &str, own: Vec<f64>) -> Self {
        Self {
            id: id.to_owned(),
            what: what.to_owned(),
            unit: unit.to_owned(),
            more_is_better: true,
            sides: vec![Side { name: OWN.to_owned(), values: own, beside: false }],
            goals: BTreeMap::new(),
        }
    }

    /// One of which less is better.
    pub(super) fn less(id: &str, unit: &str, what: &str, own: Vec<f64>) -> Self {
        Self { more_is_better: false, ..Self::more(id, unit, what, own) }
    }

    /// With the values of a peer.
    pub(super) fn peer(mut self, name: &str, values: Vec<f64>) -> Self {
        self.sides.push(Side { name: name.to_owned(), values, beside: false });
        self
    }

    /// With the values of somebody who is no peer.
    pub(super) fn beside(mut self, name: &str, values: Vec<f64>) -> Self {
        self.sides.push(Side { name: name.to_owned(), values, beside: true });
        self
    }

    /// Triad is to be so many times better than that peer.
    pub(super) fn goal(mut self, peer: &str, times: f64) -> Self {
        self.goals.insert(peer.to_owned(), times);
        self
    }

    /// How many times better Triad is than each of the others: the median over the rounds, if both have
    /// as many. Those without values are left out.
    pub(super) fn ratios(&self) -> Vec<(&Side, f64)> {
        let Some((own, others)) = self.sides.split_first() else { return Vec::new() };
        let measured = others.iter().filter(|side| !side.values.is_empty());
        let ratio = |side: &Side| {
            if own.values.len() == side.values.len() {
                let pairs = own.values.iter().zip(&side.values);
                return median(pairs.map(|(own, theirs)| self.times(*own, *theirs)).collect());
            }
            self.times(own.median(), side.median())
        };
        if own.values.is_empty() {
            return Vec::new();
        }
        measured.map(|side| (side, ratio(side))).collect()
    }

    /// The peers that are better, by how many times.
    pub(super) fn better(&self) -> Vec<(&str, f64)> {
        let peers = self.ratios().into_iter().filter(|(side, ratio)| !side.beside && *ratio < 1.0);
        peers.map(|(side, ratio)| (side.name.as_str(), 1.0 / ratio)).collect()
    }

    fn times(&self, own: f64, theirs: f64) -> f64 {
        let (more, less) = if self.more_is_better { (own, theirs) } else { (theirs, own) };
        if less > 0.0 { more / less } else { 0.0 }
    }
}

/// Values of several rounds under one name each.
#[derive(Debug, Default)]
pub(super) struct Rounds(BTreeMap<String, Vec<f64>>);

impl Rounds {
    /// Notes a value.
    pub(super) fn note(&mut self, name: &str, value: f64) {
        self.0.entry(name.to_owned()).or_default().push(value);
    }

    /// What was noted.
    pub(super) fn of(&self, name: &str) -> Vec<f64> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_says_how_many_times_better_triad_is_round_by_round() {
        let more = Figure::more("x", "1/s", "x", vec![20.0, 30.0, 90.0])
            .peer("A", vec![10.0, 10.0, 30.0])
            .peer("B", vec![40.0]);
        let ratios: Vec<_> =
            more.ratios().into_iter().map(|(side, r)| (side.name.clone(), r)).collect();
        assert_eq!(ratios, [("A".to_owned(), 3.0), ("B".to_owned(), 0.75)]);
        let less = Figure::less("x", "ms", "x", vec![2.0]).peer("A", vec![8.0]);
        assert_eq!(less.ratios()[0].1, 4.0);
    }

    #[test]
    fn who_is_better_is_told_and_what_is_no_peer_is_not() {
        let figure = Figure::more("x", "1/s", "x", vec![50.0])
            .peer("A", vec![100.0])
            .peer("B", vec![10.0])
            .beside("bare", vec![200.0]);
        assert_eq!(figure.better(), [("A", 2.0)]);
        let unmeasured = Figure::more("x", "1/s", "x", vec![50.0]).peer("A", Vec::new());
        assert!(unmeasured.ratios().is_empty() && unmeasured.better().is_empty());
    }

    #[test]
    fn rounds_keep_their_order() {
        let mut rounds = Rounds::default();
        rounds.note("a", 2.0);
        rounds.note("a", 1.0);
        assert_eq!(rounds.of("a"), [2.0, 1.0]);
        assert!(rounds.of("b").is_empty());
    }
}

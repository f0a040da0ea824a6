//! Whether a series goes anywhere.

use crate::latency::median;

/// Fewer points say nothing.
const FEWEST: usize = 6;
/// As many points as a line is drawn through: half a million pairs.
const MOST: usize = 1000;
/// Seconds that nothing is seen for, at most, for a series to say where it goes.
const GAP: f64 = 60.0;

/// Where a series goes, over the time that its points span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drift {
    /// By how much its line (Theil and Sen's) rises from the first point to the last, in the unit of the series.
    pub(super) rise: f64,
    /// The middle of all values.
    pub(super) median: f64,
    /// The middle of the first third.
    pub(super) first: f64,
    /// The middle of the last third.
    pub(super) last: f64,
}

impl Drift {
    /// Of what was seen from `from` on, in seconds; none of fewer points than say anything.
    pub(super) fn of(points: &[(f64, f64)], from: f64) -> Option<Self> {
        let points: Vec<_> = points.iter().copied().filter(|(at, _)| *at >= from).collect();
        let (first, last) = (points.first()?, points.last()?);
        if points.len() < FEWEST {
            return None;
        }
        let third = points.len() / 3;
        let middle = |part: &[(f64, f64)]| median(part.iter().map(|(_, value)| *value).collect());
        Some(Self {
            rise: slope(&points) * (last.0 - first.0),
            median: middle(&points),
            first: middle(&points[..third]),
            last: middle(&points[points.len() - third..]),
        })
    }

    /// Of what is looked at every few seconds, between `from` and `to`; none if it was not seen for long.
    pub(super) fn watched(points: &[(f64, f64)], (from, to): (f64, f64)) -> Option<Self> {
        let mut last = from;
        for at in points.iter().map(|(at, _)| *at).filter(|at| *at >= from).chain([to]) {
            if at - last > GAP {
                return None;
            }
            last = at;
        }
        Self::of(points, from)
    }

    /// The rise of the line, or of a step that stays if that is more: the line passes over one. Within the last sixth nobody
    /// knows yet whether it does.
    pub(super) fn growth(self) -> f64 {
        self.rise.max(self.last - self.first)
    }

    /// The growth as a share of the median; without one, any growth is all of it.
    pub(super) fn share(self) -> f64 {
        match (self.growth(), self.median) {
            (rise, median) if median > 0.0 => rise / median,
            (rise, _) if rise > 0.0 => 1.0,
            _ => 0.0,
        }
    }
}

/// The median of the slopes between any two points, in units of the values a second; 0 of points of one moment. Bursts say
/// nothing, whenever they come, as long as they are less than three tenths of the points (Sen, "Estimates of the regression
/// coefficient based on Kendall's tau", JASA 63, 1968). As pairs are many, of [`MOST`] points at most.
fn slope(points: &[(f64, f64)]) -> f64 {
    let every = points.len().div_ceil(MOST);
    let points: Vec<_> = points.iter().step_by(every).collect();
    let pairs = points.iter().enumerate().flat_map(|(n, one)| {
        points[n + 1..].iter().map(move |other| (other.0 - one.0, other.1 - one.1))
    });
    median(pairs.filter(|(time, _)| *time > 0.0).map(|(time, rise)| rise / time).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Points;

    fn line(from: f64, by: f64) -> Points {
        (0..=20).map(|n| (5.0 * f64::from(n), from + by * f64::from(n))).collect()
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn a_line_rises_by_what_it_rises() {
        let drift = Drift::of(&line(90.0, 1.0), 0.0).unwrap();
        near(drift.rise, 20.0);
        near(drift.median, 100.0);
        near(drift.share(), 0.2);
        near(drift.first, 93.0);
        near(drift.last, 107.0);
        near(Drift::of(&line(90.0, -1.0), 0.0).unwrap().rise, -20.0);
    }

    #[test]
    fn what_comes_before_the_end_of_the_warm_up_does_not_count() {
        let mut points: Points = (0..20).map(|n| (f64::from(n), 1000.0 * f64::from(n))).collect();
        points.extend((20..40).map(|n| (f64::from(n), 7.0)));
        let drift = Drift::of(&points, 20.0).unwrap();
        near(drift.rise, 0.0);
        near(drift.median, 7.0);
        assert!(Drift::of(&points, 35.0).is_none(), "five points");
        assert!(Drift::of(&Points::new(), 0.0).is_none());
    }

    #[test]
    fn what_is_not_seen_for_long_goes_nobody_knows_where() {
        let seen = |from: i32, to: i32| (from..=to).step_by(5).map(|at| (f64::from(at), 7.0));
        let is_known = |points: Points| Drift::watched(&points, (100.0, 400.0)).is_some();
        assert!(is_known(seen(0, 400).collect()));
        assert!(is_known(seen(0, 345).collect()));
        assert!(!is_known(seen(0, 335).collect()), "it ends early");
        assert!(!is_known(seen(165, 400).collect()), "it begins late");
        assert!(!is_known(seen(0, 200).chain(seen(265, 400)).collect()), "a hole");
        assert!(is_known(seen(100, 200).chain(seen(255, 400)).collect()));
    }

    #[test]
    fn noise_goes_nowhere() {
        let noise = |n: i32| (f64::from(n), if n % 2 == 0 { 99.0 } else { 101.0 });
        let drift = Drift::of(&(0..=40).map(noise).collect::<Points>(), 0.0).unwrap();
        assert!(drift.share().abs() < 0.001, "{drift:?}");
    }

    #[test]
    fn a_burst_goes_nowhere_whenever_it_comes() {
        for begin in [0, 30, 80] {
            let burst = |n| if (begin..begin + 10).contains(&n) { 150.0 } else { 70.0 };
            let points: Points = (0..=90).map(|n| (f64::from(n), burst(n))).collect();
            near(Drift::of(&points, 0.0).unwrap().rise, 0.0);
            // And what rises below it does.
            let leak = points.iter().map(|(at, value)| (*at, value + at / 9.0)).collect::<Points>();
            near(Drift::of(&leak, 0.0).unwrap().rise, 10.0);
        }
    }

    #[test]
    fn a_step_that_stays_is_a_rise() {
        for begin in [20, 30, 45, 60, 70] {
            let step = |n| if n < begin { 70.0 } else { 84.0 };
            let points: Points = (0..=90).map(|n| (f64::from(n), step(n))).collect();
            assert!(Drift::of(&points, 0.0).unwrap().share() > 0.16, "from {begin} on");
        }
    }

    #[test]
    fn a_rise_from_nothing_is_a_whole_one() {
        let mut points: Points = (0..8).map(|n| (f64::from(n), 0.0)).collect();
        near(Drift::of(&points, 0.0).unwrap().share(), 0.0);
        points[7].1 = 3.0;
        near(Drift::of(&points, 0.0).unwrap().share(), 1.0);
    }

    #[test]
    fn points_of_one_moment_go_nowhere() {
        let points: Points = (0..8).map(|n| (3.0, f64::from(n))).collect();
        near(Drift::of(&points, 0.0).unwrap().rise, 0.0);
    }
}

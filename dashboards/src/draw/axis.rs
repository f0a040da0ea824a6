//! Where axes have lines: at round numbers, and at round times.

/// Round numbers from 0 on, in at most `most` steps; the last is not below `top`.
pub(super) fn ticks(top: f64, most: u32) -> Vec<f64> {
    let top = if top > 0.0 && top.is_finite() { top } else { 1.0 };
    let least = top / f64::from(most.max(1));
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|step| step * power);
    // A step that is as good as right is right.
    let step = steps.into_iter().find(|step| *step >= least * 0.999_999).unwrap_or(10.0 * power);
    let mut all = vec![0.0];
    for n in 1..=most.max(1) {
        let value = f64::from(n) * step;
        all.push(value);
        if value >= top * 0.999_999 {
            break;
        }
    }
    all
}

/// Round times from `start` to `end` (Unix, in seconds), at most `most` and one more.
pub(super) fn moments(start: u32, end: u32, most: u32) -> Vec<u32> {
    const MINUTE: u32 = 60;
    const STEPS: [u32; 13] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 10_080];
    let length = end.saturating_sub(start);
    let mut steps = STEPS.into_iter().map(|minutes| minutes * MINUTE);
    let step = steps.find(|step| length / step <= most).unwrap_or(length.max(1));
    let first = start.div_ceil(step) * step;
    (first..=end).step_by(step as usize).collect()
}

/// `hh:mm` in UTC.
pub(super) fn clock(moment: u32) -> String {
    format!("{:02}:{:02}", moment / 3600 % 24, moment / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_the_first_round_number_that_is_not_below_all() {
        assert_eq!(ticks(9.3, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(100.0, 4), [0.0, 50.0, 100.0]);
        assert_eq!(ticks(0.003, 4), [0.0, 0.001, 0.002, 0.003]);
        for of_nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(ticks(of_nothing, 2), [0.0, 0.5, 1.0]);
        }
        for n in 1..2000 {
            let top = f64::from(n) * 0.37;
            let all = ticks(top, 4);
            assert!(all.len() <= 5 && all[all.len() - 1] >= top * 0.999, "{top}: {all:?}");
        }
    }

    #[test]
    fn times_are_round_and_within() {
        let start = 1_700_000_000;
        let all = moments(start, start + 1800, 4);
        assert_eq!(
            all.iter().map(|at| clock(*at)).collect::<Vec<_>>(),
            ["22:20", "22:30", "22:40"]
        );
        assert!(moments(start, start, 4).is_empty());
        for minutes in 1..20_000 {
            let end = start + 60 * minutes;
            let all = moments(start, end, 4);
            assert!(all.len() <= 5 && all.iter().all(|at| (start..=end).contains(at)), "{minutes}");
        }
    }
}

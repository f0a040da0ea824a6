//! Lines of a panel as paths, in few letters.

use super::svg::near;

/// Steps from point to point; where one is missing, the line begins anew. What lies on a level between its
/// neighbours is left out.
pub(super) fn open(points: &[Option<(f64, f64)>]) -> String {
    let mut d = String::new();
    for run in points.split(Option::is_none) {
        let run: Vec<_> = run.iter().flatten().map(|(x, y)| (tenth(*x), tenth(*y))).collect();
        d.push_str(&steps(&run));
        // A moment alone is a dot.
        if run.len() == 1 {
            d.push_str("h.1");
        }
    }
    d
}

/// The area between points and `base`.
pub(super) fn closed(points: &[(f64, f64)], base: f64) -> String {
    let Some((first, _)) = points.first() else { return String::new() };
    let points: Vec<_> = points.iter().map(|(x, y)| (tenth(*x), tenth(*y))).collect();
    format!("{}V{}H{}Z", steps(&points), near(base), near(*first))
}

fn steps(run: &[(f64, f64)]) -> String {
    let Some(first) = run.first() else { return String::new() };
    let mut d = format!("M{} {}", near(first.0), near(first.1));
    let mut last = *first;
    for (n, point) in run.iter().enumerate().skip(1) {
        #[allow(clippy::float_cmp, reason = "both are rounded to a tenth")]
        let is_level = last.1 == point.1 && run.get(n + 1).is_some_and(|next| next.1 == point.1);
        if is_level {
            continue;
        }
        d.push('l');
        d.push_str(&near(point.0 - last.0));
        let down = near(point.1 - last.1);
        // A sign parts two numbers as well.
        if !down.starts_with('-') {
            d.push(' ');
        }
        d.push_str(&down);
        last = *point;
    }
    d
}

fn tenth(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_gaps_and_leaves_out_what_is_level() {
        let points = [
            Some((0.0, 5.0)),
            Some((1.0, 5.0)),
            Some((2.0, 5.0)),
            Some((3.0, 4.5)),
            None,
            Some((5.0, 1.04)),
        ];
        assert_eq!(open(&points), "M0 5l2 0l1-0.5M5 1h.1");
        assert_eq!(open(&[None, None]), "");
    }

    #[test]
    fn an_area_goes_back_along_its_base() {
        assert_eq!(closed(&[(0.0, 5.0), (1.0, 4.0)], 9.0), "M0 5l1-1V9H0Z");
        assert_eq!(closed(&[], 9.0), "");
    }
}

//! Drawings as SVG within a page: lines over time or whatever is across, and bars.

use std::fmt::Write as _;

use super::escape;

const COLOURS: [&str; 6] = ["#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2"];
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 24.0;
/// Above so many points a line has no dots.
const DOTS: usize = 20;
/// Of a bar with its gap.
const BAR: f64 = 28.0;
/// Where bars begin: names stand before.
const BARS: f64 = 220.0;
/// Where they end: figures stand behind.
const BARS_END: f64 = 700.0;

/// Lines over something.
pub(crate) struct Plot<'a> {
    /// What it shows.
    pub(crate) title: &'a str,
    /// Of the values.
    pub(crate) unit: &'a str,
    /// Of what is across.
    pub(crate) across: &'a str,
    /// By name.
    pub(crate) lines: Vec<(&'a str, &'a [(f64, f64)])>,
}

/// A bar, and from where to where its single values go.
pub(crate) struct Bar<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Appends a drawing of lines.
pub(crate) fn lines(plot: &Plot<'_>, html: &mut String) {
    let points = || plot.lines.iter().flat_map(|(_, points)| points.iter());
    let (right, top) =
        points().fold((0.0_f64, 0.0_f64), |(x, y), point| (x.max(point.0), y.max(point.1)));
    // Writing to a string does not fail.
    let _ = write!(html, "<h2>{} <small>({})</small></h2>", escape(plot.title), escape(plot.unit));
    if right <= 0.0 {
        html.push_str("<p>nothing was measured</p>");
        return;
    }
    let top = if top > 0.0 { top * 1.05 } else { 1.0 };
    let place = |(x, y): &(f64, f64)| {
        let (width, height) = (WIDTH - LEFT, HEIGHT - BOTTOM);
        (LEFT + x / right * width, height - y / top * height)
    };
    let _ = write!(html, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    grid(top, html);
    for (index, (name, points)) in plot.lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let places: Vec<_> = points.iter().map(place).collect();
        let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(
            html,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>\
             <text x=\"{:.0}\" y=\"12\" style=\"fill:{colour}\">{}</text>",
            path.join(" "),
            LEFT + 10.0 + 160.0 * index as f64,
            escape(name)
        );
        if places.len() <= DOTS {
            for (x, y) in places {
                let _ =
                    write!(html, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
        }
    }
    let across = escape(plot.across);
    let _ = write!(
        html,
        "<text x=\"{LEFT}\" y=\"{y}\">0 {across}</text>\
         <text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{right} {across}</text></svg>",
        y = HEIGHT - 6.0,
        right = if right >= 10_000.0 { number(right) } else { format!("{right:.0}") }
    );
}

fn grid(top: f64, html: &mut String) {
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let y = (HEIGHT - BOTTOM) * (1.0 - f64::from(step) / 4.0);
        let _ = write!(
            html,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            (y + 4.0).max(10.0),
            number(value)
        );
    }
}

/// Appends a drawing of bars, each with a thin line over its range.
pub(crate) fn bars(title: &str, unit: &str, bars: &[Bar<'_>], html: &mut String) {
    let _ = write!(html, "<h3>{} <small>({})</small></h3>", escape(title), escape(unit));
    let top = bars.iter().fold(0.0_f64, |top, bar| top.max(bar.high).max(bar.value));
    if top <= 0.0 {
        html.push_str("<p>nothing was measured</p>");
        return;
    }
    let height = BAR * bars.len() as f64;
    let place = |value: f64| BARS + value / top * (BARS_END - BARS);
    let _ = write!(html, "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">");
    for (index, bar) in bars.iter().enumerate() {
        let (y, colour) = (BAR * index as f64, COLOURS[index % COLOURS.len()]);
        let middle = y + BAR / 2.0;
        let _ = write!(
            html,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{BARS}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" stroke=\"#111\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\">{}</text>",
            BARS - 8.0,
            middle + 4.0,
            escape(bar.name),
            y + 4.0,
            (place(bar.value) - BARS).max(1.0),
            BAR - 8.0,
            place(bar.low),
            place(bar.high),
            BARS_END + 8.0,
            middle + 4.0,
            exact(bar.value)
        );
    }
    html.push_str("</svg>");
}

fn number(value: f64) -> String {
    match value {
        v if v >= 10_000_000.0 => format!("{:.0} M", v / 1e6),
        v if v >= 10_000.0 => format!("{:.0} k", v / 1000.0),
        v if v >= 100.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
}

/// A figure for people: three digits, and thousands apart.
pub(crate) fn exact(value: f64) -> String {
    if value.abs() < 100.0 {
        let digits = if value.abs() < 10.0 { 2 } else { 1 };
        return format!("{value:.digits$}");
    }
    let whole = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_their_thousands_apart() {
        let plain = |value| exact(value).replace('\u{202f}', " ");
        let shown = [0.314, 31.41, 314.1, 3_141.5, 3_141_592.6].map(plain);
        assert_eq!(shown, ["0.31", "31.4", "314", "3 142", "3 141 593"]);
    }

    #[test]
    fn bars_have_names_values_and_ranges() {
        let mut html = String::new();
        let one = Bar { name: "a < b", value: 50.0, low: 40.0, high: 100.0 };
        bars("Checks", "1/s", &[one], &mut html);
        assert!(html.contains("a &lt; b") && html.contains(">50.0<"));
        assert!(html.contains("width=\"240.0\""), "half of the largest: {html}");
        html.clear();
        bars("None", "1/s", &[], &mut html);
        assert!(html.contains("nothing was measured"));
    }

    #[test]
    fn lines_reach_from_edge_to_edge_and_say_over_what() {
        let mut html = String::new();
        let points = [(0.0, 0.0), (10.0, 100.0)];
        let plot =
            Plot { title: "t", unit: "ms", across: "M rows", lines: vec![("x", &points[..])] };
        lines(&plot, &mut html);
        assert!(html.contains("70.0,196.0") && html.contains("900.0,"), "{html}");
        assert!(html.contains("10 M rows") && html.contains("<circle"));
    }
}

//! One panel: its frame, and figures, lines or areas in it.

use super::axis::{clock, moments, ticks};
use super::curve;
use super::gather::Line;
use super::svg::{FAINT, Frame, INK, Svg, Words, fitted, width};
use super::unit::{self, Scale};
use crate::grafana::{Draw, Panel, Unit};
use crate::source::Window;

/// Lines of a panel; what there is besides is told.
const MOST: usize = 6;
/// Steps of an axis.
const STEPS: u32 = 4;
const PAD: f64 = 12.0;
/// A line of the legend.
const LEADING: f64 = 15.0;
/// From the frame's upper edge to what is below the title.
const HEAD: f64 = 32.0;
/// What times need below the plot.
const FOOT: f64 = 20.0;

const TITLE: Words = Words::new(12.5, INK).bold();
const SMALL: Words = Words::new(10.5, FAINT);

/// Of a line and of an area, each so that the next differs.
const COLOURS: [(&str, &str); MOST] = [
    ("#3f8f3f", "#a9d3a9"),
    ("#d98a00", "#f3cf8f"),
    ("#2f7ed8", "#a6c8f0"),
    ("#c8385a", "#ecabbb"),
    ("#7a55b8", "#c6b5e2"),
    ("#14878f", "#94cdd1"),
];
/// Of all others together.
const OTHERS: (&str, &str) = ("#9aa1ad", "#d9dce2");

/// A figure's colour below both thresholds, from the first and from the second on.
const GREEN: &str = "#1b7f3b";
const ORANGE: &str = "#b85c00";
const RED: &str = "#c4162a";

/// Draws what was found.
pub(super) fn draw(svg: &mut Svg, frame: Frame, panel: &Panel, lines: &[Line], window: Window) {
    svg.rect(frame, "#fff", " stroke=\"#d5d9e0\" rx=\"3\"");
    let room = frame.w - 2.0 * PAD;
    svg.text((frame.x + PAD, frame.y + 20.0), TITLE, &fitted(panel.title, TITLE.size, room));
    let inside =
        Frame { x: frame.x + PAD, y: frame.y + HEAD, w: room, h: frame.h - HEAD - PAD / 2.0 };
    if lines.iter().all(|line| line.values.iter().all(Option::is_none)) {
        let middle = (frame.x + frame.w / 2.0, frame.y + frame.h / 2.0);
        svg.text(middle, Words::new(13.0, FAINT).anchored("middle"), "No data");
        return;
    }
    match panel.draw {
        Draw::Now(orange, red) => figures(svg, inside, panel.unit, (orange, red), lines),
        Draw::Lines => over_time(svg, inside, panel.unit, &kept(lines, false), false, window),
        Draw::Stack => over_time(svg, inside, panel.unit, &kept(lines, true), true, window),
    }
}

/// The last value of each line, large.
fn figures(svg: &mut Svg, inside: Frame, unit: Unit, (orange, red): (f64, f64), lines: &[Line]) {
    let last = |line: &Line| line.values.iter().flatten().next_back().copied();
    let values: Vec<_> = lines.iter().filter_map(last).take(STEPS as usize).collect();
    let size = if values.len() > 1 { 24.0 } else { 36.0 };
    let count: f64 = values.iter().map(|_| 1.0).sum();
    for (n, value) in (0_u32..).zip(values) {
        let fill = match value {
            _ if value >= red => RED,
            _ if value >= orange => ORANGE,
            _ => GREEN,
        };
        let x = inside.x + inside.w * (f64::from(n) + 0.5) / count;
        let y = inside.y + inside.h / 2.0;
        let words = Words::new(size, fill).bold().anchored("middle");
        svg.text((x, y), words, &unit::text(unit, value));
    }
}

/// The largest lines, in their order, and the others: together as an area, or only told.
fn kept(lines: &[Line], is_stack: bool) -> Vec<Line> {
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|a, b| lines[*b].sum().total_cmp(&lines[*a].sum()));
    let others = order.split_off(order.len().min(MOST));
    order.sort_unstable();
    let mut kept: Vec<Line> = order.iter().map(|n| lines[*n].clone()).collect();
    if others.is_empty() {
        return kept;
    }
    let (name, values) = if is_stack {
        let others = others.iter().map(|n| lines[*n].values.as_slice());
        (format!("{} others", others.len()), together(others))
    } else {
        (format!("{} smaller ones", others.len()), Vec::new())
    };
    kept.push(Line { name, values });
    kept
}

/// The sum of lines at each moment.
fn together<'a>(lines: impl Iterator<Item = &'a [Option<f64>]>) -> Vec<Option<f64>> {
    let mut sums = Vec::new();
    for values in lines {
        let longest = values.len().max(sums.len());
        sums.resize(longest, 0.0);
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value.unwrap_or(0.0);
        }
    }
    sums.into_iter().map(Some).collect()
}

/// Each with all lines below it.
fn piled(lines: &[Line], points: u32) -> Vec<Vec<f64>> {
    let mut sums = vec![0.0; points as usize];
    let piled = lines.iter().map(|line| {
        for (sum, value) in sums.iter_mut().zip(&line.values) {
            *sum += value.unwrap_or(0.0);
        }
        sums.clone()
    });
    piled.collect()
}

fn over_time(
    svg: &mut Svg,
    inside: Frame,
    unit: Unit,
    lines: &[Line],
    is_stack: bool,
    window: Window,
) {
    let piled = if is_stack { piled(lines, window.points) } else { Vec::new() };
    let top = if is_stack {
        highest(piled.iter().flatten())
    } else {
        highest(lines.iter().flat_map(|line| line.values.iter().flatten()))
    };
    let legend = legend(lines, inside);
    let h = inside.h - FOOT - legend.height;
    let plot = axes(svg, Frame { h, ..inside }, unit, top, window);
    if is_stack {
        // From the highest on: each covers what is below it.
        for (n, values) in piled.iter().enumerate().rev() {
            let points: Vec<_> =
                (0_u32..).zip(values).map(|(at, value)| plot.at(at, *value)).collect();
            let d = curve::closed(&points, plot.frame.bottom());
            svg.path(&d, &format!("fill=\"{}\"", colour(n).1));
        }
    } else {
        for (n, line) in lines.iter().enumerate() {
            let values = (0_u32..).zip(&line.values);
            let points: Vec<_> =
                values.map(|(at, value)| value.map(|value| plot.at(at, value))).collect();
            let stroke = format!("stroke=\"{}\" fill=\"none\" stroke-width=\"1.4\"", colour(n).0);
            svg.path(&curve::open(&points), &format!("{stroke} stroke-linejoin=\"round\""));
        }
    }
    let first = inside.bottom() - legend.height;
    for (n, (x, row, name)) in legend.items.iter().enumerate() {
        let y = first + row * LEADING;
        let (line, area) = colour(n);
        let (fill, h) = if is_stack { (area, 9.0) } else { (line, 3.0) };
        let swatch = Frame { x: *x, y: y + (LEADING - h) / 2.0, w: 10.0, h };
        svg.rect(swatch, fill, "");
        svg.text((x + 14.0, y + 11.5), SMALL, name);
    }
}

fn highest<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    values.copied().fold(0.0, f64::max)
}

fn colour(n: usize) -> (&'static str, &'static str) {
    COLOURS.get(n).copied().unwrap_or(OTHERS)
}

/// Where lines are drawn.
struct Plot {
    frame: Frame,
    /// The axis ends there.
    top: f64,
    /// Steps between moments.
    steps: f64,
}

impl Plot {
    fn at(&self, moment: u32, value: f64) -> (f64, f64) {
        let Frame { x, w, h, .. } = self.frame;
        (x + w * f64::from(moment) / self.steps, self.frame.bottom() - h * value / self.top)
    }
}

/// Draws axes with their numbers and times; what is left of `outer` for lines.
fn axes(svg: &mut Svg, outer: Frame, unit: Unit, top: f64, window: Window) -> Plot {
    let scale = Scale::of(unit, top);
    let marks: Vec<f64> =
        ticks(top / scale.by, STEPS).into_iter().map(|mark| mark * scale.by).collect();
    let texts: Vec<String> = marks.iter().map(|mark| scale.text(*mark)).collect();
    let left = texts.iter().map(|text| width(text, SMALL.size)).fold(0.0, f64::max) + 6.0;
    let frame = Frame { x: outer.x + left, w: outer.w - left, ..outer };
    let top = marks.last().copied().unwrap_or(1.0);
    let plot = Plot { frame, top, steps: f64::from(window.points.saturating_sub(1).max(1)) };
    for (mark, text) in marks.iter().zip(&texts) {
        let (_, y) = plot.at(0, *mark);
        svg.rule(frame.x, y, frame.w);
        svg.text((frame.x - 6.0, y + 3.5), SMALL.anchored("end"), text);
    }
    let (start, length) = (window.start(), f64::from(window.end - window.start()).max(1.0));
    for moment in moments(start, window.end, STEPS) {
        let x = frame.x + frame.w * f64::from(moment - start) / length;
        let half = width("00:00", SMALL.size) / 2.0;
        let x = x.clamp(frame.x + half, frame.right() - half);
        svg.text((x, frame.bottom() + 14.0), SMALL.anchored("middle"), &clock(moment));
    }
    plot
}

/// Names below a plot, in rows.
struct Legend {
    /// Left edge, row, name.
    items: Vec<(f64, f64, String)>,
    height: f64,
}

fn legend(lines: &[Line], inside: Frame) -> Legend {
    let (mut x, mut row) = (inside.x, 0.0);
    let mut items = Vec::new();
    for line in lines {
        // Two at least stand beside each other.
        let name = fitted(&line.name, SMALL.size, inside.w / 2.0 - 28.0);
        let needed = 28.0 + width(&name, SMALL.size);
        if x > inside.x && x + needed > inside.right() + 14.0 {
            (x, row) = (inside.x, row + 1.0);
        }
        items.push((x, row, name));
        x += needed;
    }
    Legend { items, height: (row + 1.0) * LEADING }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { end: 1_700_000_000, step: 60, points: 4 };
    const FRAME: Frame = Frame { x: 0.0, y: 0.0, w: 300.0, h: 240.0 };

    fn drawn(panel: &Panel, lines: &[Line]) -> String {
        let mut svg = Svg::default();
        draw(&mut svg, FRAME, panel, lines, WINDOW);
        svg.document((300.0, 240.0), "")
    }

    fn line(name: &str, value: f64) -> Line {
        Line { name: name.to_owned(), values: vec![Some(value); 4] }
    }

    #[test]
    fn nothing_found_is_said() {
        let panel = Panel::lines("Nothing", Unit::Seconds, "");
        let empty = Line { name: "gaps".to_owned(), values: vec![None; 4] };
        for lines in [vec![], vec![empty]] {
            assert!(drawn(&panel, &lines).contains(">No data<"));
        }
        assert!(!drawn(&panel, &[line("zero", 0.0)]).contains("No data"));
    }

    #[test]
    fn a_figure_has_the_colour_of_its_threshold() {
        let panel = Panel::now("Age", Unit::Seconds, (5.0, 30.0), "");
        for (value, text, colour) in
            [(4.9, "4.9 s", GREEN), (5.0, "5 s", ORANGE), (90.0, "1.5 min", RED)]
        {
            let drawn = drawn(&panel, &[line("age", value)]);
            assert!(drawn.contains(&format!(">{text}<")) && drawn.contains(colour), "{drawn}");
        }
    }

    #[test]
    fn what_is_too_much_is_summed_up_where_that_means_something() {
        let lines: Vec<_> =
            (1..=MOST + 2).map(|n| line(&format!("l{n}"), [9.0, 1.0][n % 2])).collect();
        let stacked = kept(&lines, true);
        assert_eq!(stacked.len(), MOST + 1);
        assert_eq!(stacked[MOST], Line { name: "2 others".to_owned(), values: vec![Some(2.0); 4] });
        let highest = piled(&stacked, 4);
        assert_eq!(highest[MOST], vec![40.0; 4]);
        let apart = kept(&lines, false);
        assert_eq!((&*apart[MOST].name, apart[MOST].values.len()), ("2 smaller ones", 0));
        assert!(apart.iter().any(|line| line.name == "l2"));
    }

    #[test]
    fn an_axis_has_its_unit_and_a_legend_its_names() {
        let panel = Panel::stack("Memory", Unit::Bytes, "");
        let drawn = drawn(&panel, &[line("a", 3_000_000.0), line("b", 4_000_000.0)]);
        for text in [">0 MiB<", ">8 MiB<", ">a<", ">b<", ">22:11<"] {
            assert!(drawn.contains(text), "{text} in {drawn}");
        }
    }
}

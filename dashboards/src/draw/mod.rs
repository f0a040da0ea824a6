//! Dashboards as pictures: what a running Prometheus answers to every panel, as one SVG for each dashboard.
//!
//! | module | what it holds |
//! |---|---|
//! | `gather` | what a panel's queries find |
//! | `panel` | figures, lines and areas |
//! | `axis`, `unit` | round numbers and times, and how they are written |
//! | `curve`, `svg` | paths and elements |

mod axis;
mod curve;
mod gather;
mod panel;
mod svg;
mod unit;

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use crate::boards;
use crate::grafana::{COLUMNS, Dashboard, Piece, Place};
use crate::source::{Source, Window};
use gather::Line;
use svg::{FAINT, Frame, INK, Svg, Words, fitted};

/// Points of a line: a panel is hardly wider in pixels, and a picture stays below 150 KB.
const POINTS: u32 = 90;
/// The picture's width, in pixels.
const WIDTH: f64 = 1200.0;
/// Of a unit of the grid, in pixels.
const UNIT: f64 = 30.0;
/// Between panels, in pixels.
const GAP: f64 = 8.0;
/// Above the first row, in pixels.
const HEAD: f64 = 60.0;

/// The last minutes up to a time, cut so that a line has no more points than are drawn.
///
/// # Errors
/// When the time is not one of this century.
pub fn last(minutes: u32, now: SystemTime) -> Result<Window> {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let end = u32::try_from(since.as_secs()).context("the clock")?;
    let length = minutes * 60;
    let step = length.div_ceil(POINTS - 1).max(1);
    // At multiples of the step, so that what is drawn again shortly after is the same.
    Ok(Window { end: end - end % step, step, points: length / step + 1 })
}

/// A picture of each dashboard, by its uid.
///
/// # Errors
/// When Prometheus does not answer, or refuses an expression.
pub async fn pictures(source: &Source, window: Window) -> Result<Vec<(&'static str, String)>> {
    let mut pictures = Vec::new();
    for board in boards::all() {
        let mut found = Vec::new();
        for panel in board.rows.iter().flat_map(|row| &row.panels) {
            let lines = gather::shown(source, panel, window).await;
            found.push(lines.with_context(|| board.uid)?);
        }
        pictures.push((board.uid, picture(&board, &found, window)));
    }
    Ok(pictures)
}

/// A dashboard with what each of its panels found, in their order.
fn picture(board: &Dashboard, found: &[Vec<Line>], window: Window) -> String {
    let placed = board.placed();
    let units = placed.iter().map(|(place, _)| place.y + place.h).max().unwrap_or(0);
    let height = HEAD + pixels(units, UNIT) + GAP;
    let mut svg = Svg::default();
    svg.rect(Frame { x: 0.0, y: 0.0, w: WIDTH, h: height }, "#f4f5f7", "");
    head(&mut svg, board, window);
    let mut found = found.iter();
    for (place, piece) in placed {
        let frame = frame(place);
        match piece {
            Piece::Heading(title) => {
                let words = Words::new(14.0, INK).bold();
                svg.text((frame.x + 4.0, frame.bottom() - 4.0), words, title);
            }
            Piece::Panel(panel) => {
                let lines = found.next().map(Vec::as_slice).unwrap_or_default();
                panel::draw(&mut svg, frame, panel, lines, window);
            }
        }
    }
    svg.document((WIDTH, height), board.title)
}

fn head(svg: &mut Svg, board: &Dashboard, window: Window) {
    let small = Words::new(12.0, FAINT);
    svg.text((GAP + 4.0, 27.0), Words::new(20.0, INK).bold(), board.title);
    svg.text((GAP + 4.0, 48.0), small, &fitted(board.help, small.size, WIDTH - 4.0 * GAP));
    let (start, end) = (axis::clock(window.start()), axis::clock(window.end));
    let times = format!("{start} to {end} UTC");
    svg.text((WIDTH - GAP - 4.0, 27.0), small.anchored("end"), &times);
}

fn frame(Place { x, y, w, h }: Place) -> Frame {
    let column = (WIDTH - GAP) / pixels(COLUMNS, 1.0);
    Frame {
        x: GAP + pixels(x, column),
        y: HEAD + pixels(y, UNIT),
        w: pixels(w, column) - GAP,
        h: pixels(h, UNIT) - GAP,
    }
}

#[allow(clippy::cast_precision_loss, reason = "a dashboard has some hundred units")]
fn pixels(units: usize, each: f64) -> f64 {
    units as f64 * each
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u32) -> Line {
        let values = (0..POINTS).map(|n| Some(f64::from(n.wrapping_mul(seed * 7919) % 1013)));
        Line { name: format!("replica {seed} of 127.0.0.1:8203"), values: values.collect() }
    }

    #[test]
    fn a_window_has_as_many_points_as_are_drawn_and_ends_at_a_step() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_017);
        for minutes in [1, 15, 30, 60, 1440, 10_080] {
            let window = last(minutes, now).unwrap();
            assert!(
                window.points <= POINTS && window.end.is_multiple_of(window.step),
                "{window:?}"
            );
            let length = window.end - window.start();
            assert!(length <= minutes * 60 && length + window.step > minutes * 60, "{window:?}");
        }
    }

    #[test]
    fn a_picture_has_every_panel_and_stays_small() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let window = last(30, now).unwrap();
        for board in boards::all() {
            let panels: Vec<_> = board.rows.iter().flat_map(|row| &row.panels).collect();
            let found: Vec<Vec<Line>> =
                panels.iter().map(|_| (1..=3).map(noise).collect()).collect();
            let picture = picture(&board, &found, window);
            assert!(picture.len() <= 150_000, "{}: {} bytes", board.uid, picture.len());
            for panel in panels {
                let title = svg::escaped(&panel.title[..panel.title.len().min(20)]);
                assert!(picture.contains(&title), "{}: {}", board.uid, panel.title);
            }
            assert_eq!(picture.matches("<svg ").count(), 1);
            assert!(!picture.contains("No data") && !picture.contains("NaN"), "{}", board.uid);
        }
    }

    #[test]
    fn what_nobody_found_is_a_picture_too() {
        let window = last(30, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
        for board in boards::all() {
            let panels = board.rows.iter().flat_map(|row| &row.panels).count();
            let picture = picture(&board, &[], window);
            assert_eq!(picture.matches(">No data<").count(), panels, "{}", board.uid);
        }
    }
}

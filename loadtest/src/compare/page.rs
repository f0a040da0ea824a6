//! The report: one page that asks nobody for anything.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use super::figure::{Figure, OWN, Side};
use super::section::{Curve, Note, Section, Sections};
use crate::report::plot::{self, Bar, Plot, exact};
use crate::report::{escape, head};

/// Writes the page.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(path: &Path, sections: &Sections) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, page(sections)).with_context(|| format!("writing {}", path.display()))
}

fn page(sections: &Sections) -> String {
    let mut html = head("Triad beside its peers");
    html.push_str(
        "<p>Each figure is the median of rounds in which all sides had their turn, one after the other, with the \
         machine for itself (of the monolith, one side was measured after the other, see there); the line over a bar goes from \
         the lowest round to the highest. Client, server and engines share the CPUs, so ratios say more than single \
         figures.</p>",
    );
    better(sections, &mut html);
    for section in sections.values() {
        part(section, &mut html);
    }
    html.push_str("</html>");
    html
}

/// Where a peer is better: derived from the figures, then what no figure shows.
fn better(sections: &Sections, html: &mut String) {
    html.push_str("<h2>Where a peer is better</h2><ul>");
    let figures = || sections.values().flat_map(|section| &section.figures);
    for figure in figures() {
        for (peer, times) in figure.better() {
            // Writing to a string does not fail.
            let _ = write!(
                html,
                "<li>{}: {} is better by {} ×</li>",
                escape(&figure.what),
                escape(peer),
                exact(times)
            );
        }
    }
    if figures().all(|figure| figure.better().is_empty()) {
        html.push_str("<li>In none of the figures below.</li>");
    }
    for note in sections.values().flat_map(|section| &section.peer_does) {
        item(note, html);
    }
    html.push_str("</ul>");
}

fn item(Note { of, text }: &Note, html: &mut String) {
    let _ = write!(html, "<li><b>{}</b>: {}</li>", escape(of), escape(text));
}

fn part(section: &Section, html: &mut String) {
    let _ = write!(html, "<h2>{}</h2>", escape(&section.title));
    table(&section.figures, html);
    for figure in &section.figures {
        bars(figure, html);
    }
    for curve in &section.curves {
        draw(curve, html);
    }
    html.push_str("<h3>Settings</h3><ul>");
    section.settings.iter().for_each(|note| item(note, html));
    let versions = section.versions.iter().map(|(name, version)| format!("{name} {version}"));
    let versions = versions.collect::<Vec<_>>().join(", ");
    let machine = section.machine.as_object().into_iter().flatten();
    let machine = machine.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>();
    let _ = write!(
        html,
        "</ul><h3>Versions and machine</h3><p>{}<br>{}</p><h3>Commands</h3><pre>{}</pre>",
        escape(&versions),
        escape(&machine.join(", ")),
        escape(&section.commands.join("\n"))
    );
}

fn table(figures: &[Figure], html: &mut String) {
    let _ = write!(
        html,
        "<table><tr><th>what<th>who<th>median<th>lowest to highest<th>{OWN} is better by<th>goal"
    );
    for figure in figures {
        let ratios = figure.ratios();
        for side in &figure.sides {
            let (low, high) = side.range();
            let ratio = ratios.iter().find(|(other, _)| other.name == side.name);
            let goal = figure.goals.get(&side.name);
            let _ = write!(
                html,
                "<tr><td>{}<td>{}<td>{} {}<td>{} to {}<td>{}<td>{}",
                escape(&figure.what),
                escape(&side.name),
                exact(side.median()),
                escape(&figure.unit),
                exact(low),
                exact(high),
                ratio.map_or_else(String::new, |(_, ratio)| format!("{} ×", exact(*ratio))),
                goal.map_or_else(String::new, |goal| format!("≥ {goal} ×"))
            );
        }
    }
    html.push_str("</table>");
}

fn bars(figure: &Figure, html: &mut String) {
    let bar = |side: &Side| (side.median(), side.range());
    let all: Vec<_> = figure.sides.iter().map(|side| (side.name.as_str(), bar(side))).collect();
    let drawn: Vec<_> = all
        .iter()
        .map(|(name, (value, (low, high)))| Bar { name, value: *value, low: *low, high: *high })
        .collect();
    let direction = if figure.more_is_better { "more is better" } else { "less is better" };
    let unit = format!("{}, {direction}", figure.unit);
    plot::bars(&figure.what, &unit, &drawn, html);
}

fn draw(curve: &Curve, html: &mut String) {
    let lines = curve.lines.iter().map(|(name, points)| (name.as_str(), points.as_slice()));
    let plot = Plot {
        title: &curve.title,
        unit: &curve.unit,
        across: &curve.across,
        lines: lines.collect(),
    };
    plot::lines(&plot, html);
}

#[cfg(test)]
mod tests {
    use super::super::section::notes;
    use super::*;

    #[test]
    fn the_page_says_first_where_a_peer_is_better_and_loads_nothing() {
        let mut section = Section::new("Checks");
        section
            .figures
            .push(Figure::more("a", "1/s", "slow thing", vec![1.0]).peer("A < B", vec![4.0, 2.0]));
        section.curves.push(Curve {
            title: "Rate".to_owned(),
            unit: "rows/s".to_owned(),
            across: "M rows".to_owned(),
            lines: vec![(OWN.to_owned(), vec![(0.0, 1.0), (1.0, 2.0)])],
        });
        section.peer_does = notes(&[("A", "has what Triad has not")]);
        section.commands.push("run --fast".to_owned());
        let html = page(&Sections::from([("x".to_owned(), section)]));
        let better = html.find("slow thing: A &lt; B is better by 3.00 ×").unwrap();
        assert!(better < html.find("<table>").unwrap());
        for part in ["has what Triad has not", "run --fast", "<polyline", "<rect", "2.00 to 4.00"] {
            assert!(html.contains(part), "{part}");
        }
        for foreign in ["<script", "<link", "src=", "url("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
    }
}

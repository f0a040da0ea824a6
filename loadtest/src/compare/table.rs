//! The table for the README, as Markdown.

use std::fmt::Write as _;

use super::figure::{Figure, OWN};
use super::section::Sections;
use crate::report::plot::exact;

/// A row for each figure and peer.
pub(super) fn markdown(sections: &Sections) -> String {
    let mut text = format!("| what | {OWN} | beside it | {OWN} is better by | goal |\n");
    text.push_str("|---|---|---|---|---|\n");
    for figure in sections.values().flat_map(|section| &section.figures) {
        rows(figure, &mut text);
    }
    text
}

fn rows(figure: &Figure, text: &mut String) {
    let Some(own) = figure.sides.first() else { return };
    for (side, ratio) in figure.ratios() {
        let goal = figure.goals.get(&side.name);
        let goal = goal.map_or_else(String::new, |goal| format!("≥ {goal}"));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} {unit} | {} {} {unit} | {} × | {goal} |",
            cell(&figure.what),
            plain(own.median()),
            cell(&side.name),
            plain(side.median()),
            plain(ratio),
            unit = cell(&figure.unit),
        );
    }
}

/// Thousands apart by spaces that every editor shows.
fn plain(value: f64) -> String {
    exact(value).replace('\u{202f}', " ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::super::section::Section;
    use super::*;

    #[test]
    fn every_peer_has_a_row_with_its_goal() {
        let mut section = Section::new("Checks");
        section.figures.push(
            Figure::more("authz.hot", "1/s", "hot | checks", vec![60_000.0])
                .peer("OpenFGA", vec![5000.0])
                .peer("SpiceDB", vec![6000.0])
                .goal("OpenFGA", 10.0),
        );
        let text = markdown(&Sections::from([("authz".to_owned(), section)]));
        let rows: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| hot \\| checks | 60 000 1/s | OpenFGA 5 000 1/s | 12.0 × | ≥ 10 |",
                "| hot \\| checks | 60 000 1/s | SpiceDB 6 000 1/s | 10.0 × |  |",
            ]
        );
    }
}

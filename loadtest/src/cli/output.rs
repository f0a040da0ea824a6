//! Figures for people, for programs, and as a report.

use serde_json::Value;

use super::args::ResultArgs;
use crate::report::{self, Chart};

/// What a scenario leaves.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What was measured.
    pub(super) figures: Value,
    /// Drawings for the report.
    pub(super) charts: Vec<Chart>,
    /// Whether what was to be proved holds.
    pub(super) ok: bool,
}

impl Outcome {
    /// Figures of a measurement, which proves nothing.
    pub(super) fn of(scenario: &str, parts: &[(&str, Value)], charts: Vec<Chart>) -> Self {
        let mut figures =
            serde_json::Map::from_iter([("scenario".to_owned(), Value::from(scenario))]);
        for (name, part) in parts {
            match part {
                // The measurement itself stands at the top; what belongs to it under its name.
                Value::Object(fields) if name.is_empty() => figures.extend(fields.clone()),
                part => drop(figures.insert((*name).to_owned(), part.clone())),
            }
        }
        Self { figures: Value::Object(figures), charts, ok: true }
    }
}

/// Prints the figures and writes the report, as asked.
pub(super) fn deliver(output: &ResultArgs, title: &str, outcome: &Outcome) -> anyhow::Result<()> {
    if let Some(path) = &output.report {
        report::write(
            path,
            &format!("Triad loadtest: {title}"),
            &outcome.charts,
            &outcome.figures,
        )?;
    }
    if output.json {
        say(&outcome.figures.to_string());
    } else {
        print(&outcome.figures, 0);
    }
    Ok(())
}

fn print(value: &Value, depth: usize) {
    let Value::Object(fields) = value else { return };
    let indent = "  ".repeat(depth);
    for (name, field) in fields {
        match field {
            Value::Object(_) => {
                say(&format!("{indent}{name}:"));
                print(field, depth + 1);
            }
            Value::Number(number) if number.is_f64() => {
                say(&format!("{indent}{name}: {:.3}", number.as_f64().unwrap_or(0.0)));
            }
            Value::String(text) => say(&format!("{indent}{name}: {text}")),
            field => say(&format!("{indent}{name}: {field}")),
        }
    }
}

/// Results go to standard output.
#[allow(clippy::print_stdout)]
pub(super) fn say(line: &str) {
    println!("{line}");
}

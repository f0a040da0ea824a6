//! Runs of a measurement, one after the other, as many as there are to be and as there is time for.

use std::time::Instant;

use serde_json::Value;

use crate::progress::say;
use crate::stop::Stop;

/// A median of fewer runs is not worth writing down.
pub(crate) const FEWEST: usize = 3;

/// Does `run` so often, each told its number from 1; fewer when time is short, but at least [`FEWEST`] times.
///
/// # Errors
/// That of the first run that fails, and an interruption.
pub(crate) async fn in_turns(
    runs: usize,
    stop: &Stop,
    until: Instant,
    mut run: impl AsyncFnMut(u64) -> anyhow::Result<Value>,
) -> anyhow::Result<Vec<Value>> {
    let mut done = Vec::new();
    while done.len() < runs {
        stop.check()?;
        let begun = Instant::now();
        let one = run(done.len() as u64 + 1).await?;
        say(&format!("pair {} of {runs}: {}", done.len() + 1, brief(&one)));
        done.push(one);
        if done.len() >= FEWEST && Instant::now() + begun.elapsed() > until {
            break;
        }
    }
    Ok(done)
}

/// The numbers of a run, for people.
fn brief(run: &Value) -> String {
    let fields = run.as_object().into_iter().flatten();
    let numbers = fields.filter_map(|(name, field)| Some(format!("{name} {:.3}", field.as_f64()?)));
    numbers.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_told_in_numbers() {
        let run = json!({"value": 0.5, "sources": {"graph": 1}, "edge": 3});
        assert_eq!(brief(&run), "edge 3.000, value 0.500");
    }
}

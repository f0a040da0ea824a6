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

/// Both sides of a pair, one after the other, as a pair of results: the first one first in odd turns, the second one in
/// even ones, so that what the earlier leaves behind meets either of them as often.
///
/// # Errors
/// That of the side that fails; the other one may not have been run.
pub(crate) async fn alternately<A, B>(
    turn: u64,
    first: impl Future<Output = anyhow::Result<A>>,
    second: impl Future<Output = anyhow::Result<B>>,
) -> anyhow::Result<(A, B)> {
    if turn % 2 == 1 {
        let first = first.await?;
        Ok((first, second.await?))
    } else {
        let second = second.await?;
        Ok((first.await?, second))
    }
}

/// The numbers of a run, for people.
fn brief(run: &Value) -> String {
    let fields = run.as_object().into_iter().flatten();
    let numbers = fields.filter_map(|(name, field)| Some(format!("{name} {:.3}", field.as_f64()?)));
    numbers.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn sides_are_first_in_turns() {
        let order = RefCell::new(Vec::new());
        let side = async |name| {
            order.borrow_mut().push(name);
            anyhow::Ok(name)
        };
        for turn in 1..=2 {
            let both = alternately(turn, side("few"), side("many")).await;
            assert_eq!(both.expect("both answer"), ("few", "many"));
        }
        assert_eq!(order.into_inner(), ["few", "many", "many", "few"]);
    }

    #[test]
    fn a_run_is_told_in_numbers() {
        let run = json!({"value": 0.5, "sources": {"graph": 1}, "edge": 3});
        assert_eq!(brief(&run), "edge 3.000, value 0.500");
    }
}

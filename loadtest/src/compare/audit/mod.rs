//! Bento and `ingest` drain the same topic into fresh keyspaces, in turns.

mod bento;
mod count;
mod track;

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::figure::{Figure, Rounds};
use super::peer::{install, version};
use super::section::{Section, notes};
use super::{state, words};
use crate::cli::CompareArgs;
use crate::deploy::{self, Local};
use crate::engines::IndexKind;
use crate::progress::say;
use crate::run::Run;
use crate::scenario::{Stage, pipeline};
use crate::stop::Stop;
use crate::system::settle;
use track::{Middle, Track};

/// What one turn left to compact is waited for, at most.
const SETTLE: Duration = Duration::from_secs(20);

/// Who has a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain<'a> {
    Ingest,
    /// With that pipeline.
    Bento(&'a str),
}

impl Drain<'_> {
    fn name(self) -> String {
        match self {
            Self::Ingest => "ingest".to_owned(),
            Self::Bento(pipeline) => format!("Bento, {pipeline}"),
        }
    }
}

/// Compares them.
///
/// # Errors
/// When an engine, `ingest` or Bento fails, or rows are missing.
pub(super) async fn audit(args: &CompareArgs, stop: &Stop) -> anyhow::Result<Section> {
    let folder = install("bento").await?;
    let mut local = Local::new(state("audit"));
    local.start("kafka,cassandra", &[]).await?;
    let mut engines = local.engines().await?;
    engines.index = Some(IndexKind::None);
    let state = Some(local.state().to_owned());
    let stage = Stage { engines, launch: args.ingest.launch(), state, stop: stop.clone() };
    let run = Run::recent(&format!("c{}", std::process::id()), args.events);
    let produced = stage.backlog(&run).await?;
    say(&format!("{} events published, {:.0} a second", run.events, produced.per_second));
    let mut drains = vec![Drain::Ingest];
    drains.extend(args.bento.iter().map(|pipeline| Drain::Bento(pipeline)));
    let mut rounds = Rounds::default();
    // The first round warms up the engines' JVMs and does not count.
    for round in 0..=args.rounds {
        for drain in &drains {
            let track = Box::pin(turn(&stage, &folder, &run, *drain, round)).await?;
            let Middle { rows_per_second, cpu_per_row_us } = track.middle(run.events)?;
            let name = drain.name();
            say(&format!(
                "round {round} of {}: {name} {rows_per_second:.0} rows/s, {cpu_per_row_us:.1} µs CPU a row",
                args.rounds
            ));
            if round > 0 {
                rounds.note(&format!("{name} rate"), rows_per_second);
                rounds.note(&format!("{name} cpu"), cpu_per_row_us);
                rounds.note(&format!("{name} rss"), track.peak_mib);
            }
        }
        // Who is first is last in the next round.
        drains.rotate_left(1);
    }
    local.reset().await?;
    section(args, &rounds, &version(&folder))
}

/// One of them drains the topic; all rows must be there then.
async fn turn(
    stage: &Stage,
    folder: &Path,
    run: &Run,
    drain: Drain<'_>,
    round: u16,
) -> anyhow::Result<Track> {
    let word = match drain {
        Drain::Ingest => "i",
        Drain::Bento(pipeline) => pipeline,
    };
    let run = run.replayed_as(&format!("c{}-{word}-{round}", std::process::id()));
    let db = stage.engines.apply_schema(&run.names).await?;
    let track = match drain {
        Drain::Ingest => Track::of(&pipeline::measure(stage, &run, run.events).await?.timeline),
        Drain::Bento(pipeline) => bento::drain(stage, folder, pipeline, &run).await?,
    };
    let rows = count::rows(&db, &stage.stop).await?;
    ensure!(rows == run.events, "{}: {rows} rows of {} events", drain.name(), run.events);
    stage.engines.drop_keyspace(&run.names).await?;
    if let Some(pid) = stage.state.as_deref().and_then(|state| deploy::pid(state, "cassandra-1")) {
        settle(pid, SETTLE).await;
    }
    Ok(track)
}

fn section(args: &CompareArgs, rounds: &Rounds, bento: &str) -> anyhow::Result<Section> {
    let mut section = Section::new("Audit: Kafka to Cassandra, beside Bento");
    section.version("Bento", bento);
    section.engine("Cassandra")?;
    section.engine("Kafka")?;
    section.settings = notes(words::AUDIT_SETTINGS);
    section.peer_does = notes(words::AUDIT_PEER_DOES);
    section.commands = vec![
        format!("loadtest compare audit --events {} --rounds {}", args.events, args.rounds),
        "loadtest/peers/install bento".to_owned(),
    ];
    let pipelines = args.bento.iter().map(|name| {
        format!(
            "bento -c loadtest/peers/bento/{name}.yaml   \
             # BENTO_LISTEN, _BROKERS, _TOPIC, _GROUP, _CASSANDRA, _KEYSPACE"
        )
    });
    section.commands.extend(pipelines);
    let own = |what: &str| rounds.of(&format!("ingest {what}"));
    let mut all = [
        Figure::more("audit.rows_per_second", "rows/s", "rows stored of a backlog", own("rate")),
        Figure::less("audit.cpu_per_row_us", "µs", "CPU of the process a row stored", own("cpu")),
        Figure::less("audit.rss_mib", "MiB", "largest memory of the process", own("rss")),
    ];
    for pipeline in &args.bento {
        let name = Drain::Bento(pipeline).name();
        let goals = [Some(1.75), Some(4.0), None];
        for ((figure, what), goal) in all.iter_mut().zip(["rate", "cpu", "rss"]).zip(goals) {
            let with = figure.clone().peer(&name, rounds.of(&format!("{name} {what}")));
            *figure = match goal {
                Some(times) => with.goal(&name, times),
                None => with,
            };
        }
    }
    section.figures.extend(all);
    Ok(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pipelines_are_beside_ingest_with_their_goals() {
        let mut rounds = Rounds::default();
        let sides = [("ingest", 60.0, 4.0, 100.0), ("Bento, plain", 30.0, 20.0, 50.0)];
        for (name, rate, cpu, rss) in sides {
            rounds.note(&format!("{name} rate"), rate);
            rounds.note(&format!("{name} cpu"), cpu);
            rounds.note(&format!("{name} rss"), rss);
        }
        let args = CompareArgs::example(&["--bento", "plain"]);
        let section = section(&args, &rounds, "1.10.0").unwrap();
        let ratio = |figure: &Figure| (figure.ratios()[0].1, figure.goals.len());
        let ratios: Vec<_> = section.figures.iter().map(ratio).collect();
        assert_eq!(ratios, [(2.0, 1), (5.0, 1), (0.5, 0)]);
        assert_eq!(section.figures[2].better(), [("Bento, plain", 2.0)]);
        assert_eq!(section.versions["Bento"], "1.10.0");
    }
}

//! Bento on the run's backlog: the real binary, from a pipeline of `loadtest/peers/bento`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use tokio::process::Command;

use super::super::peer::Peer;
use super::track::{Point, Track};
use crate::deploy;
use crate::port;
use crate::progress;
use crate::run::Run;
use crate::scenario::Stage;
use crate::scrape;

/// From its start to its first counters.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// It is given up when it stored nothing for so long.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// Runs it until all events of the run are stored. Topic and keyspace are there.
///
/// # Errors
/// When it ends, or stores nothing for a while.
pub(super) async fn drain(
    stage: &Stage,
    folder: &Path,
    pipeline: &str,
    run: &Run,
) -> anyhow::Result<Track> {
    let file = deploy::workspace()?.join(format!("loadtest/peers/bento/{pipeline}.yaml"));
    ensure!(file.is_file(), "{} is no pipeline", file.display());
    let listen = port::free()?;
    let mut command = Command::new(folder.join("bin/bento"));
    command.arg("-c").arg(file).envs(environment(stage, run, listen));
    let mut bento = Peer::start("bento", command)?;
    let client = scrape::client(Duration::from_secs(5))?;
    let text = async || scrape::text(&client, listen).await;
    bento.until(&stage.stop, READY_WITHIN, async || text().await.is_ok()).await?;
    let (begun, mut moved) = (Instant::now(), (Instant::now(), 0));
    let bar = progress::bar("stored", run.events);
    let mut track = Track::default();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while moved.1 < run.events {
        ticks.tick().await;
        stage.stop.check()?;
        bento.alive()?;
        let rows = sent(&text().await?);
        track.peak_mib = track.peak_mib.max(bento.memory()?.peak_kib as f64 / 1024.0);
        track.points.push(Point { at: begun.elapsed().as_secs_f64(), rows, cpu: bento.cpu()? });
        bar.set_position(rows);
        if rows > moved.1 {
            moved = (Instant::now(), rows);
        } else if moved.0.elapsed() > PATIENCE {
            bail!("Bento stored {rows} of {} events, and none for {PATIENCE:?}", run.events);
        }
    }
    bar.finish_and_clear();
    bento.stop().await?;
    Ok(track)
}

/// What the pipelines name.
fn environment(stage: &Stage, run: &Run, listen: SocketAddr) -> [(&'static str, String); 6] {
    [
        ("BENTO_LISTEN", listen.to_string()),
        ("BENTO_BROKERS", stage.engines.kafka.join(",")),
        ("BENTO_CASSANDRA", stage.engines.cassandra.join(",")),
        ("BENTO_TOPIC", run.names.topic.clone()),
        ("BENTO_GROUP", run.names.group.clone()),
        ("BENTO_KEYSPACE", run.names.keyspace.clone()),
    ]
}

/// Rows that Cassandra acknowledged.
#[allow(clippy::cast_sign_loss, reason = "a count")]
fn sent(text: &str) -> u64 {
    scrape::sum(text, "output_sent", ("path", "root.output")).max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ingest::sink::row::COLUMNS;

    use super::*;
    use crate::child::Launch;
    use crate::engines::Engines;
    use crate::stop::Stop;

    fn pipeline(name: &str) -> String {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers/bento");
        std::fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap()
    }

    #[test]
    fn pipelines_are_told_all_that_they_name_and_fill_every_column() {
        let stage = Stage {
            engines: Engines::default(),
            launch: Launch::of(None, "ingest"),
            state: None,
            stop: Stop::after(Duration::from_secs(1)),
        };
        let told = environment(&stage, &Run::example(1), port::free().unwrap());
        for name in ["plain", "grouped"] {
            let text = pipeline(name);
            for (variable, _) in &told {
                assert!(text.contains(&format!("${{{variable}}}")), "{name}: {variable}");
            }
            assert_eq!(text.matches("${BENTO_").count(), told.len(), "{name} names no other one");
            let words: Vec<_> = text.split_ascii_whitespace().collect();
            let columns = COLUMNS.join(", ");
            assert!(words.join(" ").contains(&format!("audit_logs ({columns})")), "{name}");
        }
    }

    #[test]
    fn what_was_acknowledged_is_read_from_its_counters() {
        let text = "input_received{label=\"\",path=\"root.input\"} 900\n\
            output_sent{label=\"\",path=\"root.output\"} 640\n\
            output_batch_sent{label=\"\",path=\"root.output\"} 10\n";
        assert_eq!(sent(text), 640);
        assert_eq!(sent(""), 0);
    }
}

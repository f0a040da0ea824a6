//! Two edges under a storm of writes: no answer is older than the bound, whatever fails meanwhile.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::edge::Edges;
use crate::recorder::{Outcome, Storm};
use crate::world::engines;

/// The life of entries, and so the bound where Kafka may be down.
const LIFE: Duration = Duration::from_secs(3);
/// While Kafka is up, entries live longer than the storm: only fences can have kept its bound.
const LONG_LIFE: Duration = Duration::from_secs(60);
/// What fences keep of 99 in 100 changes.
const PROMISED: Duration = Duration::from_secs(1);
/// What they keep of each, on a machine that is busy with other things: an answer that was old for a reason
/// of ours is as old as the storm is long.
const ANY: Duration = Duration::from_secs(4);

async fn edges(life: Duration) -> Result<Edges> {
    let life = life.as_millis().to_string();
    Edges::new(&[
        ("CACHE__LIFE_MS", &life),
        ("CACHE__DENY_LIFE_MS", &life),
        ("DGRAPH__TIMEOUT_MS", "2000"),
    ])
    .await
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn enough(outcome: &Outcome, answers: u64, writes: u64) -> Result<()> {
    writeln!(std::io::stderr(), "{outcome:?}")?;
    ensure!(outcome.answers >= answers && outcome.writes >= writes, "too little: {outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_older_than_the_bound() -> Result<()> {
    let edges = edges(LONG_LIFE).await?;
    let storm = Storm::new(&edges, 2, 4, 60).await?;
    let events = async {
        sleep(10).await;
        Ok(())
    };
    let outcome = storm.run(ANY, events).await?;
    enough(&outcome, 500, 200)?;
    ensure!(outcome.p99 <= PROMISED, "{outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn rights_are_revoked_while_kafka_is_down_for_a_minute() -> Result<()> {
    let edges = edges(LIFE).await?;
    let storm = Storm::new(&edges, 2, 4, 60).await?;
    let events = async {
        sleep(5).await;
        engines(&["pause", "kafka"])?;
        sleep(60).await;
        engines(&["resume", "kafka"])?;
        sleep(15).await;
        Ok(())
    };
    enough(&storm.run(LIFE, events).await?, 5_000, 500)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn the_alpha_is_killed_under_load() -> Result<()> {
    let edges = edges(LIFE).await?;
    let storm = Storm::new(&edges, 2, 4, 60).await?;
    let events = async {
        for _ in 0..3 {
            sleep(5).await;
            engines(&["kill", "dgraph-alpha"])?;
            sleep(5).await;
            engines(&["start", "dgraph-alpha"])?;
        }
        sleep(10).await;
        Ok(())
    };
    enough(&storm.run(LIFE, events).await?, 2_000, 200)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn edges_are_killed_under_load() -> Result<()> {
    let edges = edges(LIFE).await?;
    let storm = Storm::new(&edges, 2, 4, 60).await?;
    let events = async {
        for turn in 0..10 {
            sleep(3).await;
            storm.replace(turn % 2, &edges).await?;
        }
        Ok(())
    };
    enough(&storm.run(LIFE, events).await?, 5_000, 500)
}

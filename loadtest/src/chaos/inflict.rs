//! Doing a plan to a stage, at its times.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures::future::try_join_all;

use super::fault::{Fault, Kind};
use super::plan::Plan;
use crate::progress::say;
use crate::trio::member::Member;
use crate::trio::stage::Stage;

/// All faults of the plan; returns at the end of its time, or when the last fault is over, whichever is later.
///
/// # Errors
/// What could not be done, or undone.
pub(super) async fn inflict(stage: &Stage, plan: &Plan, begun: Instant) -> anyhow::Result<()> {
    try_join_all(plan.faults.iter().map(|fault| one(stage, fault, begun))).await?;
    until(begun, plan.seconds * 1000).await;
    Ok(())
}

async fn one(stage: &Stage, fault: &Fault, begun: Instant) -> anyhow::Result<()> {
    let words = fault.words();
    until(begun, fault.at_ms).await;
    tell(begun, &words);
    for member in &fault.members {
        hurt(stage, fault.kind, *member).await.with_context(|| words.clone())?;
    }
    until(begun, fault.until_ms()).await;
    for member in &fault.members {
        relieve(stage, fault.kind, *member).await.with_context(|| format!("after: {words}"))?;
    }
    tell(begun, &format!("over: {words}"));
    Ok(())
}

async fn hurt(stage: &Stage, kind: Kind, member: Member) -> anyhow::Result<()> {
    match kind {
        Kind::Kill => stage.kill(member).await,
        Kind::Pause => stage.pause(member).await,
        Kind::Restart => stage.stop(member).await,
        Kind::Cut(engine) => stage.cut(member, engine).await,
    }
}

async fn relieve(stage: &Stage, kind: Kind, member: Member) -> anyhow::Result<()> {
    match kind {
        Kind::Kill | Kind::Restart => stage.begin(member).await,
        Kind::Pause => stage.resume(member).await,
        Kind::Cut(engine) => stage.join(member, engine).await,
    }
}

async fn until(begun: Instant, millis: u64) {
    tokio::time::sleep_until((begun + Duration::from_millis(millis)).into()).await;
}

/// A line for people, with the time of the run.
pub(super) fn tell(begun: Instant, what: &str) {
    say(&format!("{:>7.1} s  {what}", begun.elapsed().as_secs_f64()));
}

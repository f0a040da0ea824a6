//! Doing a plan to a stage, at its times.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures::future::try_join_all;
use tokio::sync::watch;

use super::fault::{Fault, Kind};
use super::plan::Plan;
use crate::progress::say;
use crate::trio::member::Member;
use crate::trio::stage::Stage;

/// All faults of the plan; returns at the end of its time, or when the last fault is over, whichever is later. What an
/// earlier fault was done to may take long to be back: the next one there waits for that, and is left out if it would not
/// be over before the quiet end. Those are returned.
///
/// # Errors
/// What could not be done, or undone.
pub(super) async fn inflict(
    stage: &Stage,
    plan: &Plan,
    begun: Instant,
) -> anyhow::Result<Vec<Fault>> {
    let turns = Turns::of(plan);
    let done = try_join_all((0..plan.faults.len()).map(|at| one(stage, plan, at, &turns, begun)));
    let done = done.await?;
    until(begun, plan.seconds * 1000).await;
    let left_out = plan.faults.iter().zip(done).filter(|(_, done)| !done);
    Ok(left_out.map(|(fault, _)| fault.clone()).collect())
}

/// Does one; returns whether there was time for it.
async fn one(
    stage: &Stage,
    plan: &Plan,
    at: usize,
    turns: &Turns,
    begun: Instant,
) -> anyhow::Result<bool> {
    let fault = &plan.faults[at];
    let words = fault.words();
    until(begun, fault.at_ms).await;
    let late = match turns.wait(plan, at).await {
        Waited::No => 0,
        Waited::Yes => (begun.elapsed().as_millis() as u64).saturating_sub(fault.at_ms),
    };
    let end = fault.until_ms() + late;
    if late > 0 && end > plan.faults_until_ms() {
        tell(begun, &format!("left out, it is not back in time: {words}"));
        turns.over(at);
        return Ok(false);
    }
    tell(begun, &words);
    for member in &fault.members {
        hurt(stage, fault.kind, *member).await.with_context(|| words.clone())?;
    }
    until(begun, end).await;
    for member in &fault.members {
        relieve(stage, fault.kind, *member).await.with_context(|| format!("after: {words}"))?;
    }
    tell(begun, &format!("over: {words}"));
    turns.over(at);
    Ok(true)
}

/// Which faults of a plan are over, in its order.
struct Turns(watch::Sender<Vec<bool>>);

impl Turns {
    fn of(plan: &Plan) -> Self {
        Self(watch::Sender::new(vec![false; plan.faults.len()]))
    }

    fn over(&self, at: usize) {
        self.0.send_modify(|over| over[at] = true);
    }

    /// Until no earlier fault is in the way.
    async fn wait(&self, plan: &Plan, at: usize) -> Waited {
        let fault = &plan.faults[at];
        let in_the_way = |over: &Vec<bool>| {
            let earlier = plan.faults[..at].iter().zip(over);
            earlier.filter(|(_, over)| !**over).any(|(earlier, _)| earlier.clashes(fault))
        };
        if !in_the_way(&self.0.borrow()) {
            return Waited::No;
        }
        // Its sender is ours.
        let _ = self.0.subscribe().wait_for(|over| !in_the_way(over)).await;
        Waited::Yes
    }
}

/// Whether a fault had to wait for an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    No,
    Yes,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A fault of a node that is not back yet waits for it; one of another engine does not.
    #[tokio::test]
    async fn a_fault_waits_for_what_an_earlier_one_was_done_to() {
        let fault = |at_ms, members: &[Member]| Fault {
            at_ms,
            for_ms: 1000,
            kind: Kind::Kill,
            members: members.to_vec(),
        };
        let faults = vec![
            fault(0, &[Member::Cassandra1, Member::Cassandra3]),
            fault(10, &[Member::Kafka]),
            fault(2000, &[Member::Cassandra2]),
        ];
        let plan = Plan { seed: 1, seconds: 60, faults };
        let turns = Turns::of(&plan);
        assert_eq!(turns.wait(&plan, 0).await, Waited::No);
        assert_eq!(turns.wait(&plan, 1).await, Waited::No);
        let mut third = Box::pin(turns.wait(&plan, 2));
        assert!(futures::poll!(&mut third).is_pending());
        turns.over(1);
        assert!(futures::poll!(&mut third).is_pending());
        turns.over(0);
        assert_eq!(third.await, Waited::Yes);
    }
}

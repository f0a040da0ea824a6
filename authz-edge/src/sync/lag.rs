//! How far identity sync is behind, seen by every edge: only one replica applies a partition, and all of
//! them answer from what it applies.
//!
//! Sync commits an offset when what is before it is applied. Who sees where every partition ends, and later
//! that the group has committed as much, knows that everything up to the first look is applied. A tenant
//! that is stopped by a gap is passed over by these offsets, and has its own gauge.

use std::sync::Arc;
use std::time::Duration;

use service_kit::bus::{Bus, BusError, Group, GroupPosition};
use service_kit::shutdown::Shutdown;
use tokio::time::sleep;

use crate::check::freshness::Freshness;
use crate::clock::Clock;
use crate::config::{Config, SyncMode};

/// Between looks: what the lag is overstated by at most.
const LOOK: Duration = Duration::from_millis(500);

/// Where partitions ended, and when that was looked at.
#[derive(Default)]
struct Goal(Option<(u64, Vec<i64>)>);

impl Goal {
    /// Takes a look that began at `at`: the time up to which everything is applied, if one is known anew.
    fn look(&mut self, at: u64, positions: &[GroupPosition]) -> Option<u64> {
        let has = |ends: &[i64]| {
            ends.len() <= positions.len()
                && ends.iter().zip(positions).all(|(end, position)| {
                    // What was deleted by age is not waited for.
                    position.committed.unwrap_or(0).max(position.begin) >= *end
                })
        };
        let ends: Vec<_> = positions.iter().map(|position| position.end).collect();
        if has(&ends) {
            self.0 = None;
            return Some(at);
        }
        let reached = self.0.take_if(|(_, ends)| has(ends)).map(|(at, _)| at);
        // While more keeps coming, it is measured from one goal to the next.
        self.0.get_or_insert((at, ends));
        reached
    }
}

/// Watches the group of identity sync until the drain, where identities come from elsewhere.
///
/// # Errors
/// A configuration that Kafka's client refuses.
pub fn watch(
    config: &Config,
    bus: &Bus,
    freshness: &Arc<Freshness>,
    clock: &Clock,
    draining: &Shutdown,
) -> Result<(), BusError> {
    if config.sync.mode != SyncMode::Identity {
        return Ok(());
    }
    freshness.follow_identities();
    let group = bus.group(&config.sync.group, &config.sync.topic)?;
    let (freshness, clock, draining) = (Arc::clone(freshness), clock.clone(), draining.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = look(&group, &freshness, &clock) => {}
            () = draining.draining() => {}
        }
    });
    Ok(())
}

async fn look(group: &Group, freshness: &Freshness, clock: &Clock) {
    let mut goal = Goal::default();
    loop {
        let at = clock.millis();
        match group.positions().await {
            Ok(positions) => {
                goal.look(at, &positions).into_iter().for_each(|at| freshness.caught_up(at));
            }
            // The lag grows meanwhile.
            Err(error) => tracing::warn!(%error, "how far identity sync is"),
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(begin: i64, end: i64, committed: impl Into<Option<i64>>) -> GroupPosition {
        GroupPosition { begin, end, committed: committed.into() }
    }

    #[test]
    fn it_is_caught_up_to_where_all_partitions_were_when_all_of_that_is_applied() {
        let mut goal = Goal::default();
        assert_eq!(goal.look(10, &[at(0, 5, 5), at(0, 3, 2)]), None);
        // More came meanwhile, and what was there at ten is applied.
        assert_eq!(goal.look(20, &[at(0, 9, 6), at(0, 4, 3)]), Some(10));
        assert_eq!(goal.look(30, &[at(0, 9, 8), at(0, 4, 4)]), None);
        assert_eq!(goal.look(40, &[at(0, 9, 9), at(0, 4, 4)]), Some(40));
        assert_eq!(goal.look(50, &[at(0, 9, 9), at(0, 4, 4)]), Some(50));
    }

    #[test]
    fn one_partition_that_stands_still_holds_all_back() {
        let mut goal = Goal::default();
        for now in 1..9 {
            assert_eq!(goal.look(now, &[at(0, 100, 100), at(0, 1, None)]), None);
        }
    }

    #[test]
    fn an_empty_partition_and_what_was_deleted_by_age_are_applied() {
        assert_eq!(Goal::default().look(7, &[at(0, 0, None), at(9, 9, 3)]), Some(7));
        assert_eq!(Goal::default().look(7, &[at(0, 1, None)]), None);
    }

    #[test]
    fn a_partition_that_is_new_is_waited_for() {
        let mut goal = Goal::default();
        assert_eq!(goal.look(1, &[at(0, 5, 4)]), None);
        // All that was there at one is applied; what is in the new one came later.
        assert_eq!(goal.look(2, &[at(0, 5, 5), at(0, 3, None)]), Some(1));
        assert_eq!(goal.look(3, &[at(0, 5, 5), at(0, 3, None)]), None);
    }
}

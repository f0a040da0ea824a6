//! Reading logs, alone or as a group.

use super::{LocalBus, log::Log};
use crate::bus::{BusError, FollowError, Message};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// Reads one log from an offset on.
pub struct LocalFollower {
    log: Arc<Log>,
    next: AtomicI64,
    /// Where the log ended when this began.
    goal: i64,
}

impl LocalFollower {
    pub(super) fn new(log: Arc<Log>, next: i64) -> Self {
        let goal = log.end();
        Self { log, next: AtomicI64::new(next), goal }
    }

    pub(in crate::bus) fn is_caught_up(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.goal
    }

    /// The next record, if there is one.
    fn look(&self) -> Result<Option<Message>, FollowError> {
        let next = self.next.load(Ordering::Relaxed);
        if next >= self.log.end() {
            return Ok(None);
        }
        let message = self.log.read(next)?;
        self.next.store(message.offset + 1, Ordering::Relaxed);
        Ok(Some(message))
    }

    pub(in crate::bus) async fn next(
        &self,
        deadline: Duration,
    ) -> Result<Option<Message>, FollowError> {
        let until = Instant::now() + deadline;
        // Subscribed first: what comes after the look wakes.
        let mut ends = self.log.ends();
        loop {
            if let Some(message) = self.look()? {
                return Ok(Some(message));
            }
            match timeout_at(until, ends.changed()).await {
                Err(_) => return Ok(None),
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(FollowError::Failed("the log is closed".to_owned())),
            }
        }
    }
}

/// The one member of a group. What was not committed comes again after a restart.
pub struct LocalSubscriber {
    bus: LocalBus,
    group: String,
    places: Vec<LocalFollower>,
}

impl LocalSubscriber {
    pub(super) fn new(bus: LocalBus, group: String, places: Vec<LocalFollower>) -> Self {
        Self { bus, group, places }
    }

    pub(in crate::bus) async fn next(
        &self,
        deadline: Duration,
    ) -> Result<Option<Message>, BusError> {
        let until = Instant::now() + deadline;
        let failed = |error: FollowError| BusError::Kafka(error.to_string());
        let mut ends: Vec<_> = self.places.iter().map(|place| place.log.ends()).collect();
        loop {
            for place in &self.places {
                if let Some(message) = place.look().map_err(failed)? {
                    return Ok(Some(message));
                }
            }
            let changes = ends.iter_mut().map(|end| Box::pin(end.changed()));
            let any = futures::future::select_all(changes);
            match timeout_at(until, any).await {
                Err(_) => return Ok(None),
                Ok((Ok(()), ..)) => {}
                Ok((Err(_), ..)) => return Err(BusError::Kafka("the log is closed".to_owned())),
            }
        }
    }

    pub(in crate::bus) async fn commit_before(
        &self,
        topic: &str,
        next: i64,
    ) -> Result<(), BusError> {
        match self.places.iter().any(|place| place.log.name() == topic) {
            true => self.bus.commit(&self.group, topic, next).await,
            false => Err(BusError::Kafka(super::missing(topic))),
        }
    }
}

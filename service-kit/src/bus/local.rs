//! Topics within one process, for `standalone`.
//!
//! Each has one partition. A durable topic is a log on the [`Disk`]: a record is acknowledged once it is synced,
//! and kept for a time and until every group has committed past it. A passing one is in memory, bounded, for what
//! means nothing after a restart. A topic may also have a sink, which takes its records for good and acknowledges
//! them itself.

mod frame;
mod log;
mod read;

pub use read::{LocalFollower, LocalSubscriber};

use super::{Ack, BusError, GroupPosition, PublishError, Publisher, Record, Start};
use crate::embedded::{Changes, Disk, DiskError, Space};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use log::Log;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Takes the records of a topic, instead of a log.
pub trait Sink: Send + Sync + 'static {
    /// Stores a record for good, in the order of calls; what comes back is done when it is durable.
    fn take(&self, record: Record) -> BoxFuture<'static, Result<Ack, PublishError>>;
}

/// How a topic keeps its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On disk, at least for so long.
    Durable(Duration),
    /// In memory.
    Passing,
    /// Not at all: whoever is given as its sink takes them.
    Sunk,
}

/// The topics of a process. Clones are the same ones.
#[derive(Clone)]
pub struct LocalBus(Arc<Inner>);

struct Inner {
    disk: Disk,
    groups: Space,
    topics: HashMap<String, Topic>,
}

enum Topic {
    Log(Arc<Log>),
    Sink(OnceLock<Arc<dyn Sink>>),
}

impl fmt::Debug for LocalBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBus").finish_non_exhaustive()
    }
}

fn missing(topic: &str) -> String {
    format!("there is no topic {topic}")
}

fn failed(error: &DiskError) -> BusError {
    BusError::Kafka(error.to_string())
}

impl LocalBus {
    /// Opens the logs of `topics`; others do not exist.
    ///
    /// # Errors
    /// The disk's.
    pub fn open<'a>(
        disk: &Disk,
        topics: impl IntoIterator<Item = (&'a str, Kind)>,
    ) -> Result<Self, DiskError> {
        let open = |(name, kind): (&str, Kind)| {
            let topic = match kind {
                Kind::Durable(keep) => Topic::Log(Arc::new(Log::durable(disk, name, keep)?)),
                Kind::Passing => Topic::Log(Arc::new(Log::passing(name))),
                Kind::Sunk => Topic::Sink(OnceLock::new()),
            };
            Ok((name.to_owned(), topic))
        };
        let topics = topics.into_iter().map(open).collect::<Result<_, DiskError>>()?;
        let groups = disk.space("bus.groups")?;
        Ok(Self(Arc::new(Inner { disk: disk.clone(), groups, topics })))
    }

    /// Names who takes the records of a topic of [`Kind::Sunk`]; the first one stays.
    pub fn sink(&self, topic: &str, sink: Arc<dyn Sink>) {
        if let Some(Topic::Sink(place)) = self.0.topics.get(topic) {
            // A second one changes nothing.
            let _ = place.set(sink);
        }
    }

    pub(super) fn publisher(&self, max_message_bytes: usize) -> LocalPublisher {
        LocalPublisher { bus: self.clone(), max_message_bytes }
    }

    pub(super) fn follow(&self, topic: &str) -> Result<LocalFollower, BusError> {
        let log = self.log(topic)?;
        let end = log.end();
        Ok(LocalFollower::new(log, end))
    }

    pub(super) fn follow_since(
        &self,
        topic: &str,
        since: DateTime<Utc>,
    ) -> Result<LocalFollower, BusError> {
        let log = self.log(topic)?;
        let begin = log.since(since.timestamp_millis()).map_err(|error| failed(&error))?;
        Ok(LocalFollower::new(log, begin))
    }

    pub(super) fn subscribe(
        &self,
        group: &str,
        topics: &[&str],
        start: Start,
    ) -> Result<LocalSubscriber, BusError> {
        let place = |topic: &&str| {
            let log = self.log(topic)?;
            let next = match (self.committed(group, topic)?, start) {
                (Some(committed), _) => committed,
                (None, Start::Earliest) => log.begin().map_err(|error| failed(&error))?,
                (None, Start::Latest) => log.end(),
            };
            Ok(LocalFollower::new(log, next))
        };
        let places = topics.iter().map(place).collect::<Result<_, BusError>>()?;
        Ok(LocalSubscriber::new(self.clone(), group.to_owned(), places))
    }

    pub(super) fn position(&self, group: &str, topic: &str) -> Result<GroupPosition, BusError> {
        let log = self.log(topic)?;
        let (begin, end) = (log.begin().map_err(|error| failed(&error))?, log.end());
        Ok(GroupPosition { begin, end, committed: self.committed(group, topic)? })
    }

    /// Deletes what no topic has to keep any more. Call it now and then.
    ///
    /// # Errors
    /// The disk's.
    pub async fn trim(&self, now: DateTime<Utc>) -> Result<(), DiskError> {
        for (name, topic) in &self.0.topics {
            let Topic::Log(log) = topic else { continue };
            let mut committed = None;
            for pair in self.0.groups.prefix(&group_key(name, "")) {
                let (_, value) = pair?;
                let next = offset(&value);
                committed = Some(committed.map_or(next, |least: i64| least.min(next)));
            }
            log.trim(&self.0.disk, now.timestamp_millis(), committed.unwrap_or(i64::MAX)).await?;
        }
        Ok(())
    }

    async fn commit(&self, group: &str, topic: &str, next: i64) -> Result<(), BusError> {
        let mut changes = Changes::new();
        changes.put(&self.0.groups, group_key(topic, group), next.to_be_bytes());
        self.0.disk.write(changes).await.map_err(|error| failed(&error))
    }

    fn committed(&self, group: &str, topic: &str) -> Result<Option<i64>, BusError> {
        let stored = self.0.groups.get(&group_key(topic, group));
        Ok(stored.map_err(|error| failed(&error))?.map(|value| offset(&value)))
    }

    fn log(&self, topic: &str) -> Result<Arc<Log>, BusError> {
        match self.0.topics.get(topic) {
            Some(Topic::Log(log)) => Ok(Arc::clone(log)),
            _ => Err(BusError::Kafka(missing(topic))),
        }
    }
}

/// The topic first: all groups of one are together.
fn group_key(topic: &str, group: &str) -> Vec<u8> {
    [topic.as_bytes(), b"\0", group.as_bytes()].concat()
}

/// Of eight bytes, as they were written here.
fn offset(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_be_bytes)
}

/// Publishes within this process.
#[derive(Clone)]
pub struct LocalPublisher {
    bus: LocalBus,
    max_message_bytes: usize,
}

impl Publisher for LocalPublisher {
    async fn publish(&self, topic: &str, record: Record) -> Result<Ack, PublishError> {
        let bytes = record.size();
        if bytes > self.max_message_bytes {
            return Err(PublishError::TooLarge { bytes, limit: self.max_message_bytes });
        }
        match self.bus.0.topics.get(topic) {
            Some(Topic::Log(log)) => log.append(&self.bus.0.disk, record).await,
            Some(Topic::Sink(sink)) => match sink.get() {
                Some(sink) => sink.take(record).await,
                None => Err(PublishError::Refused(format!("nobody takes {topic} yet"))),
            },
            None => Err(PublishError::Refused(missing(topic))),
        }
    }

    async fn partitions(&self, topic: &str) -> Result<i32, BusError> {
        if self.bus.0.topics.contains_key(topic) {
            Ok(1)
        } else {
            Err(BusError::Kafka(missing(topic)))
        }
    }

    /// A disk that failed takes nothing until the process starts again.
    fn fatal(&self) -> Option<String> {
        self.bus.0.disk.failure().map(|failure| failure.to_string())
    }
}

/// What became of a write, as publishers say it.
///
/// # Errors
/// Nothing was written when the disk is full; what a failed disk holds is not known.
pub fn published(written: Result<(), DiskError>) -> Result<(), PublishError> {
    written.map_err(|error| match error {
        DiskError::Full { .. } => PublishError::Refused(error.to_string()),
        error => PublishError::UnknownOutcome(error.to_string()),
    })
}

#[cfg(test)]
mod tests;

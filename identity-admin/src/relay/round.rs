//! One batch to Kafka.

use std::collections::{HashMap, HashSet};
use std::task::Poll;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use service_kit::bus::{PublishError, Publisher, Record};
use tracing::{error, warn};

use super::rows::{self, Waiting};
use super::{Leaving, Relay, Turn};
use crate::change::Topic;
use crate::db::DbError;
use crate::metrics;

/// What is published in order: a tenant's records of one topic.
type Lane = (Topic, String);

/// How a batch went.
#[derive(Default)]
struct Published {
    acknowledged: Vec<(Lane, i64)>,
    /// By lane, the first row that Kafka has not.
    failed: HashMap<Lane, i64>,
    parked: Vec<(i64, String)>,
    /// Why some of it is still to be published.
    stuck: Option<PublishError>,
}

impl Published {
    fn take(&mut self, row: &Waiting, result: Result<(), PublishError>) {
        let lane = || (row.topic, row.tenant.clone());
        match result {
            Ok(()) => self.acknowledged.push((lane(), row.id)),
            Err(error) => {
                let first = self.failed.entry(lane()).or_insert(row.id);
                *first = (*first).min(row.id);
                if let PublishError::TooLarge { .. } = error {
                    self.parked.push((row.id, error.to_string()));
                } else {
                    self.stuck.get_or_insert(error);
                }
            }
        }
    }

    /// Rows of which nothing before them in their lane is missing.
    fn done(&self) -> Vec<i64> {
        let is_done =
            |(lane, id): &&(Lane, i64)| self.failed.get(lane).is_none_or(|failed| id < failed);
        self.acknowledged.iter().filter(is_done).map(|(_, id)| *id).collect()
    }
}

impl<P: Publisher> Relay<P> {
    /// Publishes the first rows that wait, and deletes what Kafka has.
    pub(super) async fn round(&mut self) -> Result<Turn, DbError> {
        let db = &self.core.db;
        let leaving = self.leaving.as_ref().map_or(0, |leaving| leaving.ids.len());
        let mut waiting = rows::waiting(db, self.options.batch, leaving).await?;
        if let Some(leaving) = &self.leaving {
            waiting.retain(|row| !leaving.ids.contains(&row.id));
        }
        if waiting.is_empty() {
            return Ok(if self.settle().await? { Turn::Idle } else { Turn::Elsewhere });
        }
        let published = self.publish(&waiting).await;
        let db = &self.core.db;
        for (id, error) in &published.parked {
            error!(row = id, error, "a row of the outbox is parked: identity-admin outbox list");
            rows::park(db, *id, error, self.core.clock.now()).await?;
            metrics::parked();
        }
        if !self.settle().await? {
            return Ok(Turn::Elsewhere);
        }
        self.leave(published.done());
        match published.stuck {
            Some(error) => {
                metrics::unpublished(&error);
                warn!(%error, "the relay waits for Kafka");
                Ok(Turn::Stuck)
            }
            None if waiting.len() >= self.options.batch as usize => Ok(Turn::Full),
            None => Ok(Turn::Worked),
        }
    }

    /// Begins to delete rows that Kafka has; what comes next is published meanwhile.
    fn leave(&mut self, ids: Vec<i64>) {
        let Some((holder, term)) = self.lease.fence() else { return };
        let (db, holder, all) = (self.core.db.clone(), holder.to_owned(), ids.clone());
        let deleted = tokio::spawn(async move { rows::delete(&db, &all, (&holder, term)).await });
        self.leaving = Some(Leaving { ids: ids.into_iter().collect(), deleted });
    }

    /// Waits until the rows of the round before are deleted; `false` when the lease was lost, and they are not.
    ///
    /// # Errors
    /// What the database brings: they are published again then.
    pub(super) async fn settle(&mut self) -> Result<bool, DbError> {
        let Some(leaving) = self.leaving.take() else { return Ok(true) };
        let broke = |error: tokio::task::JoinError| DbError::Lost(error.to_string());
        let held = leaving.deleted.await.map_err(broke)??;
        if !held {
            warn!("the lease of the outbox was lost; another replica publishes the same again");
            self.lease.lost();
        }
        Ok(held)
    }

    async fn publish(&self, waiting: &[Waiting]) -> Published {
        let mut published = Published::default();
        let mut stopped: HashSet<(Topic, &str)> = HashSet::new();
        let mut under_way = FuturesUnordered::new();
        for row in waiting {
            let lane = (row.topic, row.tenant.as_str());
            if stopped.contains(&lane) {
                continue;
            }
            let record = Record {
                key: Some(Bytes::copy_from_slice(row.tenant.as_bytes())),
                payload: Bytes::copy_from_slice(row.payload.as_bytes()),
                ..Record::default()
            };
            let mut sent = Box::pin(self.publisher.publish(self.topic(row.topic), record));
            // The order of records is that of first polls.
            match futures::poll!(&mut sent) {
                Poll::Pending => under_way.push(async move { (row, sent.await) }),
                Poll::Ready(result) => {
                    let goes_on =
                        !matches!(result, Err(PublishError::QueueFull | PublishError::Refused(_)));
                    if result.is_err() {
                        stopped.insert(lane);
                    }
                    published.take(row, result.map(drop));
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        while let Some((row, result)) = under_way.next().await {
            if result.is_ok() {
                metrics::relayed(row.topic, self.core.clock.now() - row.created_at);
            }
            published.take(row, result.map(drop));
        }
        published
    }

    fn topic(&self, topic: Topic) -> &str {
        match topic {
            Topic::Changes => &self.options.changes_topic,
            Topic::Audit => &self.options.audit_topic,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn row(id: i64, topic: Topic, tenant: &str) -> Waiting {
        let tenant = tenant.to_owned();
        Waiting { id, topic, tenant, payload: String::new(), created_at: DateTime::default() }
    }

    #[test]
    fn what_follows_a_row_that_kafka_has_not_is_published_again_in_its_lane_only() {
        let mut published = Published::default();
        let unknown = || PublishError::UnknownOutcome("late".to_owned());
        published.take(&row(1, Topic::Changes, "a"), Ok(()));
        published.take(&row(7, Topic::Changes, "a"), Ok(()));
        published.take(&row(5, Topic::Changes, "a"), Err(unknown()));
        published.take(&row(3, Topic::Changes, "a"), Err(unknown()));
        published.take(&row(4, Topic::Audit, "a"), Ok(()));
        published.take(&row(6, Topic::Changes, "b"), Ok(()));
        assert_eq!(published.done(), [1, 4, 6]);
        assert_eq!(published.stuck, Some(unknown()));
        assert!(published.parked.is_empty());
    }

    #[test]
    fn only_what_is_too_large_is_parked() {
        let mut published = Published::default();
        let large = PublishError::TooLarge { bytes: 2, limit: 1 };
        published.take(&row(1, Topic::Audit, "a"), Err(large));
        published.take(&row(2, Topic::Audit, "a"), Err(PublishError::Refused("no".to_owned())));
        assert_eq!(published.parked.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1]);
        assert_eq!(published.stuck, Some(PublishError::Refused("no".to_owned())));
    }
}

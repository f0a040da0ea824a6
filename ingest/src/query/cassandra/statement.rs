//! The statements of reads, prepared when first used and kept.

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::policies::retry::DefaultRetryPolicy;
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::OnceCell;

use super::super::Order;
use super::row::COLUMNS;
use crate::layout::{CLASSES, ClassId};
use crate::sink::session::Cassandra;

/// A filter that an index serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    Resource,
    Actor,
}

/// What tells one slice statement from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) order: Order,
    pub(super) pushed: Option<Pushed>,
    /// Whether it begins behind a row.
    pub(super) after: bool,
}

/// Orders × pushed columns × beginnings.
const SHAPES: usize = 12;

impl Shape {
    fn index(self) -> usize {
        let order = usize::from(self.order == Order::Oldest);
        let pushed = self.pushed.map_or(0, |column| 1 + usize::from(column == Pushed::Actor));
        (pushed * 2 + order) * 2 + usize::from(self.after)
    }

    /// The text. Values: tenant, bucket, what is pushed, the lower bound, the upper bound, the limit.
    ///
    /// Beside the bound that is a row, the other one is written as a tuple too: Cassandra mixes no
    /// bounds on a clustering column with bounds on a tuple of them.
    fn text(self, keyspace: &str, table: &str) -> String {
        let pushed = match self.pushed {
            None => "",
            Some(Pushed::Resource) => " AND resource_id = ?",
            Some(Pushed::Actor) => " AND actor_id = ?",
        };
        let bounds = match (self.after, self.order) {
            (false, _) => "event_time >= ? AND event_time < ?",
            (true, Order::Newest) => "(event_time) >= (?) AND (event_time, event_id) < (?, ?)",
            (true, Order::Oldest) => "(event_time, event_id) > (?, ?) AND (event_time) < (?)",
        };
        let order = match self.order {
            Order::Newest => "",
            Order::Oldest => " ORDER BY event_time ASC, event_id ASC",
        };
        let columns = COLUMNS.join(", ");
        format!(
            "SELECT {columns} FROM {keyspace}.{table} \
             WHERE tenant_id = ? AND date_bucket = ?{pushed} AND {bounds}{order} LIMIT ?"
        )
    }
}

struct ClassStatements {
    point: OnceCell<PreparedStatement>,
    slices: [OnceCell<PreparedStatement>; SHAPES],
    /// With one hash, and with two.
    granules: [OnceCell<PreparedStatement>; 2],
}

/// Every statement, by class.
pub(super) struct Statements {
    db: Cassandra,
    classes: Vec<ClassStatements>,
}

impl Statements {
    pub(super) fn new(db: &Cassandra) -> Self {
        let classes = CLASSES.iter().map(|_| ClassStatements {
            point: OnceCell::new(),
            slices: std::array::from_fn(|_| OnceCell::new()),
            granules: [OnceCell::new(), OnceCell::new()],
        });
        Self { db: db.clone(), classes: classes.collect() }
    }

    /// The statement for a slice.
    pub(super) async fn slice(
        &self,
        session: &Session,
        class: ClassId,
        shape: Shape,
    ) -> Result<PreparedStatement, PrepareError> {
        let cell = &self.classes[class.index()].slices[shape.index()];
        let text = || shape.text(&self.db.keyspace, class.class().table);
        cell.get_or_try_init(|| self.prepare(session, text())).await.cloned()
    }

    /// The statement for one row. Values: tenant, bucket, time, id.
    pub(super) async fn point(
        &self,
        session: &Session,
        class: ClassId,
    ) -> Result<PreparedStatement, PrepareError> {
        let cell = &self.classes[class.index()].point;
        let text = || {
            let (columns, table) = (COLUMNS.join(", "), class.class().table);
            format!(
                "SELECT {columns} FROM {}.{table} WHERE tenant_id = ? AND date_bucket = ? \
                 AND event_time = ? AND event_id = ?",
                self.db.keyspace
            )
        };
        cell.get_or_try_init(|| self.prepare(session, text())).await.cloned()
    }

    /// The statement for granules. Values: tenant, bucket, the first time asked for (of the last in a
    /// granule), the last one (of the first), one hash or two. Filtering is of one partition of small
    /// rows.
    pub(super) async fn granules(
        &self,
        session: &Session,
        class: ClassId,
        both: bool,
    ) -> Result<PreparedStatement, PrepareError> {
        let cell = &self.classes[class.index()].granules[usize::from(both)];
        let text = || {
            let (table, keyspace) = (class.class().table, &self.db.keyspace);
            let second = if both { " AND hashes CONTAINS ?" } else { "" };
            format!(
                "SELECT first_time, last_time FROM {keyspace}.{table}_skip WHERE tenant_id = ? \
                 AND date_bucket = ? AND last_time >= ? AND first_time <= ? \
                 AND hashes CONTAINS ?{second} ALLOW FILTERING"
            )
        };
        cell.get_or_try_init(|| self.prepare(session, text())).await.cloned()
    }

    async fn prepare(
        &self,
        session: &Session,
        text: String,
    ) -> Result<PreparedStatement, PrepareError> {
        let mut statement = session.prepare(text).await?;
        statement.set_consistency(self.db.consistency);
        statement.set_request_timeout(Some(self.db.timeout));
        // A read may be asked of another replica.
        statement.set_is_idempotent(true);
        statement.set_retry_policy(Some(Arc::new(DefaultRetryPolicy::new())));
        Ok(statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_a_place_and_a_text_of_its_own() {
        let mut texts = std::collections::BTreeMap::new();
        for order in [Order::Newest, Order::Oldest] {
            for pushed in [None, Some(Pushed::Resource), Some(Pushed::Actor)] {
                for after in [false, true] {
                    let shape = Shape { order, pushed, after };
                    texts.insert(shape.index(), shape.text("k", "t"));
                }
            }
        }
        assert_eq!(texts.keys().copied().collect::<Vec<_>>(), (0..SHAPES).collect::<Vec<_>>());
        let distinct: std::collections::BTreeSet<_> = texts.values().collect();
        assert_eq!(distinct.len(), SHAPES);
    }
}

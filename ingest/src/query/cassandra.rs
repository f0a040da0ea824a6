//! Slices and rows out of Cassandra, by prepared statements.

mod row;
mod skip;
mod statement;

use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::value::SerializeValue;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimestamp, CqlTimeuuid};

use self::row::Row;
use self::statement::{Pushed, Shape, Statements};
use super::store::{Slice, Store};
use super::{Order, Position, QueryError, StoredEvent};
use crate::layout::{Bucket, ClassId};
use crate::sink::session::Cassandra;

/// How filters by actor and resource are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filters {
    /// By reading the range.
    Ranges,
    /// By the skip index, in every order.
    Skip {
        /// Rows of this `event_time` (milliseconds) or later are in it,
        since: i64,
        /// but for those younger than this, in milliseconds.
        tail: i64,
    },
    /// By storage-attached indexes.
    Sai,
}

/// Reads the tables that the sink writes.
///
/// With storage-attached indexes one filter is pushed down, the resource if it is given, else the
/// actor; the others are applied by the service. One only: an intersection of indexes is not exact at
/// a single replica, so the coordinator has to fetch unmatched rows of every replica and filter them
/// again, and refuses the query beyond a number of them. And only newest first: an index query has no
/// `ORDER BY`.
pub struct CassandraStore {
    db: Cassandra,
    filters: Filters,
    statements: Statements,
}

impl CassandraStore {
    /// A store over `db`; statements are prepared when first used.
    #[must_use]
    pub fn new(db: Cassandra, filters: Filters) -> Self {
        let statements = Statements::new(&db);
        Self { db, filters, statements }
    }

    /// Prepares the statements of unfiltered reads, so that the first pages need not.
    ///
    /// # Errors
    /// As [`Store::fetch`]: the schema is missing, or nobody answers.
    pub async fn warm_up(&self) -> Result<(), QueryError> {
        for class in ClassId::all() {
            let session = &self.db.session;
            self.statements.point(session, class).await.map_err(|error| unprepared(&error))?;
            for after in [false, true] {
                let shape = Shape { order: Order::Newest, pushed: None, after };
                let prepared = self.statements.slice(session, class, shape).await;
                prepared.map_err(|error| unprepared(&error))?;
            }
        }
        Ok(())
    }

    /// The filter that an index serves.
    fn pushed<'a>(&self, slice: &Slice<'a>) -> Option<(Pushed, &'a str)> {
        if self.filters != Filters::Sai || slice.order == Order::Oldest {
            return None;
        }
        let resource = slice.filter.resource_id.as_deref().map(|id| (Pushed::Resource, id));
        resource.or_else(|| slice.filter.actor_id.as_deref().map(|id| (Pushed::Actor, id)))
    }

    async fn fetch_pushed(
        &self,
        slice: &Slice<'_>,
        pushed: Option<(Pushed, &str)>,
    ) -> Result<Vec<StoredEvent>, Failure> {
        let shape = Shape {
            order: slice.order,
            pushed: pushed.map(|(column, _)| column),
            after: slice.after.is_some(),
        };
        let statement = self.statements.slice(&self.db.session, slice.class, shape).await?;
        let bucket = slice.bucket.as_str();
        let (from, to) = (CqlTimestamp(slice.from), CqlTimestamp(slice.to));
        let after = slice.after.map(|row| (CqlTimestamp(row.time), CqlTimeuuid::from(row.id.0)));
        let value = pushed.map(|(_, value)| value);
        let limit = i32::try_from(slice.limit).unwrap_or(i32::MAX);
        let mut values: Vec<&(dyn SerializeValue + Sync)> = vec![&slice.tenant, &bucket];
        if let Some(value) = &value {
            values.push(value);
        }
        match (&after, slice.order) {
            (None, _) => values.extend([&from as &(dyn SerializeValue + Sync), &to]),
            (Some((time, id)), Order::Newest) => {
                values.extend([&from as &(dyn SerializeValue + Sync), time, id]);
            }
            (Some((time, id)), Order::Oldest) => {
                values.extend([time as &(dyn SerializeValue + Sync), id, &to]);
            }
        }
        values.push(&limit);
        rows(&self.db.session, &statement, values).await
    }
}

impl Store for CassandraStore {
    async fn fetch(&self, slice: Slice<'_>) -> Result<Vec<StoredEvent>, QueryError> {
        if let Filters::Skip { since, tail } = self.filters
            && let Some(hashes) = skip::asked(slice.filter)
        {
            let indexed = (since, chrono::Utc::now().timestamp_millis() - tail);
            match self.fetch_skipping(&slice, hashes, indexed).await {
                Err(failure) if failure.is_the_index() => fell_back(&failure),
                outcome => return outcome.map_err(QueryError::from),
            }
        }
        let pushed = self.pushed(&slice);
        match self.fetch_pushed(&slice, pushed).await {
            Err(failure) if pushed.is_some() && failure.is_the_index() => {
                // An index that is missing, still being built or too expensive must not stop reads:
                // the service filters anyway.
                fell_back(&failure);
                self.fetch_pushed(&slice, None).await.map_err(QueryError::from)
            }
            outcome => outcome.map_err(QueryError::from),
        }
    }

    async fn get(
        &self,
        class: ClassId,
        tenant: &str,
        bucket: Bucket,
        at: Position,
    ) -> Result<Option<StoredEvent>, QueryError> {
        let session = &self.db.session;
        let statement =
            self.statements.point(session, class).await.map_err(|error| unprepared(&error))?;
        let (time, id) = (CqlTimestamp(at.time), CqlTimeuuid::from(at.id.0));
        let bucket = bucket.as_str();
        let values: Vec<&(dyn SerializeValue + Sync)> = vec![&tenant, &bucket, &time, &id];
        let found = rows(session, &statement, values).await?;
        Ok(found.into_iter().next())
    }
}

fn fell_back(failure: &Failure) {
    tracing::warn!(error = %failure.text(), "an index query failed; reading without it");
    metrics::counter!("triad_ingest_query_index_fallbacks_total").increment(1);
}

async fn rows(
    session: &Session,
    statement: &PreparedStatement,
    values: Vec<&(dyn SerializeValue + Sync)>,
) -> Result<Vec<StoredEvent>, Failure> {
    let result = session.execute_unpaged(statement, values).await?;
    let result = result.into_rows_result().map_err(|error| Failure::shape(&error))?;
    decode(&result)
}

fn decode(result: &QueryRowsResult) -> Result<Vec<StoredEvent>, Failure> {
    let mut events = Vec::with_capacity(result.rows_num());
    for row in result.rows::<Row<'_>>().map_err(|error| Failure::shape(&error))? {
        let row = row.map_err(|error| Failure::shape(&error))?;
        events.push(row.into_event());
    }
    Ok(events)
}

/// Why a statement has no rows.
enum Failure {
    Prepare(PrepareError),
    Execute(ExecutionError),
    /// The answer is not of our shape.
    Shape(String),
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        Self::Prepare(error)
    }
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        Self::Execute(error)
    }
}

impl Failure {
    fn shape(error: &impl std::error::Error) -> Self {
        Self::Shape(error.to_string())
    }

    fn text(&self) -> String {
        match self {
            Self::Prepare(error) => error.to_string(),
            Self::Execute(error) => error.to_string(),
            Self::Shape(text) => text.clone(),
        }
    }

    /// Whether the database answered that it cannot do this, as opposed to not answering: preparing
    /// fails without the index, and replicas fail reads while they build it or where replica
    /// filtering protection gave up.
    fn is_the_index(&self) -> bool {
        let answered = |error: &DbError| {
            matches!(error, DbError::Invalid | DbError::ReadFailure { .. } | DbError::ServerError)
        };
        match self {
            Self::Prepare(PrepareError::AllAttemptsFailed { first_attempt }) => {
                matches!(first_attempt, RequestAttemptError::DbError(error, _) if answered(error))
            }
            Self::Execute(ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                error,
                _,
            ))) => answered(error),
            _ => false,
        }
    }
}

impl From<Failure> for QueryError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Prepare(error) => unprepared(&error),
            Failure::Execute(error) => unanswered(&error),
            Failure::Shape(text) => Self::Internal(text),
        }
    }
}

fn unprepared(error: &PrepareError) -> QueryError {
    match error {
        PrepareError::AllAttemptsFailed { first_attempt } => attempted(first_attempt),
        error => QueryError::Unavailable(error.to_string()),
    }
}

fn unanswered(error: &ExecutionError) -> QueryError {
    match error {
        ExecutionError::RequestTimeout(_) => QueryError::Timeout,
        ExecutionError::LastAttemptError(attempt) => attempted(attempt),
        ExecutionError::PrepareError(error) => unprepared(error),
        ExecutionError::BadQuery(error) => QueryError::Internal(error.to_string()),
        error => QueryError::Unavailable(error.to_string()),
    }
}

fn attempted(error: &RequestAttemptError) -> QueryError {
    match error {
        RequestAttemptError::DbError(DbError::ReadTimeout { .. }, _) => QueryError::Timeout,
        RequestAttemptError::DbError(
            DbError::Unavailable { .. }
            | DbError::Overloaded
            | DbError::IsBootstrapping
            | DbError::ReadFailure { .. }
            | DbError::RateLimitReached { .. },
            _,
        )
        | RequestAttemptError::BrokenConnectionError(_)
        | RequestAttemptError::UnableToAllocStreamId => QueryError::Unavailable(error.to_string()),
        error => QueryError::Internal(error.to_string()),
    }
}

//! The layout registry in Cassandra: append-only rows, read under a lease.
//!
//! Safety: a row becomes visible at some instant I and takes effect no earlier than I + accepted
//! future + 2 × lease + clock skew − lease (the time an insert may take). A process that places an
//! event at T has read the registry after T − lease, and the event is of T + accepted future + clock
//! skew at the latest. So whoever places an event knows every layout that governs it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use scylla::errors::ExecutionError;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use service_kit::health::Component;
use service_kit::shutdown::Shutdown;
use tokio::sync::watch;
use tracing::{error, warn};

use super::{ClassId, Granularity, Layout, Layouts};
use crate::config::{LayoutConfig, LimitsConfig};
use crate::sink::session::Cassandra;

/// Why the registry was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Cassandra refused or did not answer.
    #[error("the layout registry cannot be read: {0}")]
    Cassandra(#[from] ExecutionError),
    /// The table is missing or unlike the schema.
    #[error("the layout registry is not as `ingest schema apply` makes it: {0}")]
    Schema(String),
    /// The row would take effect before everybody knows it.
    #[error("effective_from must be at least {earliest} and after the scope's last row")]
    TooEarly {
        /// The first instant that is safe.
        earliest: DateTime<Utc>,
    },
    /// Somebody else inserted a row for the same instant.
    #[error("another layout of that scope takes effect at the same instant")]
    Conflict,
    /// The lightweight transaction's outcome was not learned within the lease.
    #[error("the outcome is unknown: look with `ingest layout show`")]
    Unknown,
}

/// The registry as this process sees it. Cheap to clone.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    db: Cassandra,
    select: PreparedStatement,
    insert: PreparedStatement,
    lease: Duration,
    /// From the insert of a row to its taking effect.
    notice: TimeDelta,
    seen: RwLock<Option<Seen>>,
    refreshed: watch::Sender<u64>,
}

struct Seen {
    /// When the read began.
    at: Instant,
    layouts: Arc<Layouts>,
}

/// From the insert of a row to its taking effect: long enough for everybody to know it by then.
#[must_use]
pub fn notice(layout: &LayoutConfig, limits: &LimitsConfig) -> TimeDelta {
    let seconds = limits.future_skew_seconds + 2 * layout.lease_seconds + layout.clock_skew_seconds;
    TimeDelta::seconds(i64::from(seconds))
}

impl Registry {
    /// Prepares the registry's statements and reads it once.
    ///
    /// # Errors
    /// When the schema is not there, or nobody answers.
    pub async fn open(
        db: &Cassandra,
        layout: &LayoutConfig,
        limits: &LimitsConfig,
    ) -> Result<Self, RegistryError> {
        let table = format!("{}.audit_layouts", db.keyspace);
        let columns = "scope, effective_from, granularity, shards, class";
        let prepare = async |text: String| {
            let prepared = db.session.prepare(text).await;
            prepared.map_err(|error| RegistryError::Schema(error.to_string()))
        };
        let mut select = prepare(format!("SELECT {columns} FROM {table}")).await?;
        select.set_consistency(db.registry_consistency());
        select.set_is_idempotent(true);
        let mut insert = prepare(format!(
            "INSERT INTO {table} ({columns}, created_at, created_by) \
             VALUES (?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS"
        ))
        .await?;
        insert.set_consistency(db.registry_consistency());
        let registry = Self(Arc::new(Inner {
            db: db.clone(),
            select,
            insert,
            lease: Duration::from_secs(u64::from(layout.lease_seconds)),
            notice: notice(layout, limits),
            seen: RwLock::new(None),
            refreshed: watch::Sender::new(0),
        }));
        registry.refresh().await?;
        Ok(registry)
    }

    /// Reads the registry three times a lease until the drain ends.
    pub fn keep_fresh(&self, health: Component, shutdown: Shutdown) -> tokio::task::JoinHandle<()> {
        let registry = self.clone();
        health.ready();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(registry.0.lease / 3);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = shutdown.draining() => break,
                }
                match registry.refresh().await {
                    Ok(()) => health.ready(),
                    Err(error) => {
                        warn!(%error, "layout registry");
                        if registry.current().is_none() {
                            health.not_ready(error.to_string());
                        }
                    }
                }
            }
            // In-flight records still need a fresh registry while they drain.
            while registry.refresh().await.is_ok() {
                tokio::time::sleep(registry.0.lease / 3).await;
            }
        })
    }

    /// Every layout; `None` when the last read is older than the lease: then nothing may be placed.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Layouts>> {
        let seen = self.0.seen.read().unwrap_or_else(PoisonError::into_inner);
        let fresh = seen.as_ref().filter(|seen| seen.at.elapsed() < self.0.lease);
        fresh.map(|seen| Arc::clone(&seen.layouts))
    }

    /// Every layout, as soon as they are known.
    pub async fn fresh(&self) -> Arc<Layouts> {
        let mut refreshed = self.0.refreshed.subscribe();
        loop {
            if let Some(layouts) = self.current() {
                return layouts;
            }
            // The sender lives in `self`, so this cannot fail.
            let _ = refreshed.changed().await;
        }
    }

    /// Reads the registry now.
    ///
    /// # Errors
    /// [`RegistryError`]; what was read before stays valid for the rest of its lease.
    pub async fn refresh(&self) -> Result<(), RegistryError> {
        let at = Instant::now();
        let result = self.0.db.session.execute_unpaged(&self.0.select, ()).await?;
        let rows = result.into_rows_result().map_err(|error| schema(&error))?;
        let rows = rows.rows::<StoredLayout>().map_err(|error| schema(&error))?;
        let mut layouts = Vec::new();
        for row in rows {
            layouts.push(layout_of(row.map_err(|error| schema(&error))?)?);
        }
        let layouts = Layouts::from_rows(layouts)
            .ok_or_else(|| RegistryError::Schema("there is no default layout".to_owned()))?;
        let seen = Seen { at, layouts: Arc::new(layouts) };
        *self.0.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        self.0.refreshed.send_modify(|version| *version += 1);
        Ok(())
    }

    /// The first instant at which a row inserted now may take effect.
    #[must_use]
    pub fn earliest(&self) -> DateTime<Utc> {
        Utc::now() + self.0.notice
    }

    /// Appends a row; `layout.effective_from` 0 or less stands for as early as is safe.
    ///
    /// # Errors
    /// [`RegistryError`]. After `Unknown` the row may be there.
    pub async fn append(
        &self,
        scope: &str,
        layout: Layout,
        by: &str,
    ) -> Result<Layout, RegistryError> {
        self.refresh().await?;
        self.append_now(scope, layout, by).await
    }

    /// Appends a row, unless the scope's last layout is another than `judged`: then whoever changed it
    /// knew something that this decision did not, such as a retention class.
    ///
    /// # Errors
    /// As [`Registry::append`], and `Conflict` when the layout is another.
    pub async fn append_over(
        &self,
        scope: &str,
        judged: Layout,
        layout: Layout,
        by: &str,
    ) -> Result<Layout, RegistryError> {
        self.refresh().await?;
        let last = self.current().map(|layouts| layouts.governing(scope, i64::MAX));
        if last != Some(judged) {
            return Err(RegistryError::Conflict);
        }
        self.append_now(scope, layout, by).await
    }

    async fn append_now(
        &self,
        scope: &str,
        layout: Layout,
        by: &str,
    ) -> Result<Layout, RegistryError> {
        let earliest = self.earliest();
        let mut layout = layout;
        if layout.effective_from <= 0 {
            layout.effective_from = earliest.timestamp_millis() + 1;
        }
        let last = self.current().and_then(|layouts| {
            layouts.rows().filter(|(s, _)| *s == scope).map(|(_, l)| l.effective_from).max()
        });
        if layout.effective_from < earliest.timestamp_millis()
            || last.is_some_and(|last| last >= layout.effective_from)
        {
            return Err(RegistryError::TooEarly { earliest });
        }
        self.insert(scope, layout, by).await?;
        self.refresh().await?;
        Ok(layout)
    }

    /// Inserts by lightweight transaction, and learns its outcome within the lease: `notice` holds one
    /// lease for the insert and one for the others' reads.
    async fn insert(&self, scope: &str, layout: Layout, by: &str) -> Result<(), RegistryError> {
        let begun = Instant::now();
        let effective = timestamp(layout.effective_from);
        let values = (
            scope,
            effective,
            layout.granularity.as_str(),
            i32::from(layout.shards),
            layout.class.class().name,
            timestamp(Utc::now().timestamp_millis()),
            by,
        );
        let outcome = self.0.db.session.execute_unpaged(&self.0.insert, &values).await;
        let applied = match outcome {
            Ok(result) => applied(result)?,
            Err(error) => {
                warn!(%error, "layout insert: outcome unknown, looking");
                self.resolve(scope, layout, begun).await?
            }
        };
        if begun.elapsed() > self.0.lease {
            error!(scope, "a layout row took longer than the lease to insert");
            return Err(RegistryError::Unknown);
        }
        if applied { Ok(()) } else { Err(RegistryError::Conflict) }
    }

    /// A read at serial consistency completes or refutes a transaction that is under way.
    async fn resolve(
        &self,
        scope: &str,
        layout: Layout,
        begun: Instant,
    ) -> Result<bool, RegistryError> {
        let query = format!(
            "SELECT granularity, shards, class FROM {}.audit_layouts \
             WHERE scope = ? AND effective_from = ?",
            self.0.db.keyspace
        );
        let mut query = scylla::statement::unprepared::Statement::new(query);
        query.set_consistency(Consistency::Serial);
        while begun.elapsed() < self.0.lease {
            let key = (scope, timestamp(layout.effective_from));
            if let Ok(result) = self.0.db.session.query_unpaged(query.clone(), key).await {
                let rows = result.into_rows_result().map_err(|error| schema(&error))?;
                let row = rows.maybe_first_row::<(String, i32, String)>();
                let row = row.map_err(|error| schema(&error))?;
                let ours = (
                    layout.granularity.as_str().to_owned(),
                    i32::from(layout.shards),
                    layout.class.class().name.to_owned(),
                );
                return Ok(row == Some(ours));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(RegistryError::Unknown)
    }
}

type StoredLayout =
    (String, scylla::value::CqlTimestamp, Option<String>, Option<i32>, Option<String>);

fn timestamp(ms: i64) -> scylla::value::CqlTimestamp {
    scylla::value::CqlTimestamp(ms)
}

fn schema(error: &impl std::error::Error) -> RegistryError {
    RegistryError::Schema(error.to_string())
}

/// A lightweight transaction answers with `[applied]` first, and the existing row behind it.
fn applied(result: scylla::response::query_result::QueryResult) -> Result<bool, RegistryError> {
    let rows = result.into_rows_result().map_err(|error| schema(&error))?;
    let row = rows.first_row::<scylla::value::Row>().map_err(|error| schema(&error))?;
    let first = row.columns.into_iter().next().flatten();
    Ok(first.and_then(|value| value.as_boolean()) == Some(true))
}

fn layout_of(row: StoredLayout) -> Result<(String, Layout), RegistryError> {
    let (scope, effective_from, granularity, shards, class) = row;
    let unknown = |what: &str, value: &dyn std::fmt::Debug| {
        RegistryError::Schema(format!(
            "{scope}: unknown {what} {value:?}; is this release too old?"
        ))
    };
    let layout = Layout {
        effective_from: effective_from.0,
        granularity: granularity
            .as_deref()
            .and_then(Granularity::parse)
            .ok_or_else(|| unknown("granularity", &granularity))?,
        shards: shards
            .and_then(|shards| u8::try_from(shards).ok())
            .filter(|shards| (1..=super::MAX_SHARDS).contains(shards))
            .ok_or_else(|| unknown("number of shards", &shards))?,
        class: class.as_deref().and_then(ClassId::parse).ok_or_else(|| unknown("class", &class))?,
    };
    Ok((scope, layout))
}

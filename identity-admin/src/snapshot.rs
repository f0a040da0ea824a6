//! `GET /v1/tenants/{tenant}/snapshot`: all that holds of a tenant at one change, line by line.
//!
//! One transaction reads it, so that every line is of the same moment as the number in the header; rows come in
//! pages, so that a tenant of any size takes the same memory. Ids are this program's and never come back, hence
//! no line says which change made it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use contracts::identity::{Made, SnapshotLine, TenantStatus};
use contracts::{Scope, TenantId};
use futures::stream;
use service_kit::Problem;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::change::Refused;
use crate::db::{Db, DbError, Row, Tx, Value, params};
use crate::http::{Api, Path, not_found, problem};
use crate::{metrics, service_accounts, teams, users};

/// Rows of one page.
const PAGE: u16 = 1000;
/// Pages that are read before the client has taken them.
const AHEAD: usize = 2;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/v1/tenants/{tenant}/snapshot", get(read))
}

/// Reads a whole tenant as NDJSON: a header with the number of the last change that it includes, users, service
/// accounts, teams, memberships, and an end that counts them. A stream without its end was cut.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/snapshot", tag = "snapshot",
    responses((status = 200, description = "Lines of JSON.", content_type = "application/x-ndjson", body = String)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = api.caller(&headers, &tenant, Scope::IdentityRead).await?.tenant;
    let slot = api.snapshots.take(&tenant)?;
    let refused = |error: DbError| problem(Refused::from(error));
    let mut tx = api.db().snapshot().await.map_err(refused)?;
    let Some(header) = begin(&mut tx, &tenant).await.map_err(refused)? else {
        tx.rollback().await;
        return Err(not_found("tenant"));
    };
    let (lines, body) = mpsc::channel(AHEAD);
    let until = Instant::now() + api.options.snapshot_timeout;
    tokio::spawn(async move {
        metrics::snapshots(true);
        let mut writer = Writer { lines, count: 0, until };
        writer.run(tx, &tenant, header).await;
        metrics::snapshots(false);
        // Before the stream ends, as its reader may then ask for the next.
        drop(slot);
    });
    let pages = stream::unfold(body, async |mut body| Some((body.recv().await?, body)));
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(pages)).into_response())
}

/// The same lines, for who works on the database: some at a time, all of one moment; `None` of a tenant that is not
/// there. What is not taken within `life` is cut, and ends with an error.
///
/// # Errors
/// What the database brings before the first line.
pub async fn stream(db: &Db, tenant: &TenantId, life: Duration) -> Result<Option<Lines>, DbError> {
    let mut tx = db.snapshot().await?;
    let Some(header) = begin(&mut tx, tenant).await? else {
        tx.rollback().await;
        return Ok(None);
    };
    let (lines, taken) = mpsc::channel(AHEAD);
    let (tenant, until) = (tenant.clone(), Instant::now() + life);
    tokio::spawn(async move { Writer { lines, count: 0, until }.run(tx, &tenant, header).await });
    Ok(Some(taken))
}

/// Lines, some at a time, or why there are no more.
pub type Lines = mpsc::Receiver<Result<Bytes, std::io::Error>>;

/// The header; none of a tenant that is not there.
async fn begin(tx: &mut Tx, tenant: &TenantId) -> Result<Option<SnapshotLine>, DbError> {
    let sql = "SELECT c.seq, t.status FROM tenant_changes c JOIN tenants t ON t.id = c.tenant_id \
               WHERE c.tenant_id = ?";
    let Some(row) = tx.row(sql, params![tenant]).await? else { return Ok(None) };
    let seq = u64::try_from(row.int("seq")?).unwrap_or(0);
    let status = match row.text("status")?.as_str() {
        "active" => TenantStatus::Active,
        _ => TenantStatus::Suspended,
    };
    Ok(Some(SnapshotLine::Header { tenant_id: tenant.clone(), seq, status }))
}

/// Why a snapshot ends early.
enum Cut {
    Db(DbError),
    Client,
    Late,
}

impl From<DbError> for Cut {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

struct Writer {
    lines: mpsc::Sender<Result<Bytes, std::io::Error>>,
    count: u64,
    until: Instant,
}

/// How the rows of one kind are paged: by what, and what a row says.
struct Table {
    /// Behind the last row of a page, in the order of the page.
    sql: &'static str,
    /// The columns that page, as they stand in `sql`.
    first: &'static [Value],
    after: fn(&Row) -> Result<Vec<Value>, DbError>,
    line: fn(&Row) -> Result<SnapshotLine, DbError>,
}

impl Writer {
    /// Writes all of it, or says why not.
    async fn run(&mut self, mut tx: Tx, tenant: &TenantId, header: SnapshotLine) {
        let why = match self.write(&mut tx, tenant, header).await {
            Ok(()) | Err(Cut::Client) => None,
            Err(Cut::Db(error)) => Some(error.to_string()),
            Err(Cut::Late) => Some("it took too long".to_owned()),
        };
        tx.rollback().await;
        if let Some(why) = why {
            self.fail(why);
        }
    }

    async fn write(
        &mut self,
        tx: &mut Tx,
        tenant: &TenantId,
        header: SnapshotLine,
    ) -> Result<(), Cut> {
        self.send(&[header]).await?;
        for table in TABLES {
            self.table(tx, tenant, table).await?;
        }
        self.send(&[SnapshotLine::End { count: self.count }]).await
    }

    async fn table(&mut self, tx: &mut Tx, tenant: &TenantId, table: &Table) -> Result<(), Cut> {
        let mut after = table.first.to_vec();
        loop {
            let mut values: Vec<Value> = vec![tenant.into()];
            values.extend(after);
            values.push(i64::from(PAGE).into());
            let rows = tx.rows(table.sql, &values).await?;
            let lines: Result<Vec<_>, _> = rows.iter().map(table.line).collect();
            let lines = lines?;
            self.count += lines.len() as u64;
            self.send(&lines).await?;
            match rows.last().filter(|_| rows.len() == usize::from(PAGE)) {
                Some(last) => after = (table.after)(last)?,
                None => return Ok(()),
            }
        }
    }

    async fn send(&self, lines: &[SnapshotLine]) -> Result<(), Cut> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = Vec::with_capacity(160 * lines.len());
        for line in lines {
            serde_json::to_writer(&mut text, line)
                .map_err(|error| DbError::Refused(error.to_string()))?;
            text.push(b'\n');
        }
        // Between statements, so that the transaction's connection is never left within one.
        match timeout_at(self.until, self.lines.send(Ok(text.into()))).await {
            Ok(sent) => sent.map_err(|_| Cut::Client),
            Err(_) => Err(Cut::Late),
        }
    }

    /// Breaks the stream off. A client that takes nothing misses the end all the same.
    fn fail(&self, why: String) {
        tracing::warn!(why, "a snapshot is cut");
        let _ = self.lines.try_send(Err(std::io::Error::other(why)));
    }
}

const NO_TEXT: Value = Value::Text(String::new());
const BY_ID: &[Value] = &[NO_TEXT];

const TABLES: &[Table] = &[
    Table {
        sql: users::SNAPSHOT,
        first: BY_ID,
        after: id,
        line: |row| Ok(SnapshotLine::User(made(users::told(row)?))),
    },
    Table {
        sql: service_accounts::SNAPSHOT,
        first: BY_ID,
        after: id,
        line: |row| Ok(SnapshotLine::ServiceAccount(made(service_accounts::told(row)?))),
    },
    Table {
        sql: teams::SNAPSHOT,
        first: BY_ID,
        after: id,
        line: |row| Ok(SnapshotLine::Team(made(teams::told(row)?))),
    },
    Table {
        sql: teams::MEMBERS_SNAPSHOT,
        first: &[NO_TEXT, NO_TEXT, NO_TEXT, Value::Int(0)],
        after: |row| {
            let team = Value::Text(row.text("team_id")?);
            Ok(vec![team.clone(), team.clone(), team, row.int("id")?.into()])
        },
        line: |row| Ok(SnapshotLine::Member(teams::member_told(row)?)),
    },
];

fn id(row: &Row) -> Result<Vec<Value>, DbError> {
    Ok(vec![row.text("id")?.into()])
}

fn made<T>(of: T) -> Made<T> {
    Made { of, created_seq: None }
}

//! All rows of all tables, by token range, several ranges at once, in pages.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use indicatif::ProgressBar;
use ingest::layout::ClassId;
use ingest::sink::row::COLUMNS;
use ingest::sink::session::Cassandra;
use scylla::deserialize::row::ColumnIterator;
use scylla::response::query_result::QueryResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::prepared::PreparedStatement;

use super::expect::Expected;
use super::ledger::{Found, Ledger};
use crate::stop::Stop;

/// Pieces of the token ring, each read by itself; a power of two.
const RANGES: usize = 256;
/// Ranges read at once: more only queue in Cassandra.
const AT_ONCE: usize = 4;
const PAGE_ROWS: i32 = 4000;
/// Of one page, on a machine that is busy with other things.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 10;

/// Books every row of every class in `ledger`.
pub(super) async fn scan(
    db: &Cassandra,
    ledger: &Arc<Ledger>,
    stop: &Stop,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    for class in ClassId::all() {
        let (db, select) =
            (db.clone(), Arc::new(super::again(stop, async || select(db, class).await).await?));
        let next = Arc::new(AtomicUsize::new(0));
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let reader = Reader {
                db: db.clone(),
                select: Arc::clone(&select),
                class,
                ledger: Arc::clone(ledger),
                stop: stop.clone(),
                bar: bar.clone(),
            };
            let next = Arc::clone(&next);
            readers.spawn(async move {
                while let Some((low, high)) = range(next.fetch_add(1, Ordering::Relaxed)) {
                    reader.read(low, high).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = readers.join_next().await {
            ended??;
        }
    }
    Ok(())
}

/// The bounds of a piece: above the first, up to and with the second. No partition has the least
/// token, so nothing is left out.
pub(crate) fn range(piece: usize) -> Option<(i64, i64)> {
    // The ring has 2^64 tokens; the sums wrap round from its least one.
    let edge = |piece: usize| {
        i64::MIN.wrapping_add((piece as u64).wrapping_mul(1 << (64 - RANGES.ilog2())).cast_signed())
    };
    (piece < RANGES)
        .then(|| (edge(piece), edge(piece + 1).wrapping_sub(i64::from(piece + 1 == RANGES))))
}

async fn select(db: &Cassandra, class: ClassId) -> anyhow::Result<PreparedStatement> {
    let (keyspace, table) = (&db.keyspace, class.class().table);
    let columns = COLUMNS.join(", ");
    let text = format!(
        "SELECT {columns}, WRITETIME(action), TTL(action) FROM {keyspace}.{table} \
         WHERE token(tenant_id, date_bucket) > ? AND token(tenant_id, date_bucket) <= ?"
    );
    let mut select =
        db.session.prepare(text).await.with_context(|| format!("{keyspace}.{table}"))?;
    select.set_is_idempotent(true);
    select.set_consistency(db.consistency);
    select.set_page_size(PAGE_ROWS);
    select.set_request_timeout(Some(PAGE_TIMEOUT));
    Ok(select)
}

struct Reader {
    db: Cassandra,
    select: Arc<PreparedStatement>,
    class: ClassId,
    ledger: Arc<Ledger>,
    stop: Stop,
    bar: ProgressBar,
}

impl Reader {
    async fn read(&self, low: i64, high: i64) -> anyhow::Result<()> {
        let (mut state, mut scratch) = (PagingState::start(), Scratch::default());
        loop {
            self.stop.check()?;
            let (page, next) = self.page((low, high), &state).await?;
            self.book(page, &mut scratch)?;
            match next.into_paging_control_flow() {
                ControlFlow::Break(()) => return Ok(()),
                ControlFlow::Continue(more) => state = more,
            }
        }
    }

    async fn page(
        &self,
        range: (i64, i64),
        state: &PagingState,
    ) -> anyhow::Result<(QueryResult, PagingStateResponse)> {
        let mut attempt = 0;
        loop {
            let page =
                self.db.session.execute_single_page(&self.select, range, state.clone()).await;
            match page {
                Ok(page) => return Ok(page),
                Err(error) if attempt == ATTEMPTS => {
                    return Err(error).context("reading rows back");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100 << attempt.min(5))).await,
            }
            attempt += 1;
            self.stop.check()?;
        }
    }

    fn book(&self, page: QueryResult, scratch: &mut Scratch) -> anyhow::Result<()> {
        let now = chrono::Utc::now().timestamp_millis();
        let rows = page.into_rows_result()?;
        for row in rows.rows::<ColumnIterator<'_, '_>>()? {
            let raw = RawRow::read(row?, &mut scratch.body)?;
            let found = Found {
                class: self.class,
                tenant: raw.tenant,
                bucket: raw.bucket,
                body: &scratch.body,
                source_id: raw.source_id,
                ttl: raw.ttl,
                now,
            };
            self.ledger.row(found, &mut scratch.expected);
        }
        self.bar.inc(rows.rows_num() as u64);
        Ok(())
    }
}

#[derive(Default)]
struct Scratch {
    body: Vec<u8>,
    expected: Expected,
}

/// What of a row is not in its body.
struct RawRow<'a> {
    tenant: &'a [u8],
    bucket: &'a [u8],
    source_id: &'a [u8],
    ttl: Option<i32>,
}

impl<'a> RawRow<'a> {
    /// Splits a row, and encodes its cells in `body` as ingest does.
    fn read(columns: ColumnIterator<'a, '_>, body: &mut Vec<u8>) -> anyhow::Result<Self> {
        let mut cells: [Option<&'a [u8]>; COLUMNS.len() + 2] = [None; COLUMNS.len() + 2];
        for (place, column) in cells.iter_mut().zip(columns) {
            *place = column?.slice.map(|slice| slice.as_slice());
        }
        let key = |place: usize| cells[place].ok_or_else(|| anyhow!("{} is null", COLUMNS[place]));
        let write_time = cells[COLUMNS.len()].unwrap_or_default();
        body.clear();
        body.extend_from_slice(key(2)?);
        body.extend_from_slice(write_time);
        body.extend_from_slice(key(3)?);
        for cell in &cells[4..COLUMNS.len()] {
            let length = cell.map_or(u32::MAX, |cell| cell.len() as u32);
            body.extend_from_slice(&length.to_be_bytes());
            body.extend_from_slice(cell.unwrap_or_default());
        }
        let ttl = cells[COLUMNS.len() + 1].and_then(|cell| cell.first_chunk().copied());
        Ok(Self {
            tenant: key(0)?,
            bucket: key(1)?,
            source_id: cells[COLUMNS.len() - 1].unwrap_or_default(),
            ttl: ttl.map(i32::from_be_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_cover_the_ring_without_gap_or_overlap() {
        let all: Vec<_> = (0..).map_while(range).collect();
        assert_eq!(all.len(), 256);
        assert_eq!((all[0].0, all[255].1), (i64::MIN, i64::MAX));
        assert!(all.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert!(all.iter().all(|(low, high)| low < high));
    }
}

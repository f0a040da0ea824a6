//! One page: a bounded amount of work along the plan, and where the next one goes on.

use std::iter::Peekable;

use futures::future::try_join_all;
use tokio::time::Instant;

use super::lane::{Fetched, Lanes};
use super::plan::Plan;
use super::store::Store;
use super::{Order, Position, QueryError, RangeQuery, Resume, StoredEvent};
use crate::layout::Layouts;

/// Bytes of events in a page before it ends early: what one answer may hold in memory.
const PAGE_BYTES: usize = 4 << 20;

/// Rows that one round of fetches asks for, over all its partitions: at first, when their size is not
/// known (64 KiB each would be 8 MiB), and at most.
const FIRST_ROWS: usize = 128;
const MOST_ROWS: usize = 512;

/// Partitions read at once while stretches come back short.
const WIDEST: usize = 8;

/// Events in order, and where to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In the order asked for. May be empty although more follow.
    pub events: Vec<StoredEvent>,
    /// Absent at the end.
    pub next: Option<Resume>,
    /// Partitions that were read.
    pub partitions: usize,
    /// Rows that were read, also those that the filter did not admit.
    pub examined: usize,
}

/// What one page may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Partitions; a first bucket of more shards is read nevertheless, or no page could pass it.
    pub(super) partitions: usize,
    /// Rows; exceeded by one round of fetches at most.
    pub(super) rows: usize,
    /// From then on the page ends as soon as it has got anywhere.
    pub(super) until: Instant,
}

/// Reads one page of `query`, from `resume` on, of at most `limit` events. `now` and `future` bound
/// what can exist, in milliseconds.
///
/// Costs one fetch for a bucket of one shard that holds enough. While buckets come back short, up to
/// [`WIDEST`] of them are fetched at once.
pub(super) async fn read<S: Store>(
    store: &S,
    layouts: &Layouts,
    query: &RangeQuery,
    resume: Option<Resume>,
    limit: usize,
    budget: Budget,
    (now, future): (i64, i64),
) -> Result<Page, QueryError> {
    let (range, after) = remaining(query, resume);
    let plan = Plan::new(layouts, query.tenant.as_str(), range, query.order, (now, future));
    let page = Page { events: Vec::new(), next: None, partitions: 0, examined: 0 };
    let reader = Reader {
        store,
        query,
        limit: limit.max(1),
        budget,
        seen: Fetched::default(),
        kept: 0,
        page,
    };
    reader.run(plan.peekable(), after).await
}

/// What `resume` leaves of the range, in milliseconds, and the row behind which it begins.
fn remaining(query: &RangeQuery, resume: Option<Resume>) -> ((i64, i64), Option<Position>) {
    let (from, to) = query.range.millis();
    match (query.order, resume) {
        (_, None) => ((from, to), None),
        (Order::Newest, Some(Resume::Boundary(time))) => ((from, to.min(time)), None),
        (Order::Oldest, Some(Resume::Boundary(time))) => ((from.max(time), to), None),
        (Order::Newest, Some(Resume::After(row))) => ((from, to.min(row.time + 1)), Some(row)),
        (Order::Oldest, Some(Resume::After(row))) => ((from.max(row.time), to), Some(row)),
    }
}

struct Reader<'a, S> {
    store: &'a S,
    query: &'a RangeQuery,
    limit: usize,
    budget: Budget,
    seen: Fetched,
    /// Bytes of the page's events.
    kept: usize,
    page: Page,
}

/// How a bucket ended.
enum Ended {
    /// Nothing is left of it.
    Whole,
    /// The page ends with this row.
    At(Position),
}

impl<S: Store> Reader<'_, S> {
    async fn run(
        mut self,
        mut plan: Peekable<Plan>,
        after: Option<Position>,
    ) -> Result<Page, QueryError> {
        let mut width = 1;
        let mut edge = None;
        while let Some(next) = plan.peek() {
            // The first bucket is always read: every page gets on.
            if edge.is_some() && !self.affords(next.partitions()) {
                self.page.next = edge;
                break;
            }
            let mut window = self.open(&mut plan, width, after);
            self.fill(&mut window).await?;
            let short = window.iter().all(Lanes::is_exhausted);
            width = if short { (width * 2).min(WIDEST) } else { 1 };
            for at in 0..window.len() {
                if let Ended::At(row) = self.drain(&mut window[at]).await? {
                    self.page.next = Some(Resume::After(row));
                    return Ok(self.page);
                }
                edge = Some(window[at].stretch.edge(self.query.order));
                let more = !window[at + 1..].iter().all(Lanes::is_done) || plan.peek().is_some();
                if self.is_full() && more {
                    self.page.next = edge;
                    return Ok(self.page);
                }
            }
        }
        Ok(self.page)
    }

    /// The next bucket, and those behind it that fit into `width` partitions and the budget.
    fn open(
        &mut self,
        plan: &mut Peekable<Plan>,
        width: usize,
        after: Option<Position>,
    ) -> Vec<Lanes> {
        let (mut window, mut partitions) = (Vec::new(), 0);
        while let Some(stretch) = plan.next_if(|next| {
            let with = partitions + next.partitions();
            window.is_empty() || (with <= width && self.affords(with))
        }) {
            partitions += stretch.partitions();
            window.push(Lanes::new(stretch, after));
        }
        self.page.partitions += partitions;
        window
    }

    async fn fill(&mut self, window: &mut [Lanes]) -> Result<(), QueryError> {
        let limit = self.share(window.iter().map(Lanes::dry).sum());
        let (store, query) = (self.store, self.query);
        let fills = window.iter_mut().map(|lanes| lanes.fill(store, query, limit));
        for fetched in try_join_all(fills).await? {
            self.seen.add(fetched);
        }
        self.page.examined = self.seen.rows;
        Ok(())
    }

    /// Takes rows out of a bucket until it, the page or the budget ends.
    async fn drain(&mut self, lanes: &mut Lanes) -> Result<Ended, QueryError> {
        let mut last = None;
        loop {
            if lanes.dry() > 0 {
                if let Some(row) = last.filter(|_| self.is_spent()) {
                    return Ok(Ended::At(row));
                }
                self.fill(std::slice::from_mut(lanes)).await?;
            }
            let Some(row) = lanes.pop(self.query.order) else { return Ok(Ended::Whole) };
            let position = row.position;
            last = Some(position);
            self.keep(row);
            if self.is_full() {
                return Ok(if lanes.is_done() { Ended::Whole } else { Ended::At(position) });
            }
        }
    }

    fn keep(&mut self, row: StoredEvent) {
        let range = self.query.range;
        if (range.from..range.to).contains(&row.time()) && self.query.filter.admits(&row) {
            self.kept += row.bytes();
            self.page.events.push(row);
        }
    }

    fn is_full(&self) -> bool {
        self.page.events.len() >= self.limit || self.kept >= PAGE_BYTES
    }

    fn is_spent(&self) -> bool {
        self.seen.rows >= self.budget.rows || Instant::now() >= self.budget.until
    }

    fn affords(&self, partitions: usize) -> bool {
        self.page.partitions + partitions <= self.budget.partitions && !self.is_spent()
    }

    /// How many rows to ask of each of `lanes` partitions: what the page still lacks, one more to know
    /// whether more follow, and never more than memory should hold.
    fn share(&self, lanes: usize) -> usize {
        let lanes = lanes.max(1);
        let lacking = self.limit.saturating_sub(self.page.events.len()) + 1;
        let wanted = match (self.query.filter.is_empty(), lanes) {
            (true, 1) => lacking,
            // Shards are equally full, give or take.
            (true, _) => lacking.div_ceil(lanes) * 3 / 2 + 4,
            // How many the filter admits is not known.
            (false, _) => usize::MAX,
        };
        let memory = match self.seen.rows {
            0 => FIRST_ROWS,
            rows => (PAGE_BYTES / (self.seen.bytes / rows).max(1)).min(MOST_ROWS),
        };
        let work = self.budget.rows.saturating_sub(self.seen.rows);
        wanted.min(memory.min(work) / lanes).max(1)
    }
}

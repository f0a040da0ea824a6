//! Relationships: roots in the order of nodes, and of each root its edges, kind after kind.
//!
//! A page examines at most [`EXAMINED`] edges and roots, whether they are listed or not; it may therefore
//! have few entries, or none, and still not be the last.

mod listing;
mod row;

use contracts::{Revision, TenantId};
use serde::Deserialize;

use self::listing::List;
pub use self::listing::{Edges, Filter, Listing, Roots};
use self::row::EdgeRow;
use super::super::client::{GraphDb, Mode};
use super::super::dql::Uid;
use super::super::store::GraphError;
use crate::model::{Key, Relationship};

/// Edges and roots that one page looks at.
pub const EXAMINED: usize = 2000;
/// Roots of one request. With all their edges they are no more than a page may look at.
const ROOTS: usize = 32;
/// Edges of each kind that are asked for with a root; of a root with more, they are asked for alone.
const PEEK: usize = 16;
/// Edges that are asked for at least where a filter drops some of them.
const SIFTED: usize = 200;

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Which list of roots.
    pub list: u8,
    /// Its roots up to this one are done; of this one, only what follows says.
    pub root: u64,
    /// Within the root: how many kinds of edges are done, and behind which node the next goes on.
    pub within: Option<(u8, u64)>,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Expired bindings are among them.
    pub found: Vec<Relationship>,
    /// Where to go on; nothing is left without.
    pub next: Option<Position>,
    /// The graph's time of the oldest read.
    pub revision: Revision,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    page: Vec<RootRow>,
}

#[derive(Deserialize)]
struct RootRow {
    uid: Uid,
    xid: String,
    #[serde(default)]
    e0: Vec<EdgeRow>,
    #[serde(default)]
    e1: Vec<EdgeRow>,
    #[serde(default)]
    e2: Vec<EdgeRow>,
    #[serde(default)]
    e3: Vec<EdgeRow>,
}

/// A page of at most `limit` relationships behind a position.
///
/// # Errors
/// As [`GraphDb::query`].
pub async fn page(
    graph: &GraphDb,
    tenant: &TenantId,
    listing: &Listing,
    after: Position,
    limit: usize,
) -> Result<Page, GraphError> {
    let lists = listing.roots.lists(tenant);
    let mut walk = Walk {
        tenant,
        listing,
        at: after,
        left: EXAMINED,
        limit,
        found: Vec::new(),
        revision: None,
    };
    while let Some(list) = lists.get(usize::from(walk.at.list)) {
        walk.finish(graph, list).await?;
        if walk.is_over() {
            break;
        }
        walk.roots(graph, list).await?;
    }
    let next = (usize::from(walk.at.list) < lists.len()).then_some(walk.at);
    Ok(Page { found: walk.found, next, revision: walk.revision.unwrap_or(Revision(0)) })
}

/// A page under way.
struct Walk<'a> {
    tenant: &'a TenantId,
    listing: &'a Listing,
    at: Position,
    left: usize,
    limit: usize,
    found: Vec<Relationship>,
    revision: Option<Revision>,
}

impl Walk<'_> {
    fn is_over(&self) -> bool {
        self.found.len() >= self.limit || self.left == 0
    }

    fn read_at(&mut self, revision: Revision) {
        self.revision = Some(self.revision.map_or(revision, |known| known.min(revision)));
    }

    /// Takes what is left of the root that it is at, as far as there is room.
    async fn finish(&mut self, graph: &GraphDb, list: &List) -> Result<(), GraphError> {
        while let Some((done, behind)) = self.at.within.filter(|_| !self.is_over()) {
            self.root(graph, list, done, behind).await?;
        }
        Ok(())
    }

    /// Goes on with one kind of edges of the root that it is at.
    async fn root(
        &mut self,
        graph: &GraphDb,
        (predicate, value): &List,
        done: u8,
        behind: u64,
    ) -> Result<(), GraphError> {
        let Some(edges) = self.listing.edges.get(usize::from(done)) else {
            self.at.within = None;
            return Ok(());
        };
        let all_count = self.listing.filter == Filter::default();
        let least = if all_count { PEEK } else { SIFTED };
        let first = (self.limit - self.found.len()).max(least).min(self.left);
        let dql = format!(
            "query q($v: string) {{
               page(func: uid({:#x})) @filter(eq({predicate}, $v)) {{ uid xid {} }} }}",
            self.at.root,
            row::fragment(0, *edges, first, behind)
        );
        let answer = graph.query(Mode::Strict, &dql, &[("$v", value)]).await?;
        self.read_at(answer.revision);
        let found: Answer = answer.read()?;
        match found.page.into_iter().next() {
            Some(row) => {
                let root = Key::from_text(row.xid);
                if self.take(&root, *edges, done, row.e0, first) {
                    self.at.within = Some((done + 1, 0));
                }
            }
            // It was deleted since.
            None => self.at.within = None,
        }
        Ok(())
    }

    /// Goes on with the next roots.
    async fn roots(&mut self, graph: &GraphDb, list: &List) -> Result<(), GraphError> {
        let (predicate, value) = list;
        let first = ROOTS.min(self.left);
        let edges = self.listing.edges.iter().zip(0..);
        let fragments: String = edges.map(|(e, n)| row::fragment(n, *e, PEEK, 0)).collect();
        let dql = format!(
            "query q($v: string) {{
               page(func: eq({predicate}, $v), first: {first}, after: {:#x}) {{
                 uid xid {fragments} }} }}",
            self.at.root
        );
        let answer = graph.query(Mode::Strict, &dql, &[("$v", value)]).await?;
        self.read_at(answer.revision);
        let found: Answer = answer.read()?;
        let is_last = found.page.len() < first;
        for row in found.page {
            if self.is_over() {
                return Ok(());
            }
            self.enter(row);
            self.finish(graph, list).await?;
            if self.at.within.is_some() {
                return Ok(());
            }
        }
        if is_last {
            self.at = Position { list: self.at.list + 1, root: 0, within: None };
        }
        Ok(())
    }

    /// Takes what came with a root; it stays within it if that was not all.
    fn enter(&mut self, row: RootRow) {
        self.left -= 1;
        let root = Key::from_text(row.xid);
        self.at = Position { root: row.uid.0, within: Some((0, 0)), ..self.at };
        let all = [row.e0, row.e1, row.e2, row.e3];
        for ((edges, rows), done) in self.listing.edges.iter().zip(all).zip(0..) {
            self.at.within = Some((done, 0));
            if !self.take(&root, *edges, done, rows, PEEK) {
                return;
            }
        }
        self.at.within = None;
    }

    /// Takes edges, as many as there is room for; whether there are no more of the kind.
    fn take(
        &mut self,
        root: &Key,
        edges: Edges,
        done: u8,
        rows: Vec<EdgeRow>,
        asked: usize,
    ) -> bool {
        let is_last = rows.len() < asked;
        for row in rows {
            if self.is_over() {
                return false;
            }
            self.left -= 1;
            self.at.within = Some((done, row.node()));
            let relationship = row.relationship(self.tenant, root, edges);
            self.found.extend(relationship.filter(|found| self.listing.filter.takes(found)));
        }
        is_last
    }
}

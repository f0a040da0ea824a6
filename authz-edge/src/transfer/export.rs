//! The graph at one revision, read page by page and written in the order of its lines.
//!
//! Every page is read at the same time of the graph, so the file is one state that there was. Dgraph keeps
//! what such reads need for some thousands of transactions at least (its raft snapshots then let old
//! versions go) and does not say when it has let them go. Therefore everything is counted first, at the
//! same time: a file whose lines do not come to these numbers gets no end, and the export fails.

use std::path::Path;

use chrono::Utc;
use contracts::{GraphEpoch, TenantId};
use indicatif::ProgressBar;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::TransferError;
use super::format::{Counts, FORMAT, Header, Line, ResourceLine, RoleLine, SubjectLine, VERSION};
use super::sorter::Sorter;
use crate::graph::GraphDb;
use crate::graph::pages::{Item, Kind, Pages};

/// What is sorted in memory; what is above it, in files.
const SORTED_BYTES: usize = 32 << 20;
/// What is written at once.
const WRITTEN_BYTES: usize = 256 << 10;
/// What is read for each kind of line.
const PARTS: [&[Kind]; 4] =
    [&[Kind::Roles], &[Kind::Subjects], &[Kind::Resources], &[Kind::Holdings, Kind::Parents]];

/// One export. Memory is bounded by a page and by what is sorted at once.
pub struct Export<'a> {
    /// The cluster.
    pub graph: &'a GraphDb,
    /// The graph's.
    pub epoch: GraphEpoch,
    /// Whose graph.
    pub tenant: &'a TenantId,
}

impl Export<'_> {
    /// Writes to `path.partial`, which gets the name `path` when it is whole.
    ///
    /// # Errors
    /// [`TransferError`]; then there is no new file of that name.
    pub async fn file(&self, path: &Path) -> Result<Counts, TransferError> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let mut file = tokio::fs::File::create(&partial).await?;
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let counts = self.write(&mut file, folder.unwrap_or(Path::new("."))).await?;
        file.sync_all().await?;
        tokio::fs::rename(partial, path).await?;
        Ok(counts)
    }

    /// Writes to anything; what does not fit into memory is sorted in `folder`.
    ///
    /// # Errors
    /// [`TransferError`]; then what was written has no end.
    pub async fn write(
        &self,
        output: impl AsyncWrite + Unpin,
        folder: &Path,
    ) -> Result<Counts, TransferError> {
        let now = Utc::now().timestamp_micros();
        let mut pages = Pages::begin(self.graph, self.tenant, now).await?;
        let total = pages.expected.nodes + pages.expected.edges;
        let bar = super::bar("lines", Some(total));
        let mut lines = Lines { output, buffer: Vec::new() };
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            tenant: self.tenant.clone(),
            epoch: self.epoch,
            revision: pages.revision,
        };
        lines.add(&text(&Line::Header(header))?).await?;
        let mut counts = Counts::default();
        for kinds in PARTS {
            let mut sorter = Sorter::new(folder, SORTED_BYTES);
            for kind in kinds {
                read(&mut pages, *kind, &mut sorter, &mut counts, &bar).await?;
            }
            let mut sorted = sorter.sorted()?;
            while let Some(line) = sorted.line()? {
                lines.add(&line).await?;
            }
        }
        if !pages.is_whole() {
            let (found, expected) = (pages.found.to_string(), pages.expected.to_string());
            return Err(TransferError::Lost { revision: pages.revision.0, found, expected });
        }
        lines.add(&text(&Line::End(counts))?).await?;
        lines.flush().await?;
        bar.finish_and_clear();
        Ok(counts)
    }
}

/// Everything of a kind.
async fn read(
    pages: &mut Pages<'_>,
    kind: Kind,
    sorter: &mut Sorter,
    counts: &mut Counts,
    bar: &ProgressBar,
) -> Result<(), TransferError> {
    let mut after = Some(0);
    while let Some(from) = after {
        let page = pages.page(kind, from).await?;
        for line in page.items.into_iter().map(line) {
            counts.add(&line);
            sorter.add(&serde_json::to_vec(&line).map_err(std::io::Error::from)?)?;
        }
        bar.set_position(counts.total());
        after = page.after;
    }
    Ok(())
}

fn text(line: &Line) -> Result<Vec<u8>, TransferError> {
    let mut text = serde_json::to_vec(line).map_err(std::io::Error::from)?;
    text.push(b'\n');
    Ok(text)
}

/// Lines on their way out.
struct Lines<W> {
    output: W,
    buffer: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> Lines<W> {
    async fn add(&mut self, line: &[u8]) -> Result<(), TransferError> {
        self.buffer.extend_from_slice(line);
        if self.buffer.len() < WRITTEN_BYTES {
            return Ok(());
        }
        self.output.write_all(&self.buffer).await?;
        self.buffer.clear();
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), TransferError> {
        self.output.write_all(&self.buffer).await?;
        self.buffer.clear();
        Ok(self.output.flush().await?)
    }
}

fn line(item: Item) -> Line {
    match item {
        Item::Role(id, role) => {
            Line::Role(RoleLine { id, name: role.name, permissions: role.permissions })
        }
        Item::Subject(subject, attributes, active) => {
            let (type_, id) = (subject.type_, subject.id);
            Line::Subject(SubjectLine { type_, id, attributes, active })
        }
        Item::Resource(resource, attributes) => {
            let (type_, id) = (resource.type_, resource.id);
            Line::Resource(ResourceLine { type_, id, attributes })
        }
        Item::Relationship(relationship) => Line::Relationship(relationship),
    }
}

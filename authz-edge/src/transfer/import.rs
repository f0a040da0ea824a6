//! Lines into the graph: checked first, then written window by window, several transactions at once.
//!
//! Every line is had exist as it says, and what it does not name stays: importing a file twice, or part
//! of it again after a crash, changes nothing. Within a window the nodes that relationships share are made
//! first, and relationships are cut so that no two transactions write the same; what still conflicts with
//! other writers is tried again. Fences are raised by the outbox as for every other write; one event tells
//! of the beginning of an import, one of its end.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek as _, SeekFrom};
use std::path::Path;

use contracts::{GraphEpoch, Revision, TenantId};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;

use super::TransferError;
use super::apply::{Known, at, repeated};
use super::checkpoint::Checkpoint;
use super::format::{Counts, Header, Line};
use super::window::{Window, Windows};
use crate::graph::write::{Author, Writer};

/// Windows have so many times what is in flight: its last transactions are waited for.
const DEPTH: usize = 8;

/// How an import writes.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Lines of one transaction.
    pub batch: usize,
    /// Transactions at once.
    pub in_flight: usize,
    /// Whether subjects and memberships are left out: sync brings them.
    pub skip_identities: bool,
    /// Whether roles of subjects that are not there are left out, instead of being refused.
    pub skip_missing: bool,
}

impl Options {
    fn window(&self) -> usize {
        self.batch * self.in_flight * DEPTH
    }
}

/// A file that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its first line.
    pub header: Header,
    /// Its lines.
    pub counts: Counts,
    /// Its content.
    pub hash: String,
}

/// How far an import came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    tenant: TenantId,
    epoch: GraphEpoch,
    hash: String,
    counts: Counts,
    offset: u64,
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Lines that were there already when it went on, after a crash.
    pub resumed_behind: u64,
    /// Lines that were read.
    pub lines: u64,
    /// Lines that the graph was not as they say.
    pub written: u64,
    /// Lines that were left out.
    pub skipped: u64,
    /// From which on all of it is to be seen.
    pub revision: Revision,
}

/// Reads a file to its end, without writing anything.
///
/// # Errors
/// The first bad line.
pub fn check(input: impl std::io::Read) -> Result<Checked, TransferError> {
    let mut hashed = Hashed { input, hasher: blake3::Hasher::new() };
    let mut windows = Windows::new(BufReader::with_capacity(1 << 20, &mut hashed), 1);
    let (mut header, mut counts) = (None, Counts::default());
    while let Some((_, line)) = windows.line()? {
        match line {
            Line::Header(read) => header = Some(read),
            Line::End(end) => counts = end,
            _ => {}
        }
    }
    let hash = hashed.hasher.finalize().to_hex().to_string();
    let missing = || TransferError::Line { line: 1, reason: "no header".to_owned() };
    Ok(Checked { header: header.ok_or_else(missing)?, counts, hash })
}

struct Hashed<R> {
    input: R,
    hasher: blake3::Hasher,
}

impl<R: std::io::Read> std::io::Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// One import.
pub struct Import<'a> {
    /// Who writes.
    pub writer: Writer<'a>,
    /// The graph's.
    pub epoch: GraphEpoch,
    /// Into whose graph.
    pub tenant: &'a TenantId,
    /// Who asked for it.
    pub author: Author,
    /// How.
    pub options: Options,
    /// What people see meanwhile.
    pub bar: ProgressBar,
}

impl Import<'_> {
    /// Imports a file that was checked. It goes on where an import of the same content into the same
    /// tenant was interrupted, if its checkpoint is there.
    ///
    /// # Errors
    /// [`TransferError`]; what was written before stays, and its checkpoint.
    pub async fn file(self, path: &Path, checked: &Checked) -> Result<Imported, TransferError> {
        let checkpoint = Checkpoint::of(path);
        let begin = Progress {
            tenant: self.tenant.clone(),
            epoch: self.epoch,
            hash: checked.hash.clone(),
            counts: Counts::default(),
            offset: 0,
        };
        let is_same = |saved: &Progress| {
            let of = |p: &Progress| (p.tenant.clone(), p.epoch, p.hash.clone());
            of(saved) == of(&begin)
        };
        let saved = checkpoint.load::<Progress>()?.filter(is_same).unwrap_or(begin);
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(saved.offset))?;
        let input = BufReader::with_capacity(1 << 20, file);
        let most = self.options.window();
        let windows = match saved.offset {
            0 => Windows::new(input, most),
            offset => Windows::behind(input, most, saved.counts, offset),
        };
        let done = saved.counts.total();
        self.bar.set_position(done);
        let save = |window: &Counted| {
            let (counts, offset) = (window.counts, window.offset);
            checkpoint.save(&Progress { counts, offset, ..saved.clone() })
        };
        let imported = self.run(windows, done, save).await?;
        checkpoint.remove()?;
        Ok(imported)
    }

    /// Imports a stream, which is checked as it comes: what stands before a bad line may be written.
    ///
    /// # Errors
    /// [`TransferError`]; what was written before stays.
    pub async fn stream(
        self,
        input: impl BufRead + Send + 'static,
    ) -> Result<Imported, TransferError> {
        let windows = Windows::new(input, self.options.window());
        self.run(windows, 0, |_| Ok(())).await
    }

    async fn run(
        self,
        windows: Windows<impl BufRead + Send + 'static>,
        resumed_behind: u64,
        save: impl Fn(&Counted) -> std::io::Result<()>,
    ) -> Result<Imported, TransferError> {
        let details = [("resumed_behind", json!(resumed_behind))];
        self.record("authz.graph.import_started", &details).await?;
        let (mut lines, mut written, mut skipped) = (0, 0, 0);
        let mut known = Known::default();
        let mut windows = read_ahead(windows);
        while let Some(window) = next(&mut windows).await? {
            let place = Counted { counts: window.counts, offset: window.offset };
            lines += window.lines.len() as u64;
            let did = self.window(window, &mut known).await?;
            (written, skipped) = (written + did.0, skipped + did.1);
            self.bar.set_position(place.counts.total());
            save(&place)?;
        }
        let details = [
            ("resumed_behind", json!(resumed_behind)),
            ("lines", json!(lines)),
            ("written", json!(written)),
            ("skipped", json!(skipped)),
        ];
        let revision = self.record("authz.graph.imported", &details).await?;
        self.bar.finish_and_clear();
        Ok(Imported { resumed_behind, lines, written, skipped, revision })
    }

    async fn record(
        &self,
        action: &str,
        details: &[(&'static str, serde_json::Value)],
    ) -> Result<Revision, TransferError> {
        let recorded =
            repeated(async || self.writer.record(self.tenant, &self.author, action, details).await);
        recorded.await.map(|written| written.revision).map_err(|error| at(0, error))
    }
}

/// How far a window reaches.
struct Counted {
    counts: Counts,
    offset: u64,
}

/// A window, `None` behind the last one, or why there is none.
type Read = Result<Option<Window>, TransferError>;

/// Reads windows on a thread of its own, one ahead.
fn read_ahead(mut windows: Windows<impl BufRead + Send + 'static>) -> mpsc::Receiver<Read> {
    let (send, receive) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        loop {
            let window = windows.window();
            let is_last = !matches!(window, Ok(Some(_)));
            if send.blocking_send(window).is_err() || is_last {
                return;
            }
        }
    });
    receive
}

async fn next(windows: &mut mpsc::Receiver<Read>) -> Read {
    // Only a reader that panicked sends no last window.
    let broken = || Err(std::io::Error::other("the reader broke").into());
    windows.recv().await.unwrap_or_else(broken)
}

//! `GET …/audit/export`: a range as one file, streamed page by page.
//!
//! A task fetches and encodes, the connection reads from a short channel: the slower of the two sets
//! the pace. The slot of a read is held for a page at a time. What fails midway breaks the connection
//! before the body's end is sent, so that no client takes a part for the whole.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use chrono::DateTime;
use contracts::Scope;
use futures::stream;
use metrics::counter;
use rand::Rng as _;
use service_kit::Problem;
use service_kit::slots::Slot;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::format::{Encoder, Format};
use super::params::ExportParams;
use super::{Shared, problem};
use crate::destination::Destination;
use crate::event::Ticks;
use crate::query::store::Store;
use crate::query::{Engine, Page, QueryError, RangeQuery, Resume};

/// Events in one fetch.
const PAGE: usize = 1000;

/// Encoded pages between the task and the connection.
const CHUNKS: usize = 2;

/// How long a client may read nothing before its export ends.
const STALL: Duration = Duration::from_secs(60);

/// How often a page is tried, and the wait before the second time; it doubles.
const TRIES: u32 = 6;
const BACKOFF: Duration = Duration::from_millis(200);

/// Exports audit events of a time range as a file.
///
/// The body is streamed; one that failed midway ends without the end of its transfer coding, which
/// HTTP clients report as an error. Values are written as stored: spreadsheets should import them as
/// text.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/audit/export",
    tag = "audit",
    params(("tenant" = String, Path, description = "The tenant."), ExportParams),
    responses(
        (status = 200, description = "The file.", content(
            (String = "application/x-ndjson"),
            (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.parquet"),
        ), headers(("Content-Disposition" = String, description = "The file's name."))),
        (status = 400, description = "A parameter is unknown or malformed.",
            body = super::openapi::Problem, content_type = "application/problem+json"),
        (status = 429, description = "The tenant is above its rate, or half of all exports are its own.",
            body = super::openapi::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds to wait."))),
        (status = 503, description = "Not now: too many exports or reads, or the store does not answer.",
            body = super::openapi::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds to wait."))),
    ),
    security(("bearer" = ["audit:read"]))
)]
pub(super) async fn export<I: Destination, S: Store>(
    State(shared): State<Arc<Shared<I, S>>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    params: Result<Query<ExportParams>, QueryRejection>,
) -> Result<Response, Problem> {
    let tenant = shared.authorize(&headers, &path?.0, Scope::AuditRead, 1).await?;
    let (query, format) = params?.0.ask(tenant, super::now())?;
    let slot = shared.exports.take(&query.tenant)?;
    let engine = Arc::clone(&shared.api.engine);
    // Before the head is sent a failure can still be told as what it is.
    let first = engine.page(&query, None, PAGE, super::now().millis()).await;
    let first = first.map_err(|error| problem(&error))?;
    let encoder = format.encoder(query.tenant.clone()).map_err(|error| {
        tracing::error!(%error, "an export could not begin");
        Problem::internal()
    })?;
    let name = file_name(&query, format);
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let task = Export { engine, query, encoder: Some(encoder), sender, slot: Some(slot) };
    tokio::spawn(task.run(first));
    let head = [
        (header::CONTENT_TYPE, format.content_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((head, body(receiver)).into_response())
}

/// `audit-acme-20261122T000000Z-20261123T000000Z.ndjson`: of characters that need no quoting.
fn file_name(query: &RangeQuery, format: Format) -> String {
    let stamp = |ticks: Ticks| {
        let time = DateTime::from_timestamp_millis(ticks.millis()).unwrap_or_default();
        time.format("%Y%m%dT%H%M%SZ")
    };
    let (from, to) = (stamp(query.range.from), stamp(query.range.to));
    format!("audit-{}-{from}-{to}.{}", query.tenant, format.extension())
}

/// What the task tells the connection.
enum Chunk {
    Bytes(Vec<u8>),
    /// The file is whole.
    End,
}

/// A body that ends well only behind [`Chunk::End`]: a task that failed, panicked or was cut drops
/// its sender, which is an error here.
fn body(receiver: mpsc::Receiver<Chunk>) -> Body {
    Body::from_stream(stream::try_unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Some(Chunk::Bytes(bytes)) => Ok(Some((Bytes::from(bytes), receiver))),
            Some(Chunk::End) => Ok(None),
            None => Err(io::Error::other("the export failed")),
        }
    }))
}

struct Export<S> {
    engine: Arc<Engine<S>>,
    query: RangeQuery,
    /// Absent only while it is at work elsewhere.
    encoder: Option<Encoder>,
    sender: mpsc::Sender<Chunk>,
    /// Until the client is told that it has everything: who asks for the next one then finds it free.
    slot: Option<Slot>,
}

impl<S: Store> Export<S> {
    async fn run(mut self, first: Page) {
        let outcome = match self.copy(first).await {
            Ok(()) => "complete",
            Err(Broken::Gone) => "client_gone",
            Err(Broken::Failed(error)) => {
                tracing::warn!(%error, "an export broke off");
                "failed"
            }
        };
        counter!("triad_ingest_exports_total", "outcome" => outcome).increment(1);
    }

    async fn copy(&mut self, first: Page) -> Result<(), Broken> {
        let mut page = first;
        loop {
            let bytes = self.encode(|encoder| encoder.push(page.events)).await?;
            self.send(bytes).await?;
            match page.next {
                Some(resume) => page = self.fetch(resume).await?,
                None => break,
            }
        }
        let encoder = self.encoder.take();
        let end = tokio::task::spawn_blocking(|| encoder.map(Encoder::finish).transpose());
        let end = end.await.map_err(io::Error::other)??.unwrap_or_default();
        self.send(end).await?;
        drop(self.slot.take());
        self.hand_over(Chunk::End).await
    }

    /// Encodes away from the runtime's threads: a row group takes milliseconds.
    async fn encode(
        &mut self,
        work: impl FnOnce(&mut Encoder) -> io::Result<Vec<u8>> + Send + 'static,
    ) -> Result<Vec<u8>, Broken> {
        let encoder = self.encoder.take().ok_or_else(|| io::Error::other("no encoder"))?;
        let done = tokio::task::spawn_blocking(move || {
            let mut encoder = encoder;
            work(&mut encoder).map(|bytes| (encoder, bytes))
        });
        let (encoder, bytes) = done.await.map_err(io::Error::other)??;
        self.encoder = Some(encoder);
        Ok(bytes)
    }

    async fn send(&self, bytes: Vec<u8>) -> Result<(), Broken> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.hand_over(Chunk::Bytes(bytes)).await
    }

    /// Waits for the client, but not for ever: an export holds a slot.
    async fn hand_over(&self, chunk: Chunk) -> Result<(), Broken> {
        match timeout(STALL, self.sender.send(chunk)).await {
            Ok(sent) => sent.map_err(|_| Broken::Gone),
            Err(_) => Err(Broken::Failed("the client reads nothing".to_owned())),
        }
    }

    /// The next page; what may pass is tried again.
    async fn fetch(&self, resume: Resume) -> Result<Page, Broken> {
        let mut wait = BACKOFF;
        for attempt in 1.. {
            let page = self.engine.page(&self.query, Some(resume), PAGE, super::now().millis());
            let error = match page.await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            if attempt == TRIES || matches!(error, QueryError::Internal(_)) {
                return Err(Broken::Failed(error.to_string()));
            }
            counter!("triad_ingest_export_retries_total", "error" => error.label()).increment(1);
            let jitter = rand::rng().random_range(0.5..1.0);
            sleep(wait.mul_f64(jitter)).await;
            wait *= 2;
        }
        Err(Broken::Failed("no attempt was made".to_owned()))
    }
}

/// Why an export ends before its file does.
enum Broken {
    Gone,
    Failed(String),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

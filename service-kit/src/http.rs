//! Serving a router, with TLS or without: bounded connections, bounded heads, patience for slow peers, and a
//! drain that ends.

mod keys;
mod patient;
mod request_body;

pub use self::keys::HttpKeys;
pub use self::request_body::RequestBody;
pub use crate::track::track;

use self::{patient::Patient, request_body::Rest};
use crate::{
    config::ConfigError,
    problem::HeldBack,
    shutdown::Shutdown,
    tls::{Connection, Listener},
};
use axum::{BoxError, Router, body::Body, extract::ConnectInfo};
use hyper::{
    Request, Response,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

/// More header fields in one request are answered with 431.
const MAX_HEADERS: usize = 64;

/// A longer head, request line included, is answered with 431, in bytes; what came with the last read counts, so up
/// to twice as much may pass: what strangers can have each connection hold. hyper alone would take 400 KiB, with
/// 4 096 connections more than most machines have. A token has 8 KiB at most, and Envoy forwards heads of 60 KiB.
/// Bodies are read in pieces of as much.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long an answer is held back that is to be ([`HeldBack`]): a tenant above its rate that asks again at once gets ten
/// refusals a second of each connection then, and takes no more than that from others; nginx's `limit_req` delays
/// likewise. Who heeds it waits for a second or more anyway.
const REFUSAL_DELAY: Duration = Duration::from_millis(100);

/// The bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct HttpOptions {
    /// Connections at once; further ones wait in the listener's backlog. Too low starves clients
    /// that keep connections open, too high spends a file descriptor and some 20 KiB each.
    pub max_connections: usize,
    /// How long a client may take to send a request's head, its TLS handshake included, which also
    /// bounds how long an idle connection is kept.
    pub header_read_timeout: Duration,
    /// How long a client may take nothing of an answer; then its connection ends.
    pub write_timeout: Duration,
    /// How long requests in flight may take to finish once the drain has begun.
    pub drain_deadline: Duration,
    /// For how much of that time connections are still taken, each answer being the last one of its connection. With
    /// none, a connection that is idle at that moment is closed under a client that may be sending on it: its request
    /// fails though nothing is wrong. Too much delays every end.
    pub drain_delay: Duration,
}

/// What answers requests: a router, or what stands before one.
pub trait App: Clone + Send + Sync + 'static {
    /// Of its responses.
    type Body: hyper::body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static;

    /// The answer to a peer's request.
    fn answer(
        &self,
        peer: SocketAddr,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<Self>;
}

/// Handlers find the peer through `ConnectInfo<SocketAddr>`.
impl App for Router {
    type Body = Body;

    fn answer(
        &self,
        peer: SocketAddr,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        // A router is always ready.
        let answered = self.clone().call(request);
        async {
            match answered.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    }
}

/// Serves HTTP/1.1 until `shutdown` drains. Then answers say that their connection ends (RFC 9112 section 9.6), and
/// after `drain_delay` the listener closes, idle connections end, requests in flight finish, and what is left at the
/// deadline is cut. Refusals that are held back come a moment later. What an answer leaves unread of its request's body
/// is read and thrown away, up to 256 KiB that come within 100 ms; otherwise the answer is its connection's last and
/// says so, or the client's next request would be lost on it. Returns when no connection is left. A connection
/// holds its slot from before its handshake. Dropping the future cuts every connection.
///
/// # Errors
/// None at present: a failed accept is logged and tried again with backoff.
pub async fn serve(
    listener: impl Into<Listener>,
    app: impl App,
    options: HttpOptions,
    shutdown: Shutdown,
) -> io::Result<()> {
    let listener: Listener = listener.into();
    let graceful = GracefulShutdown::new();
    let cut = CancellationToken::new();
    let _cut_when_dropped = cut.clone().drop_guard();
    let server = Server::new(app, options, cut.clone());
    let leave = async {
        shutdown.draining().await;
        server.leaving.store(true, Ordering::Relaxed);
        sleep(options.drain_delay).await;
    };
    tokio::select! {
        () = leave => {}
        never = server.accept_all(&listener, &graceful) => match never {},
    }
    drop(listener);
    let mut finished = pin!(graceful.shutdown());
    let left = options.drain_deadline.saturating_sub(options.drain_delay);
    if timeout(left, &mut finished).await.is_err() {
        tracing::warn!("cutting requests that outlast the drain deadline");
        cut.cancel();
        finished.await;
    }
    Ok(())
}

/// Refuses to serve without authentication beyond this machine.
///
/// # Errors
/// `auth.mode` is off and the address is not a loopback one; `0.0.0.0` and `[::]` count as public.
pub fn require_loopback(addr: &SocketAddr, auth_mode_is_off: bool) -> Result<(), ConfigError> {
    if auth_mode_is_off && !addr.ip().to_canonical().is_loopback() {
        let reason = format!("off serves loopback addresses only, not {addr}");
        return Err(ConfigError::new("auth.mode", reason));
    }
    Ok(())
}

struct Server<A> {
    app: A,
    http: http1::Builder,
    write_timeout: Duration,
    slots: Arc<Semaphore>,
    cut: CancellationToken,
    /// Each answer is the last of its connection. Read with each one, so no lock.
    leaving: Arc<AtomicBool>,
}

impl<A: App> Server<A> {
    fn new(app: A, options: HttpOptions, cut: CancellationToken) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(options.header_read_timeout)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES);
        let connections = options.max_connections.clamp(1, Semaphore::MAX_PERMITS);
        let (write_timeout, slots) = (options.write_timeout, Arc::new(Semaphore::new(connections)));
        Self { app, http, write_timeout, slots, cut, leaving: Arc::default() }
    }

    async fn accept_all(&self, listener: &Listener, graceful: &GracefulShutdown) -> Infallible {
        loop {
            let slot = Arc::clone(&self.slots).acquire_owned().await;
            let slot = slot.expect("the semaphore is never closed");
            let (connection, peer) = listener.accept().await;
            self.spawn(connection, peer, slot, graceful.watcher());
        }
    }

    fn spawn(
        &self,
        connection: Connection,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
        watcher: Watcher,
    ) {
        let (app, leaving, rest) = (self.app.clone(), Arc::clone(&self.leaving), Rest::default());
        let service = service_fn(move |request| {
            let answered = app.answer(peer, rest.of(request));
            let (leaving, rest) = (Arc::clone(&leaving), rest.clone());
            async move {
                let mut response = answered.await;
                if response.extensions().get::<HeldBack>().is_some() {
                    sleep(REFUSAL_DELAY).await;
                }
                // What is not read cannot be told from the next request.
                if !rest.read_out().await || leaving.load(Ordering::Relaxed) {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let stream = TokioIo::new(Patient::new(connection, self.write_timeout));
        let connection = self.http.serve_connection(stream, service);
        let connection = watcher.watch(connection);
        let cut = self.cut.clone();
        tokio::spawn(async move {
            tokio::select! {
                result = connection => if let Err(error) = result {
                    tracing::debug!(%error, %peer, "connection ended");
                },
                () = cut.cancelled() => {}
            }
            // Naming it here is what keeps it for as long as the connection.
            drop(slot);
        });
    }
}

#[cfg(test)]
mod tests;

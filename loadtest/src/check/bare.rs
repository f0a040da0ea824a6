//! A server that reads a check and answers as Triad does, without a thought: what hyper, the client and
//! the machine allow when deciding costs nothing.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::engines::require_loopback;

const TOKEN: HeaderName = HeaderName::from_static("triad-consistency-token");
/// As long as a real one.
const SOME_TOKEN: HeaderValue = HeaderValue::from_static("bare0000000000000000000000000000");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What stands before the address in the line that says where it listens.
const LISTENING: &str = "listening on http://";
/// From its start to that line.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// Binds a loopback address.
///
/// # Errors
/// When it is not loopback, or taken.
pub async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    require_loopback(&[address.to_owned()])?;
    TcpListener::bind(address).await.with_context(|| address.to_owned())
}

/// The line that says where it listens.
///
/// # Errors
/// When the listener has no address.
pub fn greeting(listener: &TcpListener) -> anyhow::Result<String> {
    Ok(format!("{LISTENING}{}", listener.local_addr()?))
}

/// Answers every request with what `body` makes of its path and body, for ever.
///
/// # Errors
/// When no connection can be accepted any more.
pub async fn serve(
    listener: TcpListener,
    body: impl Fn(&str, &[u8]) -> Bytes + Clone + Send + 'static,
) -> anyhow::Result<()> {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        connections.spawn(async move {
            let service =
                service_fn(move |request: Request<Incoming>| answer(request, body.clone()));
            // A client that goes away is none of our business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// What `check bare` answers.
#[must_use]
pub fn always_yes(_: &str, _: &[u8]) -> Bytes {
    Bytes::from_static(br#"{"decision":true}"#)
}

async fn answer(
    request: Request<Incoming>,
    body: impl Fn(&str, &[u8]) -> Bytes,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, asked) = request.into_parts();
    let asked = asked.collect().await?.to_bytes();
    let mut response = Response::new(Full::new(body(head.uri.path(), &asked)));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(TOKEN, SOME_TOKEN);
    Ok(response)
}

/// `loadtest check bare` as a process of its own, killed when dropped: in ours its cost could not be
/// told from the client's.
pub struct Bare {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bare {
    /// Starts it on a free port, and waits until it listens. It ends by itself after `limit`, should we
    /// be killed.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(limit: Duration) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["check", "bare", "--listen", "127.0.0.1:0", "--timeout-seconds"])
            .arg(limit.as_secs().max(1).to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the bare server")?;
        let output = child.stdout.take().context("the bare server has no output")?;
        let mut line = String::new();
        let mut output = BufReader::new(output);
        tokio::time::timeout(READY_WITHIN, output.read_line(&mut line))
            .await
            .context("the bare server says nothing")??;
        let address = line.trim().strip_prefix(LISTENING);
        ensure!(address.is_some(), "the bare server says {line:?}");
        let address = address.unwrap_or_default().parse()?;
        Ok(Self { child, address })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("ending the bare server")
    }
}

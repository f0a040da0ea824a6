//! One connection to a target. HTTP/1.1 is driven by whoever asks, in one task: handing every request
//! to a task of the connection's own would cost two wake-ups more. HTTP/2 is for gRPC alone, and there
//! the connection has to be a task, because callers share it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, TE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::engines::require_loopback;

/// A question may take so long, and opening a connection too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// Callers that share one HTTP/2 connection, as gRPC clients do. SpiceDB answers a fifth more checks than
/// with a connection for each caller; from 8 on it makes no difference.
const STREAMS: usize = 16;

/// A request as it is sent.
pub(crate) type Ask = Request<Full<Bytes>>;

/// Where a target is, and what it is spoken to in.
#[derive(Debug, Clone)]
pub struct Endpoint {
    authority: String,
    headers: HeaderMap,
    grpc: bool,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// gRPC's own status with its message; 0 is success.
    pub(crate) grpc: Option<(u16, String)>,
}

impl Answer {
    /// A header, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A connection.
pub(crate) enum Link {
    One(Http1),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// See [`Link`].
pub(crate) struct Http1 {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
    ended: bool,
}

impl Endpoint {
    /// The endpoint at `url`, which must be `http://` and on this machine.
    ///
    /// # Errors
    /// When it is not.
    pub fn new(url: &str, bearer: Option<&str>, grpc: bool) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
        ensure!(uri.scheme_str() == Some("http"), "{url}: only http:// is spoken here");
        ensure!(uri.path() == "/" && uri.query().is_none(), "{url}: a path makes no sense here");
        let authority = uri.authority().with_context(|| format!("{url} names no host"))?;
        ensure!(authority.port().is_some(), "{url} names no port");
        let authority = authority.as_str().to_owned();
        require_loopback(std::slice::from_ref(&authority))?;
        let mut headers = HeaderMap::new();
        if grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(TE, HeaderValue::from_static("trailers"));
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(HOST, HeaderValue::from_str(&authority)?);
        }
        if let Some(bearer) = bearer {
            let mut value = HeaderValue::from_str(&format!("Bearer {bearer}"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self { authority, headers, grpc })
    }

    /// The URI of a path: whole for HTTP/2, which sends its parts; the path alone for HTTP/1.1.
    ///
    /// # Errors
    /// When it is no path.
    pub(crate) fn uri(&self, path: &str) -> anyhow::Result<Uri> {
        let text =
            if self.grpc { format!("http://{}{path}", self.authority) } else { path.to_owned() };
        text.parse().with_context(|| text)
    }

    /// A POST to `uri`.
    pub(crate) fn post(&self, uri: &Uri, body: Bytes) -> Ask {
        self.ask(Method::POST, uri, body)
    }

    /// A request to `uri`.
    pub(crate) fn ask(&self, method: Method, uri: &Uri, body: Bytes) -> Ask {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When nobody takes it in time.
    pub(crate) async fn connect(&self) -> anyhow::Result<Link> {
        tokio::time::timeout(DEADLINE, self.open())
            .await
            .context("nobody takes the connection")?
            .with_context(|| format!("connecting to {}", self.authority))
    }

    async fn open(&self) -> anyhow::Result<Link> {
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        if self.grpc {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            // Ends with the last sender.
            tokio::spawn(connection);
            return Ok(Link::Two(sender));
        }
        let (sender, connection) = http1::handshake(io).await?;
        Ok(Link::One(Http1 { sender, connection: Box::pin(connection), ended: false }))
    }

    /// Opens what `callers` need.
    ///
    /// # Errors
    /// When nobody takes a connection.
    pub(super) async fn links(&self, callers: usize) -> anyhow::Result<Vec<Link>> {
        let mut links: Vec<Link> = Vec::with_capacity(callers);
        for caller in 0..callers {
            let link = match links.last() {
                Some(Link::Two(sender)) if caller % STREAMS > 0 => Link::Two(sender.clone()),
                _ => self.connect().await?,
            };
            links.push(link);
        }
        Ok(links)
    }
}

impl Link {
    /// Sends one request and waits for all of its answer. After an error the link is of no use.
    ///
    /// # Errors
    /// When the connection fails; no status is an error here.
    pub(crate) async fn exchange(&mut self, request: Ask) -> Result<Answer, hyper::Error> {
        match self {
            Self::One(link) => link.exchange(request).await,
            Self::Two(sender) => {
                sender.ready().await?;
                read(sender.send_request(request).await?).await
            }
        }
    }

    /// Whether another request may be sent.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::One(link) => !link.ended && !link.sender.is_closed(),
            Self::Two(sender) => !sender.is_closed(),
        }
    }
}

impl Http1 {
    async fn exchange(&mut self, request: Ask) -> Result<Answer, hyper::Error> {
        let Self { sender, connection, ended } = self;
        let mut exchange = pin!(async {
            sender.ready().await?;
            read(sender.send_request(request).await?).await
        });
        poll_fn(|context| {
            if let Poll::Ready(answer) = exchange.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            // What ended it, if anything did, the exchange is told.
            if !*ended && connection.as_mut().poll(context).is_ready() {
                *ended = true;
            }
            exchange.as_mut().poll(context)
        })
        .await
    }
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Answer, hyper::Error> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    // A call that failed at once has its status among the headers.
    let grpc = body.trailers().and_then(grpc_status).or_else(|| grpc_status(&head.headers));
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes(), grpc })
}

fn grpc_status(headers: &HeaderMap) -> Option<(u16, String)> {
    let status = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let message = headers.get("grpc-message").and_then(|value| value.to_str().ok());
    Some((status, message.unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_plain_and_on_this_machine() {
        let endpoint = |url| Endpoint::new(url, None, false);
        assert_eq!(endpoint("http://127.0.0.1:8102").unwrap().authority, "127.0.0.1:8102");
        let strange = [
            "http://10.0.0.1:80",
            "https://127.0.0.1:1",
            "127.0.0.1:1",
            "http://localhost",
            "http://127.0.0.1:1/v1",
        ];
        for url in strange {
            assert!(endpoint(url).is_err(), "{url}");
        }
    }
}

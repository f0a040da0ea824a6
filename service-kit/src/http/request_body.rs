//! Bodies of requests, and what becomes of the rest of one that is answered before it was read: who may not ask is
//! told so without looking at it, but the next request comes behind it on the same connection.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{
    Request,
    body::{Body, Frame, Incoming, SizeHint},
    header::EXPECT,
};
use tokio::time::timeout;

/// So much of a rest is read and thrown away for its connection's sake, in bytes; a new connection is cheaper than
/// more. Go's `net/http` has the same bound.
const MAX_REST_BYTES: u64 = 256 << 10;

/// For so long an answer waits for that. What is small came with its head, or is on the way.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// The body of a request as it comes from its connection.
#[derive(Debug)]
pub struct RequestBody {
    /// Gone when this is dropped, and never before.
    incoming: Option<Incoming>,
    /// Whether its client sends it when it is told to, which reading does.
    is_held_back: bool,
    rest: Rest,
}

/// What is left of the body of a connection's request: HTTP/1.1 has one of them at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest(Arc<Left>);

#[derive(Debug, Default)]
struct Left {
    /// Whether the body's end was not seen yet. All that is looked at for a body that was read.
    is_unread: AtomicBool,
    /// A body that was let go of before its end.
    dropped: Mutex<Option<Incoming>>,
}

impl Rest {
    /// The connection's next request.
    pub(super) fn of(&self, request: Request<Incoming>) -> Request<RequestBody> {
        let is_unread = !request.body().is_end_stream();
        // One task has both the request's reader and what answers it, or hands them over.
        self.0.is_unread.store(is_unread, Ordering::Relaxed);
        let is_held_back = request.headers().contains_key(EXPECT);
        let rest = self.clone();
        request.map(|incoming| RequestBody { incoming: Some(incoming), rest, is_held_back })
    }

    /// Reads what is left, if it is little and comes soon. Returns whether all of the body was read, so that the
    /// connection can take another request.
    pub(super) async fn read_out(&self) -> bool {
        if !self.0.is_unread.load(Ordering::Relaxed) {
            return true;
        }
        let dropped = self.0.dropped.lock().unwrap_or_else(PoisonError::into_inner).take();
        match dropped {
            Some(body) => timeout(PATIENCE, discard(body)).await.unwrap_or(false),
            // Somebody still has it.
            None => false,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
        if frame.is_none() || incoming.is_end_stream() {
            self.rest.0.is_unread.store(false, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && !self.is_held_back
            && !incoming.is_end_stream()
        {
            let mut dropped = self.rest.0.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            *dropped = Some(incoming);
        }
    }
}

/// Reads the rest of a body; returns whether its end came before it was too much.
async fn discard(mut body: Incoming) -> bool {
    let mut bytes = 0;
    while !body.is_end_stream() {
        if bytes + body.size_hint().lower() > MAX_REST_BYTES {
            return false;
        }
        match body.frame().await {
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => return false,
            None => break,
        }
    }
    true
}

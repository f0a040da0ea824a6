//! Request bodies: read once the caller is known, with a deadline, and bounded all together.

use crate::problem::Problem;
use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    extract::{FromRequest, Request},
    http::StatusCode,
};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use std::{convert::Infallible, ops::Deref, pin::pin, sync::Arc, task::Poll, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Bytes of bodies that are held at once, of all requests together; beyond it they are 429. A body is
/// held until its request is answered.
const HELD_BYTES: usize = 64 << 20;
/// So much of each body is not counted: connections are bounded, and most bodies are smaller.
const FREE_BYTES: usize = 16 << 10;

/// What callers are told to wait when too much is held, in seconds.
const RETRY_SECONDS: u64 = 1;

/// The bounds of bodies.
#[derive(Debug)]
pub struct Bodies {
    max_bytes: usize,
    patience: Duration,
    held: Arc<Semaphore>,
}

/// A body that is still to come: who may not ask is told so before.
pub struct Unread<B = Body>(pub B);

impl<S: Send + Sync> FromRequest<S> for Unread {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self(request.into_body()))
    }
}

/// A body that came, with its share of what may be held.
#[derive(Debug)]
pub struct Received {
    bytes: Bytes,
    share: Share,
}

/// Of what may be held at once; given back when it is dropped.
#[derive(Debug, Default)]
pub struct Share(Option<OwnedSemaphorePermit>);

impl Received {
    /// Lets go of the bytes, and keeps their share for what was made of them.
    #[must_use]
    pub fn into_share(self) -> Share {
        self.share
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Bodies {
    /// Bodies of at most `max_bytes`, each of which may take `patience` to come.
    #[must_use]
    pub fn new(max_bytes: usize, patience: Duration) -> Self {
        let held = Arc::new(Semaphore::new(HELD_BYTES.max(max_bytes)));
        Self { max_bytes, patience, held }
    }

    /// A body. One that came with its head costs no timer.
    ///
    /// # Errors
    /// 400 when it breaks off, 408 when it takes too long, 413 when it is too large, 429 when all bodies
    /// together are.
    pub async fn read<B>(&self, Unread(body): Unread<B>) -> Result<Received, Problem>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
    {
        let mut reading = pin!(self.collect(body));
        match futures::poll!(reading.as_mut()) {
            Poll::Ready(read) => read,
            Poll::Pending => timeout(self.patience, reading).await.unwrap_or_else(|_| {
                let status = StatusCode::REQUEST_TIMEOUT;
                let slow = Problem::new(status, "request-timeout", "Request timeout");
                Err(slow.detail("the body was too slow"))
            }),
        }
    }

    async fn collect<B>(&self, mut body: B) -> Result<Received, Problem>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
    {
        let max = self.max_bytes;
        let too_large = || Problem::payload_too_large(format!("a body has at most {max} bytes"));
        if body.size_hint().lower() > max as u64 {
            return Err(too_large());
        }
        // Most bodies are one piece, which is not copied.
        let (mut first, mut all, mut share) = (Bytes::new(), BytesMut::new(), Share::default());
        // A body whose length is known has ended before its stream is closed.
        while !body.is_end_stream()
            && let Some(frame) = body.frame().await
        {
            let broken = |error: B::Error| {
                Problem::bad_request(format!("the body: {}", Into::<BoxError>::into(error)))
            };
            let frame = frame.map_err(broken)?;
            let Ok(data) = frame.into_data() else { continue };
            let before = first.len().max(all.len());
            let length = before + data.len();
            if length > max {
                return Err(too_large());
            }
            self.take(&mut share, length.saturating_sub(before.max(FREE_BYTES)))?;
            if before == 0 {
                first = data;
                continue;
            }
            if all.is_empty() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
        let bytes = if all.is_empty() { first } else { all.freeze() };
        Ok(Received { bytes, share })
    }

    /// Takes so many more bytes of what may be held.
    fn take(&self, Share(share): &mut Share, bytes: usize) -> Result<(), Problem> {
        if bytes == 0 {
            return Ok(());
        }
        let wanted = u32::try_from(bytes).unwrap_or(u32::MAX);
        let busy = |_| Problem::too_many_requests("too much is under way", RETRY_SECONDS);
        let more = Arc::clone(&self.held).try_acquire_many_owned(wanted).map_err(busy)?;
        match share {
            Some(share) => share.merge(more),
            None => *share = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! Accepted connections, no more than so many at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use service_kit::tls::{Connection, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// The client's part of the HTTP/2 preface (RFC 9113, section 3.4), in bytes: the server answers nothing
/// before, and asks no pings.
const PREFACE: usize = 24;

/// A connection that holds its slot for as long as it lives, and ends when it is cut, or when the preface
/// does not come in time, which is behind its TLS handshake.
pub struct Bounded {
    stream: Connection,
    info: TcpConnectInfo,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    opening: Option<Opening>,
    _slot: OwnedSemaphorePermit,
}

/// A preface that is not complete.
struct Opening {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

/// Connections of `listener`, `max` at once, each of which has `patience` for its preface; `cut` ends them
/// all.
pub fn bounded(
    listener: Listener,
    max: usize,
    patience: Duration,
    cut: CancellationToken,
) -> impl Stream<Item = io::Result<Bounded>> {
    let slots = Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)));
    futures::stream::unfold((listener, slots, cut), move |(listener, slots, cut)| async move {
        let slot = Arc::clone(&slots).acquire_owned().await;
        let slot = slot.expect("the semaphore is never closed");
        let (stream, peer) = listener.accept().await;
        let local_addr = listener.local_addr().ok();
        let info = TcpConnectInfo { local_addr, remote_addr: Some(peer) };
        let ends = Box::pin(cut.clone().cancelled_owned());
        let deadline = Box::pin(tokio::time::sleep(patience));
        let opening = Some(Opening { missing: PREFACE, deadline });
        let bounded = Bounded { stream, info, cut: ends, opening, _slot: slot };
        Some((Ok(bounded), (listener, slots, cut)))
    })
}

impl Connected for Bounded {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.info.clone()
    }
}

impl Bounded {
    /// What became of a write. The server writes first, so it is a write that waits for the handshake: it ends as a
    /// read would.
    fn or_over<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        let Some(opening) = &mut self.opening else { return written };
        let is_over = written.is_pending()
            && (opening.deadline.as_mut().poll(context).is_ready()
                || self.cut.as_mut().poll(context).is_ready());
        if is_over { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { written }
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // HTTP/2 reads all the time, so this is where a connection notices.
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(opening) = &mut self.opening else { return read };
        opening.missing = opening.missing.saturating_sub(buffer.filled().len() - before);
        if opening.missing == 0 {
            self.opening = None;
        } else if read.is_pending() && opening.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.or_over(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.or_over(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

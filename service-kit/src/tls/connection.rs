//! A connection that was accepted.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{Accept, server::TlsStream};

/// A connection, with TLS or without. Who reads or writes first does the handshake: accepting does not wait for it,
/// and what bounds the first read bounds it, too.
pub struct Connection(State);

enum State {
    Plain(TcpStream),
    Handshake(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
    /// The handshake failed, or was given up.
    Closed,
}

impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        Self(State::Plain(stream))
    }
}

impl From<Accept<TcpStream>> for Connection {
    fn from(handshake: Accept<TcpStream>) -> Self {
        Self(State::Handshake(Box::new(handshake)))
    }
}

impl Connection {
    /// The connection, once its handshake is done.
    fn poll_state(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&mut State>> {
        if let State::Handshake(handshake) = &mut self.0 {
            match ready!(Pin::new(handshake).poll(context)) {
                Ok(stream) => self.0 = State::Tls(Box::new(stream)),
                Err(error) => {
                    tracing::debug!(%error, "no TLS handshake");
                    self.0 = State::Closed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(&mut self.0))
    }
}

fn closed<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(self.get_mut().poll_state(context))? {
            State::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            State::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            State::Handshake(_) | State::Closed => closed(),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.get_mut().poll_state(context))? {
            State::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            State::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            State::Handshake(_) | State::Closed => closed(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.get_mut().poll_state(context))? {
            State::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            State::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            State::Handshake(_) | State::Closed => closed(),
        }
    }

    /// Both kinds take slices.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            State::Plain(stream) => Pin::new(stream).poll_flush(context),
            State::Tls(stream) => Pin::new(stream).poll_flush(context),
            // Nothing was written.
            State::Handshake(_) | State::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut self.get_mut().0;
        match state {
            State::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            State::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            State::Handshake(_) | State::Closed => {
                *state = State::Closed;
                Poll::Ready(Ok(()))
            }
        }
    }
}

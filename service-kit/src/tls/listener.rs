//! A bound listener.

use super::{Acceptor, Connection};
use std::{io, net::SocketAddr};
use tokio::net::TcpListener;

/// A bound listener, and the TLS that it speaks, if it does.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Acceptor>,
}

/// Without TLS.
impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self::new(tcp, None)
    }
}

impl Listener {
    /// Without TLS when there is no `tls`.
    #[must_use]
    pub fn new(tcp: TcpListener, tls: Option<Acceptor>) -> Self {
        Self { tcp, tls }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next connection, whose handshake is not done yet, and its peer.
    ///
    /// # Errors
    /// Those of the socket: wait before it is tried again, or it spins without file descriptors.
    pub async fn accept(&self) -> io::Result<(Connection, SocketAddr)> {
        let (stream, peer) = self.tcp.accept().await?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let connection = match &self.tls {
            None => stream.into(),
            Some(tls) => tls.accept(stream).into(),
        };
        Ok((connection, peer))
    }
}

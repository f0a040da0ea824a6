//! A bound listener.

use super::{Acceptor, Connection};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{net::TcpListener, time::sleep};

/// The wait after a failed accept, first and longest: out of file descriptors, accept fails at once
/// and would spin.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

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

    /// The next connection, whose handshake is not done yet, and its peer. A failed accept is logged and tried again
    /// with backoff, for ever.
    pub async fn accept(&self) -> (Connection, SocketAddr) {
        let (stream, peer) = succeeded(|| self.tcp.accept()).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let connection = match &self.tls {
            None => stream.into(),
            Some(tls) => tls.accept(stream).into(),
        };
        (connection, peer)
    }
}

/// What comes of the first attempt that succeeds.
async fn succeeded<T, F: Future<Output = io::Result<T>>>(mut attempt: impl FnMut() -> F) -> T {
    let (mut wait, longest) = BACKOFF;
    loop {
        match attempt().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                sleep(wait).await;
                wait = (wait * 2).min(longest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_ever_more_slowly_and_at_least_each_second() {
        let begun = Instant::now();
        let mut attempts = Vec::new();
        succeeded(|| {
            attempts.push(begun.elapsed());
            let is_last = attempts.len() == 12;
            std::future::ready(if is_last { Ok(()) } else { Err(io::Error::other("no")) })
        })
        .await;
        assert_eq!(attempts.len(), 12);
        let waits = [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000];
        for (two, wait) in attempts.windows(2).zip(waits) {
            let waited = (two[1] - two[0]).as_millis();
            // Timers tick in milliseconds.
            assert!((wait..=wait + 1).contains(&waited), "{attempts:?}");
        }
    }
}

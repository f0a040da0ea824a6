//! Connections by hand.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{interval, timeout};

use super::PATIENCE;

/// Between bytes of who sends slowly.
const TRICKLE: Duration = Duration::from_millis(50);

/// How somebody keeps a connection for as long as they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slow {
    /// By saying nothing.
    Silent,
    /// By a head that never ends, a byte at a time.
    Head,
    /// By a body that does not.
    Body,
    /// By requests whose answers are not read.
    Deaf,
}

impl Slow {
    pub(super) const ALL: [Self; 4] = [Self::Silent, Self::Head, Self::Body, Self::Deaf];

    /// Until the server gives up.
    pub(super) async fn annoy(self, mut stream: TcpStream, request: String) {
        let request = request.into_bytes();
        match self {
            Self::Silent => {
                // A reset is an end, too.
                let _ = stream.read(&mut [0; 1]).await;
            }
            Self::Head | Self::Body => trickle(stream, &request).await,
            Self::Deaf => while stream.write_all(&request).await.is_ok() {},
        }
    }
}

async fn trickle(mut stream: TcpStream, begin: &[u8]) {
    let (mut reader, mut writer) = stream.split();
    if writer.write_all(begin).await.is_err() {
        return;
    }
    let (mut tick, mut some) = (interval(TRICKLE), [0; 4096]);
    loop {
        tokio::select! {
            read = reader.read(&mut some) => if !matches!(read, Ok(1..)) {
                return;
            },
            _ = tick.tick() => if writer.write_all(b"x").await.is_err() {
                return;
            },
        }
    }
}

/// A connection that takes little at a time.
pub(super) async fn connect(port: u16) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    Ok(socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?)
}

/// Everything that came back.
pub(super) struct Told {
    pub(super) text: String,
}

impl Told {
    pub(super) fn statuses(&self) -> Vec<u16> {
        let behind = self.text.split("HTTP/1.1 ").skip(1);
        behind.filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
    }

    /// At most one answer, and that one a refusal.
    pub(super) fn is_refused(&self) -> bool {
        match self.statuses()[..] {
            [] => true,
            [one] => (400..500).contains(&one),
            _ => false,
        }
    }
}

/// Sends some bytes, and reads until the server ends the connection.
pub(super) async fn told(port: u16, bytes: &[u8]) -> Result<Told> {
    let (mut reader, mut writer) = connect(port).await?.into_split();
    let bytes = bytes.to_vec();
    // Its half is kept open until the end: who has said all may still wait for an answer.
    let sending = tokio::spawn(async move {
        let _ = writer.write_all(&bytes).await;
        writer
    });
    let mut text = Vec::new();
    // A reset is an end, too; what came before it counts.
    let read = timeout(PATIENCE, reader.read_to_end(&mut text)).await;
    sending.abort();
    let _ = read.context("the connection never ends")?;
    Ok(Told { text: String::from_utf8_lossy(&text).into_owned() })
}

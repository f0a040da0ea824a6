//! What a Service of Kubernetes is to its clients, before the replicas of `identity-admin`: the issuer has one address,
//! which survives the death of either replica.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::site::Replica;

/// Between looks at which replicas are ready.
const PROBE: Duration = Duration::from_millis(200);
/// For the answer of a probe; a paused replica has none.
const PROBED_WITHIN: Duration = Duration::from_secs(1);
/// For a connection to a replica.
const CONNECTED_WITHIN: Duration = Duration::from_millis(500);
/// Connections at once; further ones are closed.
const CONNECTIONS: usize = 512;

/// A replica, and whether its last probe said that it is ready.
struct Place {
    replica: Replica,
    ready: AtomicBool,
}

/// Each connection leads to one replica, in turns, to its end: to one that is ready, and while none is, to any that
/// accepts, as `publishNotReadyAddresses` has it. Ends when it is dropped, its connections too.
pub(super) struct Balancer {
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Balancer {
    /// Listens on `address`.
    ///
    /// # Errors
    /// When somebody else does.
    pub(super) async fn begin(address: SocketAddr, replicas: [Replica; 2]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| address.to_string())?;
        let client = crate::scrape::client(PROBED_WITHIN)?;
        let place = |replica| Place { replica, ready: AtomicBool::new(false) };
        let places = Arc::new(replicas.map(place));
        let tasks = [
            tokio::spawn(probe(client, Arc::clone(&places))),
            tokio::spawn(forward(listener, places)),
        ];
        Ok(Self { tasks })
    }
}

async fn probe(client: reqwest::Client, places: Arc<[Place; 2]>) {
    loop {
        for place in &*places {
            let is_ready = crate::child::is_ready(&client, place.replica.admin).await;
            place.ready.store(is_ready, Ordering::Relaxed);
        }
        tokio::time::sleep(PROBE).await;
    }
}

async fn forward(listener: TcpListener, places: Arc<[Place; 2]>) {
    let mut connections = JoinSet::new();
    for turn in 0_usize.. {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else {
            // Out of descriptors, most likely: they come back.
            tokio::time::sleep(PROBE).await;
            continue;
        };
        if connections.len() < CONNECTIONS {
            connections.spawn(lead(client, turn, Arc::clone(&places)));
        }
    }
}

/// Leads a connection to a replica, until either end closes it.
async fn lead(mut client: TcpStream, turn: usize, places: Arc<[Place; 2]>) {
    let ready = |place: &Place| place.ready.load(Ordering::Relaxed);
    let mut order = [&places[turn % 2], &places[(turn + 1) % 2]];
    if !ready(order[0]) && ready(order[1]) {
        order.swap(0, 1);
    }
    for place in order {
        let connect = TcpStream::connect(place.replica.http);
        let Ok(Ok(mut replica)) = tokio::time::timeout(CONNECTED_WITHIN, connect).await else {
            continue;
        };
        let _ = (client.set_nodelay(true), replica.set_nodelay(true));
        // However it ends, both see it.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut replica).await;
        return;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn replica(name: &'static [u8]) -> (Replica, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                client.write_all(name).await.unwrap();
            }
        });
        // Nobody answers probes, so that none is ever ready.
        (Replica { http, admin: http }, task)
    }

    async fn answer(address: SocketAddr) -> String {
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn connections_lead_to_who_accepts_them() {
        let ((one, first), (two, _second)) = (replica(b"one").await, replica(b"two").await);
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let _balancer = Balancer::begin(free, [one, two]).await.unwrap();
        let mut answers = [answer(free).await, answer(free).await];
        answers.sort();
        assert_eq!(answers, ["one", "two"]);
        first.abort();
        let _ = first.await;
        assert_eq!([answer(free).await, answer(free).await], ["two", "two"]);
    }
}

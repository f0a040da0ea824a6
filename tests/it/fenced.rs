//! A cluster as its clients see it while all of its brokers are fenced: its topics are told of, and no brokers.
//!
//! On one machine that is a matter of milliseconds: a proxy in front of the real Kafka makes it last. Clients reach the broker
//! through it, as it puts its own port in place of the broker's.

use std::collections::HashMap;
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The key of Metadata in Kafka's protocol.
const METADATA: u16 = 3;
/// Its versions that end strings and arrays compactly, which this reads (KIP-482).
const COMPACT: std::ops::RangeInclusive<u16> = 9..=13;
/// Where their brokers begin: behind correlation id, no tagged fields, and the time for which the client was throttled.
const BROKERS: usize = 4 + 1 + 4;
/// The key of FindCoordinator, and its versions that have the coordinator in the body itself.
const COORDINATOR: u16 = 10;
const ONE: std::ops::RangeInclusive<u16> = 1..=2;
/// Where that one's error message begins: behind correlation id, throttling and error.
const MESSAGE: usize = 4 + 4 + 2;

/// The proxy. It ends with the test.
pub(crate) struct Fenced {
    pub(crate) address: String,
    fenced: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Fenced {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fenced {
    /// In front of this broker, which is not fenced yet.
    pub(crate) async fn before(kafka: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (fenced, view) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (kafka, mut changed, view) = (kafka.clone(), view.clone(), view.clone());
                tokio::spawn(async move {
                    changed.mark_unchanged();
                    // Either end closes, or the view changes: then the client asks again.
                    tokio::select! {
                        _ = serve(client, &kafka, address.port(), view) => {}
                        _ = changed.changed() => {}
                    }
                });
            }
        });
        Ok(Self { address: address.to_string(), fenced, task })
    }

    /// Its brokers are fenced, or not any more. Connections end, so that clients ask what there is.
    pub(crate) fn fence(&self, on: bool) {
        self.fenced.send_replace(on);
    }
}

/// Keys of the requests whose answers are looked into, by correlation id.
type UnderWay = Mutex<HashMap<[u8; 4], u16>>;

async fn serve(
    client: TcpStream,
    kafka: &str,
    port: u16,
    fenced: watch::Receiver<bool>,
) -> Result<()> {
    let (from_client, to_client) = client.into_split();
    let (from_kafka, to_kafka) = TcpStream::connect(kafka).await?.into_split();
    let under_way = UnderWay::default();
    tokio::try_join!(
        ask(from_client, to_kafka, &under_way),
        answer((from_kafka, to_client), &under_way, port, &fenced)
    )?;
    Ok(())
}

/// The next request or answer on a connection of Kafka's protocol, without its length.
pub(crate) async fn frame(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut frame = vec![0; usize::try_from(length)?];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

/// Sends one, with its length.
pub(crate) async fn send(to: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> Result<()> {
    to.write_all(&[&u32::try_from(frame.len())?.to_be_bytes(), frame].concat()).await?;
    Ok(())
}

async fn ask(
    mut client: OwnedReadHalf,
    mut kafka: OwnedWriteHalf,
    under_way: &UnderWay,
) -> Result<()> {
    loop {
        let request = frame(&mut client).await?;
        let (key, version) = (short(&request, 0)?, short(&request, 2)?);
        if [METADATA, COORDINATOR].contains(&key) {
            let read = if key == METADATA { COMPACT } else { ONE };
            ensure!(read.contains(&version), "request {key} in version {version}");
            let id = request.get(4..8).context("a request has an id")?.try_into()?;
            under_way.lock().expect("nobody panics").insert(id, key);
        }
        send(&mut kafka, &request).await?;
    }
}

async fn answer(
    (mut kafka, mut client): (OwnedReadHalf, OwnedWriteHalf),
    under_way: &UnderWay,
    port: u16,
    fenced: &watch::Receiver<bool>,
) -> Result<()> {
    loop {
        let mut answer = frame(&mut kafka).await?;
        let id: [u8; 4] = answer.get(..4).context("an answer has an id")?.try_into()?;
        let key = under_way.lock().expect("nobody panics").remove(&id);
        match key {
            Some(METADATA) => {
                let end = brokers(&mut answer, port)?;
                if *fenced.borrow() {
                    answer.splice(BROKERS..end, [1]);
                }
            }
            Some(COORDINATOR) => coordinator(&mut answer, port)?,
            _ => {}
        }
        send(&mut client, &answer).await?;
    }
}

/// Puts that port in place of every broker's; where the brokers end.
fn brokers(metadata: &mut [u8], port: u16) -> Result<usize> {
    let mut at = BROKERS;
    for _ in 0..length(metadata, &mut at)? {
        at += 4;
        at += length(metadata, &mut at)?;
        put(metadata, at, port)?;
        at += 4;
        at += length(metadata, &mut at)?;
        ensure!(metadata.get(at) == Some(&0), "a broker with tagged fields");
        at += 1;
    }
    Ok(at)
}

/// Puts that port in place of a coordinator's.
fn coordinator(found: &mut [u8], port: u16) -> Result<()> {
    // Null is -1.
    let message = usize::from(short(found, MESSAGE)?.wrapping_add(1).saturating_sub(1));
    let host = MESSAGE + 2 + message + 4;
    let at = host + 2 + usize::from(short(found, host)?);
    put(found, at, port)
}

fn put(answer: &mut [u8], at: usize, port: u16) -> Result<()> {
    let place = answer.get_mut(at..at + 4).context("a broker has a port")?;
    place.copy_from_slice(&u32::from(port).to_be_bytes());
    Ok(())
}

/// A compact length, which is one more than what it says and 0 for nothing; short here.
fn length(bytes: &[u8], at: &mut usize) -> Result<usize> {
    let length = *bytes.get(*at).context("the answer ends early")?;
    ensure!(length < 0x80, "longer than a test's names and brokers are");
    *at += 1;
    Ok(usize::from(length.saturating_sub(1)))
}

fn short(bytes: &[u8], at: usize) -> Result<u16> {
    Ok(u16::from_be_bytes(bytes.get(at..at + 2).context("the frame ends early")?.try_into()?))
}

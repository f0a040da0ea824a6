//! A member of a consumer group that is gone without a word, and whose session does not end.
//!
//! A coordinator of Kafka 4.1 that was killed and comes back may know of members that have gone meanwhile, and forget to end
//! their sessions. That is a race within it: here it is a member with a long session that joins, by Kafka's own protocol, and is
//! never heard of again.

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;

use crate::fenced::{frame, send};

/// Keys of requests, with the versions that are spoken here: the last ones before strings are compact (KIP-482) and before
/// members ask for their names first (KIP-394).
const JOIN_GROUP: (i16, i16) = (11, 2);
const SYNC_GROUP: (i16, i16) = (14, 1);
/// Longer than any test waits.
const SESSION_MS: i32 = 600_000;
/// The group waits as long as the most patient of its members asks for, which is not this one.
const REBALANCE_MS: i32 = 1_000;

/// A request's fields, in the encoding of Kafka's protocol.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn short(mut self, value: i16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn int(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn text(mut self, text: &str) -> Result<Self> {
        self = self.short(text.len().try_into()?);
        self.0.extend(text.as_bytes());
        Ok(self)
    }

    fn bytes(mut self, bytes: &[u8]) -> Result<Self> {
        self = self.int(bytes.len().try_into()?);
        self.0.extend(bytes);
        Ok(self)
    }
}

/// What is left of an answer.
struct Answer(std::collections::VecDeque<u8>);

impl Answer {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        ensure!(self.0.len() >= N, "the answer ends");
        let taken: Vec<u8> = self.0.drain(..N).collect();
        taken.try_into().ok().context("as many as were taken")
    }

    fn int(&mut self) -> Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn text(&mut self) -> Result<String> {
        let length = usize::try_from(self.take().map(i16::from_be_bytes)?)?;
        ensure!(self.0.len() >= length, "the answer ends");
        Ok(String::from_utf8(self.0.drain(..length).collect())?)
    }

    /// Past the time for which the client was throttled, and the error, which is to be none.
    fn must_be_well(&mut self) -> Result<()> {
        self.int()?;
        let error = self.take().map(i16::from_be_bytes)?;
        ensure!(error == 0, "Kafka's error {error}");
        Ok(())
    }
}

async fn ask(kafka: &mut TcpStream, (key, version): (i16, i16), body: Fields) -> Result<Answer> {
    let head = Fields::default().short(key).short(version).int(0).text("ghost")?;
    send(kafka, &[head.0, body.0].concat()).await?;
    let mut answer = Answer(frame(kafka).await?.into());
    answer.int().context("its correlation id")?;
    Ok(answer)
}

/// Is the only member of a group, and goes.
pub(crate) async fn haunt(kafka: &str, group: &str, topic: &str) -> Result<()> {
    let mut kafka = TcpStream::connect(kafka).await?;
    let subscription = Fields::default().short(0).int(1).text(topic)?.int(-1);
    let join = Fields::default()
        .text(group)?
        .int(SESSION_MS)
        .int(REBALANCE_MS)
        .text("")?
        .text("consumer")?
        .int(1)
        .text("cooperative-sticky")?
        .bytes(&subscription.0)?;
    let mut joined = ask(&mut kafka, JOIN_GROUP, join).await?;
    joined.must_be_well().context("joining")?;
    let generation = joined.int()?;
    let (_protocol, leader, own) = (joined.text()?, joined.text()?, joined.text()?);
    ensure!(leader == own, "{leader} is there, too");
    // Of nothing, to nobody.
    let sync = Fields::default().text(group)?.int(generation).text(&own)?.int(0);
    ask(&mut kafka, SYNC_GROUP, sync).await?.must_be_well().context("beginning")
}

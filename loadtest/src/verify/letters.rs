//! The dead-letter topic, read from its beginning, or from where a run began, to where it ended when reading began.

use std::sync::Arc;

use contracts::audit::header;
use ingest::event::Origin;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};

use super::ledger::{Ledger, Letter};
use crate::engines::Engines;
use crate::generate::{Draft, index_of};
use crate::produce::INDEX_HEADER;
use crate::stop::Stop;
use crate::tail::Tail;

/// Books every dead letter in `ledger`.
pub(super) async fn read(
    engines: &Engines,
    ledger: &Arc<Ledger>,
    stop: &Stop,
) -> anyhow::Result<()> {
    let (engines, ledger, stop) = (engines.clone(), Arc::clone(ledger), stop.clone());
    tokio::task::spawn_blocking(move || read_all(&engines, &ledger, &stop)).await?
}

fn read_all(engines: &Engines, ledger: &Ledger, stop: &Stop) -> anyhow::Result<()> {
    let topic = &ledger.expecter.run().names.dead_letter_topic;
    let mut scratch = Draft::default();
    let mut tail = Tail::from(engines, topic, ledger.letters_from());
    tail.read(stop, |message| book(ledger, message, &mut scratch))
}

fn book(ledger: &Ledger, message: &BorrowedMessage<'_>, scratch: &mut Draft) {
    let headers: Vec<(&str, &[u8])> = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect()
    });
    let named = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let origin = Origin::from_headers(headers.iter().copied());
    let reason = named(header::REASON).and_then(|reason| std::str::from_utf8(reason).ok());
    let run = &ledger.expecter.run().id;
    let value = message.payload().unwrap_or_default();
    let letter = Letter {
        index: named(INDEX_HEADER)
            .and_then(|name| index_of(run, name))
            .or_else(|| index_in(run, value)),
        key: message.key().unwrap_or_default(),
        value,
        reason: reason.unwrap_or("no reason"),
        origin: origin.as_ref().map(|o| (&*o.topic, o.partition, o.offset)),
        at: (message.partition(), message.offset()),
    };
    ledger.letter(letter, scratch);
}

/// The index in the id with which every generated event begins.
fn index_in(run: &str, value: &[u8]) -> Option<u64> {
    let rest = value.strip_prefix(b"{\"id\":\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    index_of(run, &rest[..end])
}

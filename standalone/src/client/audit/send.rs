//! `triad audit send`: events in batches, each with an id and a time before it goes, so that what is sent again is
//! stored once.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::filter::Status;
use crate::client::api::{Answer, Api, Call, Service};
use crate::client::context::Context;
use crate::client::entity::Entity;
use crate::client::error::ClientError;
use crate::client::input;
use crate::client::noun::given;
use crate::client::shape::{Cell, Column, Shape};
use crate::client::time::rfc3339;

/// Events of one request, and their bytes.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 1 << 20;
/// Of a batch that a service cannot take now; the wait doubles from the first up to the last.
const TRIES: u32 = 10;
const BACKOFF: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// What is sent: an event from options, or the lines of a file.
#[derive(Debug, clap::Args)]
pub struct SendArgs {
    /// What was done, as document.read
    #[arg(long, conflicts_with = "file")]
    action: Option<String>,
    /// Who did it: user:ID, service_account:ID or system:ID
    #[arg(long, value_name = "TYPE:ID", requires = "action")]
    actor: Option<Entity>,
    /// To what
    #[arg(long, value_name = "TYPE:ID", requires = "action")]
    resource: Option<Entity>,
    /// How it ended
    #[arg(long, ignore_case = true, requires = "action")]
    status: Option<Status>,
    /// From which address
    #[arg(long, value_name = "ADDRESS", requires = "action")]
    source_ip: Option<String>,
    /// Anything else
    #[arg(long, value_name = "JSON", value_parser = input::object, requires = "action")]
    details: Option<Map<String, Value>>,
    /// The producer's id, unique in the tenant; made when absent
    #[arg(long, requires = "action")]
    id: Option<String>,
    /// NDJSON, an event a line, sent in batches of 100; `-` is stdin
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// An event, and on which line it was.
type Line = (usize, Value);

const RECEIPTS: Shape = Shape {
    columns: &[
        Column::id("EVENT ID", "event_id"),
        Column::at("TIME", "event_time"),
        Column::at("ID", "id"),
    ],
    id: Cell::At("event_id"),
};

pub(super) async fn run(ctx: &mut Context, args: SendArgs) -> Result<(), ClientError> {
    let tenant = ctx.settings.tenant()?;
    let mut listing = ctx.out.listing(&RECEIPTS);
    let mut send = async || {
        if args.action.is_some() {
            let (api, event) = (&ctx.api, std::iter::once(Ok((1, args.event()))));
            return send_all(api, tenant, event, |receipt| listing.push(receipt)).await;
        }
        let lines = input::lines(input::open_or_stdin(args.file.as_deref())?);
        send_all(&ctx.api, tenant, lines, |receipt| listing.push(receipt)).await
    };
    let sent = send().await;
    // What was accepted before something failed is told all the same.
    listing.finish(None)?;
    sent
}

/// Sends events in batches, in their order.
pub(crate) async fn send_all(
    api: &Api,
    tenant: &str,
    mut events: impl Iterator<Item = Result<Line, ClientError>>,
    mut accepted: impl FnMut(&Value) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let (mut batch, mut bytes, mut count) = (Vec::<Line>::new(), 0, 0);
    loop {
        let next = match events.next().transpose()? {
            Some((number, event)) => {
                let now = rfc3339(api.clock.now());
                let wrong = || ClientError::Input(format!("line {number}: is no JSON object"));
                Some((number, stamped(event, &now).ok_or_else(wrong)?))
            }
            None => None,
        };
        let size = next.as_ref().map_or(0, |(_, event)| event.to_string().len());
        let is_full = batch.len() == BATCH || bytes + size > BATCH_BYTES;
        if !batch.is_empty() && (is_full || next.is_none()) {
            let bodies: Vec<_> = batch.iter().map(|(_, event)| event).collect();
            let call =
                Call::post(Service::Audit, &["audit"]).of(tenant).about(about(&batch, count));
            let sent = send(api, &call.json(json!(bodies))).await;
            let mut answer = sent.map_err(|error| by_line(error, &batch))?;
            answer.list("events")?.iter().try_for_each(&mut accepted)?;
            count += batch.len();
            (batch, bytes) = (Vec::new(), 0);
        }
        match next {
            Some(line) => batch.push(line),
            None => return Ok(()),
        }
        bytes += size;
    }
}

/// Says of each refused event on which line it is.
fn by_line(mut error: ClientError, batch: &[Line]) -> ClientError {
    if let ClientError::Answered(answered) = &mut error
        && let Some(errors) = answered.body.get_mut("errors").and_then(Value::as_array_mut)
    {
        for error in errors {
            let index = error.get("index").and_then(Value::as_u64);
            let index = index.and_then(|index| usize::try_from(index).ok());
            if let Some((number, _)) = index.and_then(|index| batch.get(index)) {
                error["line"] = (*number).into();
            }
        }
    }
    error
}

impl SendArgs {
    fn event(&self) -> Value {
        let of = |entity: &Option<Entity>, name: fn(&Entity) -> &String| {
            entity.as_ref().map(|entity| name(entity).as_str().into())
        };
        given([
            ("id", self.id.as_deref().map(Value::from)),
            ("action", self.action.as_deref().map(Value::from)),
            ("actor_type", of(&self.actor, |actor| &actor.type_)),
            ("actor_id", of(&self.actor, |actor| &actor.id)),
            ("resource_type", of(&self.resource, |resource| &resource.type_)),
            ("resource_id", of(&self.resource, |resource| &resource.id)),
            ("status", self.status.map(|status| status.to_string().into())),
            ("source_ip", self.source_ip.as_deref().map(Value::from)),
            ("details", self.details.clone().map(Value::from)),
        ])
        .into()
    }
}

/// The event with an id and a time, where it has none; `None` for what is no event. A CloudEvent brings its own.
fn stamped(mut event: Value, now: &str) -> Option<Value> {
    let members = event.as_object_mut()?;
    if members.contains_key("specversion") {
        return Some(event);
    }
    let has = |members: &Map<String, Value>, name: &str| {
        members.get(name).is_some_and(|value| !value.is_null())
    };
    if !has(members, "id") {
        members.insert("id".to_owned(), format!("{:032x}", rand::random::<u128>()).into());
    }
    if !has(members, "event_time") {
        members.insert("event_time".to_owned(), now.into());
    }
    Some(event)
}

/// Which lines a batch is of, and what came before it: for errors.
fn about(batch: &[Line], accepted: usize) -> String {
    let first = batch.first().map_or(0, |(number, _)| *number);
    let last = batch.last().map_or(0, |(number, _)| *number);
    let place = if first == last {
        format!("the event of line {first}")
    } else {
        format!("the events of lines {first} to {last}")
    };
    if accepted == 0 { place } else { format!("{place} ({accepted} before them were accepted)") }
}

/// Sends a batch until it is taken, or surely will not be. Ids make it safe to send what may have arrived.
async fn send(api: &Api, call: &Call) -> Result<Answer, ClientError> {
    let mut backoff = BACKOFF;
    for _ in 1..TRIES {
        let error = match api.send(call).await {
            Err(error) if error.may_pass() => error,
            answer => return answer,
        };
        let asked = match &error {
            ClientError::Answered(answered) => answered.retry_after.map(Duration::from_secs),
            _ => None,
        };
        api.clock.sleep(asked.unwrap_or(backoff).min(LONGEST)).await;
        backoff = (backoff * 2).min(LONGEST);
    }
    api.send(call).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_get_what_makes_them_safe_to_repeat() {
        let event = stamped(json!({"action": "a", "id": null}), "now").unwrap();
        assert_eq!(event["event_time"], "now");
        assert_eq!(event["id"].as_str().unwrap().len(), 32);
        let whole = json!({"action": "a", "id": "x", "event_time": "then"});
        assert_eq!(stamped(whole.clone(), "now").unwrap(), whole);
        let cloud = json!({"specversion": "1.0", "data": {}});
        assert_eq!(stamped(cloud.clone(), "now").unwrap(), cloud);
        assert_eq!(stamped(json!([1]), "now"), None);
    }

    #[test]
    fn a_batch_says_where_it_was() {
        let batch = [(3, json!({})), (7, json!({}))];
        assert_eq!(about(&batch[..1], 0), "the event of line 3");
        assert_eq!(about(&batch, 2), "the events of lines 3 to 7 (2 before them were accepted)");
    }
}

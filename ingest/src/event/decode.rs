//! From the bytes of a record to an event, one rule after the other.

use std::borrow::Cow;

use contracts::TenantId;
use contracts::audit::{ActorType, Status};
use serde_json::value::RawValue;

use super::json::{Fields, KNOWN, compact, value_text};
use super::{Detail, EXTRA_KEY, Event, Reason, Rejection, Ticks};

/// What one event may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest record value, in bytes.
    pub max_record_bytes: usize,
    /// The most entries in `details`, and the most unknown fields.
    pub max_fields: usize,
    /// How deep a value in `details` may nest.
    pub max_depth: usize,
}

/// Decodes a record's value: an audit event, or a CloudEvents 1.0 structured-mode envelope whose
/// `data` is one (recognised by `specversion`; its `id` and `time` stand in where `data` has none).
///
/// Costs one pass over the bytes and allocates for escapes and nested values only.
///
/// # Errors
/// The first rule that the value breaks.
pub fn decode<'a>(value: &'a [u8], limits: &Limits) -> Result<Event<'a>, Rejection> {
    if value.is_empty() {
        return Err(Rejection::new(Reason::Empty, "the record has no value"));
    }
    if value.len() > limits.max_record_bytes {
        let detail = format!("{} bytes; at most {}", value.len(), limits.max_record_bytes);
        return Err(Rejection::new(Reason::TooLarge, detail));
    }
    let text = std::str::from_utf8(value)
        .map_err(|error| Rejection::new(Reason::InvalidUtf8, error.to_string()))?;
    let fields = Fields::parse(text, limits.max_fields)?;
    match envelope_data(&fields) {
        Some(data) => {
            let inner = Fields::parse(data.get(), limits.max_fields)?;
            check(inner, Some(&fields), limits)
        }
        None => check(fields, None, limits),
    }
}

/// The `data` of a CloudEvents envelope.
fn envelope_data<'a>(fields: &Fields<'a>) -> Option<&'a RawValue> {
    let unknown =
        |name| fields.unknown.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
    unknown("specversion").filter(|version| version.get().starts_with("\"1."))?;
    unknown("data")
}

fn check<'a>(
    mut fields: Fields<'a>,
    envelope: Option<&Fields<'a>>,
    limits: &Limits,
) -> Result<Event<'a>, Rejection> {
    let mut field = |name: &str| {
        let index = KNOWN.iter().position(|known| *known == name);
        index.and_then(|index| fields.known[index].take())
    };
    let tenant = required(field("tenant_id"), "tenant_id")?;
    if !TenantId::is_valid(&tenant) {
        let detail = format!("{tenant:.64?} is no tenant id");
        return Err(Rejection::new(Reason::InvalidTenant, detail));
    }
    let id = field("id").or_else(|| envelope.and_then(|e| e.known[0].clone()));
    let time = match (field("event_time"), envelope) {
        (Some(text), _) => Some(parse_time(&text)?),
        (None, Some(envelope)) => envelope_time(envelope)?,
        (None, None) => None,
    };
    let event = Event {
        id: name(id, "id")?,
        time,
        actor_id: name(field("actor_id"), "actor_id")?,
        actor_type: one_of(field("actor_type"), "actor_type", |t| ActorType::parse(t).is_some())?,
        action: name(Some(required(field("action"), "action")?), "action")?.unwrap_or_default(),
        resource_id: name(field("resource_id"), "resource_id")?,
        resource_type: name(field("resource_type"), "resource_type")?,
        status: one_of(field("status"), "status", |t| Status::parse(t).is_some())?,
        source_ip: address(field("source_ip"))?,
        tenant,
        details: Vec::new(),
    };
    let details = details(&fields, limits)?;
    Ok(Event { details, ..event })
}

fn required<'a>(field: Option<Cow<'a, str>>, name: &str) -> Result<Cow<'a, str>, Rejection> {
    field.ok_or_else(|| Rejection::new(Reason::MissingField, format!("{name} is missing")))
}

fn name<'a>(field: Option<Cow<'a, str>>, name: &str) -> Result<Option<Cow<'a, str>>, Rejection> {
    if let Some(Err(error)) = field.as_deref().map(contracts::check_external_id) {
        return Err(Rejection::new(Reason::InvalidId, format!("{name}: {error}")));
    }
    Ok(field)
}

fn one_of<'a>(
    field: Option<Cow<'a, str>>,
    name: &str,
    known: impl Fn(&str) -> bool,
) -> Result<Option<Cow<'a, str>>, Rejection> {
    match field {
        Some(text) if !known(&text) => {
            Err(Rejection::new(Reason::InvalidEnum, format!("{name}: unknown value {text:.64?}")))
        }
        field => Ok(field),
    }
}

fn address(field: Option<Cow<'_, str>>) -> Result<Option<std::net::IpAddr>, Rejection> {
    let parse = |text: Cow<'_, str>| {
        text.parse().map_err(|_| {
            Rejection::new(Reason::InvalidIp, format!("source_ip: {text:.64?} is no address"))
        })
    };
    field.map(parse).transpose()
}

fn parse_time(text: &str) -> Result<Ticks, Rejection> {
    Ticks::parse(text).ok_or_else(|| {
        let detail = format!("{text:.64?} is no RFC 3339 time between 1970 and 4999");
        Rejection::new(Reason::InvalidTime, detail)
    })
}

fn envelope_time(envelope: &Fields<'_>) -> Result<Option<Ticks>, Rejection> {
    let Some((_, raw)) = envelope.unknown.iter().find(|(key, _)| key == "time") else {
        return Ok(None);
    };
    parse_time(&value_text("time", raw, 0)?).map(Some)
}

/// `details` with unknown fields beside it, sorted by key.
fn details<'a>(fields: &Fields<'a>, limits: &Limits) -> Result<Vec<Detail<'a>>, Rejection> {
    let mut details = Vec::with_capacity(fields.details.len() + 1);
    for (key, raw) in &fields.details {
        if key.len() > contracts::MAX_ID_BYTES {
            let detail = format!("details: a key of {} bytes", key.len());
            return Err(Rejection::new(Reason::InvalidId, detail));
        }
        details.push((key.clone(), value_text(key, raw, limits.max_depth)?));
    }
    if fields.unknown.is_empty() {
        return Ok(details);
    }
    match details.binary_search_by(|(key, _)| key.as_ref().cmp(EXTRA_KEY)) {
        Ok(_) => Err(Rejection::new(
            Reason::ReservedKey,
            "details._extra is given beside unknown fields, which are kept there",
        )),
        Err(place) => {
            details.insert(place, (EXTRA_KEY.into(), extra(&fields.unknown, limits)?.into()));
            Ok(details)
        }
    }
}

fn extra(unknown: &[(Cow<'_, str>, &RawValue)], limits: &Limits) -> Result<String, Rejection> {
    let mut object = String::from("{");
    for (key, raw) in unknown {
        if object.len() > 1 {
            object.push(',');
        }
        object.push_str(&serde_json::Value::from(key.as_ref()).to_string());
        object.push(':');
        let value = compact(raw.get(), limits.max_depth).ok_or_else(|| {
            Rejection::new(
                Reason::TooDeep,
                format!("{key:.64} nests deeper than {}", limits.max_depth),
            )
        })?;
        object.push_str(&value);
    }
    object.push('}');
    Ok(object)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;

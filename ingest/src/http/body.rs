//! A request body: what it claims to be, and the texts of its events.

use std::fmt;

use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use service_kit::Problem;

use crate::event::Reason;

/// What a body claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An event or an array of events.
    Json,
    /// One CloudEvent, structured mode.
    CloudEvent,
    /// An array of them (JSON batch format).
    CloudEvents,
}

impl Kind {
    /// By `content-type`; parameters are ignored, but a charset other than UTF-8 is refused.
    ///
    /// # Errors
    /// 415 for any other type, and for a content encoding.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let refuse = |detail: String| {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            Problem::new(status, "unsupported-media-type", "Unsupported media type").detail(detail)
        };
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        if let Some(encoding) = text(header::CONTENT_ENCODING).filter(|e| *e != "identity") {
            return Err(refuse(format!("the content encoding {encoding:.32} is not accepted")));
        }
        let given = text(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        let mut parts = given.split(';').map(str::trim);
        let kind = match parts.next() {
            Some("application/json") => Self::Json,
            Some("application/cloudevents+json") => Self::CloudEvent,
            Some("application/cloudevents-batch+json") => Self::CloudEvents,
            _ => {
                return Err(refuse(
                    "send application/json, application/cloudevents+json or \
                     application/cloudevents-batch+json"
                        .to_owned(),
                ));
            }
        };
        let charset = parts.find_map(|part| part.strip_prefix("charset="));
        match charset.map(|charset| charset.trim_matches('"')) {
            None | Some("utf-8" | "us-ascii") => Ok(kind),
            Some(other) => Err(refuse(format!("the charset {other:.32} is not UTF-8"))),
        }
    }

    pub(super) fn is_cloud_event(self) -> bool {
        self != Self::Json
    }
}

/// The texts of the events in `body`, at most `max`. Values are checked to be JSON, nothing more.
///
/// # Errors
/// 400 for what is no JSON or of another shape than `kind` says, 413 for too many events.
pub(super) fn split(body: &[u8], kind: Kind, max: usize) -> Result<Vec<&RawValue>, Problem> {
    let refuse =
        |reason: Reason, detail: String| Problem::bad_request(detail).with("reason", reason.code());
    let text = std::str::from_utf8(body)
        .map_err(|error| refuse(Reason::InvalidUtf8, format!("the body is not UTF-8: {error}")))?;
    let array = text.trim_ascii_start().starts_with('[');
    match (array, kind) {
        (true, Kind::CloudEvent) => {
            return Err(refuse(Reason::WrongType, "the body is not one CloudEvent".to_owned()));
        }
        (false, Kind::CloudEvents) => {
            return Err(refuse(
                Reason::WrongType,
                "the body is no array of CloudEvents".to_owned(),
            ));
        }
        _ => {}
    }
    let invalid = |error: serde_json::Error| {
        let detail = format!("the body is not JSON: {error}");
        refuse(Reason::InvalidJson, detail.chars().take(256).collect())
    };
    if !array {
        return serde_json::from_str(text).map(|one| vec![one]).map_err(invalid);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let events = json.deserialize_seq(AtMost(max)).and_then(|e| json.end().map(|()| e));
    let events = events.map_err(invalid)?;
    match events.len() {
        0 => Err(refuse(Reason::Empty, "the array holds no event".to_owned())),
        n if n > max => {
            Err(Problem::payload_too_large(format!("more than {max} events in one request")))
        }
        _ => Ok(events),
    }
}

/// Collects one element more than it may, to tell; the rest is read and dropped.
struct AtMost(usize);

impl<'de> Visitor<'de> for AtMost {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(event) = seq.next_element()? {
            if events.len() <= self.0 {
                events.push(event);
            }
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(content_type: &str) -> Result<Kind, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        Kind::of(&headers).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn a_body_says_what_it_is() {
        assert_eq!(kind("application/json"), Ok(Kind::Json));
        assert_eq!(kind("Application/JSON; charset=UTF-8"), Ok(Kind::Json));
        assert_eq!(kind("application/cloudevents+json"), Ok(Kind::CloudEvent));
        assert_eq!(kind("application/cloudevents-batch+json"), Ok(Kind::CloudEvents));
        for other in ["text/plain", "application/x-ndjson", "application/json; charset=latin1"] {
            assert_eq!(kind(other), Err(415), "{other}");
        }
        let mut encoded = HeaderMap::new();
        encoded.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        encoded.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(Kind::of(&encoded).unwrap_err().status.as_u16(), 415);
    }

    #[test]
    fn events_are_cut_out_as_they_stand() {
        let cut = |body: &str, kind| {
            let events = split(body.as_bytes(), kind, 2).map_err(|p| p.status.as_u16())?;
            Ok(events.iter().map(|event| event.get().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(cut(" {\"a\": 1.0} ", Kind::Json), Ok(vec!["{\"a\": 1.0}".to_owned()]));
        assert_eq!(cut(" [1e2, {} ]", Kind::Json), Ok(vec!["1e2".to_owned(), "{}".to_owned()]));
        assert_eq!(cut("[1,2,3]", Kind::Json), Err(413));
        for (body, kind) in [
            ("", Kind::Json),
            ("{", Kind::Json),
            ("[]", Kind::Json),
            ("[1,]", Kind::Json),
            ("{} {}", Kind::Json),
            ("[{}]", Kind::CloudEvent),
            ("{}", Kind::CloudEvents),
        ] {
            assert_eq!(cut(body, kind), Err(400), "{body}");
        }
        assert_eq!(split(b"\"\xff\"", Kind::Json, 2).unwrap_err().status.as_u16(), 400);
    }
}

//! Row identity: a version-1 UUID (RFC 9562 section 5.1) of the event's time and content.

use std::net::IpAddr;

use contracts::EventId;
use uuid::Uuid;

use super::{Event, Origin, Ticks};

/// Names the encoding below. It is frozen: another encoding would store every replay twice.
const DOMAIN: &[u8] = b"triad.audit.event.1";

/// 62 bits of content hash, with the variant bits of RFC 9562 set.
const VARIANT: u64 = 0x8000_0000_0000_0000;
const HASH_BITS: u64 = 0x3FFF_FFFF_FFFF_FFFF;

/// The id under which `event`, which happened at `time`, is stored.
///
/// Identical events have one id; another content under the same producer id has another, with a
/// chance of collision of 2^-62 within one tick of one tenant. Without a producer's id the origin is
/// part of the content, so that a redelivered record is the same row and a resent one is not.
#[must_use]
pub fn identify(event: &Event<'_>, time: Ticks, origin: &Origin) -> EventId {
    let mut content = Content::new();
    content.text(Some(&event.tenant));
    content.text(event.id.as_deref());
    content.bytes(Some(&time.raw().to_le_bytes()));
    content.text(event.actor_id.as_deref());
    content.text(event.actor_type.as_deref());
    content.text(Some(&event.action));
    content.text(event.resource_id.as_deref());
    content.text(event.resource_type.as_deref());
    content.text(event.status.as_deref());
    match event.source_ip {
        Some(IpAddr::V4(ip)) => content.bytes(Some(&ip.octets())),
        Some(IpAddr::V6(ip)) => content.bytes(Some(&ip.octets())),
        None => content.bytes(None),
    }
    content.bytes(Some(&(event.details.len() as u64).to_le_bytes()));
    for (key, value) in &event.details {
        content.text(Some(key));
        content.text(Some(value));
    }
    if event.id.is_none() {
        content.text(Some(&origin.topic));
        content.bytes(Some(&origin.partition.to_le_bytes()));
        content.bytes(Some(&origin.offset.to_le_bytes()));
        content.bytes(Some(&origin.timestamp.to_le_bytes()));
    }
    let stamp = time.gregorian();
    let high = (stamp << 32) | ((stamp >> 16) & 0xFFFF_0000) | 0x1000 | (stamp >> 48);
    EventId(Uuid::from_u64_pair(high, VARIANT | (content.hash() & HASH_BITS)))
}

/// The length-prefixed encoding: each part as its length in four little-endian bytes, then itself;
/// an absent part is the length `u32::MAX` alone.
struct Content {
    // One buffer and one call hash faster than many updates of a few bytes each.
    buffer: Vec<u8>,
}

impl Content {
    fn new() -> Self {
        let mut content = Self { buffer: Vec::with_capacity(512) };
        content.bytes(Some(DOMAIN));
        content
    }

    fn text(&mut self, part: Option<&str>) {
        self.bytes(part.map(str::as_bytes));
    }

    fn bytes(&mut self, part: Option<&[u8]>) {
        // No part can reach u32::MAX: records are bounded far below it.
        let length = part.map_or(u32::MAX, |p| u32::try_from(p.len()).unwrap_or(u32::MAX - 1));
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(part.unwrap_or_default());
    }

    fn hash(&self) -> u64 {
        let digest = blake3::hash(&self.buffer);
        let mut low = [0; 8];
        low.copy_from_slice(&digest.as_bytes()[..8]);
        u64::from_le_bytes(low)
    }
}

/// What of an id is the content's hash, without the variant bits: spreads rows over shards.
#[must_use]
pub(crate) fn content_bits(id: EventId) -> u64 {
    id.0.as_u64_pair().1 & HASH_BITS
}

/// The time of which an id was made; `None` for a UUID of another version.
#[must_use]
pub(crate) fn time_of(id: EventId) -> Option<Ticks> {
    let (high, low) = id.0.as_u64_pair();
    let version_1 = (high >> 12) & 0xF == 1 && low >> 62 == 0b10;
    let stamp = ((high & 0x0FFF) << 48) | ((high & 0xFFFF_0000) << 16) | (high >> 32);
    version_1.then(|| Ticks::from_gregorian(stamp))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn origin(offset: i64) -> Origin {
        Origin { topic: "audit.events".into(), partition: 3, offset, timestamp: 1_795_356_187_500 }
    }

    fn golden() -> (Event<'static>, Ticks) {
        let event = Event {
            tenant: "acme".into(),
            id: Some("req-7f3a-1".into()),
            actor_id: Some("u-1".into()),
            actor_type: Some("user".into()),
            action: "document.read".into(),
            resource_id: Some("d-9".into()),
            resource_type: Some("document".into()),
            status: Some("SUCCESS".into()),
            source_ip: Some("203.0.113.7".parse().unwrap()),
            details: vec![("request_id".into(), "7f3a".into())],
            ..Event::default()
        };
        (event, Ticks::parse("2026-11-22T14:03:07.1234567Z").unwrap())
    }

    /// Golden vectors: if one of these changes, every replay of an older event is stored twice.
    #[test]
    fn the_encoding_is_frozen() {
        let (event, time) = golden();
        let id = |event: &Event<'_>, origin: &Origin| identify(event, time, origin).to_string();
        assert_eq!(id(&event, &origin(9)), "714af607-e67d-11f1-801d-86c18b299607");
        let anonymous = Event { id: None, ..event };
        assert_eq!(id(&anonymous, &origin(9)), "714af607-e67d-11f1-a37b-fbb902c356e2");
        let bare = Event { tenant: "_system".into(), action: "x".into(), ..Event::default() };
        assert_eq!(id(&bare, &origin(0)), "714af607-e67d-11f1-be7b-6f78f6d7b6f1");
    }

    #[test]
    fn only_an_event_without_an_id_depends_on_its_origin() {
        let (event, time) = golden();
        assert_eq!(identify(&event, time, &origin(1)), identify(&event, time, &origin(2)));
        let anonymous = Event { id: None, ..event };
        assert_ne!(identify(&anonymous, time, &origin(1)), identify(&anonymous, time, &origin(2)));
    }

    fn text() -> impl Strategy<Value = Option<Cow<'static, str>>> {
        proptest::option::of("[a-c]{0,3}".prop_map(Cow::Owned))
    }

    prop_compose! {
        fn event()(
            id in text(), actor_id in text(), actor_type in text(), resource_id in text(),
            resource_type in text(), status in text(), action in "[a-c]{1,3}",
            details in proptest::collection::btree_map("[a-c]{0,2}", "[a-c]{0,2}", 0..3),
        ) -> Event<'static> {
            Event {
                tenant: "t".into(), id, actor_id, actor_type, action: action.into(), resource_id,
                resource_type, status,
                details: details.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
                ..Event::default()
            }
        }
    }

    proptest! {
        #[test]
        fn one_content_one_id(a in event(), b in event()) {
            let time = Ticks::from_millis(1_795_356_187_123);
            let same = identify(&a, time, &origin(1)) == identify(&b, time, &origin(1));
            prop_assert_eq!(same, a == b);
        }

        #[test]
        fn an_id_is_a_version_1_uuid_of_the_time(ticks in 0..Ticks::MAX.raw()) {
            let time = Ticks::from_gregorian(Ticks::EPOCH.gregorian() + ticks.cast_unsigned());
            let id = identify(&golden().0, time, &origin(1));
            prop_assert_eq!(id.0.get_version_num(), 1);
            prop_assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
            prop_assert_eq!(time_of(id), Some(time));
        }
    }
}

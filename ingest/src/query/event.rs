//! An event as it is stored, and its place in Cassandra's order.

use std::cmp::Ordering;
use std::net::IpAddr;

use contracts::EventId;

use crate::event::{Ticks, time_of};

/// Flips the sign of every byte: what is compared is signed bytes.
const SIGN_BITS: u64 = 0x8080_8080_8080_8080;

/// The place of a row among a tenant's: its clustering key.
///
/// Ordered as Cassandra orders `(event_time, event_id)`: `TimeUUIDType` compares the 60-bit timestamp,
/// then the last eight bytes as *signed* bytes, for compatibility with its first release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// `event_time`, milliseconds since the epoch.
    pub time: i64,
    /// `event_id`.
    pub id: EventId,
}

impl Position {
    fn key(&self) -> (i64, u64, u64) {
        let (high, low) = self.id.0.as_u64_pair();
        // time_low, time_mid, version and time_high, turned round: the version leads and is the same
        // in all of them.
        let stamp = (high << 48) | ((high << 16) & 0xFFFF_0000_0000) | (high >> 32);
        (self.time, stamp, low ^ SIGN_BITS)
    }

    /// Bytes that compare as positions do, for times that are not negative.
    #[cfg(feature = "embedded")]
    pub(crate) fn sort_key(&self) -> [u8; 24] {
        let (time, stamp, low) = self.key();
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&time.to_be_bytes());
        bytes[8..16].copy_from_slice(&stamp.to_be_bytes());
        bytes[16..].copy_from_slice(&low.to_be_bytes());
        bytes
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One row. The tenant is the query's.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its clustering key.
    pub position: Position,
    /// The producer's id.
    pub source_id: Option<String>,
    /// Who acted.
    pub actor_id: Option<String>,
    /// `user`, `service_account` or `system`.
    pub actor_type: Option<String>,
    /// What was done.
    pub action: String,
    /// To which thing.
    pub resource_id: Option<String>,
    /// To what kind of thing.
    pub resource_type: Option<String>,
    /// `SUCCESS`, `FAILURE` or `DENIED`.
    pub status: Option<String>,
    /// From which address.
    pub source_ip: Option<IpAddr>,
    /// Everything else, sorted by key.
    pub details: Vec<(String, String)>,
}

impl StoredEvent {
    /// When it happened, with every tick that its id kept.
    #[must_use]
    pub fn time(&self) -> Ticks {
        time_of(self.position.id)
            .filter(|ticks| ticks.millis() == self.position.time)
            .unwrap_or_else(|| Ticks::from_millis(self.position.time))
    }

    /// About what it occupies in memory, in bytes: what bounds are counted in.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = [
            &self.source_id,
            &self.actor_id,
            &self.actor_type,
            &self.resource_id,
            &self.resource_type,
            &self.status,
        ];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let pair = size_of::<(String, String)>();
        let details: usize = self.details.iter().map(|(k, v)| pair + k.len() + v.len()).sum();
        size_of::<Self>() + self.action.len() + texts + details
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    prop_compose! {
        /// Version-1 ids; some differ in their last bytes only.
        fn id()(stamp in 0_u64..4, low: u64) -> EventId {
            EventId(Uuid::from_u64_pair((stamp << 32) | 0x1000, 0x8000_0000_0000_0000 | (low >> 2)))
        }
    }

    #[test]
    fn last_bytes_compare_as_signed_bytes() {
        let at = |low| Position { time: 7, id: EventId(Uuid::from_u64_pair(0x1000, low)) };
        assert!(at(0x80FF_0000_0000_0000) < at(0x8000_0000_0000_0000));
        assert!(at(0x8000_0000_0000_0080) < at(0x8000_0000_0000_007F));
    }

    #[cfg(feature = "engines")]
    proptest! {
        #[test]
        fn ids_compare_as_the_driver_says_that_cassandra_compares_them(a in id(), b in id(), x: u128, y: u128) {
            let driver = |id: EventId| scylla::value::CqlTimeuuid::from(id.0);
            let at = |id| Position { time: 0, id };
            prop_assert_eq!(at(a).cmp(&at(b)), driver(a).cmp(&driver(b)));
            let version_1 = |x: u128| EventId(Uuid::from_u128(x & !(0xF << 76) | (1 << 76)));
            let (x, y) = (version_1(x), version_1(y));
            prop_assert_eq!(at(x).cmp(&at(y)), driver(x).cmp(&driver(y)));
        }
    }

    #[test]
    fn time_comes_from_the_id_when_the_two_agree() {
        let ticks = Ticks::parse("2026-11-22T14:03:07.1234567Z").unwrap();
        let id = crate::query::model::id_at(ticks, 9);
        let event = |time| crate::query::model::event(Position { time, id });
        assert_eq!(event(ticks.millis()).time(), ticks);
        assert_eq!(event(5).time(), Ticks::from_millis(5));
    }
}

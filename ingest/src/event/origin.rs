//! Where a record was first seen: what identity and the time window are judged against.

use std::sync::Arc;

use contracts::audit::header;

/// The first topic, partition, offset and timestamp of a record. A replay keeps them in headers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition of that topic.
    pub partition: i32,
    /// Offset in that partition.
    pub offset: i64,
    /// The record's timestamp, milliseconds since the epoch.
    pub timestamp: i64,
}

impl Origin {
    /// The origin that a replayed record carries in its headers; `None` when any part is missing or
    /// malformed: then the record is its own origin.
    pub fn from_headers<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Option<Self> {
        let (mut topic, mut partition, mut offset, mut timestamp) = (None, None, None, None);
        for (name, value) in headers {
            let text = std::str::from_utf8(value).ok();
            match name {
                header::ORIGIN_TOPIC => topic = text.filter(|t| !t.is_empty()),
                header::ORIGIN_PARTITION => partition = text.and_then(|t| t.parse().ok()),
                header::ORIGIN_OFFSET => offset = text.and_then(|t| t.parse().ok()),
                header::ORIGIN_TIMESTAMP => timestamp = text.and_then(|t| t.parse().ok()),
                _ => {}
            }
        }
        Some(Self {
            topic: topic?.into(),
            partition: partition?,
            offset: offset?,
            timestamp: timestamp?,
        })
    }

    /// The headers that [`Origin::from_headers`] reads back.
    #[must_use]
    pub fn to_headers(&self) -> [(&'static str, String); 4] {
        [
            (header::ORIGIN_TOPIC, self.topic.to_string()),
            (header::ORIGIN_PARTITION, self.partition.to_string()),
            (header::ORIGIN_OFFSET, self.offset.to_string()),
            (header::ORIGIN_TIMESTAMP, self.timestamp.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_survives_its_headers_and_needs_all_of_them() {
        let origin = Origin {
            topic: "audit.events".into(),
            partition: 3,
            offset: 9,
            timestamp: 1_700_000_000_000,
        };
        let headers = origin.to_headers();
        let pairs = || headers.iter().map(|(k, v)| (*k, v.as_bytes()));
        assert_eq!(Origin::from_headers(pairs()), Some(origin));
        for missing in 0..4 {
            let some = pairs().enumerate().filter(|(i, _)| *i != missing).map(|(_, h)| h);
            assert_eq!(Origin::from_headers(some), None);
        }
    }
}

//! Event time, to the 100 ns of a version-1 UUID.

use chrono::{DateTime, SecondsFormat, Utc};

/// 100-ns ticks since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(i64);

const PER_MILLI: i64 = 10_000;

/// Ticks from 1582-10-15, where version-1 UUIDs begin (RFC 9562 section 5.1), to 1970-01-01.
const GREGORIAN_OFFSET: i64 = 0x01B2_1DD2_1381_4000;

impl Ticks {
    /// The first instant of which a record can tell, 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 4999-12-31T23:59:59Z: the 60 bits of a version-1 UUID end in the year 5236.
    pub const MAX: Self = Self::from_millis(95_617_583_999_000);

    /// From milliseconds since the epoch, as Kafka and Cassandra count.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms * PER_MILLI)
    }

    /// Whole milliseconds since the epoch: the clustering column `event_time`.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(PER_MILLI)
    }

    /// Whole microseconds since the epoch: the write timestamp of the row.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0.div_euclid(10)
    }

    /// The count itself.
    #[must_use]
    pub const fn raw(self) -> i64 {
        self.0
    }

    /// The 60-bit timestamp of a version-1 UUID.
    #[must_use]
    pub const fn gregorian(self) -> u64 {
        self.0.wrapping_add(GREGORIAN_OFFSET).cast_unsigned() & 0x0FFF_FFFF_FFFF_FFFF
    }

    /// The time inside a version-1 UUID.
    #[must_use]
    pub const fn from_gregorian(timestamp: u64) -> Self {
        Self(timestamp.cast_signed().wrapping_sub(GREGORIAN_OFFSET))
    }

    /// Parses an RFC 3339 time between 1970 and 4999; digits below 100 ns are cut off, leap seconds
    /// (`:60`) are refused because no two stores agree on them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        let nanos = time.timestamp_subsec_nanos();
        if nanos >= 1_000_000_000 {
            return None;
        }
        let ticks = Self(time.timestamp() * 10_000_000 + i64::from(nanos / 100));
        (Self::EPOCH..=Self::MAX).contains(&ticks).then_some(ticks)
    }

    /// RFC 3339 in UTC with as many digits as the time has (3 to 7).
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let time = DateTime::<Utc>::from_timestamp_micros(self.micros()).unwrap_or_default();
        match (self.0.rem_euclid(PER_MILLI), self.0.rem_euclid(10)) {
            (0, _) => time.to_rfc3339_opts(SecondsFormat::Millis, true),
            (_, 0) => time.to_rfc3339_opts(SecondsFormat::Micros, true),
            (_, digit) => {
                let micros = time.to_rfc3339_opts(SecondsFormat::Micros, true);
                format!("{}{digit}Z", micros.trim_end_matches('Z'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_rfc_3339_between_1970_and_4999() {
        for good in
            ["2026-11-22T14:03:07.123Z", "2026-11-22t14:03:07z", "2026-11-22T14:03:07+02:00"]
        {
            assert!(Ticks::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "2026-11-22",
            "2026-11-22T14:03",
            "1969-12-31T23:59:59Z",
            "2016-12-31T23:59:60Z",
            "2026-02-30T00:00:00Z",
            "2026-11-22T14:03:07",
            "1763820187123",
            "5000-01-01T00:00:00Z",
        ] {
            assert_eq!(Ticks::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn digits_below_100_ns_are_cut_off() {
        let cut = Ticks::parse("2026-11-22T14:03:07.123456789Z").unwrap();
        assert_eq!(cut, Ticks::parse("2026-11-22T14:03:07.1234567Z").unwrap());
        assert_eq!(cut.to_rfc3339(), "2026-11-22T14:03:07.1234567Z");
        assert_eq!(cut.millis(), 1_795_356_187_123);
    }

    proptest! {
        #[test]
        fn text_and_uuid_time_keep_every_tick(raw in 0..=Ticks::MAX.raw()) {
            let ticks = Ticks(raw);
            prop_assert_eq!(Ticks::parse(&ticks.to_rfc3339()), Some(ticks));
            prop_assert_eq!(Ticks::from_gregorian(ticks.gregorian()), ticks);
        }
    }
}

//! The names of buckets: `2026-11-22`, `2026-11-22T14`, `2026-11-22T14:03`, each with `#07` for a
//! shard.

use chrono::{DateTime, Datelike, Timelike};

/// The most shards of one bucket.
pub const MAX_SHARDS: u8 = 16;

/// How much time a bucket spans.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// 24 hours of UTC.
    Day,
    /// 60 minutes.
    Hour,
    /// 60 seconds.
    Minute,
}

impl Granularity {
    /// All of them, coarsest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Hour, Self::Minute];

    /// The span in milliseconds.
    #[must_use]
    pub const fn millis(self) -> i64 {
        match self {
            Self::Day => 86_400_000,
            Self::Hour => 3_600_000,
            Self::Minute => 60_000,
        }
    }

    /// The name in the registry and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
        }
    }

    /// The granularity of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|granularity| granularity.as_str() == text)
    }

    /// When the bucket that holds `time` begins, both in milliseconds since the epoch.
    #[must_use]
    pub const fn floor(self, time: i64) -> i64 {
        time - time.rem_euclid(self.millis())
    }
}

/// The longest name, `2026-11-22T14:03#07`.
const MAX_NAME: usize = 19;

/// A bucket's name, on the stack: one is made for every row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    name: [u8; MAX_NAME],
    length: u8,
}

impl Bucket {
    /// The bucket of `time` (milliseconds, years 1970 to 9999), of that shard if any.
    #[must_use]
    pub fn new(granularity: Granularity, time: i64, shard: Option<u8>) -> Self {
        let time = DateTime::from_timestamp_millis(time).unwrap_or_default();
        let mut bucket = Self { name: [0; MAX_NAME], length: 0 };
        let year = time.year().clamp(0, 9999).unsigned_abs();
        bucket.digits(b"", year / 100);
        bucket.digits(b"", year % 100);
        bucket.digits(b"-", time.month());
        bucket.digits(b"-", time.day());
        if granularity >= Granularity::Hour {
            bucket.digits(b"T", time.hour());
        }
        if granularity >= Granularity::Minute {
            bucket.digits(b":", time.minute());
        }
        if let Some(shard) = shard {
            bucket.digits(b"#", u32::from(shard));
        }
        bucket
    }

    /// Appends `lead` and two digits.
    fn digits(&mut self, lead: &[u8], number: u32) {
        let number = (number % 100) as u8;
        for byte in lead.iter().copied().chain([b'0' + number / 10, b'0' + number % 10]) {
            self.name[usize::from(self.length)] = byte;
            self.length += 1;
        }
    }

    /// The name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.name[..usize::from(self.length)]
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_have_the_names_of_the_design() {
        let time = 1_795_356_187_123; // 2026-11-22T14:03:07.123Z
        let name = |granularity, shard| Bucket::new(granularity, time, shard).as_str().to_owned();
        assert_eq!(name(Granularity::Day, None), "2026-11-22");
        assert_eq!(name(Granularity::Hour, None), "2026-11-22T14");
        assert_eq!(name(Granularity::Minute, None), "2026-11-22T14:03");
        assert_eq!(name(Granularity::Minute, Some(7)), "2026-11-22T14:03#07");
        assert_eq!(name(Granularity::Day, Some(15)), "2026-11-22#15");
    }

    fn granularity() -> impl Strategy<Value = Granularity> {
        proptest::sample::select(Granularity::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn two_times_share_a_bucket_when_they_share_its_floor(
            granularity in granularity(), a in 0_i64..4_102_444_800_000, delta in 0_i64..172_800_000,
        ) {
            let name = |time| Bucket::new(granularity, time, None).as_str().to_owned();
            prop_assert_eq!(
                name(a) == name(a + delta),
                granularity.floor(a) == granularity.floor(a + delta)
            );
        }

        #[test]
        fn names_sort_as_times_do(granularity in granularity(), a in 0_i64..253_402_300_799_000, b in 0_i64..253_402_300_799_000) {
            let name = |time| Bucket::new(granularity, time, None);
            let (x, y) = (granularity.floor(a), granularity.floor(b));
            prop_assert_eq!(name(x).as_str().cmp(name(y).as_str()), x.cmp(&y));
        }
    }
}

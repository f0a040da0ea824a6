//! Retention classes: one time-windowed table each.
//!
//! `TimeWindowCompactionStrategy` drops a whole SSTable only when everything in it has expired, so
//! rows of different lives never share a table, and a table has at most 40 windows.

use serde::{Deserialize, Serialize};

/// How long rows live, and the table that holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// The name in layouts and on the command line.
    pub name: &'static str,
    /// The table in the keyspace.
    pub table: &'static str,
    /// The life of a row, counted from its `event_time`, in days.
    pub days: u32,
    /// The compaction window, in days: `days / window_days` is at most 40.
    pub window_days: u32,
}

/// Every class, by [`ClassId`].
///
/// Seven years is the longest for now: a Cassandra cluster in its default storage compatibility mode
/// refuses an expiry beyond 2038-01-19.
pub const CLASSES: [Class; 4] = [
    Class { name: "1y", table: "audit_logs", days: 365, window_days: 10 },
    Class { name: "30d", table: "audit_logs_30d", days: 30, window_days: 1 },
    Class { name: "90d", table: "audit_logs_90d", days: 90, window_days: 3 },
    Class { name: "7y", table: "audit_logs_7y", days: 2_557, window_days: 64 },
];

/// An index into [`CLASSES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClassId(u8);

impl ClassId {
    /// The default class, whose table is the seed's `audit_logs`.
    pub const ONE_YEAR: Self = Self(0);

    /// All classes.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CLASSES.len()).map(|index| Self(u8::try_from(index).unwrap_or(0)))
    }

    /// The class of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|id| id.class().name == name)
    }

    /// What it stands for.
    #[must_use]
    pub fn class(self) -> &'static Class {
        &CLASSES[self.index()]
    }

    /// Its place in [`CLASSES`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The remaining life at `now` of a row of `event_time` (both milliseconds), in seconds; `None`
    /// once it is over. It counts from the event, so that a replay expires when the original would.
    #[must_use]
    pub fn remaining_seconds(self, event_time: i64, now: i64) -> Option<i32> {
        let expires = event_time + i64::from(self.class().days) * 86_400_000;
        let seconds = (expires - now).div_euclid(1000);
        // CQL refuses more than 20 years; a future event may exceed its class by the accepted skew.
        (seconds > 0).then(|| i32::try_from(seconds).unwrap_or(i32::MAX).min(630_720_000))
    }
}

impl TryFrom<String> for ClassId {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::parse(&name).ok_or_else(|| {
            let known: Vec<_> = CLASSES.iter().map(|class| class.name).collect();
            format!("{name:?} is no retention class; there are {}", known.join(", "))
        })
    }
}

impl From<ClassId> for String {
    fn from(id: ClassId) -> Self {
        id.class().name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_has_more_than_forty_windows() {
        for class in CLASSES {
            assert!(class.days.div_ceil(class.window_days) <= 40, "{}", class.name);
        }
    }

    #[test]
    fn life_counts_from_the_event() {
        let day = 86_400_000;
        let month = ClassId::parse("30d").unwrap();
        assert_eq!(month.remaining_seconds(0, 0), Some(30 * 86_400));
        assert_eq!(month.remaining_seconds(0, 29 * day), Some(86_400));
        assert_eq!(month.remaining_seconds(0, 30 * day - 1), None, "not a second is left");
        assert_eq!(month.remaining_seconds(0, 30 * day), None);
    }
}

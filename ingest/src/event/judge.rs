//! One record: what it says, when that was, which row it is.

use std::hash::{BuildHasher, Hasher};

use contracts::EventId;
use foldhash::fast::FixedState;

use super::{Event, Limits, Origin, Reason, Rejection, Ticks, decode, identify};
use crate::config::LimitsConfig;

/// The rules that a record is judged by.
#[derive(Debug, Clone)]
pub struct Judge {
    limits: Limits,
    future: i64,
    past: i64,
}

/// A record that may be stored.
#[derive(Debug)]
pub struct Judged<'a> {
    /// What it says.
    pub event: Event<'a>,
    /// When that was: by itself, else by its record.
    pub time: Ticks,
    /// Its row.
    pub id: EventId,
}

impl Judge {
    /// As configured.
    #[must_use]
    pub fn new(limits: &LimitsConfig) -> Self {
        Self {
            limits: limits.decoder(),
            future: limits.future_millis(),
            past: limits.past_millis(),
        }
    }

    /// Judges a record that was first seen at `origin`.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn judge<'a>(&self, value: &'a [u8], origin: &Origin) -> Result<Judged<'a>, Rejection> {
        let event = decode(value, &self.limits)?;
        let time = self.time(&event, origin)?;
        let id = identify(&event, time, origin);
        Ok(Judged { event, time, id })
    }

    /// The event's time, or the record's; within the window around the record's time, so that a
    /// backlog that was in time stays in time.
    fn time(&self, event: &Event<'_>, origin: &Origin) -> Result<Ticks, Rejection> {
        let recorded = origin.timestamp.clamp(0, Ticks::MAX.millis());
        let Some(time) = event.time else { return Ok(Ticks::from_millis(recorded)) };
        let ahead = time.millis() - recorded;
        if (-self.past..=self.future).contains(&ahead) {
            return Ok(time);
        }
        let recorded = Ticks::from_millis(recorded).to_rfc3339();
        let detail = format!("event_time {} is too far from {recorded}", time.to_rfc3339());
        Err(Rejection::new(Reason::TimeOutOfWindow, detail))
    }
}

impl Judged<'_> {
    /// Names tenant and producer's id; 0 without an id.
    #[must_use]
    pub fn identity(&self) -> u64 {
        let Some(id) = &self.event.id else { return 0 };
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(self.event.tenant.as_bytes());
        hasher.write_u8(0xFF);
        hasher.write(id.as_bytes());
        hasher.finish().max(1)
    }
}

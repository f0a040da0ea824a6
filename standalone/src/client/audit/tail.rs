//! `triad audit tail`: the trail is asked again and again, each time from a while before what was seen, as events
//! come late and out of order; what was shown is not shown again.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::filter::Filter;
use super::{events, line};
use crate::client::api::{List, Pages};
use crate::client::context::Context;
use crate::client::error::ClientError;
use crate::client::global::Format;
use crate::client::output::member;
use crate::client::time::{self, Toward, rfc3339};

/// Between a failure and the next look; it doubles up to [`LONGEST`].
const BACKOFF: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Which events are shown as they come.
#[derive(Debug, clap::Args)]
pub struct TailArgs {
    /// Begin with events since then; with new ones when absent
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// Between looks
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time::wait)]
    interval: Duration,
    /// How much later than its time an event may come and still be shown
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = time::wait)]
    overlap: Duration,
}

/// What was seen of the trail.
#[derive(Debug)]
struct Seen {
    start: DateTime<Utc>,
    overlap: chrono::Duration,
    /// Up to when everything is there, but for what comes late.
    horizon: DateTime<Utc>,
    /// Ids of events since the beginning of the next look, with their times.
    shown: HashMap<String, DateTime<Utc>>,
}

impl Seen {
    fn since(start: DateTime<Utc>, overlap: Duration) -> Self {
        let overlap = chrono::Duration::from_std(overlap).unwrap_or(chrono::Duration::MAX);
        Self { start, overlap, horizon: start, shown: HashMap::new() }
    }

    /// Where the next look begins.
    fn from(&self) -> DateTime<Utc> {
        self.horizon
            .checked_sub_signed(self.overlap)
            .map_or(self.start, |from| from.max(self.start))
    }

    /// Whether an event is to be shown: not when it was, or is older than all that is asked for.
    fn is_new(&mut self, event: &Value) -> bool {
        let time = event.get("event_time").and_then(Value::as_str);
        let time = time.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        let time = time.map_or(self.horizon, |time| time.to_utc());
        self.shown.insert(member(event, "event_id"), time).is_none()
    }

    /// A look is over that a service began at its time `date`, if it said so. What the next one does not ask for
    /// need not be remembered.
    fn looked(&mut self, date: Option<DateTime<Utc>>) {
        let latest = self.shown.values().max().copied();
        // The service looks at events up to its own now; a second is what the header is rounded by.
        let reached = date.map(|date| date - chrono::Duration::seconds(1)).max(latest);
        self.horizon = self.horizon.max(reached.unwrap_or(self.horizon));
        let from = self.from();
        self.shown.retain(|_, time| *time >= from);
    }
}

/// Ends by an error that does not pass, or when the caller drops it.
pub(super) async fn run(ctx: &mut Context, args: &TailArgs) -> Result<(), ClientError> {
    let from = ctx.time("--from", args.from.as_deref(), Toward::Past)?;
    let start = from.unwrap_or_else(|| ctx.api.clock.now());
    let mut seen = Seen::since(start, args.overlap);
    let mut backoff = BACKOFF;
    loop {
        match look(ctx, args, &mut seen).await {
            Ok(()) => {
                backoff = BACKOFF;
                ctx.api.clock.sleep(args.interval).await;
            }
            Err(error) if error.may_pass() => {
                let seconds = backoff.as_secs();
                ctx.out.note(&format!("{error}; looking again in {seconds} s"));
                ctx.api.clock.sleep(backoff).await;
                backoff = (backoff * 2).min(LONGEST);
            }
            Err(error) => return Err(error),
        }
    }
}

/// One look: all pages from where the last one ended, but for the overlap.
async fn look(ctx: &mut Context, args: &TailArgs, seen: &mut Seen) -> Result<(), ClientError> {
    let call = args.filter.apply(events(ctx, &[])?).query("order", Some("oldest"));
    let call = call.query("from", Some(rfc3339(seen.from())));
    let mut pages = Pages::new(&ctx.api, call, List::EVENTS, None);
    let mut date = None;
    while let Some(page) = pages.next().await? {
        // The first page settles up to when all of them look.
        date = date.or(pages.date);
        for event in page.iter().filter(|event| seen.is_new(event)) {
            match ctx.out.format {
                Format::Table => ctx.out.line(&line(event))?,
                Format::Json | Format::Jsonl => ctx.out.json(event)?,
                Format::Id => ctx.out.line(&member(event, "event_id"))?,
            }
        }
        ctx.out.flush()?;
    }
    seen.looked(date);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-22T{text}Z").parse().unwrap()
    }

    fn event(id: &str, time: &str) -> Value {
        json!({"event_id": id, "event_time": format!("2026-11-22T{time}Z")})
    }

    #[test]
    fn an_event_is_shown_once_and_a_late_one_too() {
        let mut seen = Seen::since(at("12:00:00"), Duration::from_secs(60));
        assert_eq!(seen.from(), at("12:00:00"), "nothing before the beginning");
        assert!(seen.is_new(&event("a", "12:00:05")) && seen.is_new(&event("b", "12:03:00")));
        seen.looked(Some(at("12:03:10")));
        assert_eq!(seen.from(), at("12:02:09"));
        assert!(!seen.is_new(&event("b", "12:03:00")), "shown before");
        assert!(seen.is_new(&event("late", "12:02:30")), "late, and in the overlap");
        assert!(!seen.is_new(&event("late", "12:02:30")));
    }

    #[test]
    fn the_look_moves_on_when_nothing_comes_and_forgets_what_it_passed() {
        let mut seen = Seen::since(at("12:00:00"), Duration::from_secs(60));
        assert!(seen.is_new(&event("a", "12:00:05")));
        seen.looked(Some(at("12:00:06")));
        assert_eq!(seen.shown.len(), 1);
        seen.looked(Some(at("13:00:00")));
        assert_eq!((seen.from(), seen.shown.len()), (at("12:58:59"), 0));
        // A service whose clock is behind, or that does not say, moves nothing back.
        seen.looked(Some(at("12:30:00")));
        seen.looked(None);
        assert_eq!(seen.from(), at("12:58:59"));
    }

    #[test]
    fn without_a_date_the_latest_event_says_how_far_it_went() {
        let mut seen = Seen::since(at("12:00:00"), Duration::from_secs(60));
        assert!(seen.is_new(&event("a", "12:10:00")));
        seen.looked(None);
        assert_eq!(seen.from(), at("12:09:00"));
    }
}

//! A week of audit events: more by day than by night, and now and then somebody who may not.

use std::collections::HashMap;

use chrono::{DateTime, Datelike as _, Duration, Timelike as _, Utc};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::company::{DOCUMENTS, PEOPLE};
use crate::client::time::rfc3339;

const DAYS: i64 = 7;
/// Of one hour of a working day.
const BUSY: u32 = 24;

/// The events before `now`, oldest first. Their ids tell them apart, so that who is told them again stores them once.
pub(super) fn events(now: DateTime<Utc>, ids: &HashMap<&'static str, String>) -> Vec<Value> {
    let mut random = SmallRng::seed_from_u64(7);
    let mut events = Vec::new();
    for hour in (1..=24 * DAYS).rev() {
        let begin = now - Duration::hours(hour);
        for _ in 0..how_many(begin, &mut random) {
            let time = begin + Duration::milliseconds(random.random_range(0..3_600_000));
            events.push((time, event(&mut random, ids)));
        }
    }
    events.sort_by_key(|(time, _)| *time);
    let finish = |(at, (time, mut event)): (usize, (DateTime<Utc>, Value))| {
        event["id"] = json!(format!("demo-{at}"));
        event["event_time"] = json!(rfc3339(time));
        event
    };
    events.into_iter().enumerate().map(finish).collect()
}

fn how_many(hour: DateTime<Utc>, random: &mut SmallRng) -> u32 {
    let is_working = hour.weekday().num_days_from_monday() < 5 && (7..18).contains(&hour.hour());
    let most = if is_working { BUSY } else { 3 };
    random.random_range(most / 3..=most)
}

fn event(random: &mut SmallRng, ids: &HashMap<&'static str, String>) -> Value {
    let (name, _) = PEOPLE[random.random_range(0..PEOPLE.len())];
    let (document, folder, ..) = DOCUMENTS[random.random_range(0..DOCUMENTS.len())];
    let (action, status) = match random.random_range(0..100) {
        0..60 => ("document.read", "SUCCESS"),
        60..85 => ("document.write", "SUCCESS"),
        85..93 => ("document.share", "SUCCESS"),
        93..98 => ("document.read", "DENIED"),
        _ => ("document.write", "FAILURE"),
    };
    json!({
        "actor_id": ids.get(name).map_or(name, String::as_str), "actor_type": "user", "action": action,
        "resource_type": "document", "resource_id": document, "status": status,
        "source_ip": format!("10.0.{}.{}", random.random_range(0..4), random.random_range(2..250)),
        "details": {"folder": folder, "request_id": format!("{:08x}", random.random::<u32>())},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_the_same_each_time_in_order_and_no_event_is_in_the_future() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let all = events(now, &HashMap::new());
        assert_eq!(all, events(now, &HashMap::new()));
        let time = |event: &Value| event["event_time"].as_str().unwrap().to_owned();
        let times: Vec<_> = all.iter().map(time).collect();
        assert!(times.is_sorted());
        assert!(
            *times.last().unwrap() < rfc3339(now)
                && times[0] >= rfc3339(now - Duration::days(DAYS))
        );
        assert!((500..3000).contains(&all.len()), "{}", all.len());
    }
}

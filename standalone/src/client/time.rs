//! Times as people type them.

use chrono::{DateTime, Days, Duration, NaiveDate, NaiveTime, SecondsFormat, TimeZone, Utc};

/// What a time without a sign is counted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toward {
    /// `7d` is a week ago.
    Past,
    /// `7d` is in a week.
    Future,
}

/// What may be typed, for `--help` and errors.
pub(crate) const FORMS: &str =
    "RFC 3339, a date, now, today, yesterday, or relative: -24h, 7d ago, in 30m, 1h30m";

/// A time that was typed: RFC 3339, `2026-11-22`, `now`, `today`, `yesterday`, `tomorrow`, `-24h`, `7d ago`, `+30d`,
/// `in 30m` or, toward the past or the future, `7d`. Days begin where `now` is.
///
/// # Errors
/// What may be typed.
pub(crate) fn parse<Z: TimeZone>(
    text: &str,
    now: &DateTime<Z>,
    toward: Toward,
) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let day = |day: NaiveDate| {
        let midnight = day.and_time(NaiveTime::MIN);
        now.timezone().from_local_datetime(&midnight).earliest().map(|time| time.to_utc())
    };
    let today = now.date_naive();
    let named = match text {
        "now" => return Ok(now.to_utc()),
        "today" => Some(today),
        "yesterday" => today.checked_sub_days(Days::new(1)),
        "tomorrow" => today.checked_add_days(Days::new(1)),
        other => other.parse().ok(),
    };
    let time = match named {
        Some(named) => day(named),
        None => relative(text, toward).and_then(|by| now.to_utc().checked_add_signed(by)),
    };
    time.ok_or_else(|| format!("no time: {FORMS}"))
}

fn relative(text: &str, toward: Toward) -> Option<Duration> {
    if let Some(ahead) = text.strip_prefix('+').or_else(|| text.strip_prefix("in ")) {
        return duration(ahead);
    }
    let back = text.strip_prefix('-').or_else(|| text.strip_suffix("ago"));
    match (back, toward) {
        (Some(length), _) => duration(length).map(|by| -by),
        (None, Toward::Past) => duration(text).map(|by| -by),
        (None, Toward::Future) => duration(text),
    }
}

/// A length of time: `90s`, `15m`, `1h30m`, `7d`, `2w`, `500ms`, with or without spaces. A bare number has no unit and
/// is none.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::zero();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let behind = behind.trim_start();
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let number: i64 = number.parse().ok()?;
        let part = match unit {
            "ms" => Duration::try_milliseconds(number),
            "s" | "sec" | "second" | "seconds" => Duration::try_seconds(number),
            "m" | "min" | "minute" | "minutes" => Duration::try_minutes(number),
            "h" | "hour" | "hours" => Duration::try_hours(number),
            "d" | "day" | "days" => Duration::try_days(number),
            "w" | "week" | "weeks" => Duration::try_weeks(number),
            _ => None,
        };
        total = total.checked_add(&part?)?;
        rest = behind.trim_start();
    }
    Some(total)
}

/// A length of time that is waited, for clap; a bare number is seconds.
///
/// # Errors
/// What may be typed.
pub(crate) fn wait(text: &str) -> Result<std::time::Duration, String> {
    let whole = text.parse().ok().and_then(Duration::try_seconds);
    let length = whole.or_else(|| duration(text)).and_then(|length| length.to_std().ok());
    length.ok_or_else(|| "a length of time, as 30s, 15m, 1h30m or 7d".to_owned())
}

/// A time as it is sent.
pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, toward: Toward) -> String {
        let now = DateTime::parse_from_rfc3339("2026-11-22T01:30:00+02:00").unwrap();
        parse(text, &now, toward).map_or_else(|why| why, rfc3339)
    }

    #[test]
    fn times_are_read_as_people_type_them() {
        for (text, time) in [
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
            ("2026-11-20T10:00:00.5+01:00", "2026-11-20T09:00:00.500Z"),
            ("2026-11-20", "2026-11-19T22:00:00Z"),
            ("now", "2026-11-21T23:30:00Z"),
            ("today", "2026-11-21T22:00:00Z"),
            ("yesterday", "2026-11-20T22:00:00Z"),
            ("tomorrow", "2026-11-22T22:00:00Z"),
            ("-24h", "2026-11-20T23:30:00Z"),
            ("7d ago", "2026-11-14T23:30:00Z"),
            ("2 weeks ago", "2026-11-07T23:30:00Z"),
            ("1h30m", "2026-11-21T22:00:00Z"),
            ("+1d", "2026-11-22T23:30:00Z"),
            ("in 30m", "2026-11-22T00:00:00Z"),
        ] {
            assert_eq!(at(text, Toward::Past), time, "{text}");
        }
        assert_eq!(at("7d", Toward::Future), "2026-11-28T23:30:00Z");
        assert_eq!(at("-1h", Toward::Future), "2026-11-21T22:30:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_is() {
        for text in
            ["", "24", "h", "-", "12x", "1h-", "2026-13-01", "noon", "99999999999999999d", "é"]
        {
            assert!(at(text, Toward::Past).contains("RFC 3339"), "{text}");
        }
    }

    #[test]
    fn waits_have_a_unit_or_are_seconds() {
        let seconds = |text| wait(text).map(|wait| wait.as_secs_f64()).ok();
        assert_eq!(seconds("30"), Some(30.0));
        assert_eq!(seconds("500ms"), Some(0.5));
        assert_eq!(seconds("1m 30s"), Some(90.0));
        assert_eq!(seconds("-1"), None);
        assert_eq!(seconds("soon"), None);
    }
}

//! The functions that conditions have: a closed list of the interpreter's standard ones.

use cel::Env;
use cel::common::types::CelTimestamp;
use chrono::Utc;

/// How a function is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`
    Global,
    /// `x.f()`
    Member,
}

/// What the checker and the cost estimate need to know of a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Looks at its arguments once and returns a boolean or a number.
    Scan,
    /// As `Scan`, and returns what it is given as a string.
    ToString,
    /// A timestamp from a string or from seconds since 1970.
    Timestamp,
    /// A duration from a constant.
    Duration,
    /// A field of a timestamp or duration, with an optional time zone.
    Getter,
    /// A search for a constant pattern.
    Matches,
    /// `timestamp` in UTC; inserted by the checker, not to be written.
    Utc,
}

/// The name of [`Kind::Utc`], which no author can write.
pub(super) const UTC: &str = "@utc";

const GETTER_USAGE: &str = "x.getHours() or x.getHours('Europe/Paris')";

/// Name, style, least and most arguments, kind, usage.
const FUNCTIONS: [(&str, Style, usize, usize, Kind, &str); 23] = [
    ("size", Style::Global, 1, 1, Kind::Scan, "size(x) or x.size()"),
    ("size", Style::Member, 0, 0, Kind::Scan, "size(x) or x.size()"),
    ("contains", Style::Member, 1, 1, Kind::Scan, "x.contains(y)"),
    ("startsWith", Style::Member, 1, 1, Kind::Scan, "x.startsWith(y)"),
    ("endsWith", Style::Member, 1, 1, Kind::Scan, "x.endsWith(y)"),
    ("matches", Style::Member, 1, 1, Kind::Matches, "x.matches('pattern')"),
    ("bool", Style::Global, 1, 1, Kind::Scan, "bool(x)"),
    ("int", Style::Global, 1, 1, Kind::Scan, "int(x)"),
    ("double", Style::Global, 1, 1, Kind::Scan, "double(x)"),
    ("string", Style::Global, 1, 1, Kind::ToString, "string(x)"),
    ("timestamp", Style::Global, 1, 1, Kind::Timestamp, "timestamp(x)"),
    ("duration", Style::Global, 1, 1, Kind::Duration, "duration('1h30m')"),
    ("getFullYear", Style::Member, 0, 1, Kind::Getter, GETTER_USAGE),
    ("getMonth", Style::Member, 0, 1, Kind::Getter, GETTER_USAGE),
    ("getDayOfYear", Style::Member, 0, 1, Kind::Getter, GETTER_USAGE),
    ("getDayOfMonth", Style::Member, 0, 1, Kind::Getter, GETTER_USAGE),
    ("getDate", Style::Member, 0, 1, Kind::Getter, GETTER_USAGE),
    ("getDayOfWeek", Style::Member, 0, 1, Kind::Getter, GETTER_USAGE),
    ("getHours", Style::Member, 0, 1, Kind::Getter, GETTER_USAGE),
    ("getMinutes", Style::Member, 0, 1, Kind::Getter, GETTER_USAGE),
    ("getSeconds", Style::Member, 0, 1, Kind::Getter, GETTER_USAGE),
    ("getMilliseconds", Style::Member, 0, 1, Kind::Getter, GETTER_USAGE),
    (UTC, Style::Global, 1, 1, Kind::Utc, ""),
];

/// What is wrong with a call.
#[derive(Clone, Copy)]
pub(super) enum Refused {
    Unknown,
    Usage(&'static str),
}

/// The function that a call means.
pub(super) fn lookup(name: &str, style: Style, arguments: usize) -> Result<Kind, Refused> {
    let mut refused = Refused::Unknown;
    for (_, its_style, least, most, kind, usage) in FUNCTIONS.iter().filter(|f| f.0 == name) {
        if *its_style == style && (*least..=*most).contains(&arguments) {
            return Ok(*kind);
        }
        refused = Refused::Usage(usage);
    }
    Err(refused)
}

/// The kind of a function that the checker has let pass.
pub(super) fn kind(name: &str) -> Option<Kind> {
    FUNCTIONS.iter().find(|function| function.0 == name).map(|function| function.4)
}

/// The interpreter's standard functions, and [`UTC`].
pub(super) fn environment() -> Env {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    cel::add_overload!(env, fn utc: (CelTimestamp) -> CelTimestamp, name = UTC)
        .expect("the name is not one of the standard library");
    env
}

/// The same instant in UTC. Without a zone the specification counts hours in UTC, the interpreter
/// in the offset that the timestamp was written with, which the sender of `context` chooses.
fn utc(timestamp: &CelTimestamp) -> CelTimestamp {
    timestamp.inner().with_timezone(&Utc).fixed_offset().into()
}

/// Whether the whole text is a duration such as `-1h30m` or `1.5s`. The interpreter stops at the
/// first thing that it does not know, and would take `8h 30m` for eight hours.
pub(super) fn is_duration(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mut rest, mut parts) = (text, 0);
    while !rest.is_empty() {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if after.len() == rest.len() {
            return false;
        }
        let unit = ["ms", "us", "ns", "h", "m", "s"].iter().find_map(|u| after.strip_prefix(u));
        let Some(next) = unit else { return text == "0" };
        rest = next;
        parts += 1;
    }
    parts > 0
}

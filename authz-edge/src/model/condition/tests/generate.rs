//! Random conditions, mostly well-typed, from random bytes.

/// What an expression is meant to be.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Number,
    Text,
    List,
    Map,
    Time,
    Span,
}

use Kind::{Bool, List, Map, Number, Span, Text, Time};

/// Leaves of a kind, then forms whose places (`b n t l m i d`, for the kinds in the order above, in
/// braces) are filled in turn.
fn forms(kind: Kind) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        Bool => (
            &[
                "true",
                "false",
                "context.bool",
                "has(context.text)",
                "has(context.map.a)",
                "context.map.b",
            ],
            &[
                "({b} && {b})",
                "({b} || {b})",
                "!({b})",
                "({n} == {n})",
                "({n} < {n})",
                "({n} >= {n})",
                "({t} == {t})",
                "({t} != {t})",
                "({t} <= {t})",
                "({t} in {l})",
                "({n} in {l})",
                "({t} in {m})",
                "({l} == {l})",
                "({m} != {m})",
                "{l}.all(_x, {b})",
                "{l}.exists(_x, {b})",
                "{l}.exists_one(_y, {b})",
                "{m}.exists(_y, {b})",
                "({b} ? {b} : {b})",
                "{t}.startsWith({t})",
                "{t}.endsWith({t})",
                "{t}.contains({t})",
                "{t}.matches('^[a-c]|[0-9]+$')",
                "({i} > {i})",
                "({i} == {i})",
                "({d} <= {d})",
                "bool({t})",
                "has(({m}).a)",
                "({m}).b",
                "({l})[{n}]",
            ],
        ),
        Number => (
            &[
                "0",
                "1",
                "-1",
                "5",
                "5u",
                "0.5",
                "5.0",
                "1e308",
                "9223372036854775807",
                "-9223372036854775808",
                "context.int",
                "context.double",
                "context.list[0]",
                "context.map.a",
                "subject.properties.int",
                "_x",
                "_y",
            ],
            &[
                "({n} + {n})",
                "({n} - {n})",
                "({n} * {n})",
                "({n} / {n})",
                "({n} % {n})",
                "(-({n}))",
                "size({l})",
                "size({t})",
                "{m}.size()",
                "int({n})",
                "int({t})",
                "double({n})",
                "double({t})",
                "({b} ? {n} : {n})",
                "({l})[{n}]",
                "({m}).a",
                "({m})[{t}]",
                "{i}.getHours()",
                "{i}.getDayOfYear('-23:59')",
                "{i}.getFullYear({t})",
                "{i}.getDayOfWeek('Asia/Tokyo')",
                "{d}.getMinutes()",
                "{i}.getMilliseconds()",
                "int({i})",
            ],
        ),
        Text => (
            &[
                "''",
                "'a'",
                "'é'",
                "subject.id",
                "resource.type",
                "context.text",
                "resource.properties.text",
                "action.name",
                "context.list[0]",
                "'Europe/Paris'",
                "_x",
                "_y",
            ],
            &[
                "({t} + {t})",
                "string({n})",
                "string({t})",
                "string({i})",
                "string({d})",
                "({b} ? {t} : {t})",
                "({l})[{n}]",
            ],
        ),
        List => (
            &["[]", "['a', 1]", "[1, 5.0, 2u]", "context.list", "resource.properties.list", "_x"],
            &[
                "[{t}]",
                "[{n}, {n}]",
                "[{l}, {m}]",
                "({l} + {l})",
                "{l}.filter(_x, {b})",
                "{l}.map(_y, {n})",
                "{l}.map(_x, {t})",
                "{l}.map(_y, {b}, {l})",
                "({b} ? {l} : {l})",
            ],
        ),
        Map => (
            &[
                "{}",
                "{'a': 1}",
                "context.map",
                "resource.properties",
                "subject.properties.map",
                "_x",
            ],
            &["{'a': {n}}", "{{t}: {b}, 'c': {n}}", "{{n}: {l}}", "({b} ? {m} : {m})"],
        ),
        Time => (
            &[
                "timestamp(0)",
                "timestamp('0001-01-01T00:00:00Z')",
                "timestamp('9999-12-31T23:59:59.999Z')",
                "timestamp('2016-12-31T23:59:60+23:59')",
                "timestamp(context.text)",
            ],
            &["({i} + {d})", "({i} - {d})", "timestamp({n})", "timestamp({t})"],
        ),
        Span => (
            &["duration('1h')", "duration('-0.5s')", "duration('2562047h')", "duration('0')"],
            &["({d} + {d})", "({d} - {d})", "({i} - {i})"],
        ),
    }
}

const KINDS: [(&str, Kind); 7] = [
    ("{b}", Bool),
    ("{n}", Number),
    ("{t}", Text),
    ("{l}", List),
    ("{m}", Map),
    ("{i}", Time),
    ("{d}", Span),
];

/// A condition of at most that depth. `_x` and `_y` are bound by the macros in it, or by one around it,
/// or not at all.
pub(super) fn condition(bytes: &[u8], depth: usize) -> String {
    let mut bytes = bytes.iter().copied();
    let around = bytes.next().unwrap_or(0) % 3;
    let body = expression(Bool, depth, &mut bytes);
    match around {
        1 => format!("[1, 'a'].exists(_x, {body})"),
        2 => format!("context.list.all(_y, {body})"),
        _ => body,
    }
}

fn expression(kind: Kind, depth: usize, bytes: &mut impl Iterator<Item = u8>) -> String {
    let mut choose = |among: usize| usize::from(bytes.next().unwrap_or(0)) % among;
    // Now and then of another kind than what is around it wants.
    let kind = if choose(24) == 1 { KINDS[choose(KINDS.len())].1 } else { kind };
    let (leaves, composed) = forms(kind);
    if depth == 0 || choose(5) == 0 {
        return leaves[choose(leaves.len())].to_owned();
    }
    let mut rest = composed[choose(composed.len())];
    let mut text = String::new();
    while let Some((at, kind)) = next_place(rest) {
        text.push_str(&rest[..at]);
        text.push_str(&expression(kind, depth - 1, bytes));
        rest = &rest[at + 3..];
    }
    text + rest
}

fn next_place(form: &str) -> Option<(usize, Kind)> {
    KINDS
        .iter()
        .filter_map(|(place, kind)| Some((form.find(place)?, *kind)))
        .min_by_key(|(at, _)| *at)
}

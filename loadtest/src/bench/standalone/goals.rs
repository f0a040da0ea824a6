//! The figures of the one process, and what each is to reach.

use crate::bench::goals::{Goal, goal};

pub(in crate::bench) static GOALS: [Goal; 8] = [
    goal(
        "standalone.start_ms",
        500.0,
        false,
        "ms",
        "from the start of the process, on an empty folder, to the answer of a check",
    ),
    goal("standalone.idle_mib", 60.0, false, "MiB", "resident memory of an idle process"),
    goal(
        "standalone.accepts_per_second",
        50_000.0,
        true,
        "1/s",
        "audit events accepted/s over HTTP in batches of 100, synced before the answer",
    ),
    goal(
        "standalone.accept_ratio",
        0.5,
        true,
        "ratio",
        "the same ÷ a loop that writes and syncs as many such rows to the bare store",
    ),
    goal(
        "standalone.hot_ratio",
        0.85,
        true,
        "ratio",
        "hot checks/s ÷ a bare hyper server that reads and answers the same bytes",
    ),
    goal("standalone.reopen_seconds", 3.0, false, "s", "opening 10 M stored events after kill -9"),
    goal(
        "standalone.range_p99_ms",
        20.0,
        false,
        "ms",
        "p99 of the first 100 events of a range, with 10 M stored",
    ),
    goal(
        "standalone.loaded_mib",
        512.0,
        false,
        "MiB",
        "resident memory while events are accepted at full load",
    ),
];

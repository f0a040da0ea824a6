//! Events: from Kafka to Cassandra, and back to whoever asks.

use super::{http, limits, most, quantile, rate, times, total};
use crate::grafana::{Dashboard, Panel, Row, Unit};

pub(super) fn board() -> Dashboard {
    Dashboard {
        uid: "triad-ingest",
        title: "Triad / ingest",
        help: "Audit events: whether they come through, how late, and what becomes of those that do not.",
        found_by: "triad_ingest_rows_total",
        rows: vec![through(), writing(), bad(), reading(), http("ingest"), limits("ingest")],
    }
}

fn through() -> Row {
    Row {
        title: "Through",
        panels: vec![
            records(),
            behind(),
            times(
                Panel::lines(
                    "From timestamp to stored",
                    Unit::Seconds,
                    "Of records that were stored. The objective is half a minute for 99 of 100.",
                ),
                "triad_ingest_end_to_end_lag_seconds",
                "",
            ),
            Panel::lines(
                "Events over HTTP",
                Unit::PerSecond,
                "By outcome: unknown means that the caller sends them again.",
            )
            .ask("{{outcome}}", rate("triad_ingest_http_events_total", "", "outcome")),
        ],
    }
}

fn writing() -> Row {
    Row {
        title: "Writing",
        panels: vec![
            write_time(),
            Panel::lines("Rows in a batch", Unit::Count, "Large batches are cheap ones; small ones mean that little comes.")
                .ask("half are below", quantile(0.5, "triad_ingest_batch_rows", "", ""))
                .ask("99 % are below", quantile(0.99, "triad_ingest_batch_rows", "", "")),
            Panel::lines("Memory under way", Unit::Bytes, "Bytes between Kafka and Cassandra, and rows that the index does not name yet. Both are bounded; at the bound reading pauses.")
                .ask("under way {{instance}}", total("triad_ingest_in_flight_bytes", "", "instance"))
                .ask("wait for the index {{instance}}", total("triad_ingest_index_waiting_bytes", "", "instance")),
            retries(),
        ],
    }
}

fn bad() -> Row {
    Row {
        title: "What ends otherwise",
        panels: vec![
            Panel::stack("Dead letters by reason", Unit::PerSecond, "Records that break a rule; `ingest dlq list` shows them.")
                .ask("{{reason}}", rate("triad_ingest_dead_letters_total", "", "reason")),
            Panel::lines("Repeats and conflicts", Unit::PerSecond, "Redelivered rows are harmless. A conflict is one id with two contents: a producer's mistake.")
                .ask("redelivered", rate("triad_ingest_redelivered_total", "", "job"))
                .ask("conflicts", rate("triad_ingest_conflicts_total", "", "job")),
            Panel::lines("Partitions above their size", Unit::PerSecond, "Cassandra partitions that grew beyond layout.partition_rows. The tenant is promoted to a finer layout.")
                .ask("oversized", rate("triad_ingest_oversized_partitions_total", "", "job")),
            Panel::lines("Commits", Unit::PerSecond, "Of offsets, by outcome.").ask("{{outcome}}", rate("triad_ingest_commits_total", "", "outcome")),
        ],
    }
}

fn reading() -> Row {
    Row {
        title: "Reading",
        panels: vec![
            page_time(),
            unread(),
            Panel::lines(
                "Rows read and returned",
                Unit::PerSecond,
                "Far more read than returned: filters that the index does not help.",
            )
            .ask("read", rate("triad_ingest_query_examined_rows_total", "", "job"))
            .ask("returned", rate("triad_ingest_query_returned_rows_total", "", "job")),
            Panel::lines(
                "Kafka partitions of each process",
                Unit::Count,
                "Their sum is the topic's number; 0 means that a process has nothing to do.",
            )
            .ask("{{instance}}", most("triad_ingest_assigned_partitions", "", "instance")),
        ],
    }
}

/// What becomes of records.
pub(super) fn records() -> Panel {
    Panel::stack("Records by outcome", Unit::PerSecond, "Every record ends as a row, a dead letter, or expired. The three together are what was read.")
        .ask("{{outcome}}", rate("triad_ingest_rows_total", "", "outcome"))
}

/// What Kafka holds for us.
pub(super) fn behind() -> Panel {
    Panel::lines(
        "Records behind",
        Unit::Count,
        "What waits in Kafka, by process. It rises when less is stored than comes.",
    )
    .ask("{{instance}}", total("triad_ingest_consumer_lag_records", "", "instance"))
}

/// How long Cassandra takes to write.
pub(super) fn write_time() -> Panel {
    times(
        Panel::lines(
            "Time of a batch write",
            Unit::Seconds,
            "Of those that succeeded. It is Cassandra's time.",
        ),
        "triad_ingest_write_seconds",
        "",
    )
}

/// What Cassandra did not take.
pub(super) fn retries() -> Panel {
    Panel::lines(
        "Writes tried again, pauses",
        Unit::PerSecond,
        "Retries by error, and how often back-pressure stopped reading.",
    )
    .ask("again: {{error}}", rate("triad_ingest_retries_total", "", "error"))
    .ask("paused", rate("triad_ingest_pauses_total", "", "job"))
}

/// How long Cassandra takes to read.
pub(super) fn page_time() -> Panel {
    times(
        Panel::lines("Time of a page", Unit::Seconds, "Of range queries, exports included."),
        "triad_ingest_query_page_seconds",
        "",
    )
}

/// What Cassandra did not answer.
pub(super) fn unread() -> Panel {
    Panel::lines(
        "Reads without an answer",
        Unit::PerSecond,
        "By error. busy: as many reads as may be wait already; stale: the layouts could not be read.",
    )
    .ask("{{error}}", rate("triad_ingest_query_errors_total", "", "error"))
}

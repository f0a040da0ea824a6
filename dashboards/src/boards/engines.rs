//! The engines as our side sees them: what each takes, refuses, and how long it makes us wait.

use super::{most, of, quantile, rate, times};
use crate::grafana::{Dashboard, Panel, Row, Unit};

pub(super) fn board() -> Dashboard {
    Dashboard {
        uid: "triad-engines",
        title: "Triad / Engines",
        help: "Kafka, Cassandra, Dgraph and MySQL as Triad sees them. When one of them is slow, it shows here first.",
        found_by: "up",
        rows: vec![cassandra(), kafka(), dgraph(), mysql()],
    }
}

fn cassandra() -> Row {
    Row {
        title: "Cassandra",
        panels: vec![
            times(
                Panel::lines("Time of a batch write", Unit::Seconds, "Of writes that succeeded."),
                "triad_ingest_write_seconds",
                "",
            ),
            times(
                Panel::lines("Time of a page", Unit::Seconds, "Of range queries."),
                "triad_ingest_query_page_seconds",
                "",
            ),
            Panel::lines("Writes tried again", Unit::PerSecond, "By error.")
                .ask("{{error}}", rate("triad_ingest_retries_total", "", "error")),
            Panel::lines("Reads without an answer", Unit::PerSecond, "By error.")
                .ask("{{error}}", rate("triad_ingest_query_errors_total", "", "error")),
        ],
    }
}

fn kafka() -> Row {
    Row {
        title: "Kafka",
        panels: vec![
            Panel::lines("Records behind", Unit::Count, "What waits for ingest.")
                .ask("records", format!("sum({})", of("triad_ingest_consumer_lag_records", ""))),
            Panel::lines(
                "From commit to Kafka",
                Unit::Seconds,
                "Of identity changes, for 99 of 100, by topic.",
            )
            .ask("{{topic}}", quantile(0.99, "triad_identity_relay_lag_seconds", "", "topic")),
            Panel::lines(
                "From commit to fence",
                Unit::Seconds,
                "Of changes of the graph, for 99 of 100.",
            )
            .ask("99 % are below", quantile(0.99, "triad_authz_relay_lag_seconds", "", "")),
            Panel::lines(
                "Not taken at once",
                Unit::PerSecond,
                "Audit events and rounds of the relay that Kafka did not take.",
            )
            .ask("audit events of permissions", rate("triad_authz_audit_retries_total", "", "job"))
            .ask(
                "identity changes: {{reason}}",
                rate("triad_identity_unpublished_total", "", "reason"),
            )
            .ask("dead letters", rate("triad_ingest_dead_letter_retries_total", "", "job")),
        ],
    }
}

fn dgraph() -> Row {
    Row {
        title: "Dgraph",
        panels: vec![
            Panel::lines("Time of requests", Unit::Seconds, "By kind, for 99 of 100.")
                .ask("{{kind}}", quantile(0.99, "triad_authz_graph_seconds", "", "kind")),
            Panel::stack("Requests", Unit::PerSecond, "By kind and outcome.").ask(
                "{{kind}} {{outcome}}",
                rate("triad_authz_graph_requests_total", "", "kind, outcome"),
            ),
            Panel::lines(
                "Transactions that lost",
                Unit::PerSecond,
                "Against another; they are tried again.",
            )
            .ask("lost", rate("triad_authz_graph_conflicts_total", "", "job")),
        ],
    }
}

fn mysql() -> Row {
    Row {
        title: "MySQL",
        panels: vec![
            times(
                Panel::lines(
                    "Time of a mutation",
                    Unit::Seconds,
                    "Of transactions, tries and waits included.",
                ),
                "triad_identity_mutation_seconds",
                "",
            ),
            Panel::lines(
                "Transactions tried again",
                Unit::PerSecond,
                "By reason: deadlock, lost connection, unknown outcome.",
            )
            .ask("{{reason}}", rate("triad_identity_retries_total", "", "reason")),
            Panel::lines("Connections in use", Unit::Count, "By process.").ask(
                "{{instance}}",
                most("triad_identity_connections", "state=\"used\"", "instance"),
            ),
            Panel::lines(
                "Nobody's turn",
                Unit::PerSecond,
                "Requests that got no connection in time; each is a 503.",
            )
            .ask("refused", rate("triad_identity_saturated_total", "", "job")),
        ],
    }
}

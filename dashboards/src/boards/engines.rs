//! The engines as our side sees them: what each takes, refuses, and how long it makes us wait.

use super::{authz, identity, ingest, quantile, rate};
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
            ingest::write_time(),
            ingest::page_time(),
            ingest::retries(),
            ingest::unread(),
        ],
    }
}

fn kafka() -> Row {
    Row {
        title: "Kafka",
        panels: vec![
            ingest::behind(),
            identity::relay_lag(),
            authz::fence_lag(),
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
            authz::conflicts(),
        ],
    }
}

fn mysql() -> Row {
    Row {
        title: "MySQL",
        panels: vec![
            identity::mutation_time(),
            Panel::lines(
                "Transactions tried again",
                Unit::PerSecond,
                "By reason: deadlock, lost connection, unknown outcome.",
            )
            .ask("{{reason}}", rate("triad_identity_retries_total", "", "reason")),
            identity::connections(),
            Panel::lines(
                "Nobody's turn",
                Unit::PerSecond,
                "Requests that got no connection in time; each is a 503.",
            )
            .ask("refused", rate("triad_identity_saturated_total", "", "job")),
        ],
    }
}

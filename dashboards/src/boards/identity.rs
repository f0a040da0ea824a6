//! Identities: changes, tokens, log-ins.

use super::{http, limits, most, quantile, rate, times, total};
use crate::grafana::{Dashboard, Panel, Row, Unit};

pub(super) fn board() -> Dashboard {
    Dashboard {
        uid: "triad-identity-admin",
        title: "Triad / identity-admin",
        help: "Users, teams and tokens: whether changes are made, and whether others hear of them.",
        found_by: "triad_identity_relay_leads",
        rows: vec![changes(), telling(), people(), http("identity"), limits("identity")],
    }
}

fn changes() -> Row {
    Row {
        title: "Changes",
        panels: vec![
            mutations(),
            mutation_time(),
            times(
                Panel::lines(
                    "Wait for a connection",
                    Unit::Seconds,
                    "It rises when the pool is too small, or MySQL is slow.",
                ),
                "triad_identity_acquire_seconds",
                "",
            ),
            connections(),
        ],
    }
}

fn telling() -> Row {
    Row {
        title: "Telling others",
        panels: vec![
            Panel::lines("Age of the outbox", Unit::Seconds, "The oldest row that Kafka does not have; what is set aside is not counted.")
                .ask("age", most("triad_identity_outbox_age_seconds", "", "job")),
            Panel::lines("Rows that wait", Unit::Count, "Counted up to 10 000. What is set aside is larger than Kafka takes: a change among it pages, an audit event is a ticket.")
                .ask("rows", most("triad_identity_outbox_depth", "", "job"))
                .ask("set aside: {{topic}}", most("triad_identity_outbox_parked", "", "topic")),
            relay_lag(),
            Panel::lines("Who relays", Unit::Count, "1 at the replica that holds the lease. None for a minute pages; two at once cannot publish.")
                .ask("{{instance}}", most("triad_identity_relay_leads", "", "instance")),
        ],
    }
}

fn people() -> Row {
    Row {
        title: "Tokens and people",
        panels: vec![
            Panel::stack("Requests for tokens", Unit::PerSecond, "By outcome.").ask("{{outcome}}", rate("triad_identity_tokens_total", "", "outcome")),
            times(
                Panel::lines("Time of a token", Unit::Seconds, "Its audit event stored."),
                "triad_identity_token_seconds",
                "",
            ),
            Panel::stack("Log-ins", Unit::PerSecond, "By outcome. Many wrong ones: somebody guesses.").ask("{{outcome}}", rate("triad_identity_logins_total", "", "outcome")),
            Panel::lines("Passwords that are hashed or wait", Unit::Count, "Each takes a core for some ten milliseconds. Beyond the bound they are refused with 503.")
                .ask("{{instance}}", total("triad_identity_password_queue", "", "instance")),
        ],
    }
}

/// What becomes of mutations.
pub(super) fn mutations() -> Panel {
    Panel::stack("Mutations by outcome", Unit::PerSecond, "repeated: the Idempotency-Key was answered before. refused: the caller's mistake. failed: ours.")
        .ask("{{outcome}}", rate("triad_identity_mutations_total", "", "outcome"))
}

/// How long MySQL takes for them.
pub(super) fn mutation_time() -> Panel {
    times(
        Panel::lines(
            "Time of a mutation",
            Unit::Seconds,
            "From the first statement to the commit, tries and waits included.",
        ),
        "triad_identity_mutation_seconds",
        "",
    )
}

/// What is open to MySQL.
pub(super) fn connections() -> Panel {
    Panel::stack(
        "Connections to MySQL",
        Unit::Count,
        "By state. All used: requests wait, and are refused at last.",
    )
    .ask("{{state}}", total("triad_identity_connections", "", "state"))
}

/// How late Kafka hears of them.
pub(super) fn relay_lag() -> Panel {
    let lag = "triad_identity_relay_lag_seconds";
    Panel::lines("From commit to Kafka", Unit::Seconds, "Of changes and audit events.")
        .ask("half of {{topic}} are below", quantile(0.5, lag, "", "topic"))
        .ask("99 % of {{topic}} are below", quantile(0.99, lag, "", "topic"))
}

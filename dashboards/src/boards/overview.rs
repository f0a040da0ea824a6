//! For whoever is called first.

use super::{authz, identity, ingest, of, process, quantile};
use crate::grafana::{Dashboard, Panel, Row, Unit};
use crate::objectives;
use crate::slo::ratio;

pub(super) fn board() -> Dashboard {
    Dashboard {
        uid: "triad-overview",
        title: "Triad / Overview",
        help: "Whether callers get what they were promised, and where to look if not.",
        found_by: "up",
        rows: vec![promises(), burning(), traffic(), process()],
    }
}

/// What is left of each objective.
fn promises() -> Row {
    let up = Panel::now(
        "Processes that do not answer",
        Unit::Count,
        (1.0, 2.0),
        "Of those that Prometheus is told to ask.",
    )
    .ask("down", format!("count({} == 0) or vector(0)", of("up", "")));
    let late = Panel::now(
        "Changes unknown to an edge",
        Unit::Seconds,
        (5.0, 30.0),
        "How long a revocation may go unseen: the age of the oldest watermark.",
    )
    .ask("age", format!("max({})", of("triad_authz_watermark_age_seconds", "")));
    let lag = Panel::now(
        "Events that wait in Kafka",
        Unit::Count,
        (10_000.0, 1_000_000.0),
        "Records behind the end of the log.",
    )
    .ask("records", format!("sum({})", of("triad_ingest_consumer_lag_records", "")));
    let outbox = Panel::now(
        "Oldest unpublished identity change",
        Unit::Seconds,
        (5.0, 30.0),
        "Revocations of sessions and members wait with it.",
    )
    .ask("age", format!("max({})", of("triad_identity_outbox_age_seconds", "")));
    Row { title: "Now", panels: vec![up, late, outbox, lag] }
}

fn burning() -> Row {
    let budgets = objectives::all().into_iter().map(|objective| {
        let panel = Panel::lines(objective.says, Unit::Count, "How fast the error budget burns: at 1 it lasts for thirty days, at 14.4 somebody is paged within minutes.");
        ["1h", "6h"].into_iter().fold(panel, |panel, window| {
            let legend = if window == "1h" { "over an hour" } else { "over six hours" };
            panel.ask(legend, format!("{} / {}", ratio(objective.name, window), objective.budget()))
        })
    });
    Row { title: "Burn of error budgets", panels: budgets.collect() }
}

fn traffic() -> Row {
    let duration = "triad_authz_http_request_duration_seconds";
    let time = Panel::lines("Time of checks", Unit::Seconds, "Cached and not, as callers see it.")
        .ask("half are below", quantile(0.5, duration, "route=~\".*/check\"", ""))
        .ask("99 % are below", quantile(0.99, duration, "route=~\".*/check\"", ""));
    let panels = vec![authz::results(), time, ingest::records(), identity::mutations()];
    Row { title: "Traffic", panels }
}

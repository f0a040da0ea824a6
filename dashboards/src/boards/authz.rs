//! Decisions: how fast, how fresh, from where.

use super::{http, limits, most, of, quantile, rate, times, total};
use crate::grafana::{Dashboard, Panel, Row, Unit};

pub(super) fn board() -> Dashboard {
    Dashboard {
        uid: "triad-authz-edge",
        title: "Triad / authz-edge",
        help: "Permission checks: how fast they are, how fresh, and what they cost the graph.",
        found_by: "triad_authz_checks_total",
        rows: vec![checks(), fresh(), cache(), graph(), envoy(), http("authz"), limits("authz")],
    }
}

fn checks() -> Row {
    let all = format!("sum(rate({}[$__rate_interval]))", of("triad_authz_checks_total", ""));
    let cached = format!(
        "sum(rate({}[$__rate_interval]))",
        of("triad_authz_checks_total", "source=\"decision\"")
    );
    Row {
        title: "Checks",
        panels: vec![
            results(),
            Panel::stack(
                "Checks by source",
                Unit::PerSecond,
                "decision: cached whole; views: made from cached views; graph: Dgraph was asked.",
            )
            .ask("{{source}}", rate("triad_authz_checks_total", "", "source")),
            Panel::lines(
                "Answered from cached decisions",
                Unit::Ratio,
                "The hit ratio. It falls after a restart and after large changes, and comes back.",
            )
            .ask("hits", format!("{cached} / {all}")),
            times(
                Panel::lines(
                    "Time of other checks",
                    Unit::Seconds,
                    "Of those that no cached decision answered.",
                ),
                "triad_authz_check_seconds",
                "",
            ),
        ],
    }
}

fn fresh() -> Row {
    Row {
        title: "Freshness",
        panels: vec![
            Panel::lines("Age of the watermark", Unit::Seconds, "How long a revocation may go unseen by each edge. Beyond the life of entries it asks the graph.")
                .ask("{{instance}}", most("triad_authz_watermark_age_seconds", "", "instance")),
            Panel::lines("Identity changes behind", Unit::Seconds, "How long a change of users or teams may have waited.")
                .ask("behind", most("triad_authz_sync_lag_seconds", "", "job")),
            Panel::lines("Age of the graph's outbox", Unit::Seconds, "The oldest change whose fences, or audit events, are not published.")
                .ask("{{stage}}", most("triad_authz_outbox_age_seconds", "", "stage")),
            Panel::lines("Changes that stand still", Unit::Count, "Changes that are set aside, and tenants whose identity changes have a gap. Both need a person.")
                .ask("set aside", most("triad_authz_outbox_pending", "stage=\"aside\"", "job"))
                .ask("tenants with a gap", most("triad_authz_sync_stopped_tenants", "", "job")),
        ],
    }
}

fn cache() -> Row {
    Row {
        title: "Cache",
        panels: vec![
            Panel::stack("Entries", Unit::Count, "By kind.")
                .ask("{{kind}}", total("triad_authz_cache_entries", "", "kind")),
            Panel::stack(
                "Weight",
                Unit::Bytes,
                "By kind; bounded by cache.* of the configuration.",
            )
            .ask("{{kind}}", total("triad_authz_cache_weight_bytes", "", "kind")),
            Panel::lines(
                "Void entries",
                Unit::PerSecond,
                "By reason: life (too old), fence (a change), cleared (everything).",
            )
            .ask("{{reason}}", rate("triad_authz_invalidations_total", "", "reason")),
            Panel::lines(
                "Evicted for room",
                Unit::PerSecond,
                "By kind. Half as many as there are checks: the cache is too small.",
            )
            .ask("{{kind}}", rate("triad_authz_cache_evictions_total", "", "kind")),
        ],
    }
}

fn graph() -> Row {
    Row {
        title: "The graph",
        panels: vec![
            Panel::lines(
                "Reads under way",
                Unit::Count,
                "Of cache.fills that may be. At the bound checks wait.",
            )
            .ask("{{instance}}", total("triad_authz_fills_in_progress", "", "instance")),
            Panel::lines("Writes", Unit::PerSecond, "By outcome.")
                .ask("{{outcome}}", rate("triad_authz_writes_total", "", "outcome")),
            conflicts(),
            Panel::lines(
                "Decisions audited",
                Unit::PerSecond,
                "Audit events of checks, by outcome. Dropped ones are lost: the queue was full.",
            )
            .ask("{{outcome}}", rate("triad_authz_decision_audit_total", "", "outcome")),
        ],
    }
}

fn envoy() -> Row {
    Row {
        title: "Envoy",
        panels: vec![
            Panel::stack(
                "Requests of Envoy",
                Unit::PerSecond,
                "Over gRPC and HTTP, by result. Errors let nobody through; what no route maps is denied.",
            )
            .ask("{{result}}", rate("triad_authz_ext_authz_total", "", "result")),
            times(
                Panel::lines(
                    "Time of Envoy's requests",
                    Unit::Seconds,
                    "Whatever their result. At ext_authz.deadline_ms they end as errors.",
                ),
                "triad_authz_ext_authz_seconds",
                "",
            ),
        ],
    }
}

/// What checks say.
pub(super) fn results() -> Panel {
    Panel::stack("Checks by result", Unit::PerSecond, "Errors grant nothing.")
        .ask("{{result}}", rate("triad_authz_checks_total", "", "result"))
}

/// Where writers of the graph meet.
pub(super) fn conflicts() -> Panel {
    Panel::lines(
        "Transactions that lost",
        Unit::PerSecond,
        "Against another; they are tried again. Many mean that writers meet.",
    )
    .ask("lost", rate("triad_authz_graph_conflicts_total", "", "job"))
}

/// How late edges hear of changes of the graph.
pub(super) fn fence_lag() -> Panel {
    Panel::lines(
        "From commit to fence",
        Unit::Seconds,
        "Of changes of the graph, for 99 of 100: how long until edges are told.",
    )
    .ask("99 % are below", quantile(0.99, "triad_authz_relay_lag_seconds", "", ""))
}

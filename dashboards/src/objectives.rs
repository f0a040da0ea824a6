//! What is promised to callers, and how it is measured.

use crate::prometheus::Series;
use crate::slo::{Objective, World};

/// Checks over HTTP. Envoy's have metrics of their own, whether they come over gRPC or HTTP.
const CHECKS: &str = "route=~\".*/(check|check/batch|evaluation|evaluations)\"";
const CHECK_SECONDS: &str = "triad_authz_http_request_duration_seconds";
const ENVOY: &str = "triad_authz_ext_authz_total";
const ENVOY_SECONDS: &str = "triad_authz_ext_authz_seconds";
const ACCEPTED: &str = "route=\"/v1/tenants/{tenant}/audit\",method=\"POST\"";
const LAG: &str = "triad_ingest_end_to_end_lag_seconds";

/// Every objective.
#[must_use]
pub fn all() -> Vec<Objective> {
    vec![
        checks_availability(),
        checks_latency(),
        events_availability(),
        events_freshness(),
        identity_availability(),
    ]
}

fn checks_availability() -> Objective {
    let check = "route=\"/v1/tenants/{tenant}/check\", method=\"POST\"";
    let envoy = |bad: u32| {
        let series = |result: &str, each: u32| steady(ENVOY, &format!("result=\"{result}\""), each);
        vec![series("allow", EACH - bad), series("error", bad)]
    };
    let failed_for_envoy = or_none(&rate(ENVOY, "result=\"error\""));
    Objective {
        name: "checks-availability",
        says: "99.95 % of checks are answered",
        target: 0.9995,
        bad: format!("({} + {failed_for_envoy})", failed(&requests("authz"), CHECKS)),
        all: format!(
            "({} + {})",
            or_none(&rate(&requests("authz"), CHECKS)),
            or_none(&rate(ENVOY, ""))
        ),
        runbook: "slo-checks",
        worlds: vec![
            burns(FIRES, answered("authz", check, 60)),
            burns("fires on those of Envoy", envoy(60)),
            keeps([answered("authz", check, 1), envoy(1)].concat()),
        ],
    }
}

fn checks_latency() -> Objective {
    let check = "route=\"/v1/tenants/{tenant}/check\", method=\"POST\"";
    let (of_checks, of_envoy) =
        (format!("{CHECK_SECONDS}_count"), format!("{ENVOY_SECONDS}_count"));
    let timed = |metric: &str, of: &str, slow: u32| timed(metric, of, &quick(), slow);
    Objective {
        name: "checks-latency",
        says: "99 % of checks are answered within about 10 ms",
        target: 0.99,
        bad: format!(
            "({} + {})",
            or_none(&slower(CHECK_SECONDS, CHECKS, &quick())),
            or_none(&slower(ENVOY_SECONDS, "", &quick()))
        ),
        all: format!(
            "({} + {})",
            or_none(&rate(&of_checks, CHECKS)),
            or_none(&rate(&of_envoy, ""))
        ),
        runbook: "slo-checks",
        worlds: vec![
            burns(FIRES, timed(CHECK_SECONDS, check, 1200)),
            burns("fires on those of Envoy", timed(ENVOY_SECONDS, "", 1200)),
            keeps([timed(CHECK_SECONDS, check, 30), timed(ENVOY_SECONDS, "", 30)].concat()),
        ],
    }
}

fn events_availability() -> Objective {
    let post = "route=\"/v1/tenants/{tenant}/audit\", method=\"POST\"";
    Objective {
        name: "events-availability",
        says: "99.9 % of requests that bring events are answered",
        target: 0.999,
        bad: failed(&requests("ingest"), ACCEPTED),
        all: rate(&requests("ingest"), ACCEPTED),
        runbook: "slo-events",
        worlds: vec![
            burns(FIRES, answered("ingest", post, 120)),
            keeps(answered("ingest", post, 2)),
        ],
    }
}

fn events_freshness() -> Objective {
    Objective {
        name: "events-freshness",
        says: "99 % of events are stored within half a minute",
        target: 0.99,
        bad: slower(LAG, "", &soon()),
        all: rate(&format!("{LAG}_count"), ""),
        runbook: "slo-events",
        worlds: vec![
            burns(FIRES, timed(LAG, "", &soon(), 1200)),
            keeps(timed(LAG, "", &soon(), 30)),
        ],
    }
}

fn identity_availability() -> Objective {
    let tenants = "route=\"/v1/tenants\", method=\"POST\"";
    Objective {
        name: "identity-availability",
        says: "99.9 % of requests to identity-admin are answered",
        target: 0.999,
        bad: failed(&requests("identity"), ""),
        all: rate(&requests("identity"), ""),
        runbook: "slo-identity",
        worlds: vec![
            burns(FIRES, answered("identity", tenants, 120)),
            keeps(answered("identity", tenants, 2)),
        ],
    }
}

fn requests(service: &str) -> String {
    format!("triad_{service}_http_requests_total")
}

/// The bound of a bucket, the first that is not below `seconds`, as the exporter writes it; `+Inf` behind the last.
fn bound(buckets: &[(&str, Vec<f64>)], names: &str, seconds: f64) -> String {
    let bounds = buckets.iter().filter(|(of, _)| *of == names).flat_map(|(_, bounds)| bounds);
    let bound = bounds.copied().find(|bound| *bound >= seconds);
    bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string())
}

/// What counts as quick for a check: a hundredth of a second, as near as buckets are.
fn quick() -> String {
    bound(&authz_edge::metrics::buckets(), "triad_authz_", 0.01)
}

/// What counts as soon for an event: half a minute.
fn soon() -> String {
    bound(&ingest::metrics::buckets(), "triad_ingest_", 28.0)
}

fn rate(metric: &str, of: &str) -> String {
    format!("sum(rate({metric}{{{of}}}[{{w}}]))")
}

/// None is none.
fn or_none(expr: &str) -> String {
    format!("({expr} or vector(0))")
}

/// Of those requests, the ones whose status says that it is our fault.
fn failed(metric: &str, of: &str) -> String {
    or_none(&rate(metric, &labels(of, "status=~\"5..\"")))
}

/// Those that took longer.
fn slower(metric: &str, of: &str, le: &str) -> String {
    let within = rate(&format!("{metric}_bucket"), &labels(of, &format!("le=\"{le}\"")));
    format!("({} - {within})", rate(&format!("{metric}_count"), of))
}

fn labels(of: &str, more: &str) -> String {
    let all = [of, more].into_iter().filter(|labels| !labels.is_empty());
    all.collect::<Vec<_>>().join(",")
}

/// What comes each minute in a world.
const EACH: u32 = 6000;
const FIRES: &str = "fires";

fn burns(how: &'static str, series: Vec<Series>) -> World {
    World { how, series, burns: true }
}

fn keeps(series: Vec<Series>) -> World {
    World { how: "stays quiet", series, burns: false }
}

fn steady(metric: &str, of: &str, each: u32) -> Series {
    Series { series: format!("{metric}{{{of}}}"), values: format!("0+{each}x120") }
}

/// Requests, so many of which are answered with 503.
fn answered(service: &str, of: &str, bad: u32) -> Vec<Series> {
    let series = |status: u32, each: u32| {
        steady(&requests(service), &labels(of, &format!("status=\"{status}\"")), each)
    };
    vec![series(200, EACH - bad), series(503, bad)]
}

/// What took a time, so many of which took longer than `le`.
fn timed(metric: &str, of: &str, le: &str, slow: u32) -> Vec<Series> {
    let within = labels(of, &format!("le=\"{le}\""));
    vec![
        steady(&format!("{metric}_count"), of, EACH),
        steady(&format!("{metric}_bucket"), &within, EACH - slow),
    ]
}

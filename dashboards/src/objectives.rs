//! What is promised to callers, and how it is measured.

use crate::alerts::annotations;
use crate::prometheus::{Expected, Firing, Series, Test};
use crate::slo::Objective;

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

/// Of those requests, the ones whose status says that it is our fault; none is none.
fn failed(metric: &str, of: &str) -> String {
    format!("({} or vector(0))", rate(metric, &labels(of, "status=~\"5..\"")))
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

/// Every objective.
#[must_use]
pub fn all() -> Vec<Objective> {
    const CHECKS: &str = "route=~\".*/(check|check/batch|evaluation|evaluations)\"";
    let requests = |service: &str| format!("triad_{service}_http_requests_total");
    let checks = "triad_authz_http_request_duration_seconds";
    let lag = "triad_ingest_end_to_end_lag_seconds";
    let accepted = "route=\"/v1/tenants/{tenant}/audit\",method=\"POST\"";
    vec![
        Objective {
            name: "checks-availability",
            says: "99.95 % of checks are answered",
            target: 0.9995,
            bad: failed(&requests("authz"), CHECKS),
            all: rate(&requests("authz"), CHECKS),
            runbook: "slo-checks",
        },
        Objective {
            name: "checks-latency",
            says: "99 % of checks are answered within about 10 ms",
            target: 0.99,
            bad: slower(checks, CHECKS, &quick()),
            all: rate(&format!("{checks}_count"), CHECKS),
            runbook: "slo-checks",
        },
        Objective {
            name: "events-availability",
            says: "99.9 % of requests that bring events are answered",
            target: 0.999,
            bad: failed(&requests("ingest"), accepted),
            all: rate(&requests("ingest"), accepted),
            runbook: "slo-events",
        },
        Objective {
            name: "events-freshness",
            says: "99 % of events are stored within half a minute",
            target: 0.99,
            bad: slower(lag, "", &soon()),
            all: rate(&format!("{lag}_count"), ""),
            runbook: "slo-events",
        },
        Objective {
            name: "identity-availability",
            says: "99.9 % of requests to identity-admin are answered",
            target: 0.999,
            bad: failed(&requests("identity"), ""),
            all: rate(&requests("identity"), ""),
            runbook: "slo-identity",
        },
    ]
}

/// Each burns its budget in one world, and keeps it in another.
#[must_use]
pub fn tests() -> Vec<Test> {
    let requests = |service: &str, labels: &str, bad: u32| {
        let series = |status: u32, values: String| Series {
            series: format!("triad_{service}_http_requests_total{{{labels}, status=\"{status}\"}}"),
            values,
        };
        vec![series(200, format!("0+{}x120", 6000 - bad)), series(503, format!("0+{bad}x120"))]
    };
    let timed = |metric: &str, labels: &str, le: String, slow: u32| {
        let series = |part: &str, more: String, each: u32| {
            let labels =
                [labels.to_owned(), more].into_iter().filter(|l| !l.is_empty()).collect::<Vec<_>>();
            Series {
                series: format!("{metric}_{part}{{{}}}", labels.join(", ")),
                values: format!("0+{each}x120"),
            }
        };
        vec![
            series("count", String::new(), 6000),
            series("bucket", format!("le=\"{le}\""), 6000 - slow),
        ]
    };
    let check = "route=\"/v1/tenants/{tenant}/check\", method=\"POST\"";
    let post = "route=\"/v1/tenants/{tenant}/audit\", method=\"POST\"";
    let tenants = "route=\"/v1/tenants\", method=\"POST\"";
    let duration = "triad_authz_http_request_duration_seconds";
    let lag = "triad_ingest_end_to_end_lag_seconds";
    let worlds = [
        [requests("authz", check, 60), requests("authz", check, 1)],
        [timed(duration, check, quick(), 1200), timed(duration, check, quick(), 30)],
        [requests("ingest", post, 120), requests("ingest", post, 2)],
        [timed(lag, "", soon(), 1200), timed(lag, "", soon(), 30)],
        [requests("identity", tenants, 120), requests("identity", tenants, 2)],
    ];
    let tests = all().into_iter().zip(worlds).flat_map(|(objective, [burns, keeps])| {
        let firing = |severity: &str| Firing {
            exp_labels: [
                ("severity".to_owned(), severity.to_owned()),
                ("slo".to_owned(), objective.name.to_owned()),
            ]
            .into(),
            exp_annotations: annotations(
                &format!("{}: the error budget burns too fast.", objective.says),
                objective.runbook,
            ),
        };
        let test = |how: &str, input_series, exp_alerts| Test {
            name: format!("{} {how}", objective.alert()),
            interval: "1m",
            input_series,
            alert_rule_test: vec![Expected {
                eval_time: "2h".to_owned(),
                alertname: objective.alert(),
                exp_alerts,
            }],
        };
        [
            test("fires", burns, vec![firing("page"), firing("ticket")]),
            test("stays quiet", keeps, Vec::new()),
        ]
    });
    tests.collect()
}

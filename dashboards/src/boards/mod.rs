//! The dashboards: one for whoever is called first, one for each service, one for the engines as seen from our side.

mod authz;
mod engines;
mod identity;
mod ingest;
mod overview;

use crate::grafana::{Dashboard, Panel, Row, Unit};

/// Every dashboard.
#[must_use]
pub fn all() -> Vec<Dashboard> {
    vec![overview::board(), ingest::board(), authz::board(), identity::board(), engines::board()]
}

/// A selector of the chosen processes, with more labels.
fn of(metric: &str, labels: &str) -> String {
    let comma = if labels.is_empty() { "" } else { ", " };
    format!("{metric}{{job=~\"$job\", instance=~\"$instance\"{comma}{labels}}}")
}

/// Events a second, by labels.
fn rate(metric: &str, labels: &str, by: &str) -> String {
    format!("sum by ({by}) (rate({}[$__rate_interval]))", of(metric, labels))
}

/// A gauge, the largest of the processes that have the same `by`.
fn most(metric: &str, labels: &str, by: &str) -> String {
    format!("max by ({by}) ({})", of(metric, labels))
}

/// A gauge of all processes together.
fn total(metric: &str, labels: &str, by: &str) -> String {
    format!("sum by ({by}) ({})", of(metric, labels))
}

/// A quantile of a histogram.
fn quantile(q: f64, metric: &str, labels: &str, by: &str) -> String {
    let by = if by.is_empty() { "le".to_owned() } else { format!("le, {by}") };
    format!(
        "histogram_quantile({q}, sum by ({by}) (rate({}[$__rate_interval])))",
        of(&format!("{metric}_bucket"), labels)
    )
}

/// The median and what one in a hundred takes longer than.
fn times(panel: Panel, metric: &str, labels: &str) -> Panel {
    panel
        .ask("half are below", quantile(0.5, metric, labels, ""))
        .ask("99 % are below", quantile(0.99, metric, labels, ""))
}

/// The four golden signals of a service's HTTP routes.
fn http(service: &str) -> Row {
    let requests = format!("triad_{service}_http_requests_total");
    let duration = format!("triad_{service}_http_request_duration_seconds");
    let failed = format!(
        "sum(rate({}[$__rate_interval])) / sum(rate({}[$__rate_interval]))",
        of(&requests, "status=~\"5..\""),
        of(&requests, "")
    );
    Row {
        title: "Requests",
        panels: vec![
            Panel::lines("Requests by route", Unit::PerSecond, "What is asked, and how often. A route that falls to nothing lost its callers or its way.")
                .ask("{{route}}", rate(&requests, "", "route")),
            Panel::lines("Failed requests", Unit::Ratio, "The share that was answered with 5xx. Above the objective the error budget burns.")
                .ask("failed", format!("{failed} or vector(0)")),
            Panel::stack("Answers by status", Unit::PerSecond, "429 and 503 are back-pressure: callers come back. 4xx is theirs to mend, 5xx ours.")
                .ask("{{status}}", rate(&requests, "", "status")),
            Panel::lines("Time of requests", Unit::Seconds, "Up to the head of the answer, by route, for 99 of 100 requests.")
                .ask("{{route}}", quantile(0.99, &duration, "", "route")),
        ],
    }
}

/// What every process uses, and what a service keeps its tenants to.
fn limits(service: &str) -> Row {
    let refused = format!("triad_{service}_rate_limited_total");
    let mut row = process();
    row.panels.push(
        Panel::lines("Above their tenants' rates", Unit::PerSecond, "Requests that were told to wait (429), of rate.per_second and rate.burst. Nothing else is; who keeps on asking is told so every time.")
            .ask("{{instance}}", rate(&refused, "", "instance")),
    );
    row
}

/// What every process uses.
fn process() -> Row {
    let cpu = format!("rate({}[$__rate_interval])", of("process_cpu_seconds_total", ""));
    Row {
        title: "Processes",
        panels: vec![
            Panel::lines("Processor", Unit::Count, "Cores in use by each process.").ask("{{job}} {{instance}}", cpu),
            Panel::lines("Resident memory", Unit::Bytes, "It rises with caches and buffers to a level and stays there. What rises for days is a leak.")
                .ask("{{job}} {{instance}}", of("process_resident_memory_bytes", "")),
            Panel::lines("Open files and connections", Unit::Ratio, "The share of those that the process may have. At 1 it accepts nobody.")
                .ask("{{job}} {{instance}}", format!("{} / {}", of("process_open_fds", ""), of("process_max_fds", ""))),
        ],
    }
}

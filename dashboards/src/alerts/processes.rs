//! What every process may suffer from.

use super::Alert;
use super::Severity::{Page, Ticket};

pub(super) fn alerts() -> Vec<Alert> {
    let mut all = processes();
    all.push(limited());
    all
}

/// A tenant wants more than its share, and goes on wanting it.
fn limited() -> Alert {
    // One process has the metrics of all three: what they are of is said by a label.
    let services = ["ingest", "authz", "identity"].map(|service| {
        let refused = format!("sum by (job) (rate(triad_{service}_rate_limited_total[5m]))");
        format!("label_replace({refused}, \"service\", \"{service}\", \"\", \"\")")
    });
    Alert {
        name: "TriadTenantLimited",
        severity: Ticket,
        expr: format!("({}) > 0.1", services.join(" or ")),
        hold: "30m",
        summary: "Tenants have been above their rates for half an hour ({{ $labels.service }}): {{ $value | humanize }} requests a second are refused.",
        runbook: "tenant-limited",
        fires: vec![(
            r#"triad_authz_rate_limited_total{job="authz-edge", instance="a"}"#,
            "0+120x60",
        )],
        after: "50m",
        labels: vec![("job", "authz-edge"), ("service", "authz")],
        told: "Tenants have been above their rates for half an hour (authz): 2 requests a second are refused.",
        // A burst.
        quiet: vec![(
            r#"triad_authz_rate_limited_total{job="authz-edge", instance="a"}"#,
            "0x30 3000x30",
        )],
    }
}

fn processes() -> Vec<Alert> {
    vec![
        Alert {
            name: "TriadProcessDown",
            severity: Page,
            expr: r#"up{job=~"triad|ingest|authz-edge|identity-admin"} == 0"#.to_owned(),
            hold: "2m",
            summary: "{{ $labels.job }} at {{ $labels.instance }} does not answer.",
            runbook: "process-down",
            fires: vec![(r#"up{job="ingest", instance="i:8203"}"#, "1 0x10")],
            after: "5m",
            labels: vec![("job", "ingest"), ("instance", "i:8203")],
            told: "ingest at i:8203 does not answer.",
            // A restart takes less than two minutes.
            quiet: vec![(r#"up{job="ingest", instance="i:8203"}"#, "1 1 1 0 1 1 1")],
        },
        Alert {
            name: "TriadServiceMissing",
            severity: Page,
            // One that Prometheus is told to ask no longer: it was taken away, or is not found.
            expr: r#"group by (job) (up{job=~"triad|ingest|authz-edge|identity-admin"} offset 1h) unless group by (job) (up{job=~"triad|ingest|authz-edge|identity-admin"})"#
                .to_owned(),
            hold: "5m",
            summary: "No {{ $labels.job }} is known to Prometheus any more, and an hour ago there was one.",
            runbook: "process-down",
            fires: vec![(r#"up{job="ingest", instance="i:8203"}"#, "1x60 stale _x60")],
            after: "90m",
            labels: vec![("job", "ingest")],
            told: "No ingest is known to Prometheus any more, and an hour ago there was one.",
            // Replaced by another one.
            quiet: vec![
                (r#"up{job="ingest", instance="i:8203"}"#, "1x60 stale _x60"),
                (r#"up{job="ingest", instance="j:8203"}"#, "_x59 1x60"),
            ],
        },
        Alert {
            name: "TriadFilesRunOut",
            severity: Ticket,
            expr: "process_open_fds / process_max_fds > 0.8".to_owned(),
            hold: "10m",
            summary: "{{ $labels.job }} at {{ $labels.instance }} has {{ $value | humanizePercentage }} of the files and connections that it may have.",
            runbook: "saturation",
            fires: vec![
                (r#"process_open_fds{job="authz-edge", instance="a:8202"}"#, "900x20"),
                (r#"process_max_fds{job="authz-edge", instance="a:8202"}"#, "1000x20"),
            ],
            after: "15m",
            labels: vec![("job", "authz-edge"), ("instance", "a:8202")],
            told: "authz-edge at a:8202 has 90% of the files and connections that it may have.",
            quiet: vec![
                (r#"process_open_fds{job="authz-edge", instance="a:8202"}"#, "700x20"),
                (r#"process_max_fds{job="authz-edge", instance="a:8202"}"#, "1000x20"),
            ],
        },
        Alert {
            name: "TriadCertificateEnds",
            severity: Ticket,
            expr: "triad_tls_certificate_expiry_timestamp_seconds - time() < 7 * 86400".to_owned(),
            hold: "10m",
            summary: "The certificate that {{ $labels.job }} at {{ $labels.instance }} shows ({{ $labels.listener }}) ends in {{ $value | humanizeDuration }}.",
            runbook: "certificates",
            fires: vec![(
                r#"triad_tls_certificate_expiry_timestamp_seconds{job="ingest", instance="i:8203", listener="http"}"#,
                "3600x30",
            )],
            after: "15m",
            labels: vec![("job", "ingest"), ("instance", "i:8203"), ("listener", "http")],
            told: "The certificate that ingest at i:8203 shows (http) ends in 45m 0s.",
            quiet: vec![(
                r#"triad_tls_certificate_expiry_timestamp_seconds{job="ingest", instance="i:8203", listener="http"}"#,
                "1000000x30",
            )],
        },
        Alert {
            name: "TriadCertificateNotReplaced",
            severity: Ticket,
            expr: r#"increase(triad_tls_reloads_total{outcome="failed"}[10m]) > 0"#.to_owned(),
            hold: "10m",
            summary: "The certificate's files of {{ $labels.job }} at {{ $labels.instance }} ({{ $labels.listener }}) changed and cannot be used: the old one is still shown.",
            runbook: "certificates",
            fires: vec![(
                r#"triad_tls_reloads_total{job="ingest", instance="i:8203", listener="http", outcome="failed"}"#,
                "0 0+2x40",
            )],
            after: "30m",
            labels: vec![
                ("job", "ingest"),
                ("instance", "i:8203"),
                ("listener", "http"),
                ("outcome", "failed"),
            ],
            told: "The certificate's files of ingest at i:8203 (http) changed and cannot be used: the old one is still shown.",
            // Written in two steps, and whole at the next look.
            quiet: vec![
                (
                    r#"triad_tls_reloads_total{job="ingest", instance="i:8203", listener="http", outcome="failed"}"#,
                    "0 1x30",
                ),
                (
                    r#"triad_tls_reloads_total{job="ingest", instance="i:8203", listener="http", outcome="ok"}"#,
                    "0+1x30",
                ),
            ],
        },
    ]
}

//! Decisions that are late to change, or not made.

use super::Alert;
use super::Severity::{Page, Ticket};

pub(super) fn alerts() -> Vec<Alert> {
    let mut all = freshness();
    all.extend(outboxes());
    all.extend(answers());
    all
}

/// How long a revocation may go unseen.
fn freshness() -> Vec<Alert> {
    vec![
        Alert {
            name: "TriadWatermarkStale",
            severity: Page,
            // From cache.life on, 30 s unless configured otherwise, entries end by age instead.
            expr: "max by (job, instance) (triad_authz_watermark_age_seconds) > 30".to_owned(),
            hold: "1m",
            summary: "{{ $labels.instance }} has not heard of changes for {{ $value | humanizeDuration }}: what it remembers ends by age only.",
            runbook: "watermark-stale",
            fires: vec![(
                r#"triad_authz_watermark_age_seconds{job="authz-edge", instance="a"}"#,
                "1 1 40+60x10",
            )],
            after: "5m",
            labels: vec![("job", "authz-edge"), ("instance", "a")],
            told: "a has not heard of changes for 3m 40s: what it remembers ends by age only.",
            quiet: vec![(
                r#"triad_authz_watermark_age_seconds{job="authz-edge", instance="a"}"#,
                "1 40 1 1 40 1 1",
            )],
        },
        Alert {
            name: "TriadIdentitySyncLate",
            severity: Page,
            expr: "max by (job) (triad_authz_sync_lag_seconds) > 30".to_owned(),
            hold: "2m",
            summary: "Changes of users and teams reach decisions {{ $value | humanizeDuration }} late: who was removed may still be let in.",
            runbook: "identity-sync",
            fires: vec![(
                r#"triad_authz_sync_lag_seconds{job="authz-edge", instance="a"}"#,
                "0 0 60+60x10",
            )],
            after: "6m",
            labels: vec![("job", "authz-edge")],
            told: "Changes of users and teams reach decisions 5m 0s late: who was removed may still be let in.",
            quiet: vec![(
                r#"triad_authz_sync_lag_seconds{job="authz-edge", instance="a"}"#,
                "0 40 1 1 1 40 1",
            )],
        },
        Alert {
            name: "TriadIdentitySyncStopped",
            severity: Page,
            // A graph that is being rebuilt stands still for a while, too.
            expr: "max by (job, instance) (triad_authz_sync_stopped_tenants) > 0".to_owned(),
            hold: "5m",
            summary: "Changes of users and teams of {{ $value }} tenants stand still at {{ $labels.instance }}: one of them is missing.",
            runbook: "identity-sync",
            fires: vec![(
                r#"triad_authz_sync_stopped_tenants{job="authz-edge", instance="a"}"#,
                "0 2x20",
            )],
            after: "10m",
            labels: vec![("job", "authz-edge"), ("instance", "a")],
            told: "Changes of users and teams of 2 tenants stand still at a: one of them is missing.",
            quiet: vec![(
                r#"triad_authz_sync_stopped_tenants{job="authz-edge", instance="a"}"#,
                "0x10",
            )],
        },
        Alert {
            name: "TriadIdentityChangesUnread",
            severity: Ticket,
            expr: "sum by (job, reason) (increase(triad_authz_sync_parked_total[1h])) > 0"
                .to_owned(),
            hold: "0m",
            summary: "{{ $value | humanize }} identity changes could not be read ({{ $labels.reason }}) and lie in the dead letters.",
            runbook: "identity-sync",
            fires: vec![(
                r#"triad_authz_sync_parked_total{job="authz-edge", instance="a", reason="malformed"}"#,
                "0x30 60x60",
            )],
            after: "1h",
            labels: vec![("job", "authz-edge"), ("reason", "malformed")],
            told: "60 identity changes could not be read (malformed) and lie in the dead letters.",
            quiet: vec![(
                r#"triad_authz_sync_parked_total{job="authz-edge", instance="a", reason="malformed"}"#,
                "3x90",
            )],
        },
    ]
}

/// Changes of the graph that others have to hear of.
fn outboxes() -> Vec<Alert> {
    vec![
        Alert {
            name: "TriadFencesLate",
            severity: Page,
            expr: "max by (job) (triad_authz_outbox_age_seconds{stage=\"fences\"}) > 10".to_owned(),
            hold: "1m",
            summary: "A change of permissions has waited for {{ $value | humanizeDuration }} to be told to the edges.",
            runbook: "graph-outbox",
            fires: vec![(
                r#"triad_authz_outbox_age_seconds{job="authz-edge", instance="a", stage="fences"}"#,
                "0 60+60x10",
            )],
            after: "5m",
            labels: vec![("job", "authz-edge")],
            told: "A change of permissions has waited for 5m 0s to be told to the edges.",
            // What nobody sees is not told by age.
            quiet: vec![
                (
                    r#"triad_authz_outbox_age_seconds{job="authz-edge", instance="a", stage="fences"}"#,
                    "0 20 0 0 20 0",
                ),
                (
                    r#"triad_authz_outbox_age_seconds{job="authz-edge", instance="a", stage="audit"}"#,
                    "60x10",
                ),
            ],
        },
        Alert {
            name: "TriadChangesNotAudited",
            severity: Ticket,
            expr: "max by (job) (triad_authz_outbox_age_seconds{stage=\"audit\"}) > 300".to_owned(),
            hold: "5m",
            summary: "A change of permissions has waited for {{ $value | humanizeDuration }} to be in the audit trail.",
            runbook: "graph-outbox",
            fires: vec![(
                r#"triad_authz_outbox_age_seconds{job="authz-edge", instance="a", stage="audit"}"#,
                "0+60x30",
            )],
            after: "15m",
            labels: vec![("job", "authz-edge")],
            told: "A change of permissions has waited for 15m 0s to be in the audit trail.",
            quiet: vec![(
                r#"triad_authz_outbox_age_seconds{job="authz-edge", instance="a", stage="audit"}"#,
                "0+60x6 0x20",
            )],
        },
        Alert {
            name: "TriadChangesSetAside",
            severity: Ticket,
            expr: "max by (job) (triad_authz_outbox_pending{stage=\"aside\"}) > 0".to_owned(),
            hold: "5m",
            summary: "{{ $value }} changes of permissions are passed over: nobody could be told of them.",
            runbook: "graph-outbox",
            fires: vec![(
                r#"triad_authz_outbox_pending{job="authz-edge", instance="a", stage="aside"}"#,
                "1x20",
            )],
            after: "10m",
            labels: vec![("job", "authz-edge")],
            told: "1 changes of permissions are passed over: nobody could be told of them.",
            quiet: vec![(
                r#"triad_authz_outbox_pending{job="authz-edge", instance="a", stage="fences"}"#,
                "9x20",
            )],
        },
    ]
}

/// Checks that cost too much, or have no answer.
fn answers() -> Vec<Alert> {
    vec![
        Alert {
            name: "TriadGraphFails",
            severity: Page,
            expr: "sum by (job) (rate(triad_authz_graph_requests_total{outcome=\"error\"}[5m])) / \
                   sum by (job) (rate(triad_authz_graph_requests_total[5m])) > 0.05"
                .to_owned(),
            hold: "5m",
            summary: "{{ $value | humanizePercentage }} of the requests to Dgraph fail.",
            runbook: "dgraph-trouble",
            fires: vec![
                (r#"triad_authz_graph_requests_total{job="authz-edge", instance="a", outcome="ok"}"#, "0+90x30"),
                (r#"triad_authz_graph_requests_total{job="authz-edge", instance="a", outcome="error"}"#, "0+10x30"),
            ],
            after: "20m",
            labels: vec![("job", "authz-edge")],
            told: "10% of the requests to Dgraph fail.",
            quiet: vec![
                (r#"triad_authz_graph_requests_total{job="authz-edge", instance="a", outcome="ok"}"#, "0+99x30"),
                (r#"triad_authz_graph_requests_total{job="authz-edge", instance="a", outcome="error"}"#, "0+1x30"),
            ],
        },
        Alert {
            name: "TriadCacheOfLittleUse",
            severity: Ticket,
            expr: "sum by (job) (rate(triad_authz_cache_evictions_total[15m])) > \
                   0.5 * sum by (job) (rate(triad_authz_checks_total[15m])) > 0"
                .to_owned(),
            hold: "30m",
            summary: "The caches evict {{ $value | humanize }} entries a second, half as many as there are checks: they are too small.",
            runbook: "saturation",
            fires: vec![
                (r#"triad_authz_cache_evictions_total{job="authz-edge", instance="a", kind="decision"}"#, "0+60x90"),
                (r#"triad_authz_checks_total{job="authz-edge", instance="a", result="allow", source="graph"}"#, "0+60x90"),
            ],
            after: "60m",
            labels: vec![("job", "authz-edge")],
            told: "The caches evict 1 entries a second, half as many as there are checks: they are too small.",
            quiet: vec![
                (r#"triad_authz_cache_evictions_total{job="authz-edge", instance="a", kind="decision"}"#, "0+60x90"),
                (r#"triad_authz_checks_total{job="authz-edge", instance="a", result="allow", source="decision"}"#, "0+6000x90"),
            ],
        },
        Alert {
            name: "TriadDecisionsNotAudited",
            severity: Ticket,
            expr: "sum by (job, outcome) (increase(triad_authz_decision_audit_total{outcome=~\"dropped|failed\"}[15m])) > 0"
                .to_owned(),
            hold: "0m",
            summary: "{{ $value | humanize }} audit events of checks were {{ $labels.outcome }} within a quarter of an hour.",
            runbook: "kafka-trouble",
            fires: vec![(
                r#"triad_authz_decision_audit_total{job="authz-edge", instance="a", outcome="dropped"}"#,
                "0x10 15x30",
            )],
            after: "20m",
            labels: vec![("job", "authz-edge"), ("outcome", "dropped")],
            told: "15 audit events of checks were dropped within a quarter of an hour.",
            quiet: vec![(
                r#"triad_authz_decision_audit_total{job="authz-edge", instance="a", outcome="published"}"#,
                "0+60x30",
            )],
        },
        Alert {
            name: "TriadDecisionsWait",
            severity: Ticket,
            // What a process holds when it ends is counted by nobody: this comes before.
            expr: "sum by (job, instance) (increase(triad_authz_decision_audit_total{outcome=\"retried\"}[5m])) > 0"
                .to_owned(),
            hold: "10m",
            summary: "{{ $labels.instance }} cannot hand audit events of checks to Kafka: those that it holds are lost if it ends.",
            runbook: "kafka-trouble",
            fires: vec![(
                r#"triad_authz_decision_audit_total{job="authz-edge", instance="a", outcome="retried"}"#,
                "0+600x40",
            )],
            after: "30m",
            labels: vec![("job", "authz-edge"), ("instance", "a")],
            told: "a cannot hand audit events of checks to Kafka: those that it holds are lost if it ends.",
            // A broker that restarts.
            quiet: vec![(
                r#"triad_authz_decision_audit_total{job="authz-edge", instance="a", outcome="retried"}"#,
                "0x24 600x16",
            )],
        },
    ]
}

//! Identities that cannot be changed, or whose changes nobody hears of.

use super::Alert;
use super::Severity::{Page, Ticket};

pub(super) fn alerts() -> Vec<Alert> {
    let mut all = outbox();
    all.extend(issuer());
    all
}

fn outbox() -> Vec<Alert> {
    vec![
        Alert {
            name: "TriadIdentityOutboxLate",
            severity: Page,
            // What waits behind a change that is set aside only grows older, and that has an alert of its own.
            expr: "max by (job) (triad_identity_outbox_age_seconds) > 30 unless on (job) \
                   max by (job) (triad_identity_outbox_parked{topic=\"changes\"}) > 0"
                .to_owned(),
            hold: "2m",
            summary: "A change of identities has waited for {{ $value | humanizeDuration }} to be published: revocations wait with it.",
            runbook: "identity-outbox",
            fires: vec![(
                r#"triad_identity_outbox_age_seconds{job="identity-admin", instance="m"}"#,
                "0+60x20",
            )],
            after: "10m",
            labels: vec![("job", "identity-admin")],
            told: "A change of identities has waited for 10m 0s to be published: revocations wait with it.",
            quiet: vec![(
                r#"triad_identity_outbox_age_seconds{job="identity-admin", instance="m"}"#,
                "0 20 45 0 0 45 0 0 20 20 20",
            )],
        },
        Alert {
            name: "TriadIdentityChangesParked",
            severity: Page,
            expr: "max by (job) (triad_identity_outbox_parked{topic=\"changes\"}) > 0".to_owned(),
            hold: "1m",
            summary: "{{ $value }} changes of identities cannot be published; later ones of their tenants wait behind them.",
            runbook: "identity-outbox",
            fires: vec![(
                r#"triad_identity_outbox_parked{job="identity-admin", instance="m", topic="changes"}"#,
                "0 1x20",
            )],
            after: "5m",
            labels: vec![("job", "identity-admin")],
            told: "1 changes of identities cannot be published; later ones of their tenants wait behind them.",
            // It stops nothing, and has a ticket of its own.
            quiet: vec![(
                r#"triad_identity_outbox_parked{job="identity-admin", instance="m", topic="audit"}"#,
                "0 1x20",
            )],
        },
        Alert {
            name: "TriadIdentityAuditParked",
            severity: Ticket,
            expr: "max by (job) (triad_identity_outbox_parked{topic=\"audit\"}) > 0".to_owned(),
            hold: "5m",
            summary: "{{ $value }} audit events of identities are larger than Kafka takes, and not in the audit trail.",
            runbook: "identity-outbox",
            fires: vec![(
                r#"triad_identity_outbox_parked{job="identity-admin", instance="m", topic="audit"}"#,
                "0 2x20",
            )],
            after: "10m",
            labels: vec![("job", "identity-admin")],
            told: "2 audit events of identities are larger than Kafka takes, and not in the audit trail.",
            quiet: vec![(
                r#"triad_identity_outbox_parked{job="identity-admin", instance="m", topic="changes"}"#,
                "0 1x20",
            )],
        },
        Alert {
            name: "TriadNobodyRelays",
            severity: Page,
            expr: "sum by (job) (triad_identity_relay_leads) == 0".to_owned(),
            hold: "1m",
            summary: "No replica publishes changes of identities.",
            runbook: "identity-outbox",
            fires: vec![
                (r#"triad_identity_relay_leads{job="identity-admin", instance="m"}"#, "1 0x20"),
                (r#"triad_identity_relay_leads{job="identity-admin", instance="n"}"#, "0x20"),
            ],
            after: "5m",
            labels: vec![("job", "identity-admin")],
            told: "No replica publishes changes of identities.",
            // One takes over from the other.
            quiet: vec![
                (r#"triad_identity_relay_leads{job="identity-admin", instance="m"}"#, "1 1 0x20"),
                (r#"triad_identity_relay_leads{job="identity-admin", instance="n"}"#, "0 0 1x20"),
            ],
        },
    ]
}

fn issuer() -> Vec<Alert> {
    vec![
        Alert {
            name: "TriadNoSigningKeys",
            severity: Page,
            expr: "min by (job, instance) (triad_identity_signing_keys) == 0".to_owned(),
            hold: "2m",
            summary: "{{ $labels.instance }} publishes no signing key: it issues no token.",
            runbook: "issuer",
            fires: vec![(r#"triad_identity_signing_keys{job="identity-admin", instance="m"}"#, "0x20")],
            after: "5m",
            labels: vec![("job", "identity-admin"), ("instance", "m")],
            told: "m publishes no signing key: it issues no token.",
            // A start.
            quiet: vec![(r#"triad_identity_signing_keys{job="identity-admin", instance="m"}"#, "0 2x20")],
        },
        Alert {
            name: "TriadDatabaseSaturated",
            severity: Page,
            expr: "sum by (job, instance) (increase(triad_identity_saturated_total[5m])) > 5".to_owned(),
            hold: "2m",
            summary: "{{ $labels.instance }} waited in vain for a connection to MySQL {{ $value | humanize }} times within five minutes.",
            runbook: "mysql-trouble",
            fires: vec![(r#"triad_identity_saturated_total{job="identity-admin", instance="m"}"#, "0+12x30")],
            after: "15m",
            labels: vec![("job", "identity-admin"), ("instance", "m")],
            told: "m waited in vain for a connection to MySQL 60 times within five minutes.",
            quiet: vec![(r#"triad_identity_saturated_total{job="identity-admin", instance="m"}"#, "0x5 4x30")],
        },
        Alert {
            name: "TriadMutationsFail",
            severity: Ticket,
            expr: "sum by (job) (rate(triad_identity_mutations_total{outcome=\"failed\"}[10m])) / \
                   sum by (job) (rate(triad_identity_mutations_total[10m])) > 0.02"
                .to_owned(),
            hold: "10m",
            summary: "{{ $value | humanizePercentage }} of the changes of identities fail.",
            runbook: "mysql-trouble",
            fires: vec![
                (r#"triad_identity_mutations_total{job="identity-admin", instance="m", outcome="done"}"#, "0+90x60"),
                (r#"triad_identity_mutations_total{job="identity-admin", instance="m", outcome="failed"}"#, "0+10x60"),
            ],
            after: "30m",
            labels: vec![("job", "identity-admin")],
            told: "10% of the changes of identities fail.",
            // What callers ask wrongly is no trouble of ours.
            quiet: vec![
                (r#"triad_identity_mutations_total{job="identity-admin", instance="m", outcome="done"}"#, "0+90x60"),
                (r#"triad_identity_mutations_total{job="identity-admin", instance="m", outcome="refused"}"#, "0+90x60"),
            ],
        },
        Alert {
            name: "TriadPasswordsRefused",
            severity: Ticket,
            expr: "sum by (job) (rate(triad_identity_password_refusals_total[10m])) > 0.1".to_owned(),
            hold: "10m",
            summary: "{{ $value | humanize }} passwords a second are turned away, as too many wait to be hashed.",
            runbook: "login-trouble",
            fires: vec![(r#"triad_identity_password_refusals_total{job="identity-admin", instance="m"}"#, "0+60x60")],
            after: "30m",
            labels: vec![("job", "identity-admin")],
            told: "1 passwords a second are turned away, as too many wait to be hashed.",
            quiet: vec![(r#"triad_identity_password_refusals_total{job="identity-admin", instance="m"}"#, "0x10 20x50")],
        },
        Alert {
            name: "TriadPasswordsGuessed",
            severity: Ticket,
            expr: "sum by (job) (rate(triad_identity_logins_total{outcome=~\"wrong|locked\"}[15m])) > 1 and on (job) \
                   sum by (job) (rate(triad_identity_logins_total{outcome=~\"wrong|locked\"}[15m])) > \
                   2 * sum by (job) (rate(triad_identity_logins_total{outcome=\"succeeded\"}[15m]))"
                .to_owned(),
            hold: "5m",
            summary: "{{ $value | humanize }} log-ins a second fail, more than twice as many as succeed: somebody guesses passwords.",
            runbook: "login-trouble",
            fires: vec![
                (r#"triad_identity_logins_total{job="identity-admin", instance="m", outcome="wrong"}"#, "0+180x60"),
                (r#"triad_identity_logins_total{job="identity-admin", instance="m", outcome="succeeded"}"#, "0+60x60"),
            ],
            after: "30m",
            labels: vec![("job", "identity-admin")],
            told: "3 log-ins a second fail, more than twice as many as succeed: somebody guesses passwords.",
            quiet: vec![
                (r#"triad_identity_logins_total{job="identity-admin", instance="m", outcome="wrong"}"#, "0+180x60"),
                (r#"triad_identity_logins_total{job="identity-admin", instance="m", outcome="succeeded"}"#, "0+600x60"),
            ],
        },
    ]
}

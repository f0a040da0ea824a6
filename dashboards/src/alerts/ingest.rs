//! Events that are late, refused or lost.

use super::Alert;
use super::Severity::{Page, Ticket};

pub(super) fn alerts() -> Vec<Alert> {
    let mut all = arrival();
    all.extend(outcome());
    all
}

/// Events that do not come through.
fn arrival() -> Vec<Alert> {
    vec![
        Alert {
            name: "TriadIngestStalled",
            severity: Page,
            expr: "sum by (job) (triad_ingest_consumer_lag_records) > 0 and on (job) \
                   sum by (job) (rate(triad_ingest_rows_total[5m])) == 0"
                .to_owned(),
            hold: "5m",
            summary: "{{ $value }} records wait in Kafka, and none was stored for five minutes.",
            runbook: "ingest-stalled",
            fires: vec![
                (r#"triad_ingest_consumer_lag_records{job="ingest", instance="i"}"#, "100+10x30"),
                (
                    r#"triad_ingest_rows_total{job="ingest", instance="i", outcome="stored"}"#,
                    "5000x30",
                ),
            ],
            after: "20m",
            labels: vec![("job", "ingest")],
            told: "300 records wait in Kafka, and none was stored for five minutes.",
            quiet: vec![
                (r#"triad_ingest_consumer_lag_records{job="ingest", instance="i"}"#, "100+10x30"),
                (
                    r#"triad_ingest_rows_total{job="ingest", instance="i", outcome="stored"}"#,
                    "0+60x30",
                ),
            ],
        },
        Alert {
            name: "TriadIngestLagGrows",
            severity: Ticket,
            // More than two minutes of work: some seconds of it always wait for the index (pipeline.index_linger_ms).
            expr: "sum by (job) (triad_ingest_consumer_lag_records) / \
                   (sum by (job) (rate(triad_ingest_rows_total[10m])) > 0) > 120 and \
                   sum by (job) (deriv(triad_ingest_consumer_lag_records[15m])) > 0"
                .to_owned(),
            hold: "15m",
            summary: "What waits in Kafka takes {{ $value | humanizeDuration }} to store, and more comes than is stored.",
            runbook: "ingest-lag",
            fires: vec![
                (r#"triad_ingest_consumer_lag_records{job="ingest", instance="i"}"#, "0+6010x60"),
                (
                    r#"triad_ingest_rows_total{job="ingest", instance="i", outcome="stored"}"#,
                    "0+60000x60",
                ),
            ],
            after: "40m",
            labels: vec![("job", "ingest")],
            told: "What waits in Kafka takes 4m 0s to store, and more comes than is stored.",
            // A peak that is being worked off.
            quiet: vec![
                (
                    r#"triad_ingest_consumer_lag_records{job="ingest", instance="i"}"#,
                    "300000-2000x60",
                ),
                (
                    r#"triad_ingest_rows_total{job="ingest", instance="i", outcome="stored"}"#,
                    "0+60000x60",
                ),
            ],
        },
        Alert {
            name: "TriadIngestBackPressure",
            severity: Ticket,
            expr: "sum by (job, instance) (increase(triad_ingest_pauses_total[10m])) > 10"
                .to_owned(),
            hold: "20m",
            summary: "{{ $labels.instance }} stops reading from Kafka again and again: Cassandra does not take events as fast as they come.",
            runbook: "saturation",
            fires: vec![(r#"triad_ingest_pauses_total{job="ingest", instance="i"}"#, "0+5x60")],
            after: "40m",
            labels: vec![("job", "ingest"), ("instance", "i")],
            told: "i stops reading from Kafka again and again: Cassandra does not take events as fast as they come.",
            quiet: vec![(r#"triad_ingest_pauses_total{job="ingest", instance="i"}"#, "0 5 9 9x50")],
        },
    ]
}

/// Events that end as something else than rows, and rows that lie badly.
fn outcome() -> Vec<Alert> {
    vec![
        Alert {
            name: "TriadIngestDataLost",
            severity: Page,
            expr: "sum by (job) (increase(triad_ingest_lost_offsets_total[1h])) > 0".to_owned(),
            hold: "0m",
            summary: "Kafka deleted {{ $value | humanize }} records before they were read.",
            runbook: "ingest-data-lost",
            fires: vec![(r#"triad_ingest_lost_offsets_total{job="ingest", instance="i"}"#, "0x10 60x60")],
            after: "30m",
            labels: vec![("job", "ingest")],
            told: "Kafka deleted 60 records before they were read.",
            quiet: vec![(r#"triad_ingest_lost_offsets_total{job="ingest", instance="i"}"#, "60x60")],
        },
        Alert {
            name: "TriadDeadLettersGrow",
            severity: Ticket,
            expr: "sum by (job, reason) (increase(triad_ingest_dead_letters_total[30m])) > 10".to_owned(),
            hold: "5m",
            summary: "{{ $value | humanize }} events became dead letters within half an hour ({{ $labels.reason }}).",
            runbook: "dead-letters",
            fires: vec![(
                r#"triad_ingest_dead_letters_total{job="ingest", instance="i", reason="missing_field"}"#,
                "0+2x60",
            )],
            after: "50m",
            labels: vec![("job", "ingest"), ("reason", "missing_field")],
            told: "60 events became dead letters within half an hour (missing_field).",
            // One producer, once.
            quiet: vec![(
                r#"triad_ingest_dead_letters_total{job="ingest", instance="i", reason="missing_field"}"#,
                "0x10 5x50",
            )],
        },
        Alert {
            name: "TriadIngestWritesFail",
            severity: Ticket,
            expr: "sum by (job, error) (rate(triad_ingest_retries_total[10m])) > 0.1".to_owned(),
            hold: "10m",
            summary: "Writes to Cassandra are tried again {{ $value | humanize }} times a second ({{ $labels.error }}).",
            runbook: "cassandra-slow",
            fires: vec![(r#"triad_ingest_retries_total{job="ingest", instance="i", error="write_timeout"}"#, "0+60x60")],
            after: "30m",
            labels: vec![("job", "ingest"), ("error", "write_timeout")],
            told: "Writes to Cassandra are tried again 1 times a second (write_timeout).",
            // A node that restarts.
            quiet: vec![(r#"triad_ingest_retries_total{job="ingest", instance="i", error="write_timeout"}"#, "0x5 60x60")],
        },
        Alert {
            name: "TriadPartitionsTooLarge",
            severity: Ticket,
            expr: "sum by (job) (increase(triad_ingest_oversized_partitions_total[6h])) > 0".to_owned(),
            hold: "0m",
            summary: "{{ $value | humanize }} partitions in Cassandra grew beyond layout.partition_rows within six hours.",
            runbook: "partitions-too-large",
            fires: vec![(r#"triad_ingest_oversized_partitions_total{job="ingest", instance="i"}"#, "0x60 6x360")],
            after: "6h",
            labels: vec![("job", "ingest")],
            told: "6 partitions in Cassandra grew beyond layout.partition_rows within six hours.",
            quiet: vec![(r#"triad_ingest_oversized_partitions_total{job="ingest", instance="i"}"#, "6x420")],
        },
        Alert {
            name: "TriadOffsetsNotCommitted",
            severity: Ticket,
            expr: "sum by (job) (rate(triad_ingest_commits_total{outcome=\"failed\"}[10m])) > 0 unless \
                   sum by (job) (rate(triad_ingest_commits_total{outcome=\"ok\"}[10m])) > 0"
                .to_owned(),
            hold: "10m",
            summary: "Offsets are not committed: whoever restarts reads everything since then once more.",
            runbook: "kafka-trouble",
            fires: vec![(r#"triad_ingest_commits_total{job="ingest", instance="i", outcome="failed"}"#, "0+1x60")],
            after: "30m",
            labels: vec![("job", "ingest")],
            told: "Offsets are not committed: whoever restarts reads everything since then once more.",
            quiet: vec![
                (r#"triad_ingest_commits_total{job="ingest", instance="i", outcome="failed"}"#, "0+1x60"),
                (r#"triad_ingest_commits_total{job="ingest", instance="i", outcome="ok"}"#, "0+60x60"),
            ],
        },
    ]
}

//! Every metric of `ingest`, with unit and description. No tenant and no id is a label.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use service_kit::labels;

use crate::event::Reason;
use crate::http::Fate;
use crate::query::QueryError;

labels! {
    /// How a commit of offsets ended.
    pub enum Commit {
        /// Kafka has them.
        Ok => "ok",
        /// It does not, or not all of them.
        Failed => "failed",
    }
}

/// Names and help, registered once a recorder is installed.
pub fn describe() {
    use metrics::{
        Unit, describe_counter as count, describe_gauge as level, describe_histogram as spread,
    };
    count!(
        "triad_ingest_rows_total",
        Unit::Count,
        "Records by outcome: stored, expired, dead_lettered"
    );
    count!("triad_ingest_record_bytes_total", Unit::Bytes, "Bytes of record values by outcome");
    spread!("triad_ingest_batch_rows", Unit::Count, "Rows in a written batch");
    spread!("triad_ingest_batch_bytes", Unit::Bytes, "Bytes of rows in a written batch");
    spread!("triad_ingest_write_seconds", Unit::Seconds, "Time of one batch write that succeeded");
    spread!(
        "triad_ingest_end_to_end_lag_seconds",
        Unit::Seconds,
        "From a record's timestamp to its being stored"
    );
    level!("triad_ingest_in_flight_bytes", Unit::Bytes, "Bytes between Kafka and Cassandra");
    level!("triad_ingest_batches_in_flight", Unit::Count, "Batches on their way to Cassandra");
    level!(
        "triad_ingest_index_waiting_bytes",
        Unit::Bytes,
        "Memory of stored rows that the skip index does not name yet"
    );
    level!("triad_ingest_consumer_lag_records", Unit::Count, "Records behind the end of the log");
    level!("triad_ingest_assigned_partitions", Unit::Count, "Kafka partitions of this process");
    count!(
        "triad_ingest_pauses_total",
        Unit::Count,
        "Times that partitions were paused by back-pressure"
    );
    count!("triad_ingest_retries_total", Unit::Count, "Writes tried again, by error");
    count!("triad_ingest_dead_letters_total", Unit::Count, "Records dead-lettered, by reason");
    count!(
        "triad_ingest_dead_letter_retries_total",
        Unit::Count,
        "Dead letters that Kafka did not take at once"
    );
    count!(
        "triad_ingest_conflicts_total",
        Unit::Count,
        "Rows with the id of a recent row of other content; both are stored"
    );
    count!(
        "triad_ingest_redelivered_total",
        Unit::Count,
        "Rows that were written before, recently"
    );
    count!(
        "triad_ingest_oversized_partitions_total",
        Unit::Count,
        "Cassandra partitions into which this process wrote more rows than layout.partition_rows"
    );
    count!(
        "triad_ingest_lost_offsets_total",
        Unit::Count,
        "Offsets that Kafka deleted before they were read: data loss"
    );
    count!("triad_ingest_commits_total", Unit::Count, "Offset commits by outcome");
    count!("triad_ingest_promotions_total", Unit::Count, "Tenants promoted to a finer layout");
    count!("triad_ingest_http_events_total", Unit::Count, "Events taken over HTTP, by outcome");
    count!(
        "triad_ingest_rate_limited_total",
        Unit::Count,
        "Requests refused as their tenant is above its rate"
    );
    spread!("triad_ingest_query_page_seconds", Unit::Seconds, "Time of one page of a range query");
    count!(
        "triad_ingest_query_partitions_total",
        Unit::Count,
        "Cassandra partitions read by pages"
    );
    count!("triad_ingest_query_examined_rows_total", Unit::Count, "Rows read by pages");
    count!("triad_ingest_query_returned_rows_total", Unit::Count, "Rows that pages returned");
    count!("triad_ingest_query_errors_total", Unit::Count, "Reads without an answer, by error");
    count!(
        "triad_ingest_query_index_fallbacks_total",
        Unit::Count,
        "Slices read without their index, because it failed"
    );
    count!("triad_ingest_exports_total", Unit::Count, "Exports, by outcome");
    count!(
        "triad_ingest_export_retries_total",
        Unit::Count,
        "Pages of exports that were read again, by error"
    );
    service_kit::track::describe("triad_ingest");
    begin();
}

/// What rules and dashboards look for is there before it happens: a rate needs a first value.
fn begin() {
    for name in [
        "triad_ingest_dead_letter_retries_total",
        "triad_ingest_lost_offsets_total",
        "triad_ingest_pauses_total",
        "triad_ingest_query_examined_rows_total",
        "triad_ingest_query_returned_rows_total",
    ] {
        counter!(name).increment(0);
    }
    // The driver's: what a cluster in trouble shows first.
    for error in ["client_timeout", "write_timeout", "unavailable", "overloaded", "connection"] {
        counter!("triad_ingest_retries_total", "error" => error).increment(0);
    }
    for error in QueryError::ALL {
        counter!("triad_ingest_query_errors_total", "error" => error.label()).increment(0);
    }
    for outcome in Commit::ALL {
        commits(outcome).increment(0);
    }
    for fate in Fate::ALL {
        counter!("triad_ingest_http_events_total", "outcome" => fate.label()).increment(0);
    }
}

/// Of commits that ended so.
pub fn commits(outcome: Commit) -> Counter {
    counter!("triad_ingest_commits_total", "outcome" => outcome.as_str())
}

/// Of requests above their tenants' rates.
pub fn rate_limited() -> Counter {
    counter!("triad_ingest_rate_limited_total")
}

/// Bucket bounds, by a metric's name or by the beginning of several, which ends with `_`.
#[must_use]
pub fn buckets() -> Vec<(&'static str, Vec<f64>)> {
    // Factors of 1.25 and 2: a quantile read off them is within that factor.
    let seconds: Vec<f64> = (0..48).map(|i| 0.001 * 1.25_f64.powi(i)).collect();
    let counts: Vec<f64> = (0..12).map(|i| 2_f64.powi(i)).collect();
    let bytes: Vec<f64> = (7..24).map(|i| 2_f64.powi(i)).collect();
    vec![
        ("triad_ingest_", seconds),
        ("triad_ingest_batch_rows", counts),
        ("triad_ingest_batch_bytes", bytes),
    ]
}

/// What the sink counts.
pub struct SinkMetrics {
    rows: Histogram,
    seconds: Histogram,
}

impl Default for SinkMetrics {
    fn default() -> Self {
        Self {
            rows: histogram!("triad_ingest_batch_rows"),
            seconds: histogram!("triad_ingest_write_seconds"),
        }
    }
}

impl SinkMetrics {
    /// A batch of `rows` was written in `elapsed`.
    #[allow(clippy::cast_precision_loss, reason = "batches are far below 2^52 rows")]
    pub fn wrote(&self, rows: usize, elapsed: Duration) {
        self.rows.record(rows as f64);
        self.seconds.record(elapsed.as_secs_f64());
    }

    /// A write is tried again.
    pub fn retried(&self, error: &'static str) {
        counter!("triad_ingest_retries_total", "error" => error).increment(1);
    }
}

/// What the pipeline counts.
pub struct PipelineMetrics {
    /// Rows stored.
    pub stored: Counter,
    /// Rows whose life was over.
    pub expired: Counter,
    /// Records that became dead letters.
    pub dead_lettered: Counter,
    /// Bytes of stored records.
    pub stored_bytes: Counter,
    /// Bytes of rows of a batch.
    pub batch_bytes: Histogram,
    /// From a record's timestamp to its being stored, in seconds.
    pub lag: Histogram,
    /// Bytes between Kafka and Cassandra.
    pub in_flight_bytes: Gauge,
    /// Batches on their way.
    pub batches_in_flight: Gauge,
    /// Same id, other content.
    pub conflicts: Counter,
    /// Same id, same content.
    pub redelivered: Counter,
    /// Partitions above their row target.
    pub oversized: Counter,
}

impl Default for PipelineMetrics {
    fn default() -> Self {
        let outcome =
            |outcome: &'static str| counter!("triad_ingest_rows_total", "outcome" => outcome);
        for reason in Reason::ALL {
            dead_letters(*reason).increment(0);
        }
        Self {
            stored: outcome("stored"),
            expired: outcome("expired"),
            dead_lettered: outcome("dead_lettered"),
            stored_bytes: counter!("triad_ingest_record_bytes_total", "outcome" => "stored"),
            batch_bytes: histogram!("triad_ingest_batch_bytes"),
            lag: histogram!("triad_ingest_end_to_end_lag_seconds"),
            in_flight_bytes: gauge!("triad_ingest_in_flight_bytes"),
            batches_in_flight: gauge!("triad_ingest_batches_in_flight"),
            conflicts: counter!("triad_ingest_conflicts_total"),
            redelivered: counter!("triad_ingest_redelivered_total"),
            oversized: counter!("triad_ingest_oversized_partitions_total"),
        }
    }
}

/// Dead letters under `reason`.
pub fn dead_letters(reason: Reason) -> Counter {
    counter!("triad_ingest_dead_letters_total", "reason" => reason.code())
}

//! Every metric of `authz-edge`, with unit and description. No tenant and no id is a label.

use std::sync::Arc;
use std::time::Instant;

use metrics::{Counter, Gauge, counter, gauge, histogram};
use moka::notification::RemovalCause;
use service_kit::labels;

use crate::check::stamp::Void;
use crate::graph::GraphError;
use crate::graph::client::CommitError;
use crate::graph::write::WriteError;

labels! {
    /// What became of an audit event of a check.
    pub enum Audited {
        /// It waits to be published.
        Queued => "queued",
        /// It is lost: the queue was full.
        Dropped => "dropped",
        /// Kafka has it.
        Published => "published",
        /// It is lost: it was too large, or left at the end.
        Failed => "failed",
        /// It was not taken, and is published once more.
        Retried => "retried",
    }
}

labels! {
    /// Why an identity change is in the dead letters.
    pub enum Unfit {
        /// It is no change at all.
        Malformed => "malformed",
        /// This build does not know its type.
        UnknownType => "unknown_type",
        /// What it says breaks a rule.
        Invalid => "invalid",
    }
}

labels! {
    /// What Envoy is answered.
    pub enum Answered {
        /// The request goes on.
        Allow => "allow",
        /// It does not.
        Deny => "deny",
        /// It cannot be told.
        Error => "error",
    }
}

/// Names and help, registered once a recorder is installed.
pub fn describe() {
    use metrics::{
        Unit, describe_counter as count, describe_gauge as level, describe_histogram as spread,
    };
    count!(
        "triad_authz_checks_total",
        Unit::Count,
        "Checks by result (allow, deny, error) and source (decision, views, graph)"
    );
    spread!(
        "triad_authz_check_seconds",
        Unit::Seconds,
        "Time of a check that was not answered by a cached decision"
    );
    count!(
        "triad_authz_shared_fills_total",
        Unit::Count,
        "Fills that a check waited for and did not begin"
    );
    count!("triad_authz_fills_total", Unit::Count, "Fills of views by kind and outcome");
    level!(
        "triad_authz_fills_in_progress",
        Unit::Count,
        "Reads of the graph under way, of cache.fills that may be"
    );
    count!(
        "triad_authz_invalidations_total",
        Unit::Count,
        "Cached reads found void, each once whatever was made from it, by reason (life, fence, cleared)"
    );
    count!(
        "triad_authz_reread_total",
        Unit::Count,
        "Reads that were below a fence or the watermark and were made again, strictly"
    );
    level!(
        "triad_authz_cache_entries",
        Unit::Count,
        "Cached entries by kind (subject, resource, decision)"
    );
    level!("triad_authz_cache_weight_bytes", Unit::Bytes, "Weight of cached entries by kind");
    count!("triad_authz_cache_evictions_total", Unit::Count, "Entries evicted for room, by kind");
    level!(
        "triad_authz_watermark_age_seconds",
        Unit::Seconds,
        "Age of the watermark: how long a revocation may go unseen"
    );
    count!(
        "triad_authz_clears_total",
        Unit::Count,
        "Times that everything cached was dropped: lost offsets, new partitions, another graph"
    );
    count!("triad_authz_fences_total", Unit::Count, "Fences raised");
    level!(
        "triad_authz_outbox_pending",
        Unit::Count,
        "Changes in the graph's outbox by stage (fences, audit, aside: passed over until an operator helps)"
    );
    level!(
        "triad_authz_outbox_age_seconds",
        Unit::Seconds,
        "Age of the oldest change that the last look found, by stage (fences, audit)"
    );
    count!(
        "triad_authz_outbox_set_aside_total",
        Unit::Count,
        "Changes set aside by reason (unreadable: every edge is cleared once; too_large: for the audit topic)"
    );
    spread!(
        "triad_authz_relay_lag_seconds",
        Unit::Seconds,
        "Time from the writing of a change to the acknowledgement of its fences"
    );
    count!("triad_authz_relay_rounds_total", Unit::Count, "Rounds of the relay by outcome");
    count!("triad_authz_relayed_changes_total", Unit::Count, "Changes published by this relay");
    count!(
        "triad_authz_ext_authz_total",
        Unit::Count,
        "Requests of Envoy, over gRPC and HTTP, by result (allow, deny, error)"
    );
    spread!(
        "triad_authz_ext_authz_seconds",
        Unit::Seconds,
        "Time of requests of Envoy, whatever their result"
    );
    count!(
        "triad_authz_rate_limited_total",
        Unit::Count,
        "Requests refused as their tenant is above its rate"
    );
    count!(
        "triad_authz_audit_retries_total",
        Unit::Count,
        "Audit events of changes that Kafka did not take at once; they are kept"
    );
    count!(
        "triad_authz_graph_requests_total",
        Unit::Count,
        "Requests to Dgraph by kind and outcome: ok, error, conflict (others came first; it is tried again)"
    );
    spread!("triad_authz_graph_seconds", Unit::Seconds, "Time of requests to Dgraph by kind");
    count!(
        "triad_authz_graph_conflicts_total",
        Unit::Count,
        "Transactions that lost against another and were tried again"
    );
    count!(
        "triad_authz_writes_total",
        Unit::Count,
        "Writes over HTTP by kind (relationships, role, entity) and outcome (ok, refused, error)"
    );
    count!(
        "triad_authz_decision_audit_total",
        Unit::Count,
        "Audit events of checks by outcome: queued, dropped (the queue was full), published, failed (too \
         large, or left at the end), and attempts that are repeated (retried)"
    );
    level!(
        "triad_authz_sync_lag_seconds",
        Unit::Seconds,
        "How long identity changes may have waited: the age of the last moment of which all that was \
         published before is applied, by whichever replica"
    );
    count!(
        "triad_authz_sync_changes_total",
        Unit::Count,
        "Identity changes by outcome (applied, repeated, skipped, parked)"
    );
    count!(
        "triad_authz_sync_parked_total",
        Unit::Count,
        "Identity changes in the dead letters by reason (malformed, unknown_type, invalid)"
    );
    level!("triad_authz_sync_stopped_tenants", Unit::Count, "Tenants whose changes have a gap");
    service_kit::track::describe("triad_authz");
    begin();
}

/// What rules and dashboards look for is there before it happens: a rate needs a first value.
fn begin() {
    for name in ["triad_authz_audit_retries_total", "triad_authz_graph_conflicts_total"] {
        counter!(name).increment(0);
    }
    for reason in Void::ALL {
        invalidations(reason).increment(0);
    }
    for outcome in Audited::ALL {
        audited(outcome).increment(0);
    }
    for reason in Unfit::ALL {
        sync_parked(reason).increment(0);
    }
    for result in Answered::ALL {
        ext_authz_requests(result).increment(0);
    }
}

/// Of cached reads found void.
pub fn invalidations(reason: Void) -> Counter {
    counter!("triad_authz_invalidations_total", "reason" => reason.as_str())
}

/// Of audit events of checks.
pub fn audited(outcome: Audited) -> Counter {
    counter!("triad_authz_decision_audit_total", "outcome" => outcome.as_str())
}

/// Of identity changes in the dead letters.
pub fn sync_parked(reason: Unfit) -> Counter {
    counter!("triad_authz_sync_parked_total", "reason" => reason.as_str())
}

fn ext_authz_requests(result: Answered) -> Counter {
    counter!("triad_authz_ext_authz_total", "result" => result.as_str())
}

/// A request of Envoy was answered.
pub fn ext_authz(result: Answered, begun: Instant) {
    ext_authz_requests(result).increment(1);
    histogram!("triad_authz_ext_authz_seconds").record(begun.elapsed());
}

/// Of requests above their tenants' rates.
pub fn rate_limited() -> Counter {
    counter!("triad_authz_rate_limited_total")
}

/// A request to Dgraph ended.
pub fn graph_request<T>(kind: &'static str, begun: Instant, result: &Result<T, GraphError>) {
    graph_answer(kind, begun, if result.is_ok() { "ok" } else { "error" });
}

/// A commit ended, or a claim.
pub fn graph_commit<T>(kind: &'static str, begun: Instant, result: &Result<T, CommitError>) {
    let outcome = match result {
        Ok(_) => "ok",
        Err(CommitError::Aborted) => "conflict",
        Err(CommitError::Graph(_)) => "error",
    };
    graph_answer(kind, begun, outcome);
}

fn graph_answer(kind: &'static str, begun: Instant, outcome: &'static str) {
    counter!("triad_authz_graph_requests_total", "kind" => kind, "outcome" => outcome).increment(1);
    histogram!("triad_authz_graph_seconds", "kind" => kind).record(begun.elapsed());
}

/// A transaction lost against another.
pub fn graph_conflict() {
    counter!("triad_authz_graph_conflicts_total").increment(1);
}

/// A write over HTTP ended.
pub fn write<T>(kind: &'static str, result: &Result<T, WriteError>) {
    let outcome = match result {
        Ok(_) => "ok",
        Err(WriteError::Graph(_)) => "error",
        Err(_) => "refused",
    };
    counter!("triad_authz_writes_total", "kind" => kind, "outcome" => outcome).increment(1);
}

/// Counts what a cache lets go for room; what is replaced is no eviction.
pub fn evictions<K: 'static, V: 'static>(
    kind: &'static str,
) -> impl Fn(Arc<K>, V, RemovalCause) + Send + Sync + 'static {
    let evicted = counter!("triad_authz_cache_evictions_total", "kind" => kind);
    move |_, _, cause| {
        if cause == RemovalCause::Size {
            evicted.increment(1);
        }
    }
}

/// A read of the graph that holds its place, until it is dropped: a fill may be cut off.
pub struct BusyFill(Gauge);

impl BusyFill {
    /// One more.
    #[must_use]
    pub fn begin() -> Self {
        let busy = gauge!("triad_authz_fills_in_progress");
        busy.increment(1.0);
        Self(busy)
    }
}

impl Drop for BusyFill {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A node of the outbox is passed over from here on. It stays in the graph.
pub fn set_aside(node: u64, reason: &'static str, error: &dyn std::fmt::Display) {
    counter!("triad_authz_outbox_set_aside_total", "reason" => reason).increment(1);
    tracing::error!(node = format!("{node:#x}"), reason, %error, "a change is set aside");
}

/// Bucket bounds, by the beginning of the names.
#[must_use]
pub fn buckets() -> Vec<(&'static str, Vec<f64>)> {
    // Factors of 1.25 from 50 µs: a quantile read off them is within that factor.
    vec![("triad_authz_", (0..56).map(|i| 0.000_05 * 1.25_f64.powi(i)).collect())]
}

#[cfg(test)]
mod tests;

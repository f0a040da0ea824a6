//! The figures of audit events, and what each is to reach.

use crate::bench::goals::{Goal, goal};

pub(in crate::bench) static GOALS: [Goal; 14] = [
    goal(
        "audit.pipeline_ratio_pinned",
        0.95,
        true,
        "ratio",
        "pipeline rows/s ÷ ceiling rows/s, full backlog, 200 tenants; Cassandra on CPU 1, Kafka and ingest or the driver on CPU 0",
    ),
    goal("audit.pipeline_ratio_unpinned", 0.80, true, "ratio", "the same, nothing pinned"),
    goal(
        "audit.pipeline_ratio_pinned_random_keys",
        0.85,
        true,
        "ratio",
        "pinned, random Kafka keys",
    ),
    goal(
        "audit.hot_tenant_ratio",
        0.85,
        true,
        "ratio",
        "pipeline rows/s with one tenant of 90 % of the traffic ÷ even traffic, nothing pinned",
    ),
    goal(
        "audit.cpu_per_row_us",
        4.0,
        false,
        "µs",
        "CPU of the ingest process a row, from its first stored row to its last, nothing pinned",
    ),
    goal(
        "audit.rss_mib",
        256.0,
        false,
        "MiB",
        "largest resident memory of ingest, backlog of 5 M, Cassandra stopped for 30 s in its middle",
    ),
    goal(
        "audit.stored_20m_ratio",
        0.90,
        true,
        "ratio",
        "pipeline rows/s with 20 M rows stored ÷ with an empty table, medians of seven windows each",
    ),
    goal(
        "audit.lag_p99_ms",
        250.0,
        false,
        "ms",
        "p99 end-to-end lag at half the ceiling, pinned; the producer on CPU 0 too",
    ),
    goal("audit.lag_p99_unpinned_ms", 250.0, false, "ms", "the same, nothing pinned"),
    goal(
        "audit.first_page_p99_ms",
        50.0,
        false,
        "ms",
        "first page (100 events) of a tenant's day, 20 M rows stored, p99; runs show it by rows stored",
    ),
    goal("audit.scrape_ms", 20.0, false, "ms", "time of a scrape of an idle ingest, median of 50"),
    goal("audit.series_idle", 300.0, false, "series", "series in a scrape of an idle ingest"),
    goal(
        "audit.flood_p99_ratio",
        2.0,
        false,
        "ratio",
        "p99 of a tenant's POSTs (50/s) beside another one that floods, rates of 5 000 events/s a tenant, ÷ p99 alone",
    ),
    goal(
        "audit.read_slowdown",
        0.05,
        false,
        "share",
        "by how much 20 first pages a second slow the pipeline's writes, neighbouring windows of one backlog",
    ),
];

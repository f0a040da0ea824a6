//! The figures of permission checks, and what each is to reach.

use super::turn::TIMES;
use crate::bench::goals::{Goal, goal};

pub(in crate::bench) static GOALS: [Goal; 19] = [
    goal(
        "authz.hot_ratio",
        0.85,
        true,
        "ratio",
        "hot checks/s (1 000 subjects × 1 000 resources by Zipf, closed loop) ÷ a bare hyper server that answers the same bytes",
    ),
    goal(
        "authz.hot_p99_ratio",
        2.0,
        false,
        "ratio",
        "p99 of hot checks ÷ p99 of the bare server, both at half of the smaller closed-loop rate, from the intended start",
    ),
    goal(
        "authz.jwt_hot_ratio",
        0.80,
        true,
        "ratio",
        "hot checks/s with a JWT on every request ÷ the bare server with the same bytes, the header among them",
    ),
    goal(
        "authz.wide_ratio",
        0.60,
        true,
        "ratio",
        "checks/s over 10 000 subjects × 5 000 resources, each of them seen before and few pairs, ÷ the bare server",
    ),
    goal(
        "authz.cold_ratio",
        2.5,
        false,
        "ratio",
        "p50 of checks whose subject and resource are new, one at a time, ÷ p50 of one raw query of a user's closure",
    ),
    goal(
        "authz.cold_depth_ratio",
        1.5,
        false,
        "ratio",
        "p50 of cold checks with teams nested 10 deep ÷ not nested",
    ),
    goal(
        "authz.storm_hit_ratio",
        0.95,
        true,
        "ratio",
        "share of hot checks answered without a read of the graph during 300 writes/s in the 100 checked tenants",
    ),
    goal(
        "authz.storm_rate_ratio",
        0.80,
        true,
        "ratio",
        "hot checks/s during 300 writes/s in the 100 checked tenants ÷ the same writes in 100 tenants that nobody checks",
    ),
    goal(
        "authz.revocation_p99_ms",
        1000.0,
        false,
        "ms",
        "p99 from a revocation's acknowledgement by one edge to the first denial of another; hot checks beside it",
    ),
    goal(
        "authz.revocation_no_kafka_ms",
        5000.0,
        false,
        "ms",
        "the longest of the same with Kafka stopped; cache.life_ms lowered to 5 000, which is the bound",
    ),
    goal(
        "authz.rss_1m_mib",
        300.0,
        false,
        "MiB",
        "resident memory of the edge with 1 M distinct decisions cached",
    ),
    goal(
        "authz.import_edges_per_second",
        20_000.0,
        true,
        "1/s",
        "relationships/s of `authz-edge graph import`, from its start to its end, of one file into a fresh tenant",
    ),
    goal("authz.scrape_ms", 20.0, false, "ms", "time of a scrape of an idle edge, median of 50"),
    goal("authz.series_idle", 300.0, false, "series", "series in a scrape of an idle edge"),
    goal(
        "authz.flood_p99_ratio",
        2.0,
        false,
        "ratio",
        "p99 of a tenant's checks (200/s) beside another one that floods, rates of 1 000/s a tenant, ÷ p99 alone",
    ),
    goal("authz.vs_openfga_hot", TIMES[0], true, "ratio", "hot checks/s ÷ OpenFGA's"),
    goal("authz.vs_openfga_wide", TIMES[1], true, "ratio", "wide checks/s ÷ OpenFGA's"),
    goal("authz.vs_spicedb_hot", TIMES[0], true, "ratio", "hot checks/s ÷ SpiceDB's"),
    goal("authz.vs_spicedb_wide", TIMES[1], true, "ratio", "wide checks/s ÷ SpiceDB's"),
];

//! The figures of identities, and what each is to reach.

use crate::bench::goals::{Goal, goal};

/// How many times Keycloak's users created a second ours are to be.
pub(crate) const CREATE_TIMES: f64 = 4.5;
/// The same of grants.
pub(crate) const GRANT_TIMES: f64 = 15.0;

pub(in crate::bench) static GOALS: [Goal; 13] = [
    goal(
        "identity.create_ratio",
        0.65,
        true,
        "ratio",
        "users created/s (settings, outbox, audit, idempotency; 100 tenants) ÷ the same statements by the bare driver",
    ),
    goal(
        "identity.creates_per_second",
        CREATE_TIMES * 112.0,
        true,
        "1/s",
        "users created/s; the goal is 4.5 times what Keycloak 26.4 did on two such cores with the same MySQL (112/s)",
    ),
    goal(
        "identity.grants_per_second",
        GRANT_TIMES * 374.0,
        true,
        "1/s",
        "client_credentials grants/s, audited before the answer; the goal is 15 times Keycloak's (374/s)",
    ),
    goal(
        "identity.read_ratio",
        0.60,
        true,
        "ratio",
        "users read by id or by address/s ÷ the same statements by the bare driver",
    ),
    goal(
        "identity.login_ratio",
        0.90,
        true,
        "ratio",
        "password log-ins/s ÷ bare Argon2id of the same costs on as many threads",
    ),
    goal(
        "identity.kafka_p99_ms",
        200.0,
        false,
        "ms",
        "p99 from a commit to Kafka's acknowledgement of its change, at 300 writes/s",
    ),
    goal(
        "identity.check_p99_ms",
        500.0,
        false,
        "ms",
        "p99 from a write's answer to the answer of a check that waits for it by its token, at 300 writes/s",
    ),
    goal(
        "identity.import_100k_seconds",
        60.0,
        false,
        "s",
        "import of 100 000 users without passwords",
    ),
    goal(
        "identity.scrape_ms",
        20.0,
        false,
        "ms",
        "time of a scrape of an idle identity-admin, median of 50",
    ),
    goal(
        "identity.series_idle",
        300.0,
        false,
        "series",
        "series in a scrape of an idle identity-admin",
    ),
    goal(
        "identity.rss_mib",
        200.0,
        false,
        "MiB",
        "largest resident memory while users are created, read and given tokens at full load",
    ),
    goal(
        "identity.rss_flood_mib",
        200.0,
        false,
        "MiB",
        "largest resident memory while password log-ins are flooded, 256 at once",
    ),
    goal(
        "identity.rss_flood_ratio",
        1.1,
        false,
        "ratio",
        "resident memory at the end of that flood ÷ after its first fifth",
    ),
];

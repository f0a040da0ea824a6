//! What is said beside the figures: how each side is set and why that is fair, and what a peer does that Triad does not.

type Notes = &'static [(&'static str, &'static str)];

pub(super) const AUDIT_SETTINGS: Notes = &[
    (
        "both",
        "the same topic (12 partitions, lz4), the same table without indexes on one node of Cassandra, QUORUM, a fresh keyspace and consumer group in every turn; commitlog_sync periodic, as Cassandra comes",
    ),
    (
        "both",
        "rows/s and CPU count from a tenth of the rows to nine tenths; all rows are counted in Cassandra afterwards",
    ),
    ("ingest", "as shipped, but for cassandra.index: none"),
    (
        "Bento",
        "a build with the needed components alone; kafka_franz, checkpoint_limit raised so that it never waits for acknowledgements, unlogged batches of 64, 64 in flight, time-out 10 s in place of 600 ms; gocql's defaults",
    ),
    (
        "Bento",
        "two pipelines are measured: plain (64 rows as they come) and grouped (rows of one Cassandra partition in a batch)",
    ),
    (
        "Bento",
        "does less for a row: a slice of event_time as bucket, where ingest asks its layouts; MD5 of the record as row id, where ingest hashes a canonical encoding; a constant TTL; absent texts become empty ones; records are not validated; a record that is refused is tried for ever, ingest has dead letters",
    ),
];

pub(super) const AUDIT_PEER_DOES: Notes = &[
    (
        "Bento",
        "hundreds of inputs, processors and outputs by configuration alone; ingest reads Kafka or HTTP and writes Cassandra",
    ),
    ("Bento", "another mapping is a line of Bloblang and a restart; ingest's columns are fixed"),
];

pub(super) const AUTHZ_SETTINGS: Notes = &[
    (
        "all",
        "one tenant of 10 000 users, 5 000 documents, teams nested three deep; the same questions in the same order from the same client with 64 callers; every answer is compared with the right one",
    ),
    (
        "all",
        "hot: 2 000 questions asked before; wide: users and documents seen before, pairs new. Each has its engines and the machine for itself",
    ),
    ("Triad", "authz-edge as shipped on Dgraph, over HTTP"),
    (
        "OpenFGA",
        "on MySQL, over HTTP; query cache and iterator cache on for 10 min and 1 000 000 entries (off by default), no cache controller: nothing is spent on noticing changes, the best case for checks",
    ),
    (
        "SpiceDB",
        "on MySQL, over gRPC, 16 callers to a connection; caches as they come, minimize_latency, revisions quantized to 10 min, so that entries live as long as OpenFGA's",
    ),
    (
        "bare",
        "hyper answering the same bytes without a thought: what the client and the machine allow",
    ),
];

pub(super) const AUTHZ_PEER_DOES: Notes = &[
    (
        "SpiceDB",
        "a schema language with permissions as expressions (intersection, exclusion); Triad's model is fixed: teams, roles, bindings, parents, conditions",
    ),
    ("SpiceDB", "runs on CockroachDB and Spanner, over regions"),
    (
        "OpenFGA",
        "a modelling language with contextual tuples; it needs no engine of its own but PostgreSQL, MySQL or SQLite",
    ),
];

pub(super) const IDENTITY_SETTINGS: Notes = &[
    (
        "both",
        "the same MySQL as it comes: a commit is on the disk; users without passwords, so that no hashing is measured; the same client and number of connections, in turns",
    ),
    (
        "Triad",
        "identity-admin as shipped; 100 tenants; a creation writes user, settings, change, audit event and the answer of its Idempotency-Key in one transaction; a grant is an audit event in MySQL before it is answered. It is started for each turn, and stopped after it",
    ),
    (
        "Keycloak",
        "kc.sh build, start --optimized (production mode), its own heap (512 MiB), pools and caches; KC_CACHE=local, since one node has no cluster to tell; one realm, since a hundred would slow it down; password hashing as it comes, and unused",
    ),
    (
        "Keycloak",
        "stays up and warm through all rounds, and is warmed up before the first; access tokens of its administrator last an hour, so that none ends within a turn",
    ),
    ("Keycloak", "stores no event for a grant (its default), and tells nobody of a creation"),
];

pub(super) const IDENTITY_PEER_DOES: Notes = &[
    (
        "Keycloak",
        "log-in pages with themes, second factors and passkeys, SAML, federation with LDAP and social log-ins, a console for administrators",
    ),
    (
        "Keycloak",
        "authorization code flow for browsers; Triad has the device flow and client credentials",
    ),
];

pub(super) const MONOLITH_SETTINGS: Notes = &[
    (
        "MySQL",
        "a buffer pool of 3 GiB (Cassandra's heap here), innodb_flush_log_at_trx_commit 2 (as durable as Cassandra's periodic commit log, not more), no binary log (one copy, as Cassandra's), a redo log of 1 GiB and 2 000 to 4 000 writes a second behind it",
    ),
    (
        "MySQL",
        "one audit table with a growing key and three indexes: tenant and time, tenant with actor and time, tenant with resource and time; none that would keep a resent event from being stored twice. Inserts of 100 rows by 8 writers, which make the events meanwhile: a microsecond each",
    ),
    (
        "MySQL",
        "pages are read by the driver, without a service before it; Triad's are read over HTTP",
    ),
    (
        "MySQL",
        "checks: one recursive statement, prepared, on primary keys that cover it, integers as ids; 8 connections. The driver asks without a service before it",
    ),
    (
        "Triad",
        "ingest and Cassandra as shipped, the index for filters on; rows are loaded by the driver of `loadtest audit ceiling`, then ingest reads a backlog, whose windows are the rate",
    ),
    ("Triad", "checks over HTTP from authz-edge, 8 connections"),
    (
        "both",
        "rates are medians of three windows at each level; MySQL was measured at all levels, then Triad, up to an hour apart, and such a machine's speed differs that much from hour to hour: shapes over the rows say more than ratios. Windows are written and pages asked for once what was written before has been flushed or compacted",
    ),
];

pub(super) const MONOLITH_PEER_DOES: Notes = &[
    ("MySQL", "one engine to run, back up and know; Triad wants four, or none in one process"),
    (
        "MySQL",
        "users, rights and audit rows change in one transaction, so nothing is ever behind; Triad has a bound and tokens to wait by",
    ),
    ("MySQL", "any SQL over the audit rows: joins, counts, indexes added later"),
];

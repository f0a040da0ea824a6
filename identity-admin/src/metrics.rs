//! Every metric of `identity-admin`, with unit and description. No tenant and no id is a label.

use std::time::Instant;

use metrics::{Counter, counter, gauge, histogram};

use service_kit::bus::PublishError;
use service_kit::labels;

use crate::change::{OutboxLevel, Topic};
use crate::db::{Db, DbError};

labels! {
    /// How a mutation ended.
    pub enum Mutated {
        /// It was made.
        Done => "done",
        /// Its Idempotency-Key was answered before.
        Repeated => "repeated",
        /// The caller's mistake.
        Refused => "refused",
        /// Ours.
        Failed => "failed",
    }
}

labels! {
    /// What became of a request for a token.
    pub enum Asked {
        /// There is one.
        Issued => "issued",
        /// The caller's mistake.
        Refused => "refused",
        /// Ours.
        Failed => "failed",
    }
}

labels! {
    /// How a person's log-in ended.
    pub enum LoggedIn {
        /// They are in.
        Succeeded => "succeeded",
        /// Name or password.
        Wrong => "wrong",
        /// Wrong too often; it was not looked at.
        Locked => "locked",
        /// Too many passwords are checked.
        Busy => "busy",
        /// The database.
        Failed => "failed",
    }
}

/// Names and help, registered once a recorder is installed.
pub fn describe() {
    use metrics::{
        Unit, describe_counter as count, describe_gauge as level, describe_histogram as spread,
    };
    count!(
        "triad_identity_mutations_total",
        Unit::Count,
        "Mutations by outcome: done, repeated (its Idempotency-Key was answered before), refused, failed"
    );
    spread!(
        "triad_identity_mutation_seconds",
        Unit::Seconds,
        "Time of a mutation from its first statement to its end, tries and waits included"
    );
    count!("triad_identity_changes_total", Unit::Count, "Changes committed to the outbox, by type");
    count!(
        "triad_identity_retries_total",
        Unit::Count,
        "Transactions tried again by reason: deadlock, lost, unknown"
    );
    spread!(
        "triad_identity_acquire_seconds",
        Unit::Seconds,
        "Wait for a connection to the database"
    );
    count!(
        "triad_identity_saturated_total",
        Unit::Count,
        "Times that no connection came free in time"
    );
    level!("triad_identity_connections", Unit::Count, "Open connections by state: idle, used");
    level!(
        "triad_identity_outbox_depth",
        Unit::Count,
        "Rows that wait to be published, as far as was counted (10 000)"
    );
    level!(
        "triad_identity_outbox_age_seconds",
        Unit::Seconds,
        "Age of the oldest row that waits to be published, those set aside apart"
    );
    count!(
        "triad_identity_relayed_total",
        Unit::Count,
        "Rows of the outbox that Kafka acknowledged, by topic: changes, audit"
    );
    spread!(
        "triad_identity_relay_lag_seconds",
        Unit::Seconds,
        "Time from a mutation to Kafka's acknowledgement of what it says, by topic"
    );
    count!(
        "triad_identity_unpublished_total",
        Unit::Count,
        "Rounds of the relay that Kafka did not take whole, by reason: full, refused, unknown, too_large"
    );
    count!("triad_identity_parked_total", Unit::Count, "Rows of the outbox set aside as too large");
    level!(
        "triad_identity_outbox_parked",
        Unit::Count,
        "Rows set aside until an operator decides, by topic: changes, each of which stops its tenant's later \
         ones, and audit, which stop nothing"
    );
    level!(
        "triad_identity_relay_leads",
        Unit::Count,
        "1 on the replica that holds the lease of the outbox, else 0"
    );
    count!(
        "triad_identity_tokens_total",
        Unit::Count,
        "Requests for tokens by outcome: issued, refused, failed"
    );
    spread!(
        "triad_identity_token_seconds",
        Unit::Seconds,
        "Time of a request for a token, its audit event stored"
    );
    level!(
        "triad_identity_signing_keys",
        Unit::Count,
        "Keys that this replica publishes; 0 issues and verifies nothing"
    );
    level!(
        "triad_identity_snapshots_running",
        Unit::Count,
        "Snapshots that are being read, each on a connection of its own"
    );
    count!(
        "triad_identity_swept_total",
        Unit::Count,
        "Rows deleted at the end of their lives, by table"
    );
    count!(
        "triad_identity_password_hashes_total",
        Unit::Count,
        "Passwords hashed, by purpose: verify, set"
    );
    spread!(
        "triad_identity_password_wait_seconds",
        Unit::Seconds,
        "Wait of a password until it is hashed"
    );
    count!(
        "triad_identity_password_refusals_total",
        Unit::Count,
        "Passwords that were not hashed, as too many waited"
    );
    level!(
        "triad_identity_password_queue",
        Unit::Count,
        "Passwords that are hashed or wait for it"
    );
    count!(
        "triad_identity_rate_limited_total",
        Unit::Count,
        "Requests refused as their tenant is above its rate"
    );
    count!(
        "triad_identity_logins_total",
        Unit::Count,
        "Log-ins of people by outcome: succeeded, wrong, locked, busy, failed"
    );
    service_kit::track::describe("triad_identity");
    begin();
}

/// What rules and dashboards look for is there before it happens: a rate needs a first value.
fn begin() {
    for name in ["triad_identity_saturated_total", "triad_identity_password_refusals_total"] {
        counter!(name).increment(0);
    }
    gauge!("triad_identity_password_queue").set(0.0);
    for outcome in Mutated::ALL {
        mutations(outcome).increment(0);
    }
    for outcome in Asked::ALL {
        tokens(outcome).increment(0);
    }
    for outcome in LoggedIn::ALL {
        logins(outcome).increment(0);
    }
    let lost = DbError::Lost(String::new());
    for error in [DbError::Contended, lost, DbError::Unknown(String::new())] {
        retries(&error).increment(0);
    }
    for error in PublishError::ALL {
        rounds_unpublished(&error).increment(0);
    }
}

/// Of requests above their tenants' rates.
pub fn rate_limited() -> Counter {
    counter!("triad_identity_rate_limited_total")
}

fn mutations(outcome: Mutated) -> Counter {
    counter!("triad_identity_mutations_total", "outcome" => outcome.as_str())
}

/// A mutation ended.
pub fn mutated(outcome: Mutated, begun: Instant) {
    mutations(outcome).increment(1);
    histogram!("triad_identity_mutation_seconds").record(begun.elapsed());
}

/// A change was committed.
pub fn changed(kind: &'static str) {
    counter!("triad_identity_changes_total", "type" => kind).increment(1);
}

fn retries(error: &DbError) -> Counter {
    let reason = match error {
        DbError::Contended => "deadlock",
        DbError::Unknown(_) => "unknown",
        _ => "lost",
    };
    counter!("triad_identity_retries_total", "reason" => reason)
}

/// A transaction is tried again.
pub fn retried(error: &DbError) {
    retries(error).increment(1);
}

/// Somebody waited for a connection.
pub fn acquired<T>(begun: Instant, result: &Result<T, DbError>) {
    histogram!("triad_identity_acquire_seconds").record(begun.elapsed());
    if matches!(result, Err(DbError::Saturated)) {
        counter!("triad_identity_saturated_total").increment(1);
    }
}

/// The pool as it is now.
pub fn pool(db: &Db) {
    let (open, idle) = db.connections();
    gauge!("triad_identity_connections", "state" => "idle").set(f64::from(idle));
    gauge!("triad_identity_connections", "state" => "used")
        .set(f64::from(open.saturating_sub(idle)));
}

/// A row of the outbox is on Kafka, so long after it was written.
pub fn relayed(topic: Topic, lag: chrono::Duration) {
    counter!("triad_identity_relayed_total", "topic" => topic.as_str()).increment(1);
    let lag = lag.as_seconds_f64().max(0.0);
    histogram!("triad_identity_relay_lag_seconds", "topic" => topic.as_str()).record(lag);
}

fn rounds_unpublished(error: &PublishError) -> Counter {
    let reason = match error {
        PublishError::QueueFull => "full",
        PublishError::TooLarge { .. } => "too_large",
        PublishError::UnknownOutcome(_) => "unknown",
        PublishError::Refused(_) => "refused",
    };
    counter!("triad_identity_unpublished_total", "reason" => reason)
}

/// Kafka did not take all of a round.
pub fn unpublished(error: &PublishError) {
    rounds_unpublished(error).increment(1);
}

/// A row of the outbox was set aside.
pub fn parked() {
    counter!("triad_identity_parked_total").increment(1);
}

/// Whether this process relays.
pub fn leads(leads: bool) {
    gauge!("triad_identity_relay_leads").set(f64::from(u8::from(leads)));
}

fn tokens(outcome: Asked) -> Counter {
    counter!("triad_identity_tokens_total", "outcome" => outcome.as_str())
}

/// A token was asked for.
pub fn token(outcome: Asked, begun: Instant) {
    tokens(outcome).increment(1);
    histogram!("triad_identity_token_seconds").record(begun.elapsed());
}

/// The signing keys were read.
#[allow(clippy::cast_precision_loss, reason = "a gauge")]
pub fn signing(keys: usize) {
    gauge!("triad_identity_signing_keys").set(keys as f64);
}

/// A snapshot begins or ends.
pub fn snapshots(begins: bool) {
    let running = gauge!("triad_identity_snapshots_running");
    if begins {
        running.increment(1);
    } else {
        running.decrement(1);
    }
}

/// The outbox as it is now.
#[allow(clippy::cast_precision_loss, reason = "a gauge")]
pub fn outbox(OutboxLevel { depth, age_seconds, parked }: OutboxLevel) {
    for (topic, rows) in parked {
        gauge!("triad_identity_outbox_parked", "topic" => topic.as_str()).set(rows as f64);
    }
    gauge!("triad_identity_outbox_depth").set(depth as f64);
    gauge!("triad_identity_outbox_age_seconds").set(age_seconds);
}

/// Rows of a table were deleted.
pub fn swept(table: &'static str, rows: u64) {
    counter!("triad_identity_swept_total", "table" => table).increment(rows);
}

/// A password found no place.
pub fn password_refused() {
    counter!("triad_identity_password_refusals_total").increment(1);
}

/// A password has a place, or gives it back.
pub fn password_queued(queued: bool) {
    let queue = gauge!("triad_identity_password_queue");
    if queued { queue.increment(1) } else { queue.decrement(1) }
}

/// A password is hashed from now on.
pub fn password_waited(begun: Instant) {
    histogram!("triad_identity_password_wait_seconds").record(begun.elapsed());
}

/// A password was hashed.
pub fn password_hashed(purpose: &'static str) {
    counter!("triad_identity_password_hashes_total", "purpose" => purpose).increment(1);
}

fn logins(outcome: LoggedIn) -> Counter {
    counter!("triad_identity_logins_total", "outcome" => outcome.as_str())
}

/// Somebody logged in, or did not.
pub fn logged_in(outcome: LoggedIn) {
    logins(outcome).increment(1);
}

/// Bucket bounds, by the beginning of the names.
#[must_use]
pub fn buckets() -> Vec<(&'static str, Vec<f64>)> {
    // Factors of 1.25 from 100 µs to 10 s: a quantile read off them is within that factor.
    vec![("triad_identity_", (0..52).map(|i| 0.000_1 * 1.25_f64.powi(i)).collect())]
}

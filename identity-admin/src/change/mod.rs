//! How a mutation is made: the one place that knows the order of a transaction.
//!
//! 1. The tenant's row in `tenant_changes` is updated first. That serialises the tenant: its mutations come one
//!    after the other, its changes are numbered without gaps, and what a mutation tests (cycles, duplicates)
//!    still holds when it commits.
//! 2. If the request carries an Idempotency-Key that was answered before, that answer is given again and
//!    nothing is changed.
//! 3. The mutation reads and writes its rows, and says what changed ([`Write::changed`]).
//! 4. For each change the event of `identity.changes` and its audit event go to the outbox, and the answer is
//!    kept for the key.
//! 5. All of it commits, or none.
//!
//! A new feature implements [`Mutation`] and needs to know none of this.

mod audit;
mod condition;
mod core;
mod idempotency;
mod outbox;
mod refused;
mod renumber;
mod write;

pub use self::core::{Core, Done, Opening, Request};
pub use audit::Author;
pub(crate) use audit::said;
pub use condition::{Condition, tag};
pub use idempotency::Key;
pub use outbox::{OutboxLevel, Topic, outbox_level};
pub(crate) use outbox::{record, store_event, store_events};
pub use refused::{FieldFault, Refused};
pub use renumber::renumber;
pub use write::{Answer, Mutation, Write};

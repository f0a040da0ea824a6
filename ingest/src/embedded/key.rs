//! Where a row is: `tenant ‖ 0 ‖ event_time ‖ event_id`, so that a tenant's rows are in the order in which
//! they are read. No tenant's name holds a zero byte.

use std::ops::Bound;

use crate::query::store::Slice;
use crate::query::{Order, Position};

/// Bytes of a position in a key.
const POSITION: usize = 24;

/// The key of a row.
pub(super) fn of(tenant: &str, at: Position) -> Vec<u8> {
    let mut key = prefix(tenant, POSITION);
    key.extend_from_slice(&at.sort_key());
    key
}

/// The first key that a row of that time (milliseconds) can have.
pub(super) fn from_time(tenant: &str, time: i64) -> Vec<u8> {
    let mut key = prefix(tenant, 8);
    key.extend_from_slice(&time.max(0).to_be_bytes());
    key
}

/// Behind all keys of a tenant.
pub(super) fn behind(tenant: &[u8]) -> Vec<u8> {
    [tenant, &[1]].concat()
}

/// The tenant of a key.
pub(super) fn tenant(key: &[u8]) -> &[u8] {
    key.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The keys of a slice.
pub(super) fn bounds(slice: &Slice<'_>, oldest: i64) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let low = from_time(slice.tenant, slice.from.max(oldest));
    let high = from_time(slice.tenant, slice.to);
    let after = slice.after.map(|after| of(slice.tenant, after));
    match (slice.order, after) {
        (Order::Newest, Some(after)) => (Bound::Included(low), Bound::Excluded(after.min(high))),
        // What is too old stays out also behind a row that was not yet.
        (Order::Oldest, Some(after)) if after >= low => {
            (Bound::Excluded(after), Bound::Excluded(high))
        }
        _ => (Bound::Included(low), Bound::Excluded(high)),
    }
}

fn prefix(tenant: &str, room: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(tenant.len() + 1 + room);
    key.extend_from_slice(tenant.as_bytes());
    key.push(0);
    key
}

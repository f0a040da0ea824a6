//! The data-skipping index: which rows a filter by actor or resource need not read.
//!
//! Rows of one Cassandra partition that were stored together are a granule. For each there is one small
//! row beside the table: the granule's first and last `event_time`, and the set of [`hash`]es of its
//! actors and resources. A filtered read asks for the granules whose set contains its value, and reads
//! the rows of their times alone; a hash that two values share costs a granule read in vain, never a
//! missing row. (The idea is that of block range indexes and of "set" skip indexes in column stores.)
//!
//! | part | where |
//! |---|---|
//! | collecting granules, and holding back the watermark until they are durable | `pipeline::granule` |
//! | writing them | `sink::skip` |
//! | reading by them | `query::cassandra::skip` |

/// A field that filters name and granules know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `actor_id`.
    Actor = 1,
    /// `resource_id`.
    Resource = 2,
}

/// The 32-bit FNV-1a hash (RFC 9923) of the field's number and the value, as the signed integer of CQL.
/// It is stored: another function is another index.
#[must_use]
pub fn hash(field: Field, value: &[u8]) -> i32 {
    const OFFSET_BASIS: u32 = 0x811C_9DC5;
    const PRIME: u32 = 0x0100_0193;
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(PRIME);
    let seeded = step(OFFSET_BASIS, &(field as u8));
    value.iter().fold(seeded, step).cast_signed()
}

/// How long after a row the granule that names it may come, beside the configured linger: writing it,
/// and clocks that differ. Younger rows are read whatever the granules say.
pub const SLACK_MS: i64 = 30_000;

/// How long after `schema apply` turned the index on processes may still run that write no granules.
/// A new keyspace has none.
pub const ROLL_OUT_MS: i64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_fnv_1a_of_field_and_value() {
        // RFC 9923's algorithm by hand: offset basis, xor 1, times prime.
        assert_eq!(hash(Field::Actor, b"").cast_unsigned(), 0x040C_5B8C);
        assert_ne!(hash(Field::Actor, b"x"), hash(Field::Resource, b"x"));
        // The field's byte and "a" together are the text "\x01a".
        assert_eq!(
            hash(Field::Actor, b"a").cast_unsigned(),
            (0x040C_5B8C ^ 0x61_u32).wrapping_mul(0x0100_0193)
        );
    }
}

//! Records that must not be stored: one for each rule that a record can break on its own.

use ingest::event::Reason;

/// What a record of a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event to be stored.
    Good,
    /// A record that breaks this rule.
    Poison(Rule),
    /// A record longer than is stored.
    Oversized,
}

/// A rule that an injected record breaks. The default limits of ingest are assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule(Reason);

/// Every rule that a single record can break under the default limits, apart from its size.
const RULES: [Reason; 15] = [
    Reason::Empty,
    Reason::InvalidUtf8,
    Reason::InvalidJson,
    Reason::TooDeep,
    Reason::TooManyFields,
    Reason::DuplicateKey,
    Reason::WrongType,
    Reason::MissingField,
    Reason::InvalidTenant,
    Reason::InvalidId,
    Reason::InvalidEnum,
    Reason::InvalidIp,
    Reason::InvalidTime,
    Reason::TimeOutOfWindow,
    Reason::ReservedKey,
];

impl Rule {
    /// The rule of the `turn`-th poisonous record: all of them in turn.
    #[must_use]
    pub fn of_turn(turn: u64) -> Self {
        Self(RULES[(turn % RULES.len() as u64) as usize])
    }

    /// Under which reason its dead letter must stand.
    #[must_use]
    pub fn reason(self) -> Reason {
        self.0
    }

    /// Turns the good event in `value` into one that breaks this rule and no earlier one.
    pub(super) fn spoil(self, index: u64, value: &mut Vec<u8>) {
        let id = format!("poison-{index}");
        let minimal =
            |rest: &str| format!(r#"{{"id":"{id}","tenant_id":"acme-0000"{rest}}}"#).into_bytes();
        match self.0 {
            Reason::Empty => value.clear(),
            Reason::InvalidUtf8 => {
                let at = value.len() / 2;
                value[at] = 0xFF;
            }
            Reason::TooDeep => {
                let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
                *value = minimal(&format!(r#","action":"x","details":{{"deep":{deep}}}"#));
            }
            Reason::TooManyFields => {
                let many: Vec<_> = (0..200).map(|i| format!(r#""k{i}":"v""#)).collect();
                *value = minimal(&format!(r#","action":"x","details":{{{}}}"#, many.join(",")));
            }
            Reason::DuplicateKey => *value = minimal(r#","action":"x","action":"y""#),
            Reason::WrongType => *value = minimal(r#","action":7"#),
            Reason::MissingField => *value = minimal(""),
            Reason::InvalidTenant => {
                *value =
                    format!(r#"{{"id":"{id}","tenant_id":"Acme Corp","action":"x"}}"#).into_bytes();
            }
            Reason::InvalidId => *value = minimal(r#","action":"x","actor_id":"a\u0000b""#),
            Reason::InvalidEnum => *value = minimal(r#","action":"x","status":"MAYBE""#),
            Reason::InvalidIp => *value = minimal(r#","action":"x","source_ip":"999.1.1.1""#),
            Reason::InvalidTime => *value = minimal(r#","action":"x","event_time":"yesterday""#),
            Reason::TimeOutOfWindow => {
                *value = minimal(r#","action":"x","event_time":"2001-01-01T00:00:00Z""#);
            }
            Reason::ReservedKey => {
                *value = minimal(r#","action":"x","shape":"new","details":{"_extra":"mine"}"#);
            }
            // Without its last bracket: cut anywhere else it might end within a character.
            _ => value.truncate(value.len() - 1),
        }
    }
}

/// Lengthens the event in `value` to at least `bytes`, leaving it well formed.
pub(super) fn oversize(bytes: usize, value: &mut Vec<u8>) {
    // An event ends in the two brackets of its details and itself.
    value.truncate(value.len() - 2);
    value.extend_from_slice(b",\"blob\":\"");
    let missing = bytes.saturating_sub(value.len() + 3);
    value.resize(value.len() + missing, b'x');
    value.extend_from_slice(b"\"}}");
}

#[cfg(test)]
mod tests {
    use ingest::event::{Limits, decode};

    use super::*;
    use crate::generate::{Draft, Generator};
    use crate::run::Run;

    const LIMITS: Limits = Limits { max_record_bytes: 65_536, max_fields: 64, max_depth: 16 };

    #[test]
    fn every_poison_breaks_its_own_rule() {
        let run = Run { poison_every: 1, ..Run::example(100 * RULES.len() as u64) };
        let generator = Generator::new(&run);
        let mut draft = Draft::default();
        for index in 0..run.events {
            generator.record(index, &mut draft);
            let reason = Rule::of_turn(index).reason();
            let found = decode(&draft.value, &LIMITS).map_err(|rejection| rejection.reason);
            match reason {
                // The decoder knows no clock: the pipeline judges this one.
                Reason::TimeOutOfWindow => {
                    assert!(found.unwrap().time.unwrap().millis() < 1_000_000_000_000);
                }
                _ => assert_eq!(found.unwrap_err(), reason),
            }
        }
        assert_eq!(generator.expected_dead_letters().len(), RULES.len());
    }

    #[test]
    fn an_oversized_record_is_well_formed_but_for_its_size() {
        let run = Run { oversized_every: 2, oversized_bytes: 100_000, ..Run::example(4) };
        let mut draft = Draft::default();
        Generator::new(&run).record(1, &mut draft);
        assert_eq!(run.kind(1), Kind::Oversized);
        assert_eq!(decode(&draft.value, &LIMITS).unwrap_err().reason, Reason::TooLarge);
        decode(&draft.value, &Limits { max_record_bytes: 200_000, ..LIMITS }).unwrap();
        assert_eq!(run.kind(0), Kind::Good);
    }
}

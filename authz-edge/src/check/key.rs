//! The key of a decision, made on the stack.

use super::question::Words;

/// The longest key: five words of at most 255 bytes with their lengths, and the type.
const MAX_KEY: usize = 5 * 256 + 1;

/// A decision's key: each word with its length, so that no two questions share one. Made on the stack.
pub struct DecisionKey {
    bytes: [u8; MAX_KEY],
    len: usize,
}

impl DecisionKey {
    /// `None` when a word is longer than any id may be.
    #[must_use]
    pub fn new(words: &Words<'_>) -> Option<Self> {
        let mut key = Self { bytes: [0; MAX_KEY], len: 0 };
        let all = [
            words.tenant.as_str(),
            words.subject,
            words.action,
            words.resource_type,
            words.resource,
        ];
        for word in all {
            let length = u8::try_from(word.len()).ok()?;
            let end = key.len + 1 + word.len();
            key.bytes[key.len] = length;
            key.bytes[key.len + 1..end].copy_from_slice(word.as_bytes());
            key.len = end;
        }
        key.bytes[key.len] = words.subject_type as u8;
        key.len += 1;
        Some(key)
    }

    /// The key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use contracts::TenantId;
    use proptest::prelude::*;

    use super::*;
    use crate::model::SubjectType;

    proptest! {
        #[test]
        fn no_two_questions_share_a_key(
            tenants in prop::array::uniform2("[ab0]{1,3}"),
            a in prop::array::uniform4("[ab\u{e9}:0]{0,3}"),
            b in prop::array::uniform4("[ab\u{e9}:0]{0,3}"),
            types in prop::array::uniform2(0..3_usize),
        ) {
            let kinds = [SubjectType::User, SubjectType::ServiceAccount, SubjectType::Team];
            let key = |tenant: &str, w: &[String; 4], type_: usize| {
                let words = Words {
                    tenant: &TenantId::parse(tenant).unwrap(), subject_type: kinds[type_],
                    subject: &w[0], action: &w[1], resource_type: &w[2], resource: &w[3],
                };
                DecisionKey::new(&words).unwrap().as_bytes().to_vec()
            };
            let same = tenants[0] == tenants[1] && a == b && types[0] == types[1];
            let (a, b) = (key(&tenants[0], &a, types[0]), key(&tenants[1], &b, types[1]));
            prop_assert_eq!(a == b, same);
        }
    }
}

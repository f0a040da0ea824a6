//! What is asked and what is stored: keys, relationships, roles, conditions. No I/O.
//!
//! | module | what it holds |
//! |---|---|
//! | [`key`] | who and what: subjects, resources, roles, and the external key of each |
//! | [`relationship`] | what binds them, and lists of writes with preconditions |
//! | [`role`] | permissions and their scopes |
//! | [`condition`] | CEL |
//! | [`parts`] | what a subject's view is made of, each voided by changes of its own |
//! | [`view`] | what one reading of the graph says about a subject or a resource |
//! | [`weight`] | what they hold, in bytes |
//! | [`trace`] | the nodes and edges that two views were made from |

pub mod condition;
pub mod key;
pub mod parts;
pub mod relationship;
pub mod role;
pub mod trace;
pub mod view;
pub mod weight;

pub use condition::Condition;
pub use key::{Key, ResourceRef, SubjectRef, SubjectType};
pub use relationship::{Op, Precondition, Relationship, Write, WriteList};
pub use role::{Permission, Role, Scope};

use serde_json::{Map, Value};

/// Attributes, properties, context: a JSON object.
pub type Properties = Map<String, Value>;

/// The longest attributes of one subject or resource, and properties or context of one request, in bytes
/// of JSON.
pub const MAX_PROPERTIES_BYTES: usize = 16 << 10;

/// What is refused before anything is read or written: which member, and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{member}: {rule}")]
pub struct Invalid {
    /// Dotted, with indexes, as in `writes[3].relationship.subject.id`.
    pub member: String,
    /// What it must be.
    pub rule: String,
}

impl Invalid {
    /// A refusal of `member`.
    pub fn new(member: impl Into<String>, rule: impl std::fmt::Display) -> Self {
        Self { member: member.into(), rule: rule.to_string() }
    }

    /// The same, seen from further out.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.member = format!("{outer}.{}", self.member);
        self
    }
}

/// Refuses properties that are too large.
///
/// # Errors
/// `member`, when its JSON is longer than [`MAX_PROPERTIES_BYTES`].
pub fn check_properties(member: &str, properties: Option<&Properties>) -> Result<(), Invalid> {
    let Some(properties) = properties else { return Ok(()) };
    let mut counter = Counter(0);
    // Counting cannot fail.
    let _ = serde_json::to_writer(&mut counter, properties);
    if counter.0 > MAX_PROPERTIES_BYTES {
        return Err(Invalid::new(member, format!("is above {MAX_PROPERTIES_BYTES} bytes of JSON")));
    }
    Ok(())
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

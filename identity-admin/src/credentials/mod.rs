//! What credentials are made of and checked with.
//!
//! | module | what it holds |
//! |---|---|
//! | `secrets` | peppers and encryption keys |
//! | `key_text` | how an API key is written |

mod key_text;
mod secrets;

use std::fmt;

pub(crate) use key_text::is_key;
pub use secrets::{Peppered, Secrets, Undecryptable, write_private};

/// What makes and checks credentials.
pub struct Credentials {
    /// Peppers and encryption keys.
    pub secrets: std::sync::Arc<Secrets>,
    /// What API keys of this installation begin with, behind `triad_`.
    pub environment: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// The text of a new API key.
    ///
    /// # Errors
    /// As [`Secrets::random`].
    pub fn new_key(&self) -> Result<String, Undecryptable> {
        key_text::generate(&self.secrets, &self.environment)
    }
}

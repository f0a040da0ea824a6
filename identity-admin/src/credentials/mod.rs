//! What credentials are made of and checked with.
//!
//! | module | what it holds |
//! |---|---|
//! | `secrets` | peppers and encryption keys |
//! | `key_text` | how an API key is written |
//! | `passwords` | passwords, hashed a few at once |
//! | `policy` | which passwords are taken |

mod key_text;
mod passwords;
mod policy;
mod secrets;

use std::fmt;

pub(crate) use key_text::is_key;
pub use passwords::HashingOptions;
pub(crate) use passwords::{Password, Passwords, UNUSABLE, is_hash};
pub(crate) use policy::{Policy, is_name_of};
pub use secrets::{Peppered, Secrets, Undecryptable, write_private};

/// What makes and checks credentials.
pub struct Credentials {
    /// Peppers and encryption keys.
    pub secrets: std::sync::Arc<Secrets>,
    /// What API keys of this installation begin with, behind `triad_`.
    pub environment: String,
    /// Hashes and checks passwords.
    pub(crate) passwords: Passwords,
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

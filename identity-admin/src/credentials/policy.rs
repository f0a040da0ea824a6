//! Which passwords are taken: long enough, and not among those that everybody tries first (NIST SP 800-63B
//! section 5.1.1.2). Nothing is asked of their letters, digits and signs, and none ends by itself.

use std::fmt;
use std::path::Path;

use super::Password;
use crate::rules;

/// The longest, in characters.
const MAX: usize = 256;

/// What passwords must be like.
pub(crate) struct Policy {
    /// The shortest, in characters.
    min: usize,
    /// Hashes of those that are too common, in order: 8 bytes each. A password meets another's hash once in
    /// 2⁶⁴ ÷ their number.
    common: Vec<u64>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy {{ min: {}, common: {} }}", self.min, self.common.len())
    }
}

impl Policy {
    /// With a list of those that are refused, one a line.
    ///
    /// # Errors
    /// A file that cannot be read as text.
    pub(crate) fn read(min: usize, blocklist: Option<&Path>) -> std::io::Result<Self> {
        let text = blocklist.map_or(Ok(String::new()), std::fs::read_to_string)?;
        Ok(Self::new(min, &text))
    }

    pub(super) fn new(min: usize, blocklist: &str) -> Self {
        let lines = blocklist.lines().filter(|line| !line.is_empty());
        let mut common: Vec<_> = lines.map(hash).collect();
        common.sort_unstable();
        common.dedup();
        Self { min, common }
    }

    /// The rule that a password breaks.
    pub(crate) fn check(&self, password: &Password) -> Result<(), &'static str> {
        let text = password.composed();
        match text.chars().count() {
            n if n < self.min => Err("is too short"),
            n if n > MAX => Err("has more than 256 characters"),
            _ if text.chars().any(char::is_control) => Err("holds a control character"),
            _ if self.common.binary_search(&hash(&text)).is_ok() => {
                Err("is among those that are tried first")
            }
            _ => Ok(()),
        }
    }
}

/// Whether a password is how somebody is called: what is tried first for them.
pub(crate) fn is_name_of(password: &Password, names: &[&str]) -> bool {
    let text = rules::folded(&password.composed());
    let local = |name: &str| name.split('@').next().map(rules::folded);
    names.iter().any(|name| rules::folded(name) == text || local(name).as_ref() == Some(&text))
}

/// Without regard to case: lists have their entries in one of many.
fn hash(text: &str) -> u64 {
    let digest = blake3::hash(rules::folded(text).as_bytes());
    digest.as_bytes().iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_or_common_is_refused() {
        let policy = Policy::new(8, "Password1\r\ncorrect horse\n\n");
        let check = |text: &str| policy.check(&Password::new(text));
        assert!(check("battery staple").is_ok());
        assert!(check("ééééééé").is_err(), "seven characters");
        assert!(check("éééééééé").is_ok(), "eight");
        assert!(check("pASSWORD1").is_err(), "whatever its case");
        assert!(check("correct horse").is_err());
        assert!(check("with\ttab and more").is_err());
        assert!(check(&"x".repeat(257)).is_err());
        assert!(check(&"x".repeat(256)).is_ok());
        assert!(check("").is_err());
    }

    #[test]
    fn nobody_is_their_own_password() {
        let names = ["ada@example.com", "Ada Lovelace"];
        for bad in ["ADA@example.com", "ada", "ada lovelace"] {
            assert!(is_name_of(&Password::new(bad), &names), "{bad}");
        }
        assert!(!is_name_of(&Password::new("ada@example.org"), &names));
    }

    #[test]
    fn a_list_that_is_not_there_is_an_error() {
        assert!(Policy::read(8, Some(Path::new("/nonexistent"))).is_err());
        assert!(Policy::read(8, None).is_ok());
    }
}

//! Entity tags (RFC 9110 section 13.1): what a client knows of what it is about to change.

use super::Refused;

/// The versions that a client accepts as the present one, from `If-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It sent none.
    Absent,
    /// `*`: any, as long as there is one.
    Any,
    /// One of these. Tags that were never given out, and weak ones, are none.
    OneOf(Vec<i64>),
}

impl Condition {
    /// The condition of the header's values, joined by commas.
    #[must_use]
    pub fn parse(header: Option<&str>) -> Self {
        match header.map(str::trim) {
            None => Self::Absent,
            Some("*") => Self::Any,
            Some(tags) => Self::OneOf(tags.split(',').filter_map(version).collect()),
        }
    }

    /// Whether a thing of that version may be changed. Without a condition it may.
    ///
    /// # Errors
    /// [`Refused::Outdated`] for another version.
    pub fn check(&self, present: i64) -> Result<(), Refused> {
        match self {
            Self::Absent | Self::Any => Ok(()),
            Self::OneOf(versions) if versions.contains(&present) => Ok(()),
            Self::OneOf(_) => Err(Refused::Outdated),
        }
    }

    /// As [`Condition::check`], for what would overwrite all that there is.
    ///
    /// # Errors
    /// [`Refused::Unconditional`] without a condition, [`Refused::Outdated`] for another version.
    pub fn require(&self, present: i64) -> Result<(), Refused> {
        match self {
            Self::Absent => Err(Refused::Unconditional),
            condition => condition.check(present),
        }
    }

    /// Whether a thing of that version is one that the client has, for `If-None-Match`.
    #[must_use]
    pub fn knows(&self, present: i64) -> bool {
        match self {
            Self::Absent => false,
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&present),
        }
    }
}

/// The strong tag of a version.
#[must_use]
pub fn tag(version: i64) -> String {
    format!("\"{version}\"")
}

fn version(tag: &str) -> Option<i64> {
    let digits = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
    // One form for each: `"01"` was never given out.
    digits.parse().ok().filter(|version: &i64| version.to_string() == digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_strong_tags_that_were_given_out_match() {
        for (header, matches) in [
            ("\"3\"", true),
            ("\"1\", \"3\"", true),
            ("*", true),
            ("W/\"3\"", false),
            ("3", false),
            ("\"03\"", false),
            ("\"4\"", false),
            ("", false),
        ] {
            assert_eq!(Condition::parse(Some(header)).check(3).is_ok(), matches, "{header}");
        }
        assert!(matches!(Condition::parse(None).require(3), Err(Refused::Unconditional)));
        assert!(Condition::parse(None).check(3).is_ok());
    }

    proptest! {
        #[test]
        fn a_tag_matches_its_version_and_no_other(version: i64, other: i64) {
            let condition = Condition::parse(Some(&tag(version)));
            prop_assert!(condition.check(version).is_ok());
            prop_assert_eq!(condition.check(other).is_ok(), other == version);
            prop_assert_eq!(condition.knows(other), other == version);
        }
    }
}

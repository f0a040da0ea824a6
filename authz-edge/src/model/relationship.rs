//! What binds subjects, roles and resources, and how it is written.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::key::{ResourceRef, SubjectRef, SubjectType, check_id};
use super::{Invalid, Scope};

/// The most writes, and the most preconditions, of one list.
pub const MAX_WRITES: usize = 1000;

/// One relationship. What it binds is its identity; an expiry is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "relation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Relationship {
    /// A subject belongs to a team.
    MemberOf {
        /// Who belongs to it.
        subject: SubjectRef,
        /// The team's id.
        team: String,
    },
    /// A subject has a role.
    HasRole {
        /// Who has it.
        subject: SubjectRef,
        /// The role's id.
        role: String,
        /// Where it applies; everywhere when absent.
        #[serde(default, skip_serializing_if = "Scope::is_all")]
        on: Scope,
        /// From when on it does not hold any more, to the microsecond.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// A resource is below another.
    Parent {
        /// What is below.
        resource: ResourceRef,
        /// What is above it.
        parent: ResourceRef,
    },
}

impl Relationship {
    /// Checks every id.
    ///
    /// # Errors
    /// The first member that is refused.
    pub fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::MemberOf { subject, team } => {
                subject.check().map_err(|invalid| invalid.within("subject"))?;
                check_team(team)?;
                if subject.is_everyone() {
                    return Err(Invalid::new("subject.id", "everyone is in no team; bind a role"));
                }
                Ok(())
            }
            Self::HasRole { subject, role, on, .. } => {
                subject.check().map_err(|invalid| invalid.within("subject"))?;
                if subject.is_everyone() && subject.type_ == SubjectType::Team {
                    return Err(Invalid::new("subject.id", "a team is named"));
                }
                check_id("role", role)?;
                on.check().map_err(|invalid| invalid.within("on"))
            }
            Self::Parent { resource, parent } => {
                resource.check().map_err(|invalid| invalid.within("resource"))?;
                parent.check().map_err(|invalid| invalid.within("parent"))
            }
        }
    }
}

fn check_team(team: &str) -> Result<(), Invalid> {
    check_id("team", team)?;
    if team == super::key::EVERYONE {
        return Err(Invalid::new("team", "a team is named"));
    }
    Ok(())
}

/// What to do with a relationship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Have it exist, with this expiry.
    Touch,
    /// The same; it must not exist yet.
    Create,
    /// Have it not exist.
    Delete,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// What to do.
    pub op: Op,
    /// With what.
    pub relationship: Relationship,
}

/// What must be so, in the same transaction, for a list to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precondition {
    /// Whether it must exist.
    pub must: Must,
    /// What; its expiry is not compared.
    pub relationship: Relationship,
}

/// How a relationship must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Must {
    /// It must exist; an expired one does not.
    Exist,
    /// It must not exist.
    NotExist,
}

/// Writes that are done together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteList {
    /// In order: of two about the same relationship, the later counts. At most [`MAX_WRITES`].
    pub writes: Vec<Write>,
    /// At most [`MAX_WRITES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preconditions: Vec<Precondition>,
}

impl WriteList {
    /// Checks every member.
    ///
    /// # Errors
    /// The first member that is refused.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.writes.is_empty() || self.writes.len() > MAX_WRITES {
            return Err(Invalid::new("writes", format!("a list has 1 to {MAX_WRITES} writes")));
        }
        if self.preconditions.len() > MAX_WRITES {
            let rule = format!("a list has at most {MAX_WRITES} preconditions");
            return Err(Invalid::new("preconditions", rule));
        }
        let at = |list: &str, at: usize| format!("{list}[{at}].relationship");
        for (index, write) in self.writes.iter().enumerate() {
            write.relationship.check().map_err(|invalid| invalid.within(&at("writes", index)))?;
        }
        for (index, precondition) in self.preconditions.iter().enumerate() {
            let checked = precondition.relationship.check();
            checked.map_err(|invalid| invalid.within(&at("preconditions", index)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(relationship: &str) -> Result<WriteList, serde_json::Error> {
        let text = format!(r#"{{"writes":[{{"op":"touch","relationship":{relationship}}}]}}"#);
        serde_json::from_str(&text)
    }

    #[test]
    fn each_relation_has_its_form_and_wrong_members_are_named() {
        for good in [
            r#"{"relation":"member_of","subject":{"type":"team","id":"a"},"team":"b"}"#,
            r#"{"relation":"has_role","subject":{"type":"user","id":"*"},"role":"r"}"#,
            r#"{"relation":"has_role","subject":{"type":"user","id":"u"},"role":"r",
                "on":{"type":"t"},"expires_at":"2030-01-01T00:00:00Z"}"#,
            r#"{"relation":"parent","resource":{"type":"t","id":"1"},"parent":{"type":"t","id":"2"}}"#,
        ] {
            let list = list(good).unwrap();
            list.check().unwrap();
            let again = serde_json::to_string(&list).unwrap();
            assert_eq!(serde_json::from_str::<WriteList>(&again).unwrap(), list);
        }
        for (bad, member) in [
            (
                r#"{"relation":"member_of","subject":{"type":"user","id":"*"},"team":"b"}"#,
                "subject.id",
            ),
            (r#"{"relation":"member_of","subject":{"type":"user","id":"u"},"team":""}"#, "team"),
            (
                r#"{"relation":"has_role","subject":{"type":"team","id":"*"},"role":"r"}"#,
                "subject.id",
            ),
            (
                r#"{"relation":"parent","resource":{"type":"t","id":"*"},"parent":{"type":"t","id":"2"}}"#,
                "resource.id",
            ),
        ] {
            let invalid = list(bad).unwrap().check().unwrap_err();
            assert_eq!(invalid.member, format!("writes[0].relationship.{member}"));
        }
        for unreadable in [
            r#"{"relation":"owns","subject":{"type":"user","id":"u"}}"#,
            r#"{"relation":"member_of","subject":{"type":"robot","id":"u"},"team":"b"}"#,
            r#"{"relation":"member_of","subject":{"type":"user","id":"u"},"team":"b","x":1}"#,
        ] {
            assert!(list(unreadable).is_err(), "{unreadable}");
        }
    }
}

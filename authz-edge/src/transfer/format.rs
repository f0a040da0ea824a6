//! One JSON object a line: a header, the roles, the subjects, the resources, the relationships, an end.
//!
//! ```text
//! {"header":{"format":"triad.graph","version":1,"tenant":"acme","epoch":"…","revision":42}}
//! {"role":{"id":"reader","permissions":[{"action":"read"}]}}
//! {"subject":{"type":"user","id":"ann","attributes":{"level":3},"active":false}}
//! {"resource":{"type":"document","id":"d-1"}}
//! {"relationship":{"relation":"member_of","subject":{"type":"user","id":"ann"},"team":"eng"}}
//! {"end":{"roles":1,"subjects":1,"resources":1,"relationships":1}}
//! ```
//!
//! The kinds come in this order, so that what a line names was made by one before it; within a kind the
//! order means nothing, but of two lines about the same thing the later counts. Members are those of the
//! HTTP API. Unknown kinds and members are refused: half of a permission is not imported.

use contracts::{GraphEpoch, Revision, TenantId};
use serde::{Deserialize, Serialize};

use crate::graph::write::{Entity, EntityForm};
use crate::model::{
    Invalid, Permission, Properties, Relationship, ResourceRef, Role, SubjectRef, SubjectType,
    check_properties,
};

/// What every header says.
pub const FORMAT: &str = "triad.graph";
/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// The longest line, in bytes: that of the largest request to the HTTP API.
pub const MAX_LINE: usize = 4 << 20;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Whose graph it was.
    pub tenant: TenantId,
    /// The graph that it was read from.
    pub epoch: GraphEpoch,
    /// The graph's time of the whole export.
    pub revision: Revision,
}

/// Lines of each kind: the last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Roles.
    pub roles: u64,
    /// Subjects.
    pub subjects: u64,
    /// Resources.
    pub resources: u64,
    /// Relationships.
    pub relationships: u64,
}

impl Counts {
    /// All lines between header and end.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.roles + self.subjects + self.resources + self.relationships
    }

    /// Counts one more.
    pub fn add(&mut self, line: &Line) {
        match line {
            Line::Role(_) => self.roles += 1,
            Line::Subject(_) => self.subjects += 1,
            Line::Resource(_) => self.resources += 1,
            Line::Relationship(_) => self.relationships += 1,
            Line::Header(_) | Line::End(_) => {}
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { roles, subjects, resources, relationships } = self;
        write!(
            f,
            "{roles} roles, {subjects} subjects, {resources} resources, {relationships} relationships"
        )
    }
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleLine {
    /// Which one.
    pub id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What its holders may do.
    pub permissions: Vec<Permission>,
}

/// A subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectLine {
    /// What it is.
    #[serde(rename = "type")]
    pub type_: SubjectType,
    /// Which one.
    pub id: String,
    /// For conditions; none when absent.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub attributes: Properties,
    /// Whether it may act; it may when absent.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub active: bool,
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceLine {
    /// Its kind.
    #[serde(rename = "type")]
    pub type_: String,
    /// Which one.
    pub id: String,
    /// For conditions; none when absent.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub attributes: Properties,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(active: &bool) -> bool {
    *active
}

/// A line; its variants are in the order of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// What the file is.
    Header(Header),
    /// A role with its permissions.
    Role(RoleLine),
    /// A user, service account or team.
    Subject(SubjectLine),
    /// A resource.
    Resource(ResourceLine),
    /// What binds them.
    Relationship(Relationship),
    /// The file is whole.
    End(Counts),
}

impl RoleLine {
    /// The role that is put.
    #[must_use]
    pub fn role(&self) -> Role {
        Role { name: self.name.clone(), permissions: self.permissions.clone() }
    }
}

impl Line {
    /// The subject or resource that is put.
    #[must_use]
    pub fn entity(self) -> Option<(Entity, EntityForm)> {
        let form = |attributes, active| EntityForm { attributes: Some(attributes), active };
        match self {
            Self::Subject(s) => {
                let subject = SubjectRef::new(s.type_, s.id);
                Some((Entity::Subject(subject), form(s.attributes, Some(s.active))))
            }
            Self::Resource(r) => {
                let resource = ResourceRef::new(r.type_, r.id);
                Some((Entity::Resource(resource), form(r.attributes, None)))
            }
            _ => None,
        }
    }

    /// Whether it is of the same kind.
    #[must_use]
    pub fn is_of_kind(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Header(_) => 0,
            Self::Role(_) => 1,
            Self::Subject(_) => 2,
            Self::Resource(_) => 3,
            Self::Relationship(_) => 4,
            Self::End(_) => 5,
        }
    }

    fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::Header(_) | Self::End(_) => Ok(()),
            Self::Role(line) => {
                crate::model::key::check_id("id", &line.id)?;
                line.role().check()
            }
            Self::Subject(line) => {
                crate::model::key::check_id("id", &line.id)?;
                check_properties("attributes", Some(&line.attributes))
            }
            Self::Resource(line) => {
                ResourceRef::new(line.type_.as_str(), line.id.as_str()).check()?;
                check_properties("attributes", Some(&line.attributes))
            }
            Self::Relationship(relationship) => relationship.check(),
        }
    }
}

/// Where a reader is in a file.
#[derive(Debug, Clone, Default)]
pub struct Position {
    /// The rank of the last line; none before the header.
    rank: Option<u8>,
    counts: Counts,
}

impl Position {
    /// The place behind `counts` lines, the last of which was no end.
    #[must_use]
    pub fn behind(counts: Counts) -> Self {
        let ranks = [counts.roles, counts.subjects, counts.resources, counts.relationships];
        let last = ranks.iter().rposition(|count| *count > 0);
        let rank = last.map_or(0, |at| u8::try_from(at + 1).unwrap_or(u8::MAX));
        Self { rank: Some(rank), counts }
    }

    /// What was taken so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether the end was taken.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.rank == Some(5)
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn take(&mut self, text: &[u8]) -> Result<Line, String> {
        let line: Line = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        match (self.rank, &line) {
            (None, Line::Header(header)) if header.format != FORMAT => {
                return Err(format!("the format is {:?}, not {FORMAT:?}", header.format));
            }
            (None, Line::Header(header)) if header.version != VERSION => {
                return Err(format!("version {} is not known, {VERSION} is", header.version));
            }
            (None, Line::Header(_)) => {}
            (None, _) => return Err("no header comes first".to_owned()),
            (Some(5), _) => return Err("a line behind the end".to_owned()),
            (Some(_), Line::Header(_)) => return Err("a second header".to_owned()),
            (Some(_), Line::End(counts)) if *counts != self.counts => {
                return Err(format!("the end tells of {counts}; there are {}", self.counts));
            }
            (Some(last), line) if line.rank() < last => {
                let order = "roles, subjects, resources and relationships come in this order";
                return Err(order.to_owned());
            }
            _ => {}
        }
        line.check().map_err(|invalid| invalid.to_string())?;
        self.rank = Some(line.rank());
        self.counts.add(&line);
        Ok(line)
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;

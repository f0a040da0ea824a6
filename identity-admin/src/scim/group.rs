//! Teams as resources.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::accept::Resource;
use super::filter::{Filter, Operand, Operator, Test};
use super::parse::Path;
use super::patch::{Doing, Operation};
use super::schemas::GROUP;
use super::user::{external, text};
use crate::change::{Refused, Write};
use crate::db::{DbError, Row, Value as Param, places};
use crate::rules::{self, Faults};
use crate::teams::TeamView;

/// A user or a team in a team.
pub(super) struct Member {
    pub(super) team: String,
    id: String,
    is_team: bool,
    name: String,
}

impl Member {
    /// What finds the members of some teams, up to a number.
    pub(super) fn of_teams(tenant: &str, teams: &[&str], most: usize) -> (String, Vec<Param>) {
        let sql = format!(
            "SELECT m.team_id AS team_id, m.user_id AS user_id, m.member_team_id AS member_team_id, \
             COALESCE(u.display_name, u.user_name, t.name) AS name FROM team_members m \
             LEFT JOIN users u ON u.id = m.user_id LEFT JOIN teams t ON t.id = m.member_team_id \
             WHERE m.tenant_id = ? AND m.team_id IN ({}) AND m.service_account_id IS NULL \
             ORDER BY m.team_id, m.id LIMIT ?",
            places(teams.len())
        );
        let mut values: Vec<Param> = vec![tenant.into()];
        values.extend(teams.iter().map(|team| Param::from(*team)));
        values.push(Param::Int(i64::try_from(most).unwrap_or(i64::MAX)));
        (sql, values)
    }

    pub(super) fn of(row: &Row) -> Result<Self, DbError> {
        let (team, name) = (row.text("team_id")?, row.text("name")?);
        let user = row.opt_text("user_id")?;
        let is_team = user.is_none();
        let id = user.map_or_else(|| row.text("member_team_id"), Ok)?;
        Ok(Self { team, id, is_team, name })
    }

    /// As a value of `members`.
    pub(super) fn shown(&self, base: &str) -> Value {
        let (kind, among) = if self.is_team { ("Group", "Groups") } else { ("User", "Users") };
        let place = format!("{base}/{among}/{}", self.id);
        json!({"value": self.id, "$ref": place, "type": kind, "display": self.name})
    }
}

/// A team as a resource, with those of its members that are given.
pub(super) fn resource(team: &TeamView, members: &[Member], base: &str) -> Resource {
    let mut resource = Resource::new();
    let mut put = |name: &str, value: Value| resource.insert(name.to_owned(), value);
    put("schemas", json!([GROUP.core.id]));
    put("id", team.id.as_str().into());
    put("displayName", team.name.as_str().into());
    if let Some(id) = &team.external_id {
        put("externalId", id.as_str().into());
    }
    let members: Vec<_> = members.iter().map(|member| member.shown(base)).collect();
    if !members.is_empty() {
        put("members", members.into());
    }
    let times = (team.created_at, team.updated_at);
    put("meta", super::discovery::meta(&GROUP, base, &team.id, team.version, times));
    resource
}

/// What a client wants a team to be, but for its members.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    name: String,
    external_id: Option<String>,
}

impl Draft {
    /// Of a resource that fits the schema.
    ///
    /// # Errors
    /// Every rule that it breaks.
    pub(super) fn of(mut resource: Resource) -> Result<Self, Refused> {
        let mut faults = Faults::default();
        let name = text(&mut resource, "displayName").unwrap_or_default();
        let name = faults.take("displayName", rules::name(&name));
        let external_id = faults.take("externalId", external(text(&mut resource, "externalId")));
        let made = name.zip(external_id);
        faults.settle(made.map(|(name, external_id)| Self { name, external_id }))
    }

    /// The team that it describes, with an id of its own.
    pub(super) fn team(&self, write: &Write<'_>) -> TeamView {
        let external_id = self.external_id.clone();
        TeamView { external_id, ..TeamView::new(write, self.name.clone()) }
    }

    /// Another team, as it describes it.
    pub(super) fn over(&self, team: &TeamView) -> TeamView {
        let (name, external_id) = (self.name.clone(), self.external_id.clone());
        TeamView { name, external_id, ..team.clone() }
    }
}

/// Edits of members in one request, at most: each reads and writes rows under the tenant's lock.
const MOST_EDITS: usize = 20;

/// What is done to the members of a team, which may be too many to be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Edit {
    Enter(BTreeSet<String>),
    Leave(BTreeSet<String>),
    /// Those whom a filter finds.
    LeaveFound(Filter),
    /// Exactly these stay or enter.
    Become(BTreeSet<String>),
}

impl Edit {
    /// Takes what is about members out of the operations of a patch.
    ///
    /// # Errors
    /// A member that is to become another.
    pub(super) fn taken(operations: &mut Vec<Operation>) -> Result<Vec<Self>, Refused> {
        let mut edits: Vec<Self> = Vec::new();
        for operation in operations.extract_if(.., |operation| operation.is_about("members")) {
            match (edits.last_mut(), Self::of(operation)?) {
                // Many of one are one of many.
                (Some(Self::Enter(all)), Self::Enter(more)) => all.extend(more),
                (Some(Self::Leave(all)), Self::Leave(more)) => all.extend(more),
                (_, edit) => edits.push(edit),
            }
        }
        match edits.len() {
            0..=MOST_EDITS => Ok(edits),
            _ => Err(Refused::invalid("members", "change too many times in one request")),
        }
    }

    fn of(operation: Operation) -> Result<Self, Refused> {
        let Operation { doing, path, value } = operation;
        let filter = match path {
            Path::Place(_, filter) => filter,
            Path::Extension(_) => None,
        };
        let ids = value.as_ref().map(ids).transpose()?;
        Ok(match (doing, filter, ids) {
            (Doing::Remove, Some(filter), _) => match one(&filter) {
                Some(id) => Self::Leave(BTreeSet::from([id.to_owned()])),
                None => Self::LeaveFound(filter),
            },
            (_, Some(_), _) => {
                return Err(Refused::invalid("members", "never change: add and remove them"));
            }
            (Doing::Remove, None, Some(ids)) => Self::Leave(ids),
            (Doing::Add, None, ids) => Self::Enter(ids.unwrap_or_default()),
            (Doing::Remove | Doing::Replace, None, ids) => Self::Become(ids.unwrap_or_default()),
        })
    }
}

/// The id that a filter of members asks for, if that is all it does.
pub(super) fn one(filter: &Filter) -> Option<&str> {
    match filter {
        Filter::Test(Test { place, operator: Operator::Equal, operand: Operand::Text(id) })
            if place.leaf().name == "value" =>
        {
            Some(id)
        }
        _ => None,
    }
}

/// The ids of members.
///
/// # Errors
/// A member without one.
pub(super) fn ids(members: &Value) -> Result<BTreeSet<String>, Refused> {
    let id = |member: &Value| {
        let id = member["value"].as_str().map(str::to_owned);
        id.ok_or_else(|| Refused::invalid("members", "has an entry without value"))
    };
    members.as_array().into_iter().flatten().map(id).collect()
}

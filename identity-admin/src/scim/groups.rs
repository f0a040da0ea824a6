//! What is done to teams by SCIM.

use axum::response::Response;
use contracts::TenantId;
use service_kit::Problem;
use unicode_normalization::UnicodeNormalization as _;

use super::accept::Resource;
use super::apply::apply;
use super::common;
use super::filter::Test;
use super::group::{self, Draft, Edit, Member};
use super::patch::Operation;
use super::read::{Reader, Resources, Showing, compose};
use super::routes::{Writes, Writing, resource_answer};
use super::schema::{Place, Type};
use super::schemas::GROUP;
use crate::change::{Answer, Condition, Mutation, Refused, Write};
use crate::db::{DbError, Row, Value as Param};
use crate::http::problem;
use crate::teams::{self, TeamView};

/// Teams as resources.
pub(super) struct Groups;

impl Resources for Groups {
    const TYPE: &'static Type = &GROUP;
    const TABLE: &'static str = "teams";
    const COLUMNS: &'static str = teams::COLUMNS;
    const WHAT: &'static str = "team";
    const RELATED: &'static str = "members";
    const VERSIONED: bool = true;
    type View = TeamView;
    type Related = Member;

    fn view(row: &Row) -> Result<TeamView, DbError> {
        TeamView::of(row)
    }

    fn related(row: &Row) -> Result<Member, DbError> {
        Member::of(row)
    }

    fn relate(tenant: &str, ids: &[&str], most: usize) -> (String, Vec<Param>) {
        Member::of_teams(tenant, ids, most)
    }

    fn id(view: &TeamView) -> &str {
        &view.id
    }

    fn owner(related: &Member) -> &str {
        &related.team
    }

    fn version(view: &TeamView) -> i64 {
        view.version
    }

    fn resource(view: &TeamView, related: &[Member], base: &str) -> Result<Resource, DbError> {
        Ok(group::resource(view, related, base))
    }

    fn column(place: &Place) -> Option<&'static str> {
        match place.attribute.name {
            "displayName" => Some("name"),
            _ => common::column(place),
        }
    }

    fn condition(tenant: &TenantId, test: &Test) -> Option<(String, Vec<Param>)> {
        match common::equal(test) {
            Some(("displayName", text)) => {
                // As names are kept.
                let name: String = text.nfc().collect();
                Some(("name = ?".to_owned(), vec![name.into()]))
            }
            _ if common::is_padded(test, "displayName") => Some(common::nothing()),
            Some(("members", id)) if test.place.leaf().name == "value" => {
                // Each of the two by an index of its own.
                let sql = "id IN (SELECT team_id FROM team_members \
                           WHERE (tenant_id = ? AND user_id = ?) \
                           OR (tenant_id = ? AND member_team_id = ?))";
                Some((sql.to_owned(), vec![tenant.into(), id.into(), tenant.into(), id.into()]))
            }
            _ => common::condition(test),
        }
    }
}

impl Writes for Groups {
    async fn create(writing: Writing<'_>, resource: Resource) -> Result<Response, Problem> {
        let members = resource.get("members").map(group::ids).transpose().map_err(problem)?;
        let draft = Draft::of(resource).map_err(problem)?;
        let (members, showing) = (members.unwrap_or_default(), writing.showing.clone());
        writing.change(Create { draft, edit: Edit::Enter(members), showing }).await
    }

    async fn replace(
        writing: Writing<'_>,
        id: String,
        resource: Resource,
    ) -> Result<Response, Problem> {
        let members = resource.get("members").map(group::ids).transpose().map_err(problem)?;
        let new = New::Whole(Draft::of(resource).map_err(problem)?);
        // Of whom nothing is said, they stay: clients leave thousands out when they read.
        let edits = members.map(Edit::Become).into_iter().collect();
        let (condition, showing) = (writing.condition(), writing.showing.clone());
        writing.change(Change { id, new, edits, condition, showing, shows: true }).await
    }

    async fn patch(
        writing: Writing<'_>,
        id: String,
        mut operations: Vec<Operation>,
    ) -> Result<Response, Problem> {
        let edits = Edit::taken(&mut operations).map_err(problem)?;
        let (condition, showing) = (writing.condition(), writing.showing.clone());
        // Of thousands of members nobody wants to read all after each change.
        let (new, shows) = (New::Parts(operations), showing.shown.is_asked_for());
        writing.change(Change { id, new, edits, condition, showing, shows }).await
    }

    async fn delete(writing: Writing<'_>, id: String) -> Result<Response, Problem> {
        let condition = writing.condition();
        writing.change(teams::Delete { id, condition }).await
    }
}

/// Members that a filter is asked of.
const MOST_LOOKED_AT: usize = 1_000_000;

struct Create {
    draft: Draft,
    edit: Edit,
    showing: Showing,
}

impl Mutation for Create {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let team = self.draft.team(write);
        teams::make(write, &team).await?;
        self.edit.apply(write, &team.id, &self.showing).await?;
        let place = format!("{}/Groups/{}", self.showing.base, team.id);
        let answer = resource_answer::<Groups>(write, 201, team, &self.showing).await?;
        Ok(answer.at(place))
    }
}

/// What a team is to be.
enum New {
    Whole(Draft),
    Parts(Vec<Operation>),
}

struct Change {
    id: String,
    new: New,
    edits: Vec<Edit>,
    condition: Condition,
    showing: Showing,
    /// Whether the answer shows the group.
    shows: bool,
}

impl Mutation for Change {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let team = teams::present(write, &self.id, &self.condition).await?;
        let new = match &self.new {
            New::Whole(draft) => draft.over(&team),
            New::Parts(operations) => {
                let mut resource = group::resource(&team, &[], &self.showing.base);
                apply(operations, &mut resource)?;
                Draft::of(resource)?.over(&team)
            }
        };
        let mut members = false;
        for edit in &self.edits {
            members |= edit.apply(write, &team.id, &self.showing).await?;
        }
        let team = teams::alter(write, &team, new, members).await?;
        if self.shows {
            return resource_answer::<Groups>(write, 200, team, &self.showing).await;
        }
        Ok(Answer { version: Some(team.version), ..Answer::gone() })
    }
}

impl Edit {
    /// Whether it changed anything.
    async fn apply(
        &self,
        write: &mut Write<'_>,
        team: &str,
        showing: &Showing,
    ) -> Result<bool, Refused> {
        let done = match self {
            Self::Enter(ids) => teams::enter(write, team, ids).await,
            Self::Leave(ids) => teams::leave(write, team, Some(ids)).await,
            Self::LeaveFound(filter) => {
                let view = teams::present(write, team, &Condition::Absent).await?;
                let showing = &Showing { most: MOST_LOOKED_AT, ..showing.clone() };
                let mut reader = Reader::Tx(write.tx);
                let views = std::slice::from_ref(&view);
                let mut found =
                    compose::<Groups>(&mut reader, write.tenant, views, true, showing).await?;
                let members = found.pop().and_then(|mut group| group.remove("members"));
                let members = members.as_ref().and_then(serde_json::Value::as_array);
                let mut found: Vec<_> = members.into_iter().flatten().cloned().collect();
                found.retain(|member| filter.holds_within(member));
                teams::leave(write, team, Some(&group::ids(&found.into())?)).await
            }
            Self::Become(ids) => {
                let mut gone = teams::inside(write, team).await?;
                gone.retain(|id| !ids.contains(id));
                let left = teams::leave(write, team, Some(&gone)).await?;
                teams::enter(write, team, ids).await.map(|entered| entered || left)
            }
        };
        // In SCIM it is the value that is wrong.
        done.map_err(|refused| match refused {
            Refused::Conflict(why) => Refused::invalid("members", why),
            refused => refused,
        })
    }
}

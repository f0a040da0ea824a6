//! What may be done to a team and to its members.

use contracts::identity::{ChangeKind, Deleted};

use super::form::{NewTeam, TeamPatch, TeamView, external};
use super::member::{Kind, MemberView};
use super::{memberships, store};
use crate::change::{Answer, Condition, Mutation, Refused, Write};
use crate::{service_accounts, users};

/// What may not come to be.
pub(super) const RING: Refused = Refused::Conflict("the team would be in itself");

/// Makes a team.
pub(super) struct Create(pub(super) NewTeam);

impl Mutation for Create {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let team = self.0.team(write);
        make(write, &team).await?;
        let location = format!("/v1/tenants/{}/teams/{}", write.tenant, team.id);
        Ok(Answer::shows(201, 1, &team)?.at(location))
    }
}

/// Changes a team by a merge patch.
pub(super) struct Change {
    pub(super) id: String,
    pub(super) patch: TeamPatch,
    pub(super) condition: Condition,
}

impl Mutation for Change {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let team = present(write, &self.id, &self.condition).await?;
        let new = alter(write, &team, self.patch.apply(&team)?, false).await?;
        Answer::shows(200, new.version, &new)
    }
}

/// Stores a team, as part of a mutation.
///
/// # Errors
/// [`Refused::Taken`] for a name that another has.
pub(crate) async fn make(write: &mut Write<'_>, team: &TeamView) -> Result<(), Refused> {
    store::insert(write.tx, team).await?;
    write.changed(ChangeKind::TeamCreated(team.told()?));
    Ok(())
}

/// Makes a team what it shall be, as part of a mutation that changed its members or did not; the team as it is then.
///
/// # Errors
/// As [`make`].
pub(crate) async fn alter(
    write: &mut Write<'_>,
    old: &TeamView,
    mut new: TeamView,
    members: bool,
) -> Result<TeamView, Refused> {
    let itself = new != *old;
    if itself || members {
        new.version += 1;
        new.updated_at = write.now;
        store::update(write.tx, &new).await?;
    }
    if itself {
        write.changed(ChangeKind::TeamUpdated(new.told()?));
    }
    Ok(new)
}

/// Deletes a team with the memberships in it and of it.
pub(crate) struct Delete {
    pub(crate) id: String,
    pub(crate) condition: Condition,
}

impl Mutation for Delete {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let TeamView { id, .. } = present(write, &self.id, &self.condition).await?;
        store::delete(write.tx, write.tenant, &id).await?;
        write.changed(ChangeKind::TeamDeleted(Deleted { id: external(&id)? }));
        Ok(Answer::gone())
    }
}

/// Puts somebody into a team. Who is in it already stays so.
pub(super) struct Add {
    pub(super) team: String,
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) condition: Condition,
}

impl Mutation for Add {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let team = present(write, &self.team, &self.condition).await?;
        let who = (self.kind, self.id.as_str());
        if let Some(member) = memberships::get(write.tx, write.tenant, &team.id, who).await? {
            return Answer::shows(200, team.version, &member);
        }
        self.may_enter(write).await?;
        let (team_id, id) = (team.id, self.id.clone());
        let member = MemberView { team_id, kind: self.kind, id, added_at: write.now };
        memberships::insert(write.tx, write.tenant, &member).await?;
        memberships::touch(write.tx, write.tenant, &self.team, write.now).await?;
        write.changed(ChangeKind::TeamMemberAdded(member.told()?));
        let location = format!("/v1/tenants/{}/teams/{}/members", write.tenant, self.team);
        Ok(Answer::shows(201, team.version + 1, &member)?.at(location))
    }
}

impl Add {
    /// That there is somebody, and no ring. Nobody comes between: the tenant is locked.
    async fn may_enter(&self, write: &mut Write<'_>) -> Result<(), Refused> {
        let (tenant, id) = (write.tenant, self.id.as_str());
        let there = match self.kind {
            Kind::User => users::exists(write.tx, tenant, id).await?,
            Kind::ServiceAccount => service_accounts::exists(write.tx, tenant, id).await?,
            Kind::Team => store::get(write.tx, tenant, id).await?.is_some(),
        };
        if !there {
            return Err(Refused::Missing(match self.kind {
                Kind::User => "user",
                Kind::ServiceAccount => "service account",
                Kind::Team => "team to be a member",
            }));
        }
        let ring = self.kind == Kind::Team
            && memberships::around(write.tx, tenant, &self.team).await?.contains(id);
        if ring { Err(RING) } else { Ok(()) }
    }
}

/// Takes somebody out of a team.
pub(super) struct Remove {
    pub(super) team: String,
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) condition: Condition,
}

impl Mutation for Remove {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let team = present(write, &self.team, &self.condition).await?;
        let who = (self.kind, self.id.as_str());
        let member = memberships::get(write.tx, write.tenant, &team.id, who).await?;
        let member = member.ok_or(Refused::Missing("member"))?;
        memberships::delete(write.tx, write.tenant, &team.id, who).await?;
        memberships::touch(write.tx, write.tenant, &team.id, write.now).await?;
        write.changed(ChangeKind::TeamMemberRemoved(member.told()?));
        Ok(Answer::gone())
    }
}

/// A team that may be changed.
///
/// # Errors
/// That there is none, or another version of it.
pub(crate) async fn present(
    write: &mut Write<'_>,
    id: &str,
    condition: &Condition,
) -> Result<TeamView, Refused> {
    let team = store::get(write.tx, write.tenant, id).await?.ok_or(Refused::Missing("team"))?;
    condition.check(team.version)?;
    Ok(team)
}

/// Puts users into teams, as part of a mutation: pairs of team and user, all of which are there. Those that were
/// not in yet.
///
/// # Errors
/// What the database brings.
pub(crate) async fn add_users(
    write: &mut Write<'_>,
    pairs: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, Refused> {
    let there = memberships::of_users(write.tx, write.tenant, &pairs).await?;
    let new: Vec<_> = pairs.into_iter().filter(|pair| !there.contains(pair)).collect();
    memberships::insert_all(write.tx, write.tenant, Kind::User, &new, write.now).await?;
    let touched: std::collections::BTreeSet<&str> =
        new.iter().map(|(team, _)| team.as_str()).collect();
    for team in touched {
        memberships::touch(write.tx, write.tenant, team, write.now).await?;
    }
    for (team, user) in &new {
        let (team_id, id, kind) = (team.clone(), user.clone(), Kind::User);
        let member = MemberView { team_id, kind, id, added_at: write.now };
        write.changed(ChangeKind::TeamMemberAdded(member.told()?));
    }
    Ok(new)
}

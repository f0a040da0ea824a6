//! What clients see of a membership.

use chrono::{DateTime, Utc};
use contracts::identity::{Member, MemberKind, Membership};
use serde::Serialize;
use utoipa::ToSchema;

use super::form::external;
use crate::db::DbError;

/// What is in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A person.
    User,
    /// A program.
    ServiceAccount,
    /// Another team, with all that are in it.
    Team,
}

impl Kind {
    /// Every kind.
    pub(super) const ALL: [Self; 3] = [Self::User, Self::ServiceAccount, Self::Team];

    /// As paths and queries name it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ServiceAccount => "service_account",
            Self::Team => "team",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The column of `team_members` that names one.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::User => "user_id",
            Self::ServiceAccount => "service_account_id",
            Self::Team => "member_team_id",
        }
    }

    fn told(self) -> MemberKind {
        match self {
            Self::User => MemberKind::User,
            Self::ServiceAccount => MemberKind::ServiceAccount,
            Self::Team => MemberKind::Team,
        }
    }
}

/// One membership.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct MemberView {
    /// In which team.
    pub(super) team_id: String,
    /// Of what kind the member is.
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    /// Which of them.
    pub(super) id: String,
    /// Since when.
    pub(super) added_at: DateTime<Utc>,
}

impl MemberView {
    /// What others are told of it.
    ///
    /// # Errors
    /// An id that is none, which is a fault of ours.
    pub(super) fn told(&self) -> Result<Membership, DbError> {
        let member = Member { kind: self.kind.told(), id: external(&self.id)? };
        Ok(Membership { team_id: external(&self.team_id)?, member })
    }
}

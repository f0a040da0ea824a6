//! What a tenant's changes make of its subjects. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use contracts::identity::{
    Attributes, Change, ChangeKind, Member, MemberKind, Membership, TenantStatus,
};

use crate::model::key::EVERYONE;
use crate::model::{Invalid, Properties, SubjectRef, SubjectType, check_properties};

/// Which of all subjects that had an id: what is created anew inherits nothing. Zero is the stored one.
pub(super) type Incarnation = u32;

/// A team that a subject is in, and which of that id.
pub(super) type Link = (String, Incarnation);

/// A subject that exists.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Standing {
    pub(super) incarnation: Incarnation,
    pub(super) inactive: bool,
    pub(super) attributes: Properties,
    pub(super) teams: BTreeSet<Link>,
}

/// As much of a tenant as a batch touches.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct State {
    pub(super) suspended: bool,
    pub(super) subjects: BTreeMap<SubjectRef, Standing>,
    /// Memberships of what does not exist.
    pub(super) skipped: usize,
    incarnations: Incarnation,
}

impl State {
    /// Does what one change says. It has passed [`check`], and is the next one.
    pub(super) fn apply(&mut self, change: &Change) {
        use ChangeKind as K;
        match &change.kind {
            K::TenantCreated(t) | K::TenantUpdated(t) | K::TenantSuspended(t) => {
                self.suspended = t.status == TenantStatus::Suspended;
            }
            // Its id does not come back, so that it is denied everything for ever.
            K::TenantDeleted(_) => self.suspended = true,
            K::UserCreated(u) => self.create(user(&u.id), u.active, &u.attributes),
            K::UserUpdated(u) | K::UserDeactivated(u) | K::UserReactivated(u) => {
                self.update(user(&u.id), u.active, &u.attributes);
            }
            K::UserDeleted(d) => self.delete(&user(&d.id)),
            K::ServiceAccountCreated(s) => self.create(program(&s.id), s.active, &s.attributes),
            K::ServiceAccountUpdated(s)
            | K::ServiceAccountDeactivated(s)
            | K::ServiceAccountReactivated(s) => {
                self.update(program(&s.id), s.active, &s.attributes);
            }
            K::ServiceAccountDeleted(d) => self.delete(&program(&d.id)),
            K::TeamCreated(t) => self.create(team(&t.id), true, &Attributes::new()),
            K::TeamUpdated(t) => self.update(team(&t.id), true, &Attributes::new()),
            K::TeamDeleted(d) => self.delete(&team(&d.id)),
            K::TeamMemberAdded(m) => self.add(m),
            K::TeamMemberRemoved(m) => self.remove(m),
            K::ApiKeyCreated(_)
            | K::ApiKeyRotated(_)
            | K::ApiKeyRevoked(_)
            | K::CredentialsRevoked(_)
            | K::ChangeSkipped(_) => {}
        }
    }

    /// Always a new one: that one of that id is there means that its deletion was given up.
    fn create(&mut self, subject: SubjectRef, active: bool, attributes: &Attributes) {
        self.delete(&subject);
        self.incarnations += 1;
        let standing = Standing {
            incarnation: self.incarnations,
            inactive: !active,
            attributes: properties(attributes),
            teams: BTreeSet::new(),
        };
        self.subjects.insert(subject, standing);
    }

    /// The data is all that holds of it, so that one whose creation was given up exists from here on.
    fn update(&mut self, subject: SubjectRef, active: bool, attributes: &Attributes) {
        match self.subjects.get_mut(&subject) {
            Some(standing) => {
                standing.inactive = !active;
                standing.attributes = properties(attributes);
            }
            None => self.create(subject, active, attributes),
        }
    }

    fn delete(&mut self, subject: &SubjectRef) {
        let Some(gone) = self.subjects.remove(subject) else { return };
        if subject.type_ == SubjectType::Team {
            let link = (subject.id.clone(), gone.incarnation);
            for standing in self.subjects.values_mut() {
                standing.teams.remove(&link);
            }
        }
    }

    fn link(&self, membership: &Membership) -> Option<Link> {
        let id = membership.team_id.as_str();
        let team = SubjectRef::new(SubjectType::Team, id);
        Some((id.to_owned(), self.subjects.get(&team)?.incarnation))
    }

    fn add(&mut self, membership: &Membership) {
        let link = self.link(membership);
        match (self.subjects.get_mut(&member(&membership.member)), link) {
            (Some(standing), Some(link)) => {
                standing.teams.insert(link);
            }
            _ => self.skipped += 1,
        }
    }

    fn remove(&mut self, membership: &Membership) {
        let link = self.link(membership);
        match (self.subjects.get_mut(&member(&membership.member)), link) {
            (Some(standing), Some(link)) => {
                standing.teams.remove(&link);
            }
            _ => self.skipped += 1,
        }
    }
}

pub(in super::super) fn user(id: &contracts::ExternalId) -> SubjectRef {
    SubjectRef::new(SubjectType::User, id.as_str())
}

pub(in super::super) fn program(id: &contracts::ExternalId) -> SubjectRef {
    SubjectRef::new(SubjectType::ServiceAccount, id.as_str())
}

pub(in super::super) fn team(id: &contracts::ExternalId) -> SubjectRef {
    SubjectRef::new(SubjectType::Team, id.as_str())
}

pub(in super::super) fn member(member: &Member) -> SubjectRef {
    match member.kind {
        MemberKind::User => user(&member.id),
        MemberKind::ServiceAccount => program(&member.id),
        MemberKind::Team => team(&member.id),
    }
}

pub(in super::super) fn properties(attributes: &Attributes) -> Properties {
    attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Every subject that a change may touch.
pub(super) fn touched(change: &Change) -> Vec<SubjectRef> {
    use ChangeKind as K;
    match &change.kind {
        K::UserCreated(u) | K::UserUpdated(u) | K::UserDeactivated(u) | K::UserReactivated(u) => {
            vec![user(&u.id)]
        }
        K::UserDeleted(d) => vec![user(&d.id)],
        K::ServiceAccountCreated(s)
        | K::ServiceAccountUpdated(s)
        | K::ServiceAccountDeactivated(s)
        | K::ServiceAccountReactivated(s) => vec![program(&s.id)],
        K::ServiceAccountDeleted(d) => vec![program(&d.id)],
        K::TeamCreated(t) | K::TeamUpdated(t) => vec![team(&t.id)],
        K::TeamDeleted(d) => vec![team(&d.id)],
        K::TeamMemberAdded(m) | K::TeamMemberRemoved(m) => {
            vec![team(&m.team_id), member(&m.member)]
        }
        _ => Vec::new(),
    }
}

/// Refuses what the graph cannot hold: attributes that are too large, and an id that stands for everyone.
///
/// # Errors
/// The rule that the change breaks; the same change breaks it every time.
pub fn check(change: &Change) -> Result<(), Invalid> {
    if touched(change).iter().any(SubjectRef::is_everyone) {
        return Err(Invalid::new("data.id", format!("{EVERYONE} stands for everyone")));
    }
    use ChangeKind as K;
    let attributes = match &change.kind {
        K::UserCreated(u) | K::UserUpdated(u) | K::UserDeactivated(u) | K::UserReactivated(u) => {
            &u.attributes
        }
        K::ServiceAccountCreated(s)
        | K::ServiceAccountUpdated(s)
        | K::ServiceAccountDeactivated(s)
        | K::ServiceAccountReactivated(s) => &s.attributes,
        _ => return Ok(()),
    };
    check_properties("data.attributes", Some(&properties(attributes)))
}

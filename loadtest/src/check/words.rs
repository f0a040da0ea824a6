//! What graphs are made of: actions, roles, and the facts that every target is told in its own words.

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Every role has it.
    Read,
    /// Editors and managers have it.
    Write,
    /// Managers have it.
    Share,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Share];

    /// As targets know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Share => "share",
        }
    }
}

/// What a role may do. Triad has many roles of each family; the other targets, whose roles belong to
/// the schema, have one relation for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Reads.
    Viewer,
    /// Reads and writes.
    Editor,
    /// Does everything.
    Manager,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Editor, Self::Manager];

    /// That of role number `role`.
    #[must_use]
    pub fn of(role: u32) -> Self {
        Self::ALL[role as usize % Self::ALL.len()]
    }

    /// As targets know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Manager => "manager",
        }
    }

    /// What it may do.
    #[must_use]
    pub fn actions(self) -> &'static [Action] {
        &Action::ALL[..=self as usize]
    }

    /// Who may do `action`.
    #[must_use]
    pub fn with(action: Action) -> &'static [Self] {
        &Self::ALL[action as usize..]
    }
}

/// Who holds a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    /// One user.
    User(u32),
    /// All members of a team, through any depth.
    Team(u32),
}

/// On what a role is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One document.
    Document(u32),
    /// A folder with all that is below it.
    Folder(u32),
    /// The type: all documents.
    Documents,
}

/// One relationship.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// A user belongs to a team.
    Member {
        /// Who.
        user: u32,
        /// Where.
        team: u32,
    },
    /// A team belongs to a team.
    Nested {
        /// The inner one.
        team: u32,
        /// The outer one.
        parent: u32,
    },
    /// A folder lies in another, or at the top.
    Folder {
        /// The inner one.
        folder: u32,
        /// The outer one, if any.
        parent: Option<u32>,
    },
    /// A document lies in a folder.
    Document {
        /// What.
        document: u32,
        /// Where.
        folder: u32,
    },
    /// Somebody holds a role on something.
    Binding {
        /// Who.
        holder: Holder,
        /// The role's number.
        role: u32,
        /// On what.
        scope: Scope,
    },
}

/// The name of role number `role`.
#[must_use]
pub fn role_name(role: u32) -> String {
    format!("{}-{role}", Family::of(role).name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_do_something_and_what_somebody_may_do_agree() {
        for family in Family::ALL {
            for action in Action::ALL {
                let may = family.actions().contains(&action);
                assert_eq!(Family::with(action).contains(&family), may, "{family:?} {action:?}");
            }
        }
        assert_eq!(role_name(5), "manager-5");
    }
}

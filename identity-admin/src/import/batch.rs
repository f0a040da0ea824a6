//! What one transaction of an import does: a few statements, however many rows it has.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::results::{Fault, Outcome, Status};
use super::rows::{Read1, Row};
use crate::change::{Answer, FieldFault, Mutation, Refused, Write};
use crate::users::{self, Imported};
use crate::{rules, teams};

/// Rows of a file, from the row `first` on.
pub(super) struct Batch {
    pub(super) first: u64,
    pub(super) rows: Vec<Read1>,
}

/// A user that joins a team, and the row that says so.
struct Joins<'a> {
    at: usize,
    team: &'a str,
    user: String,
}

impl Mutation for Batch {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let mut outcomes: Vec<Outcome> = (self.first..).zip(&self.rows).map(read).collect();
        let known = self.teams(write).await?;
        let made = self.users(write, &known, &mut outcomes).await?;
        self.memberships(write, &known, &made, &mut outcomes).await?;
        Answer::plain(200, &outcomes)
    }
}

/// Of a row that was only read.
fn read((row, read): (u64, &Read1)) -> Outcome {
    let errors = read.as_ref().err().map(|faults| faults.iter().map(fault).collect());
    let errors: Vec<_> = errors.unwrap_or_default();
    let status = if errors.is_empty() { Status::Unchanged } else { Status::Refused };
    Outcome { row, status, id: None, errors }
}

fn fault(fault: &FieldFault) -> Fault {
    Fault { field: fault.field.clone(), reason: fault.reason.clone() }
}

fn refuse(outcome: &mut Outcome, field: &str, reason: &str) {
    outcome.status = Status::Refused;
    outcome.errors.push(Fault { field: field.to_owned(), reason: reason.to_owned() });
}

impl Batch {
    /// The rows that can be done, by their places.
    fn good(&self) -> impl Iterator<Item = (usize, &Row)> {
        self.rows.iter().enumerate().filter_map(|(at, row)| Some((at, row.as_ref().ok()?)))
    }

    /// The ids of all teams that are named, by name.
    async fn teams(&self, write: &mut Write<'_>) -> Result<HashMap<String, String>, Refused> {
        let names: BTreeSet<&str> = self
            .good()
            .flat_map(|(_, row)| match row {
                Row::User { teams, .. } => teams.iter().map(String::as_str).collect::<Vec<_>>(),
                Row::Membership { team, .. } => vec![team.as_str()],
            })
            .collect();
        Ok(teams::by_names(write.tx, write.tenant, names).await?)
    }

    /// Makes the users that may be made; their ids by address.
    async fn users(
        &self,
        write: &mut Write<'_>,
        known: &HashMap<String, String>,
        outcomes: &mut [Outcome],
    ) -> Result<HashMap<String, String>, Refused> {
        let wanted: Vec<_> = self
            .good()
            .filter_map(|(at, row)| match row {
                Row::User { new, hash, teams } => Some((at, new, hash, teams)),
                Row::Membership { .. } => None,
            })
            .collect();
        let emails = wanted.iter().map(|(_, new, ..)| new.email.as_str());
        let mut emails = users::taken_emails(write.tx, write.tenant, emails).await?;
        let names = wanted.iter().map(|(_, new, ..)| rules::folded(&new.user_name)).collect();
        let mut names: HashSet<String> = users::taken_names(write.tx, write.tenant, names).await?;
        let (mut made, mut ids) = (Vec::new(), HashMap::new());
        for (at, new, hash, teams) in wanted {
            let outcome = &mut outcomes[at];
            if !emails.insert(new.email.clone()) {
                refuse(outcome, "email", "is taken");
            } else if !names.insert(rules::folded(&new.user_name)) {
                refuse(outcome, "user_name", "is taken");
            } else if teams.iter().any(|team| !known.contains_key(team)) {
                refuse(outcome, "teams", "a team of that name is not there");
            } else {
                let user = Imported::new(write, new, hash.as_deref());
                outcome.status = Status::Created;
                outcome.id = Some(user.id().to_owned());
                ids.insert(new.email.clone(), user.id().to_owned());
                made.push(user);
            }
        }
        users::insert_all(write, &made).await?;
        Ok(ids)
    }

    /// Puts users into teams, those who were just made and those who were there.
    async fn memberships(
        &self,
        write: &mut Write<'_>,
        known: &HashMap<String, String>,
        made: &HashMap<String, String>,
        outcomes: &mut [Outcome],
    ) -> Result<(), Refused> {
        let mut wanted = Vec::new();
        for (at, row) in self.good() {
            match row {
                Row::User { new, teams, .. } if outcomes[at].status == Status::Created => {
                    wanted.extend(teams.iter().map(|team| Joins {
                        at,
                        team,
                        user: new.email.clone(),
                    }));
                }
                Row::Membership { team, user } => {
                    wanted.push(Joins { at, team, user: user.clone() });
                }
                Row::User { .. } => {}
            }
        }
        let others: BTreeSet<&str> =
            wanted.iter().map(|j| j.user.as_str()).filter(|u| !made.contains_key(*u)).collect();
        let others = users::ids_by_email(write.tx, write.tenant, others).await?;
        // By team, whom to add; each once.
        let mut pairs: BTreeMap<(String, String), usize> = BTreeMap::new();
        for Joins { at, team, user } in &wanted {
            let outcome = &mut outcomes[*at];
            let Some(team) = known.get(*team) else {
                refuse(outcome, "membership.team", "is not there");
                continue;
            };
            let Some(user) = made.get(user).or_else(|| others.get(user)) else {
                refuse(outcome, "membership.user", "is not there");
                continue;
            };
            pairs.entry((team.clone(), user.clone())).or_insert(*at);
        }
        let added = teams::add_users(write, pairs.keys().cloned().collect()).await?;
        for pair in added {
            if let Some(at) = pairs.get(&pair) {
                outcomes[*at].status = Status::Created;
            }
        }
        Ok(())
    }
}

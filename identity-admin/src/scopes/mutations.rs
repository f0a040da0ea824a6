//! What may be done to the scopes of a user or a service account.

use std::collections::BTreeSet;

use contracts::Scope;
use contracts::identity::ChangeKind;
use serde_json::{Map, json};

use super::{Holder, clear, grant, held};
use crate::change::{Answer, Mutation, Refused, Write};
use crate::{oauth, service_accounts, users};

/// Whose scopes are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    User(String),
    ServiceAccount(String),
}

impl Who {
    pub(super) fn holder(&self) -> Holder<'_> {
        match self {
            Self::User(id) => Holder::User(id),
            Self::ServiceAccount(id) => Holder::ServiceAccount(id),
        }
    }

    fn subject(&self) -> String {
        match self {
            Self::User(id) => format!("user:{id}"),
            Self::ServiceAccount(id) => format!("service_account:{id}"),
        }
    }
}

/// Has somebody hold these scopes and no others.
#[derive(Debug)]
pub(crate) struct Replace {
    pub(crate) who: Who,
    pub(crate) scopes: Vec<Scope>,
    /// What the caller holds: nobody grants more.
    pub(crate) grantable: BTreeSet<Scope>,
}

impl Mutation for Replace {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let (tx, tenant) = (&mut *write.tx, write.tenant);
        // Seen under the tenant's lock: nobody deletes it meanwhile.
        let told = match &self.who {
            Who::User(id) => users::told_of(tx, tenant, id).await?.map(ChangeKind::UserUpdated),
            Who::ServiceAccount(id) => service_accounts::told_of(tx, tenant, id)
                .await?
                .map(ChangeKind::ServiceAccountUpdated),
        };
        let told = told.ok_or(Refused::Missing("principal"))?;
        let before = held(tx, tenant, self.who.holder()).await?;
        let after: BTreeSet<_> = self.scopes.iter().copied().collect();
        if after.difference(&before).any(|scope| !self.grantable.contains(scope)) {
            return Err(Refused::invalid("scopes", "nobody grants a scope that they lack"));
        }
        if before != after {
            clear(write, self.who.holder()).await?;
            grant(write, self.who.holder(), &self.scopes).await?;
            let mut details = Map::new();
            let names = |scopes: &BTreeSet<Scope>| json!(scopes);
            details.insert("scopes_before".to_owned(), names(&before));
            details.insert("scopes".to_owned(), names(&after));
            write.changed_with(told, details);
        }
        if before.difference(&after).next().is_some() {
            // Tokens that say more than their subject may are void.
            let revoked = oauth::void(write, &self.who.subject()).await?;
            write.changed(ChangeKind::CredentialsRevoked(revoked));
        }
        Answer::plain(200, &json!({ "scopes": after }))
    }
}

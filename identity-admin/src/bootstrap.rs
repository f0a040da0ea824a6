//! `identity-admin bootstrap`: the first credentials of an installation.
//!
//! It makes the file of secrets if there is none, a service account of the system tenant that may do everything,
//! and one for each of the other services that may ask about tokens. The administrator's key is printed once;
//! the services' are written to files that their owner alone may read. It is done once: names are taken then.

use std::path::{Path, PathBuf};

use contracts::{Scope, TenantId};

use crate::Error;
use crate::api_keys::{self, NewKey, Secret};
use crate::change::{Answer, Author, Core, Mutation, Opening, Refused, Request, Write};
use crate::credentials::{Credentials, write_private};
#[cfg(feature = "embedded")]
use crate::db::{Db, DbError, Value, params, places};
use crate::scopes::{self, Holder};
use crate::service_accounts;

/// The account that administers the platform.
const ADMINISTRATOR: &str = "bootstrap";
/// Services that ask about tokens, and what they may do.
const SERVICES: [&str; 3] = ["ingest", "authz-edge", "identity-admin"];

/// What was made.
#[cfg(feature = "engines")]
pub(crate) struct Bootstrapped {
    /// The client id of the administrator.
    pub(crate) client_id: String,
    /// Its API key, which is told once.
    pub(crate) key: String,
    /// The files that were written.
    pub(crate) files: Vec<PathBuf>,
}

/// Makes the first credentials; files go into `folder`.
///
/// # Errors
/// When it was done before, what the database brings, and files that cannot be written.
#[cfg(feature = "engines")]
pub(crate) async fn bootstrap(
    core: &Core,
    credentials: &Credentials,
    folder: &Path,
) -> Result<Bootstrapped, Error> {
    let refused = |error: Refused| match error {
        Refused::Taken { .. } => {
            Error::Command("it was done before: keys are told once".to_owned())
        }
        Refused::Db(error) => Error::Db(error),
        other => Error::Command(other.to_string()),
    };
    let mut made = Vec::new();
    for name in names() {
        made.push((name, secret(credentials, new_key(credentials)?)));
    }
    let paths: Vec<_> = SERVICES.iter().map(|name| key_file(folder, name)).collect();
    // Before anything is written: a key that cannot be kept is lost.
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err(Error::Command(format!("{} is there already", there.display())));
    }
    let everybody = Everybody(made);
    let done = core.run(&request()?, &everybody).await.map_err(refused)?;
    let mut made = everybody.0;
    for ((_, secret), path) in made[1..].iter().zip(&paths) {
        write_private(path, &secret.text)?;
    }
    let client_id = done.answer.location.unwrap_or_default();
    let key = made.swap_remove(0).1.text;
    Ok(Bootstrapped { client_id, key, files: paths })
}

/// Makes the first credentials if there are none, with keys that stay in `folder`, the administrator's among them,
/// and says whether they were made now. Whatever broke off in between is gone on with.
///
/// # Errors
/// What the database brings, and files that cannot be written.
#[cfg(feature = "embedded")]
pub(crate) async fn ensure(
    core: &Core,
    credentials: &Credentials,
    folder: &Path,
) -> Result<bool, Error> {
    // Else a key that its owner has taken away would be made anew, and open nothing.
    if is_done(&core.db).await? {
        return Ok(false);
    }
    let mut made = Vec::new();
    for name in names() {
        let path = key_file(folder, if name == ADMINISTRATOR { "admin" } else { name });
        // Before the database has it: a key that is not kept is lost.
        write_private(&path, &new_key(credentials)?)?;
        let text = std::fs::read_to_string(&path)?.trim_end().to_owned();
        made.push((name, secret(credentials, text)));
    }
    match core.run(&request()?, &Everybody(made)).await {
        Ok(_) => Ok(true),
        Err(Refused::Taken { .. }) => Ok(false),
        Err(Refused::Db(error)) => Err(Error::Db(error)),
        Err(other) => Err(Error::Command(other.to_string())),
    }
}

/// Whether one of the accounts is there.
#[cfg(feature = "embedded")]
async fn is_done(db: &Db) -> Result<bool, DbError> {
    let mut params = params![TenantId::SYSTEM].to_vec();
    params.extend(names().map(Value::from));
    let sql = format!(
        "SELECT 1 AS found FROM service_accounts WHERE tenant_id = ? AND name IN ({}) LIMIT 1",
        places(params.len() - 1)
    );
    Ok(db.row(sql, &params).await?.is_some())
}

/// Where a key is.
pub(crate) fn key_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.key"))
}

fn names() -> impl Iterator<Item = &'static str> {
    [ADMINISTRATOR].into_iter().chain(SERVICES)
}

fn new_key(credentials: &Credentials) -> Result<String, Error> {
    credentials.new_key().map_err(|error| Error::Command(error.to_string()))
}

fn secret(credentials: &Credentials, text: String) -> Secret {
    Secret { stored: credentials.secrets.pepper(&text), text }
}

fn request() -> Result<Request, Error> {
    let tenant = TenantId::parse(TenantId::SYSTEM).map_err(|e| Error::Command(e.to_string()))?;
    let author = Author::operator();
    Ok(Request { tenant, opening: Opening::Existing, author, key: None })
}

/// All accounts, with a key each, in one transaction.
struct Everybody(Vec<(&'static str, Secret)>);

impl Mutation for Everybody {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let mut first = String::new();
        for (name, secret) in &self.0 {
            let account = service_accounts::create(write, name).await?;
            let scopes: &[Scope] =
                if *name == ADMINISTRATOR { Scope::ALL } else { &[Scope::TokenIntrospect] };
            scopes::grant(write, Holder::ServiceAccount(&account), scopes).await?;
            let new = NewKey { name: "bootstrap".to_owned(), scopes: Vec::new(), expires_at: None };
            api_keys::create(write, &account, &new, &secret.stored).await?;
            if first.is_empty() {
                first = account;
            }
        }
        Ok(Answer::gone().at(first))
    }
}

//! `triad service-account …`

use serde_json::{Map, Value};

use super::args::{Paging, Write};
use super::context::Context;
use super::error::ClientError;
use super::input;
use super::noun::{Noun, Things, given};
use super::scopes::{self, Change};
use super::shape::{Cell, Column, Shape};

/// Service accounts: programs. One is named by id or name.
#[derive(Debug, clap::Subcommand)]
pub enum AccountCommand {
    /// List service accounts
    #[command(visible_alias = "ls")]
    List {
        /// Only the one of this name
        #[arg(long)]
        name: Option<String>,
        /// Only active ones, or only the others
        #[arg(long, value_name = "BOOL")]
        active: Option<bool>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a service account
    Get {
        /// Id or name
        account: String,
    },
    /// Make a service account; `key create` gives it a key
    Create {
        /// Its name, unique in the tenant
        name: String,
        /// What it is, for people
        #[arg(long)]
        description: Option<String>,
        /// What conditions may read of it
        #[arg(long, value_name = "JSON", value_parser = input::object)]
        attributes: Option<Map<String, Value>>,
        #[command(flatten)]
        write: Write,
    },
    /// Show what a service account may ask tokens for, or change it
    Scopes {
        /// Id or name
        account: String,
        #[command(flatten)]
        change: Change,
        #[command(flatten)]
        write: Write,
    },
    /// Deny everything to a service account until reactivated
    Deactivate(Named),
    /// Let a service account in again
    Reactivate(Named),
    /// Delete a service account with its keys, scopes and memberships
    Delete(Named),
}

/// A service account that something is done with.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Id or name
    account: String,
    #[command(flatten)]
    write: Write,
}

pub(crate) const ACCOUNTS: Noun = Noun {
    one: "service-account",
    shape: Shape {
        columns: &[
            Column::id("ID", "id"),
            Column::at("NAME", "name"),
            Column::at("DESCRIPTION", "description").extra(),
            Column::at("ACTIVE", "active"),
            Column::at("CREATED", "created_at").extra(),
        ],
        id: Cell::At("id"),
    },
    names: &["name"],
};

pub(crate) async fn run(ctx: &mut Context, command: AccountCommand) -> Result<(), ClientError> {
    use AccountCommand as C;
    let accounts = Things::new(ctx, &ACCOUNTS, &["service-accounts"]);
    match command {
        C::List { name, active, paging } => {
            let active = active.map(|active| active.to_string());
            accounts.list([("name", name), ("active", active)], &paging).await
        }
        C::Get { account } => accounts.get(&account).await,
        C::Create { name, description, attributes, write } => {
            let body = given([
                ("name", Some(name.into())),
                ("description", description.map(Value::from)),
                ("attributes", attributes.map(Value::from)),
            ]);
            accounts.create(body.into(), &write).await
        }
        C::Scopes { account, change, write } => {
            let id = accounts.id(&account).await?;
            scopes::run(ctx, &["service-accounts", &id, "scopes"], &change, &write).await
        }
        C::Deactivate(Named { account, write }) => {
            accounts.act(&account, "deactivate", &write).await
        }
        C::Reactivate(Named { account, write }) => {
            accounts.act(&account, "reactivate", &write).await
        }
        C::Delete(Named { account, write }) => accounts.delete(&account, &write).await,
    }
}

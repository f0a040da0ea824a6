//! `triad user …`

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::api::Call;
use super::args::{Paging, Write};
use super::context::Context;
use super::error::ClientError;
use super::input;
use super::noun::{Noun, Things, given, removable};
use super::scopes::{self, Change};
use super::shape::{Cell, Column, Shape};

/// Users. One is named by id, user name or address.
#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// List users
    #[command(visible_alias = "ls")]
    List {
        /// Only the one of this address
        #[arg(long)]
        email: Option<String>,
        /// Only the one of this user name
        #[arg(long)]
        user_name: Option<String>,
        /// Only active ones, or only the others
        #[arg(long, value_name = "BOOL")]
        active: Option<bool>,
        /// `created_at` or `user_name`; `-` before it turns it round
        #[arg(long, allow_hyphen_values = true)]
        sort: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a user
    Get {
        /// Id, user name or address
        user: String,
    },
    /// Make a user
    Create {
        /// The address, unique in the tenant
        #[arg(long)]
        email: String,
        #[command(flatten)]
        fields: Fields,
        /// A file with the password; `-` is stdin. Without it nobody logs in as the user yet
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        write: Write,
    },
    /// Change a user; an empty text removes what is there
    Update {
        /// Id, user name or address
        user: String,
        /// The address
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        write: Write,
    },
    /// Deny everything to a user until reactivated
    Deactivate(Named),
    /// Let a user in again
    Reactivate(Named),
    /// Delete a user with settings, scopes and memberships
    Delete(Named),
    /// Set a user's password, typed unseen or from stdin; tokens that were got with the one before are void
    SetPassword {
        /// Id, user name or address
        user: String,
        /// A file with the password; `-` is stdin
        #[arg(long, value_name = "FILE", conflicts_with = "remove")]
        password_file: Option<PathBuf>,
        /// Remove it instead: nobody logs in as the user
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        write: Write,
    },
    /// Show what a user may ask tokens for, or change it
    Scopes {
        /// Id, user name or address
        user: String,
        #[command(flatten)]
        change: Change,
        #[command(flatten)]
        write: Write,
    },
}

/// A user that something is done with.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Id, user name or address
    user: String,
    #[command(flatten)]
    write: Write,
}

/// What a user has.
#[derive(Debug, clap::Args)]
pub struct Fields {
    /// The user name, unique in the tenant; the address when absent
    #[arg(long)]
    user_name: Option<String>,
    /// The name for people
    #[arg(long)]
    display_name: Option<String>,
    /// What conditions may read of the user; on update merged into what is there, null removes a member
    #[arg(long, value_name = "JSON", value_parser = input::object)]
    attributes: Option<Map<String, Value>>,
}

pub(crate) const USERS: Noun = Noun {
    one: "user",
    shape: Shape {
        columns: &[
            Column::id("ID", "id"),
            Column::at("USER NAME", "user_name"),
            Column::at("EMAIL", "email"),
            Column::at("DISPLAY NAME", "display_name").extra(),
            Column::at("ACTIVE", "active"),
            Column::at("CREATED", "created_at").extra(),
        ],
        id: Cell::At("id"),
    },
    names: &["email", "user_name"],
};

pub(crate) async fn run(ctx: &mut Context, command: UserCommand) -> Result<(), ClientError> {
    use UserCommand as C;
    let users = Things::new(ctx, &USERS, &["users"]);
    match command {
        C::List { email, user_name, active, sort, paging } => {
            let active = active.map(|active| active.to_string());
            let filters =
                [("email", email), ("user_name", user_name), ("active", active), ("sort", sort)];
            users.list(filters, &paging).await
        }
        C::Get { user } => users.get(&user).await,
        C::Create { email, fields, password_file, write } => {
            let password = password_file.as_deref().map(input::secret).transpose()?;
            let mut body = fields.members(Some(email));
            body.extend(password.map(|password| ("password".to_owned(), password.into())));
            users.create(body.into(), &write).await
        }
        C::Update { user, email, fields, write } => {
            users.patch(&user, fields.members(email), &write).await
        }
        C::Deactivate(Named { user, write }) => users.act(&user, "deactivate", &write).await,
        C::Reactivate(Named { user, write }) => users.act(&user, "reactivate", &write).await,
        C::Delete(Named { user, write }) => users.delete(&user, &write).await,
        C::SetPassword { user, password_file, remove, write } => {
            let id = users.id(&user).await?;
            set_password(ctx, (&user, &id), password_file.as_deref(), remove, &write).await
        }
        C::Scopes { user, change, write } => {
            let id = users.id(&user).await?;
            scopes::run(ctx, &["users", &id, "scopes"], &change, &write).await
        }
    }
}

impl Fields {
    fn members(self, email: Option<String>) -> Map<String, Value> {
        given([
            ("email", email.map(Value::from)),
            ("user_name", self.user_name.map(Value::from)),
            ("display_name", removable(self.display_name.as_deref())),
            ("attributes", self.attributes.map(Value::from)),
        ])
    }
}

async fn set_password(
    ctx: &mut Context,
    (user, id): (&str, &str),
    file: Option<&Path>,
    remove: bool,
    write: &Write,
) -> Result<(), ClientError> {
    let things = Things::new(ctx, &USERS, &["users"]);
    let (call, done) = if remove {
        (things.call(Call::delete, &[id, "password"])?, "removed")
    } else {
        let password = input::secret_or_ask(file, "password")?;
        let call = things.call(Call::put, &[id, "password"])?;
        (call.json(json!({"password": password})), "set")
    };
    ctx.api.send(&call.condition(&write.condition())?).await?;
    ctx.out.done(&format!("password of user {user} {done}"), id, &Value::Null)
}

//! `triad team …`

use serde_json::Value;

use super::account::ACCOUNTS;
use super::api::{Call, List};
use super::args::{Paging, Write};
use super::context::Context;
use super::entity::{self, Entity};
use super::error::ClientError;
use super::noun::{Noun, Things, given, removable};
use super::shape::{Cell, Column, Shape};
use super::user::USERS;

/// Teams. One is named by id or name.
#[derive(Debug, clap::Subcommand)]
pub enum TeamCommand {
    /// List teams
    #[command(visible_alias = "ls")]
    List {
        /// Only the one of this name
        #[arg(long)]
        name: Option<String>,
        /// `created_at` or `name`; `-` before it turns it round
        #[arg(long, allow_hyphen_values = true)]
        sort: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a team
    Get {
        /// Id or name
        team: String,
    },
    /// Make a team
    Create {
        /// Its name, unique in the tenant
        name: String,
        /// What it is, for people
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Change a team; an empty text removes what is there
    Update {
        /// Id or name
        team: String,
        /// Its name
        #[arg(long)]
        name: Option<String>,
        /// What it is, for people
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Delete a team with the memberships in it and of it
    Delete {
        /// Id or name
        team: String,
        #[command(flatten)]
        write: Write,
    },
    /// List the members of a team
    Members {
        /// Id or name
        team: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Put somebody into a team
    Add(Membership),
    /// Take somebody out of a team
    Remove(Membership),
}

/// Who is put in, or taken out.
#[derive(Debug, clap::Args)]
pub struct Membership {
    /// Id or name
    team: String,
    /// user:…, service_account:… or team:… with id or name
    #[arg(value_parser = entity::subject)]
    member: Entity,
    #[command(flatten)]
    write: Write,
}

const TEAMS: Noun = Noun {
    one: "team",
    shape: Shape {
        columns: &[
            Column::id("ID", "id"),
            Column::at("NAME", "name"),
            Column::at("DESCRIPTION", "description").extra(),
            Column::at("CREATED", "created_at").extra(),
        ],
        id: Cell::At("id"),
    },
    names: &["name"],
};

const MEMBERS: Shape = Shape {
    columns: &[Column::of("MEMBER", entity::shown), Column::at("SINCE", "added_at")],
    id: Cell::Of(entity::shown),
};

fn teams(ctx: &mut Context) -> Things<'_> {
    Things::new(ctx, &TEAMS, &["teams"])
}

pub(crate) async fn run(ctx: &mut Context, command: TeamCommand) -> Result<(), ClientError> {
    use TeamCommand as C;
    match command {
        C::List { name, sort, paging } => {
            teams(ctx).list([("name", name), ("sort", sort)], &paging).await
        }
        C::Get { team } => teams(ctx).get(&team).await,
        C::Create { name, description, write } => {
            let body =
                given([("name", Some(name.into())), ("description", description.map(Value::from))]);
            teams(ctx).create(body.into(), &write).await
        }
        C::Update { team, name, description, write } => {
            let patch = given([
                ("name", name.map(Value::from)),
                ("description", removable(description.as_deref())),
            ]);
            teams(ctx).patch(&team, patch, &write).await
        }
        C::Delete { team, write } => teams(ctx).delete(&team, &write).await,
        C::Members { team, paging } => {
            let id = teams(ctx).id(&team).await?;
            let call = teams(ctx).call(Call::get, &[&id, "members"])?;
            ctx.list((call, List::IDENTITY), &paging, &MEMBERS).await
        }
        C::Add(membership) => member(ctx, membership, true).await,
        C::Remove(membership) => member(ctx, membership, false).await,
    }
}

async fn member(ctx: &mut Context, asked: Membership, is_added: bool) -> Result<(), ClientError> {
    let Membership { team, member, write } = asked;
    let id = teams(ctx).id(&team).await?;
    let (noun, path) = match member.type_.as_str() {
        "user" => (&USERS, "users"),
        "team" => (&TEAMS, "teams"),
        _ => (&ACCOUNTS, "service-accounts"),
    };
    let who = Things::new(ctx, noun, &[path]).id(&member.id).await?;
    let make = if is_added { Call::put } else { Call::delete };
    let call = teams(ctx).call(make, &[&id, "members", &member.type_, &who])?;
    let answer = ctx.api.send(&call.condition(&write.condition())?).await?;
    let done = if is_added { "is in" } else { "is no longer in" };
    let sentence = format!("{member} {done} team {team}");
    ctx.out.wrote(&sentence, &format!("{}:{who}", member.type_), &answer)
}

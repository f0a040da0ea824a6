//! `triad role …`

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::api::{Call, List, Service};
use super::args::{Paging, Since};
use super::context::Context;
use super::entity::{self, Place};
use super::error::ClientError;
use super::global::Format;
use super::input;
use super::output::member;
use super::shape::{Cell, Column, Shape};

/// Roles: what may be done, on what, under which condition.
#[derive(Debug, clap::Subcommand)]
pub enum RoleCommand {
    /// List roles
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        since: Since,
    },
    /// Show the permissions of a role
    Get {
        /// Its id
        id: String,
    },
    /// Make a role, or replace its permissions
    #[command(after_help = "\
Examples:
  triad role put reader --allow read
  triad role put editor --allow read --allow 'write on document if resource.properties.status != \"archived\"'
  triad role put editor -f editor.json")]
    Put {
        /// Its id
        id: String,
        /// Its name, for people
        #[arg(long)]
        name: Option<String>,
        /// A permission: ACTION[ on TYPE[:ID]][ if CONDITION], the condition in CEL
        #[arg(long, value_name = "PERMISSION", value_parser = permission)]
        allow: Vec<Value>,
        /// The role as JSON, as `role get -o json` writes it; `-` is stdin
        #[arg(short, long, value_name = "FILE", conflicts_with_all = ["allow", "name"])]
        #[arg(required_unless_present = "allow")]
        file: Option<PathBuf>,
    },
    /// Delete a role; whoever holds it has nothing by it any more
    Delete {
        /// Its id
        id: String,
    },
}

const ROLES: Shape = Shape {
    columns: &[
        Column::id("ID", "id"),
        Column::at("NAME", "name"),
        Column::at("PERMISSIONS", "permissions"),
    ],
    id: Cell::At("id"),
};

const PERMISSIONS: Shape = Shape {
    columns: &[
        Column::at("ACTION", "action"),
        Column::of("ON", |permission| match permission.get("on") {
            Some(on) => entity::shown(on),
            None => "everything".to_owned(),
        }),
        Column::at("IF", "condition"),
    ],
    id: Cell::At("action"),
};

/// Reads `ACTION[ on TYPE[:ID]][ if CONDITION]`, for clap.
///
/// # Errors
/// What of it is wrong.
fn permission(text: &str) -> Result<Value, String> {
    let (head, condition) = match text.split_once(" if ") {
        Some((head, condition)) => (head, Some(condition.trim())),
        None => (text, None),
    };
    let (action, on) = match head.split_once(" on ") {
        Some((action, on)) => (action, Some(on.trim().parse::<Place>()?)),
        None => (head, None),
    };
    let action = action.trim();
    contracts::check_external_id(action).map_err(|error| format!("the action: {error}"))?;
    let mut permission = Map::from_iter([("action".to_owned(), Value::from(action))]);
    permission.extend(on.map(|on| ("on".to_owned(), on.json())));
    permission.extend(condition.map(|condition| ("condition".to_owned(), condition.into())));
    Ok(permission.into())
}

pub(crate) async fn run(ctx: &mut Context, command: RoleCommand) -> Result<(), ClientError> {
    use RoleCommand as C;
    let tenant = ctx.tenant()?.to_owned();
    let call = |make: fn(Service, &[&str]) -> Call, id: &str| {
        make(Service::Authz, &["roles", id]).of(&tenant).about(format!("role {id}"))
    };
    match command {
        C::List { paging, since } => {
            let call = Call::get(Service::Authz, &["roles"]).of(&tenant);
            let call = call.at_least(since.consistency_token.as_deref())?;
            ctx.list((call, List::graph("roles")), &paging, &ROLES).await
        }
        C::Get { id } => {
            let answer = ctx.api.send(&call(Call::get, &id)).await?;
            show(ctx, &answer.body)
        }
        C::Put { id, name, allow, file } => {
            let body = match file {
                Some(file) => input::json(&file)?,
                None => {
                    let mut body = json!({"permissions": allow});
                    if let Some(name) = name {
                        body["name"] = name.into();
                    }
                    body
                }
            };
            let call = call(Call::put, &id).json(body);
            ctx.write_graph(&call, &format!("role {id} is as given")).await
        }
        C::Delete { id } => {
            ctx.write_graph(&call(Call::delete, &id), &format!("role {id} deleted")).await
        }
    }
}

/// A table of permissions, or the role as it is.
fn show(ctx: &mut Context, role: &Value) -> Result<(), ClientError> {
    if ctx.out.format != Format::Table {
        return ctx.out.show(role, &PERMISSIONS);
    }
    let name = member(role, "name");
    if !name.is_empty() {
        ctx.out.line(&name)?;
    }
    let permissions = role.get("permissions").and_then(Value::as_array);
    let mut listing = ctx.out.listing(&PERMISSIONS);
    permissions.into_iter().flatten().try_for_each(|permission| listing.push(permission))?;
    listing.finish(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_is_read_as_people_write_it() {
        assert_eq!(permission("read").unwrap(), json!({"action": "read"}));
        let wide = permission("write on document").unwrap();
        assert_eq!(wide, json!({"action": "write", "on": {"type": "document"}}));
        let one = permission("write on document:d-9 if context.ip != \"x on y\"").unwrap();
        let condition = "context.ip != \"x on y\"";
        let on = json!({"type": "document", "id": "d-9"});
        assert_eq!(one, json!({"action": "write", "on": on, "condition": condition}));
        let conditional = permission("read if true").unwrap();
        assert_eq!(conditional, json!({"action": "read", "condition": "true"}));
        assert!(permission("").is_err() && permission("read on ").is_err());
    }
}

//! `triad tenant …`

use serde_json::json;

use super::args::{Paging, Write};
use super::context::Context;
use super::error::ClientError;
use super::noun::{Noun, Things, given};
use super::shape::{Cell, Column, Shape};
use super::terminal;

/// Tenants: organisations, each with users, roles and a trail of its own.
#[derive(Debug, clap::Subcommand)]
pub enum TenantCommand {
    /// List tenants; needs system:admin
    #[command(visible_alias = "ls")]
    List {
        /// Only these
        #[arg(long, value_parser = ["active", "suspended"])]
        status: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a tenant
    Get {
        /// Its id; without it, the one of --tenant
        id: Option<String>,
    },
    /// Make a tenant with its first administrator
    Create {
        /// Its id: lower-case letters, digits and -; it is never given twice
        id: String,
        /// Its name, for people; the id when absent
        #[arg(long)]
        name: Option<String>,
        /// The address of its first administrator
        #[arg(long, value_name = "EMAIL")]
        admin_email: String,
        #[command(flatten)]
        write: Write,
    },
    /// Rename a tenant
    Rename {
        /// Its id
        id: String,
        /// Its name from now on
        name: String,
        #[command(flatten)]
        write: Write,
    },
    /// Deny everything to a tenant until it is resumed
    Suspend {
        /// Its id
        id: String,
        #[command(flatten)]
        write: Write,
    },
    /// Serve a suspended tenant again
    Resume {
        /// Its id
        id: String,
        #[command(flatten)]
        write: Write,
    },
    /// Delete a tenant with all that it has
    Delete {
        /// Its id
        id: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        write: Write,
    },
}

const TENANTS: Noun = Noun {
    one: "tenant",
    shape: Shape {
        columns: &[
            Column::id("ID", "id"),
            Column::at("NAME", "name"),
            Column::at("STATUS", "status"),
            Column::at("CREATED", "created_at").extra(),
        ],
        id: Cell::At("id"),
    },
    names: &[],
};

pub(crate) async fn run(ctx: &mut Context, command: TenantCommand) -> Result<(), ClientError> {
    use TenantCommand as C;
    let own = match &command {
        C::Get { id: None } => ctx.tenant()?.to_owned(),
        _ => String::new(),
    };
    let tenants = Things::tenants(ctx, &TENANTS);
    match command {
        C::List { status, paging } => tenants.list([("status", status)], &paging).await,
        C::Get { id } => tenants.get(&id.unwrap_or(own)).await,
        C::Create { id, name, admin_email, write } => {
            let name = name.unwrap_or_else(|| id.clone());
            let body = json!({"id": id, "name": name, "administrator": {"email": admin_email}});
            tenants.create(body, &write).await
        }
        C::Rename { id, name, write } => {
            tenants.patch(&id, given([("name", Some(name.into()))]), &write).await
        }
        C::Suspend { id, write } => tenants.act(&id, "suspend", &write).await,
        C::Resume { id, write } => tenants.act(&id, "reactivate", &write).await,
        C::Delete { id, yes, write } => {
            terminal::confirm(yes, &format!("deleting tenant {id} with all that it has"))?;
            tenants.delete(&id, &write).await
        }
    }
}

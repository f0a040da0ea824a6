//! `triad profile …`: deployments, and who one is there.

use serde_json::{Value, json};

use super::context::Context;
use super::error::ClientError;
use super::profile::{DEFAULT, Profile};
use super::shape::{Cell, Column, Shape};

/// Profiles: deployments, and who one is there. `triad login --profile NAME` makes one.
#[derive(Debug, clap::Subcommand)]
pub enum ProfileCommand {
    /// List profiles
    #[command(visible_alias = "ls")]
    List,
    /// Use a profile from now on, where none is named
    Use {
        /// Its name
        name: String,
    },
    /// Forget a profile; `triad logout` ends its session
    Delete {
        /// Its name
        name: String,
    },
}

const PROFILES: Shape = Shape {
    columns: &[
        Column::at("PROFILE", "profile"),
        Column::at("USED", "used"),
        Column::at("SERVER", "server"),
        Column::at("TENANT", "tenant"),
        Column::at("CREDENTIAL", "credential"),
    ],
    id: Cell::At("profile"),
};

pub(crate) async fn run(ctx: &mut Context, command: ProfileCommand) -> Result<(), ClientError> {
    let (name, is_kept) = match command {
        ProfileCommand::List => return list(ctx),
        ProfileCommand::Use { name } => (name, true),
        ProfileCommand::Delete { name } => (name, false),
    };
    let lock = ctx.store.lock().await?;
    let mut kept = ctx.store.read()?;
    if !kept.profiles.contains_key(&name) {
        let missing = format!("there is no profile {name}; `triad profile list` shows them");
        return Err(ClientError::Missing(missing));
    }
    if is_kept {
        kept.current = Some(name.clone());
    } else {
        kept.profiles.remove(&name);
        kept.current = kept.current.filter(|current| *current != name);
    }
    ctx.store.write(&kept, &lock)?;
    let sentence = if is_kept { "is used from now on" } else { "is forgotten" };
    ctx.out.done(&format!("profile {name} {sentence}"), &name, &Value::Null)
}

fn list(ctx: &mut Context) -> Result<(), ClientError> {
    let kept = ctx.store.read()?;
    let current = kept.current.as_deref().unwrap_or(DEFAULT);
    let mut listing = ctx.out.listing(&PROFILES);
    for (name, profile) in &kept.profiles {
        let Profile { server, tenant, credential, .. } = profile;
        let credential = credential.as_ref().map(|credential| format!("{credential:?}"));
        listing.push(&json!({"profile": name, "used": name == current, "server": server,
            "tenant": tenant, "credential": credential}))?;
    }
    listing.finish(None)
}

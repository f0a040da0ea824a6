//! `triad key …`: API keys of service accounts. A secret is told once, on stdout.

use std::time::Duration;

use serde_json::{Value, json};

use super::account::ACCOUNTS;
use super::api::Call;
use super::args::{Paging, Write};
use super::context::Context;
use super::error::ClientError;
use super::noun::{Noun, Things, given};
use super::scopes::scope;
use super::shape::{Cell, Column, Shape};
use super::time::{self, Toward, rfc3339};

/// API keys of service accounts.
#[derive(Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// List the keys of a service account, revoked ones too
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        paging: Paging,
    },
    /// Make a key; its secret is shown now, and never again
    Create {
        #[command(flatten)]
        of: Of,
        /// Its name, for people
        #[arg(long)]
        name: String,
        /// What it may do, of what its service account may; all of that when absent
        #[arg(long, value_name = "SCOPES", value_delimiter = ',', value_parser = scope)]
        scopes: Option<Vec<String>>,
        /// When it ends: a time, or a length of time from now
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Give a key a new secret; the former one is accepted for a while
    Rotate {
        /// The key's id
        key: String,
        #[command(flatten)]
        of: Of,
        /// How long the former secret goes on, up to a week [default: 1h]
        #[arg(long, value_name = "TIME", value_parser = time::wait)]
        overlap: Option<Duration>,
        #[command(flatten)]
        write: Write,
    },
    /// Revoke a key, for good
    Revoke {
        /// The key's id
        key: String,
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        write: Write,
    },
}

/// Whose keys.
#[derive(Debug, clap::Args)]
pub struct Of {
    /// The service account, by id or name
    #[arg(long, short)]
    account: String,
}

const KEYS: Noun = Noun {
    one: "key",
    shape: Shape {
        columns: &[
            Column::id("ID", "id"),
            Column::at("NAME", "name"),
            Column::at("CREATED", "created_at").extra(),
            Column::at("LAST USED", "last_used_at"),
            Column::at("EXPIRES", "expires_at"),
            Column::at("REVOKED", "revoked_at"),
        ],
        id: Cell::At("id"),
    },
    names: &[],
};

/// A key that was just made: of it, scripts want the secret.
const MADE: Shape = Shape { columns: &[], id: Cell::At("secret") };

pub(crate) async fn run(ctx: &mut Context, command: KeyCommand) -> Result<(), ClientError> {
    use KeyCommand as C;
    let (C::List { of, .. } | C::Create { of, .. } | C::Rotate { of, .. } | C::Revoke { of, .. }) =
        &command;
    let account = Things::new(ctx, &ACCOUNTS, &["service-accounts"]).id(&of.account).await?;
    match command {
        C::List { paging, .. } => keys(ctx, &account).list([], &paging).await,
        C::Create { name, scopes, expires, write, .. } => {
            let expires = ctx.time("--expires", expires.as_deref(), Toward::Future)?;
            let body = given([
                ("name", Some(name.into())),
                ("scopes", scopes.map(Value::from)),
                ("expires_at", expires.map(|time| rfc3339(time).into())),
            ]);
            let call = keys(ctx, &account).call(Call::post, &[])?.json(body.into());
            tell(ctx, call, &write).await
        }
        C::Rotate { key, overlap, write, .. } => {
            let body = overlap
                .map_or_else(|| json!({}), |overlap| json!({"overlap_seconds": overlap.as_secs()}));
            let call = keys(ctx, &account).call(Call::post, &[&key, "rotate"])?.json(body);
            tell(ctx, call, &write).await
        }
        C::Revoke { key, write, .. } => keys(ctx, &account).delete(&key, &write).await,
    }
}

fn keys<'c>(ctx: &'c mut Context, account: &str) -> Things<'c> {
    Things::new(ctx, &KEYS, &["service-accounts", account, "keys"])
}

/// Writes a key with its secret.
async fn tell(ctx: &mut Context, call: Call, write: &Write) -> Result<(), ClientError> {
    let answer = ctx.api.send(&call.condition(&write.condition())?).await?;
    ctx.out.show(&answer.body, &MADE)?;
    ctx.out.note("Keep the secret now: it is not shown again.");
    Ok(())
}

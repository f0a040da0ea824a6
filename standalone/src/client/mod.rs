//! The command line for people, against any deployment of Triad: the one process on 8100, or the three services.
//!
//! | module | what it holds |
//! |---|---|
//! | [`global`], `settings` | options of every command, and what they come to with environment and profile |
//! | `profile`, `profiles` | what is kept, and its commands |
//! | `api/` | the one HTTP layer: calls, retries, pages |
//! | `credential`, `secret`, `login/` | who one is; device grant, API keys, renewal |
//! | `output`, `shape`, `text`, `terminal` | tables and JSON; nothing that others wrote commands a terminal |
//! | `command` | all of them, and which module runs each |
//! | [`error`], [`exit`] | what went wrong, and how scripts see it |
//! | `args`, `entity`, `time`, `input` | what is typed and read |
//! | `noun`, `tenant`, `user`, `team`, `account`, `key`, `scopes` | identities |
//! | `role`, `relationship`, `resource` | the graph |
//! | `check`, `question`, `explain` | questions |
//! | `audit/` | the trail |
//! | [`demo`] | a small company |
//!
//! A program that has these commands flattens [`Command`] into its own and [`Global`] into its options, and calls
//! [`execute`], or [`run`] to report errors itself:
//!
//! ```ignore
//! #[derive(clap::Parser)]
//! #[command(name = "triad", after_help = client::EXIT_CODES)]
//! struct Cli {
//!     #[command(flatten)]
//!     global: client::Global,
//!     #[command(subcommand)]
//!     command: Option<Top>,
//! }
//!
//! #[derive(clap::Subcommand)]
//! enum Top {
//!     Serve(ServeArgs),
//!     #[command(flatten)]
//!     Client(client::Command),
//! }
//!
//! Some(Top::Client(command)) => client::execute(command, &cli.global, Cli::command).await.into(),
//! ```

mod account;
mod api;
mod args;
mod audit;
mod check;
mod clock;
mod command;
mod completions;
mod context;
mod credential;
pub mod demo;
mod entity;
pub mod error;
pub mod exit;
mod explain;
pub mod global;
mod input;
mod key;
mod login;
mod noun;
mod output;
mod profile;
mod profiles;
mod question;
mod relationship;
mod resource;
mod role;
mod scopes;
mod secret;
mod settings;
mod shape;
mod team;
mod tenant;
mod terminal;
mod text;
mod time;
mod user;

#[cfg(test)]
mod tests;

pub use command::Command;
pub use error::ClientError;
pub use exit::{EXIT_CODES, Exit};
pub use global::{Format, Global};
pub use secret::Secret;

use api::Api;
use clock::Clock;
use context::Context;
use credential::{Auth, Kept};
use output::Output;
use profile::Store;
use settings::{Env, Proof, Settings};

/// Runs a command with the process's environment, output and clock, reports what went wrong on stderr, and says how
/// the process ends. `root` is the whole command line, for completions.
pub async fn execute(command: Command, global: &Global, root: fn() -> clap::Command) -> Exit {
    match run(command, global, root).await {
        Ok(exit) => exit,
        Err(error) => {
            Output::new(global.output, &variable).error(&error);
            error.exit()
        }
    }
}

/// As [`execute`], for who reports errors: [`ClientError::lines`] and [`ClientError::json`] say what went wrong.
///
/// # Errors
/// Why it was not done.
pub async fn run(
    command: Command,
    global: &Global,
    root: fn() -> clap::Command,
) -> Result<Exit, ClientError> {
    let out = Output::new(global.output, &variable);
    let mut ctx = context(global, &variable, out, Clock::System, Store::of(&variable))?;
    let is_cut_short = matches!(command, Command::Audit(audit::AuditCommand::Tail(_)));
    let has_parts = matches!(command, Command::Audit(audit::AuditCommand::Export(_)));
    let running = Box::pin(run_in(&mut ctx, command, root));
    if !is_cut_short && !has_parts {
        return running.await;
    }
    tokio::select! {
        ended = running => ended,
        // A tail has no other end. What an export has written of its file is dropped, and removed, with it.
        _ = tokio::signal::ctrl_c() => if has_parts { Err(ClientError::Interrupted) } else { Ok(Exit::Ok) },
    }
}

/// What the process's environment says; what is no text says nothing.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// All that a command works with.
fn context(
    global: &Global,
    env: &Env<'_>,
    out: Output,
    clock: Clock,
    store: Store,
) -> Result<Context, ClientError> {
    let settings = Settings::resolve(global, env, &store.read()?)?;
    let auth = match settings.proof.clone() {
        Proof::None => Auth::None,
        Proof::Given(token) => Auth::Given(token),
        Proof::Kept(credential, bases) => Auth::Kept(Box::new(Kept {
            store: store.clone(),
            profile: settings.profile.clone(),
            bases,
            credential: (*credential).into(),
        })),
    };
    let how = (settings.timeout, settings.verbose);
    let api = Api::new(settings.bases.clone(), auth, clock, how)?;
    Ok(Context { api, out, settings, store })
}

/// Runs a command in its world, and writes all of its answer.
async fn run_in(
    ctx: &mut Context,
    command: Command,
    root: fn() -> clap::Command,
) -> Result<Exit, ClientError> {
    let is_about_profiles =
        matches!(command, Command::Login(_) | Command::Profile(_) | Command::Completions(_));
    if !is_about_profiles {
        ctx.settings.check_profile()?;
    }
    let exit = command::dispatch(ctx, command, root).await;
    let flushed = ctx.out.flush();
    match (exit, flushed) {
        (Err(ClientError::Closed), _) => Ok(Exit::Ok),
        (Ok(exit), Err(ClientError::Closed)) => Ok(exit),
        (Ok(_), Err(error)) => Err(error),
        (exit, _) => exit,
    }
}

//! The commands: serving here, and asking any deployment.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::client;
#[cfg(feature = "engines")]
use crate::migrate::{self, MigrateArgs};
use crate::serve::{self, ServeArgs};

/// Identity and access for many tenants: who is this, may they do what, and what did they do.
///
/// Without a command it serves all of Triad in this process, on a folder of its own.
#[derive(Debug, Parser)]
#[command(name = "triad", version, after_help = client::EXIT_CODES, args_conflicts_with_subcommands = false)]
struct Cli {
    #[command(flatten)]
    global: client::Global,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM (the default)
    Serve(ServeArgs),
    /// Print the commented default configuration of `serve`
    Config,
    /// Move all that a stopped deployment has to the real engines; called again, it goes on
    #[cfg(feature = "engines")]
    MigrateTo(MigrateArgs),
    #[command(flatten)]
    Client(client::Command),
}

/// The program. Here and not in the binary: whoever polls a future has it compiled once more.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    runtime.block_on(cli.run())
}

impl Cli {
    /// Runs the command; what goes wrong is said on standard error.
    async fn run(self) -> ExitCode {
        match self.command {
            None => serve_with(self.serve).await,
            Some(Command::Serve(args)) => serve_with(args).await,
            Some(Command::Config) => {
                serve::say(serve::config::DEFAULTS.trim_end());
                ExitCode::SUCCESS
            }
            #[cfg(feature = "engines")]
            Some(Command::MigrateTo(args)) => match Box::pin(migrate::run(args)).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error, error.exit_code()),
            },
            Some(Command::Client(command)) => {
                client::execute(command, &self.global, Self::command).await.into()
            }
        }
    }
}

async fn serve_with(args: ServeArgs) -> ExitCode {
    match Box::pin(serve::run(args)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, error.exit_code()),
    }
}

/// The last word of a process that ends.
#[allow(clippy::print_stderr, reason = "the last word of a process that ends")]
fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("triad: {error}");
    ExitCode::from(code)
}

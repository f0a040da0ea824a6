//! `identity-admin`: see `identity-admin --help` and the README.

use std::process::ExitCode;

use clap::Parser;
use identity_admin::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    match runtime.block_on(cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, error.exit_code()),
    }
}

#[allow(clippy::print_stderr, reason = "the last word of a process that ends")]
fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("identity-admin: {error}");
    ExitCode::from(code)
}

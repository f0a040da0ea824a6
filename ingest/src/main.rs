//! `ingest`: see `ingest --help` and the README.

use std::process::ExitCode;

use clap::Parser;
use ingest::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match service_kit::shutdown::run(cli.run()) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(&error, error.exit_code()),
        Err(error) => fail(&error, 1),
    }
}

#[allow(clippy::print_stderr, reason = "the last word of a process that ends")]
fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("ingest: {error}");
    ExitCode::from(code)
}

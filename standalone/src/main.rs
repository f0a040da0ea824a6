//! `triad`: see `triad --help` and the README.

use std::process::ExitCode;

use clap::Parser as _;
use standalone::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return standalone::cli::fail(&error, 1),
    };
    runtime.block_on(cli.run())
}

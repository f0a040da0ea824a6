//! `loadtest`: see `loadtest --help`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use loadtest::cli::Cli;
use service_kit::telemetry::{LogFormat, TelemetryConfig, install_tracing};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Work on threads of its own ends soon after it is told to.
const LAST_WORK: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = cli.log_filter().to_owned();
    let logs = install_tracing(&TelemetryConfig { format: LogFormat::Pretty, filter });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match (logs, runtime) {
        (Ok(()), Ok(runtime)) => runtime,
        (Err(error), _) => return fail(&anyhow::anyhow!(error)),
        (_, Err(error)) => return fail(&anyhow::anyhow!(error)),
    };
    let result = runtime.block_on(cli.run());
    runtime.shutdown_timeout(LAST_WORK);
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

#[allow(clippy::print_stderr, reason = "the last word of a process that ends")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("loadtest: {error:#}");
    ExitCode::FAILURE
}

//! `loadtest check queries`.

use clap::Args;
use serde_json::to_value;

use super::args::ResultArgs;
use super::output::Outcome;
use crate::check::queries::queries;
use crate::stop::Stop;

#[derive(Debug, Args)]
pub(super) struct QueriesArgs {
    /// An alpha's gRPC address, HOST:PORT. Tenants of its own are written there, and left there.
    #[arg(long)]
    dgraph: String,
    /// Teams from the user to the one that holds the bindings, comma-separated.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3, 10, 20],
        value_parser = clap::value_parser!(u32).range(1..=50))]
    depths: Vec<u32>,
    /// Bindings of that team, comma-separated.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000, 10_000],
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    bindings: Vec<u32>,
    #[command(flatten)]
    pub(super) result: ResultArgs,
}

impl QueriesArgs {
    pub(super) async fn run(self, stop: &Stop) -> anyhow::Result<Outcome> {
        let cells = queries(&self.dgraph, &self.depths, &self.bindings, stop).await?;
        Ok(Outcome::of("check queries", &[("cells", to_value(cells)?)], Vec::new()))
    }
}

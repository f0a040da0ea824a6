//! The ceiling: what the driver alone reaches with the very rows that the pipeline writes.
//!
//! Decoding, identity, placement and encoding are ingest's own code, and happen before the clock
//! starts; then batches are only sent. What the pipeline loses against this is its own cost.

mod drive;
mod index;
mod rows;

pub use drive::{Drive, Driven, Load, write};
pub use index::IndexTable;
pub(crate) use rows::nowhere;
pub use rows::{Rows, RowsBatch};

use ingest::layout::Layouts;
use ingest::layout::registry::Registry;
use ingest::sink::session::Cassandra;

use crate::engines::Engines;
use crate::run::Names;

/// The layouts of the run's keyspace, as ingest reads them.
///
/// # Errors
/// When the schema is not there or nobody answers.
pub async fn layouts(engines: &Engines, names: &Names, db: &Cassandra) -> anyhow::Result<Layouts> {
    let config = engines.config(names)?;
    let registry = Registry::open(db, &config.layout, &config.limits).await?;
    let layouts = registry.current();
    layouts
        .map(|layouts| (*layouts).clone())
        .ok_or_else(|| anyhow::anyhow!("the registry was not read"))
}

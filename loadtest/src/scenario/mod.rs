//! What is measured: each scenario prepares, loads, watches, and returns its figures.

pub mod ceiling;
pub mod pipeline;
pub mod read;
pub mod readers;
pub mod stall;
pub mod steady;
pub mod stored;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use crate::child::{Launch, Service};
use crate::engines::Engines;
use crate::produce::{Produced, produce};
use crate::progress;
use crate::run::{Names, Run};
use crate::scrape;
use crate::stop::Stop;

/// What every scenario works with.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The engines.
    pub engines: Engines,
    /// How ingest is started.
    pub launch: Launch,
    /// The state folder of the engines' script, for faults.
    pub state: Option<PathBuf>,
    /// When to give up.
    pub stop: Stop,
}

impl Stage {
    /// Creates the run's topics and publishes all of it.
    ///
    /// # Errors
    /// When Kafka refuses or does not answer.
    pub async fn backlog(&self, run: &Run) -> anyhow::Result<Produced> {
        self.engines.apply_topics(&run.names).await?;
        self.publish(run, None).await
    }

    /// Publishes all records of the run, at a rate or flat out.
    ///
    /// # Errors
    /// When Kafka refuses or does not answer.
    pub async fn publish(&self, run: &Run, rate: Option<f64>) -> anyhow::Result<Produced> {
        let (engines, run, stop) = (self.engines.clone(), run.clone(), self.stop.clone());
        let bar = progress::bar("produced", run.events);
        let work = move || {
            let produced =
                produce(&engines, &run, 0..run.events, rate, &stop, |sent| bar.set_position(sent));
            bar.finish_and_clear();
            produced
        };
        tokio::task::spawn_blocking(work).await?
    }

    /// Starts an `ingest` for the names and waits until it is ready. Schema and topics must be there.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn ingest(&self, names: &Names) -> anyhow::Result<Service> {
        let mut ingest = Service::ingest(&self.launch, &self.engines, names)?;
        let client = scrape::client(Duration::from_secs(5))?;
        ingest.ready(&client).await?;
        Ok(ingest)
    }

    /// Drops what the run created.
    ///
    /// # Errors
    /// When an engine refuses or does not answer.
    pub async fn clean(&self, names: &Names) -> anyhow::Result<()> {
        self.engines.drop_keyspace(names).await.context("dropping the keyspace")?;
        self.engines.drop_topics(names).await.context("deleting the topics")
    }
}

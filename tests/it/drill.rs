//! A run of `loadtest`'s events, poison and oversized ones among them, through an `ingest` that is
//! disturbed; it ends with `loadtest`'s `verify`: nothing lost, nothing doubled, every content right.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, ensure};
use loadtest::child::{Launch, Service};
use loadtest::engines::Engines;
use loadtest::produce::produce;
use loadtest::run::{Names, Run, TICKS_PER_SECOND};
use loadtest::scenario::Stage;
use loadtest::scrape::{self, Reading};
use loadtest::stop::Stop;
use loadtest::verify::{self, Verdict};

use crate::process::binary;
use crate::world::{PATIENCE, engine, until};

/// A drill gives up after this.
const LIMIT: Duration = Duration::from_secs(600);

/// One run on the engines of this test run, with names of its own.
pub(crate) struct Drill {
    pub(crate) stage: Stage,
    pub(crate) run: Run,
}

impl Drill {
    /// Topics and schema are there. With three `replicas` writes and reads are at QUORUM.
    pub(crate) async fn new(name: &str, events: u64, replicas: u8) -> Result<Self> {
        let list = |name: &str| -> Result<Vec<String>> {
            Ok(engine(name)?.split(',').map(str::to_owned).collect())
        };
        let login = engine("TRIAD_CASSANDRA_USER").ok();
        let password = engine("TRIAD_CASSANDRA_PASSWORD").ok();
        let engines = Engines {
            kafka: list("TRIAD_KAFKA")?,
            cassandra: list("TRIAD_CASSANDRA")?,
            login: login.zip(password),
            replication: replicas,
            partitions: 6,
            consistency: (replicas > 1).then(|| "QUORUM".to_owned()),
            settings: vec![
                ("kafka.commit_interval_ms".to_owned(), "200".to_owned()),
                ("cassandra.timeout_seconds".to_owned(), "5".to_owned()),
                ("pipeline.index_linger_ms".to_owned(), "500".to_owned()),
                ("telemetry.filter".to_owned(), "error".to_owned()),
            ],
            ..Engines::default()
        };
        let id = format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let now = chrono::Utc::now().timestamp_millis().unsigned_abs() * (TICKS_PER_SECOND / 1000);
        let run = Run {
            seed: 1,
            events,
            tenants: 50,
            exponent: 1.0,
            hot: 0.0,
            base: now - 50 * 60 * TICKS_PER_SECOND,
            step: 45 * 60 * TICKS_PER_SECOND / events,
            poison_every: 97,
            oversized_every: 1009,
            oversized_bytes: 100_000,
            oversized_decodes: false,
            random_keys: false,
            names: Names::of(&id),
            id,
        };
        let launch = Launch { binary: binary("ingest")?, cpus: None };
        let stage = Stage { engines, launch, state: None, stop: Stop::after(LIMIT) };
        stage.engines.apply_topics(&run.names).await?;
        stage.engines.apply_schema(&run.names).await?;
        Ok(Self { stage, run })
    }

    /// Publishes a part of the run and waits until Kafka has all of it.
    pub(crate) async fn produce(&self, range: Range<u64>) -> Result<()> {
        let Stage { engines, stop, .. } = self.stage.clone();
        let run = self.run.clone();
        let work = move || produce(&engines, &run, range, None, &stop, |_| ());
        tokio::task::spawn_blocking(work).await??;
        Ok(())
    }

    /// Starts an `ingest`.
    pub(crate) async fn ingest(&self) -> Result<Service> {
        self.stage.ingest(&self.run.names).await
    }

    /// Waits until this process has settled so many records since it began.
    pub(crate) async fn settled(&self, ingest: &Service, records: u64) -> Result<()> {
        until(&format!("{records} records are settled"), async || {
            let settled = reading(ingest).await?.settled();
            Ok(if settled >= records { Ok(()) } else { Err(format!("{settled}")) })
        })
        .await
    }

    /// Waits until the group has committed all of the run, and proves record by record that each is
    /// stored once or, if it breaks a rule, a dead letter of the right reason. The run stays: its engines
    /// are this test run's own.
    pub(crate) async fn verified(&self) -> Result<()> {
        let options = verify::Options { settle: 2 * PATIENCE, replayed: false };
        let verdict = verify::verify(&self.stage.engines, &self.run, options, &self.stage.stop);
        let verdict: Verdict = verdict.await?;
        ensure!(verdict.ok && verdict.uncommitted == 0, "{verdict:#?}");
        let letters: u64 = verdict.dead_lettered.values().sum();
        ensure!(verdict.stored + letters == self.run.events, "{verdict:#?}");
        Ok(())
    }
}

/// What a process tells of itself.
pub(crate) async fn reading(ingest: &Service) -> Result<Reading> {
    let client = scrape::client(Duration::from_secs(10))?;
    scrape::read(&client, ingest.admin).await
}

/// Waits until a process is not ready any more.
pub(crate) async fn unready(ingest: &Service) -> Result<()> {
    let client = scrape::client(Duration::from_secs(10))?;
    let url = format!("http://{}/readyz", ingest.admin);
    until("readiness goes", async || {
        let status = client.get(&url).send().await?.status();
        Ok(if status.is_success() { Err(status.to_string()) } else { Ok(()) })
    })
    .await
}

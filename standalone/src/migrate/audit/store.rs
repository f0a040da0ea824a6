//! An `ingest` of our own: it reads with the group that the service will read with, so that the service goes on behind
//! what is stored.

use std::sync::Arc;
use std::time::Duration;

use ingest::{Config, Listeners};
use service_kit::auth::AuthMode;
use service_kit::bus::Bus;
use service_kit::shutdown::{Shutdown, ShutdownTrigger};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::migrate::MigrateError;
use crate::migrate::tell::tell;

/// Without anything getting stored for so long, something is in the way.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(500);
const TOLD: Duration = Duration::from_secs(15);

pub(super) struct Storing {
    trigger: ShutdownTrigger,
    running: JoinHandle<Result<(), ingest::Error>>,
}

impl Storing {
    /// Starts it, for nobody but this process.
    pub(super) async fn start(config: &Config) -> Result<Self, MigrateError> {
        let mut config = config.clone();
        config.auth.mode = AuthMode::Off;
        config.http.listen = ([127, 0, 0, 1], 0).into();
        let bind = async || TcpListener::bind(config.http.listen).await;
        let failed = || MigrateError::file("a port of this machine");
        let http = bind().await.map_err(failed())?;
        let admin = bind().await.map_err(failed())?;
        let (trigger, shutdown) = Shutdown::new();
        let render = Arc::new(String::new);
        let running =
            tokio::spawn(ingest::run(config, Listeners { http, admin }, render, shutdown));
        Ok(Self { trigger, running })
    }

    /// Waits until everything that is on the topic now is stored.
    pub(super) async fn caught_up(&self, config: &Config) -> Result<(), MigrateError> {
        let bus = Bus::Kafka(config.kafka.cluster());
        let group = bus.group(&config.kafka.group, &config.kafka.topic)?;
        let ends: Vec<_> = group.positions().await?.iter().map(|position| position.end).collect();
        let (mut begun, mut told, mut last) = (Instant::now(), Instant::now(), None);
        loop {
            let found = group.positions().await?;
            let left = |(position, end): (&service_kit::bus::GroupPosition, &i64)| {
                // What Kafka deleted by age will not be read.
                (end - position.committed.unwrap_or(position.begin)).max(0)
            };
            let left: i64 = found.iter().zip(&ends).map(left).sum();
            if left == 0 {
                return Ok(());
            }
            if last != Some(left) {
                (begun, last) = (Instant::now(), Some(left));
            }
            if told.elapsed() > TOLD {
                tell(&format!("events: {left} are still to be stored"));
                told = Instant::now();
            }
            if self.running.is_finished() || begun.elapsed() > PATIENCE {
                return Err(MigrateError::Refused(format!(
                    "{left} events are not stored, and nothing gets done about it (is Cassandra well, and does another \
                     process of the group {} hold them?)",
                    config.kafka.group
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends it in order.
    pub(super) async fn stop(self) {
        self.trigger.trigger();
        match self.running.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tell(&format!("events: the ingest of this process: {error}")),
            Err(error) => tell(&format!("events: the ingest of this process: {error}")),
        }
    }
}

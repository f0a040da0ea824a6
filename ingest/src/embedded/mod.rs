//! Audit events without engines: one store on this process's disk, for `standalone`.
//!
//! Nothing lies between accepting and storing: what is published to the source topic is judged by the
//! pipeline's own rules, encoded as the pipeline encodes it, and acknowledged once it is synced. A record
//! that breaks a rule is a dead letter. There is one layout, the default one: a year, in one partition a day,
//! which are no more than bounds of reads here.
//!
//! | module | what it holds |
//! |---|---|
//! | `key` | where a row is |
//! | `write` | records into rows |
//! | `read` | rows, for the query engine |
//! | `retain` | deleting rows whose life is over |
//! | `leave` | rows as records, for another store |
//! | `start` | what `standalone` starts |

mod key;
mod leave;
mod read;
mod retain;
mod start;
#[cfg(test)]
mod tests;
mod write;

pub use leave::{Leaving, Place, Stays};
pub use start::{Started, start};

use std::sync::{Arc, Mutex};

use service_kit::bus::BusPublisher;
use service_kit::embedded::{Disk, DiskError, Space};

use crate::Config;
use crate::event::Judge;
use crate::layout::{CLASSES, Class, EVERYONE, Layout, Layouts};
use crate::metrics::PipelineMetrics;
use crate::recent::Recent;

/// Stores events and reads them. Cheap to clone.
#[derive(Clone)]
pub struct AuditStore(Arc<Inner>);

struct Inner {
    disk: Disk,
    /// By class, as in [`CLASSES`].
    tables: Vec<Space>,
    layouts: Arc<Layouts>,
    judge: Judge,
    recent: Mutex<Recent>,
    dead_letters: BusPublisher,
    topic: Arc<str>,
    dead_letter_topic: String,
    metrics: PipelineMetrics,
}

impl AuditStore {
    /// Opens the tables. Records that break a rule go to the dead-letter topic of `dead_letters`.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(
        config: &Config,
        disk: &Disk,
        dead_letters: BusPublisher,
    ) -> Result<Self, DiskError> {
        let table = |class: &Class| disk.space(&format!("audit.{}", class.name));
        let tables = CLASSES.iter().map(table).collect::<Result<_, _>>()?;
        let everyone = [(EVERYONE.to_owned(), Layout::DEFAULT)];
        Ok(Self(Arc::new(Inner {
            disk: disk.clone(),
            tables,
            layouts: Arc::new(Layouts::from_rows(everyone).unwrap_or_default()),
            judge: Judge::new(&config.limits),
            recent: Mutex::default(),
            dead_letters,
            topic: config.kafka.topic.as_str().into(),
            dead_letter_topic: config.kafka.dead_letter_topic.clone(),
            metrics: PipelineMetrics::default(),
        })))
    }

    /// Where events are, for the query engine.
    #[must_use]
    pub fn layouts(&self) -> Arc<Layouts> {
        Arc::clone(&self.0.layouts)
    }
}

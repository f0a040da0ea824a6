//! The time and how to wait, so that tests own both.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Where the time comes from.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    /// The machine's.
    System,
    /// A test's: waiting turns it on at once.
    #[cfg(test)]
    Manual(std::sync::Arc<std::sync::Mutex<Manual>>),
}

/// The clock of a test.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Manual {
    pub(crate) now: DateTime<Utc>,
    /// Every wait so far.
    pub(crate) waits: Vec<Duration>,
}

impl Clock {
    /// A test's clock, which begins at 2026-11-22T12:00:00Z.
    #[cfg(test)]
    pub(crate) fn manual() -> Self {
        let now = "2026-11-22T12:00:00Z".parse().expect("a time");
        Self::Manual(std::sync::Arc::new(std::sync::Mutex::new(Manual { now, waits: Vec::new() })))
    }

    /// Every wait so far, in seconds.
    #[cfg(test)]
    pub(crate) fn waits(&self) -> Vec<f64> {
        let Self::Manual(manual) = self else { return Vec::new() };
        manual
            .lock()
            .expect("no test panics while it holds it")
            .waits
            .iter()
            .map(Duration::as_secs_f64)
            .collect()
    }

    /// The time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => Utc::now(),
            #[cfg(test)]
            Self::Manual(manual) => manual.lock().expect("no test panics while it holds it").now,
        }
    }

    /// Waits.
    pub(crate) async fn sleep(&self, wait: Duration) {
        match self {
            Self::System => tokio::time::sleep(wait).await,
            #[cfg(test)]
            Self::Manual(manual) => {
                let mut manual = manual.lock().expect("no test panics while it holds it");
                manual.now += wait;
                manual.waits.push(wait);
            }
        }
    }
}

//! Logs and metrics of the process. Only `main` installs them: a library or a test never does.

use crate::config::ConfigError;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use serde::Deserialize;
use std::{io::stderr, time::Duration};
use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt as _};

/// Buckets of a histogram that is given none, in seconds: 0.5 ms to 10 s, about three to each power
/// of ten.
pub const LATENCY_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often the recorder moves observed values into their histograms: unread, they pile up.
const UPKEEP: Duration = Duration::from_secs(5);

/// How logs are written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// One JSON object a line, or lines for people.
    pub format: LogFormat,
    /// An `EnvFilter` directive, such as `info,ingest=debug`.
    pub filter: String,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people at a terminal.
    Pretty,
}

/// Installs the process's subscriber; logs go to standard error, so that the output of a command
/// stays its own.
///
/// # Errors
/// A filter that cannot be read (`telemetry.filter`), or a second installation (`telemetry`).
pub fn install_tracing(config: &TelemetryConfig) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.filter)
        .map_err(|error| ConfigError::new("telemetry.filter", error))?;
    let logs = fmt().with_env_filter(filter).with_writer(stderr);
    match config.format {
        LogFormat::Json => logs.json().flatten_event(true).finish().try_init(),
        LogFormat::Pretty => logs.finish().try_init(),
    }
    .map_err(|error| ConfigError::new("telemetry", error))
}

/// Installs the process's Prometheus recorder, with histogram buckets for metrics of that name or, where it ends with
/// `_`, for all whose names begin so ([`LATENCY_BUCKETS`] for others; the whole name counts more), and spawns its upkeep
/// on the current tokio runtime. Returns what renders the metrics, those of the process itself among them.
///
/// # Errors
/// Empty buckets, or a second installation.
///
/// # Panics
/// Outside a tokio runtime.
pub fn install_metrics(
    buckets: &[(&str, Vec<f64>)],
) -> anyhow::Result<impl Fn() -> String + Send + Sync + Clone + 'static + use<>> {
    let mut builder = PrometheusBuilder::new().set_buckets(LATENCY_BUCKETS)?;
    for (name, bounds) in buckets {
        let name = (*name).to_owned();
        let matcher = if name.ends_with('_') { Matcher::Prefix(name) } else { Matcher::Full(name) };
        builder = builder.set_buckets_for_metric(matcher, bounds)?;
    }
    let handle = builder.install_recorder()?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    let process = metrics_process::Collector::default();
    process.describe();
    crate::tls::describe();
    Ok(move || {
        process.collect();
        handle.render()
    })
}

/// Names and help of what every process tells of itself: Prometheus's standard names, such as
/// `process_resident_memory_bytes`, and the certificates of its listeners.
pub fn describe_process() {
    metrics_process::Collector::default().describe();
    crate::tls::describe();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn durations_get_buckets_and_the_callers_metrics_theirs() {
        let buckets = [("kit_own_", vec![1.0, 2.0]), ("kit_own_bytes", vec![10.0, 20.0])];
        let render = install_metrics(&buckets).unwrap();
        metrics::histogram!("kit_test_duration_seconds").record(0.002);
        metrics::histogram!("kit_own_bytes").record(15.0);
        metrics::histogram!("kit_own_seconds").record(1.5);
        let shown = render();
        assert!(shown.contains("kit_test_duration_seconds_bucket{le=\"0.0025\"} 1"), "{shown}");
        assert!(shown.contains("kit_own_bytes_bucket{le=\"10\"} 0"), "{shown}");
        assert!(shown.contains("kit_own_seconds_bucket{le=\"2\"} 1"), "{shown}");
        assert!(shown.contains("process_resident_memory_bytes "), "{shown}");
        assert!(install_metrics(&[]).is_err(), "a second recorder would be silent");
    }

    #[test]
    fn a_bad_filter_is_refused_by_name() {
        let config = TelemetryConfig { format: LogFormat::Json, filter: "info,=".to_owned() };
        assert_eq!(install_tracing(&config).unwrap_err().key(), "telemetry.filter");
    }
}

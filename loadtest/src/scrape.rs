//! What a running service tells of itself at `/metrics`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use crate::latency::Buckets;

/// The client for everything that is asked over HTTP here: loopback, plain, kept alive.
///
/// # Errors
/// When the client cannot be made.
pub fn client(timeout: Duration) -> anyhow::Result<reqwest::Client> {
    // The client wants a TLS provider even for plain HTTP. A second installation fails because one is
    // installed, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().timeout(timeout).no_proxy().build()?)
}

/// One reading of the counters that measurements need.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Rows stored.
    pub stored: u64,
    /// Rows whose life was over.
    pub expired: u64,
    /// Records dead-lettered.
    pub dead_lettered: u64,
    /// Bytes between Kafka and Cassandra.
    pub in_flight_bytes: u64,
    /// Writes tried again.
    pub retries: u64,
    /// From a record's timestamp to its being stored, in seconds.
    pub lag: Buckets,
    /// Time of a batch write, in seconds.
    pub write: Buckets,
    /// Rows in a written batch.
    pub batch_rows: Buckets,
}

impl Reading {
    /// Records that are settled one way or the other.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.stored + self.expired + self.dead_lettered
    }

    /// Reads the text exposition format. Metrics that are not there yet are zero.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut reading = Self::default();
        for line in text.lines().filter(|line| line.starts_with("triad_ingest_")) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            reading.take(name, labels, value);
        }
        reading
    }

    fn take(&mut self, name: &str, labels: &str, value: f64) {
        // Counts are whole and far below 2^52.
        #[allow(clippy::cast_sign_loss, reason = "not negative")]
        let count = value.max(0.0) as u64;
        match name {
            "triad_ingest_rows_total" => match label(labels, "outcome") {
                Some("stored") => self.stored = count,
                Some("expired") => self.expired = count,
                Some("dead_lettered") => self.dead_lettered = count,
                _ => {}
            },
            "triad_ingest_in_flight_bytes" => self.in_flight_bytes = count,
            "triad_ingest_retries_total" => self.retries += count,
            "triad_ingest_end_to_end_lag_seconds_bucket" => bucket(&mut self.lag, labels, count),
            "triad_ingest_write_seconds_bucket" => bucket(&mut self.write, labels, count),
            "triad_ingest_batch_rows_bucket" => bucket(&mut self.batch_rows, labels, count),
            _ => {}
        }
    }
}

/// Bounds come in ascending order, as the exposition format demands.
fn bucket(buckets: &mut Buckets, labels: &str, count: u64) {
    let Some(bound) = label(labels, "le") else { return };
    let Ok(bound) = bound.replace("+Inf", "inf").parse() else { return };
    buckets.bounds.push(bound);
    buckets.counts.push(count);
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let from = labels
        .split(&['{', ','][..])
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\""))?;
    from.split('"').next()
}

/// Reads the metrics of ingest's admin listener.
///
/// # Errors
/// When it does not answer.
pub async fn read(client: &reqwest::Client, admin: SocketAddr) -> anyhow::Result<Reading> {
    Ok(Reading::parse(&text(client, admin).await?))
}

/// The text of an admin listener's metrics.
///
/// # Errors
/// When it does not answer.
pub async fn text(client: &reqwest::Client, admin: SocketAddr) -> anyhow::Result<String> {
    let answer = client.get(format!("http://{admin}/metrics")).send().await.context("/metrics")?;
    Ok(answer.error_for_status()?.text().await?)
}

/// The sum of all series of `name` whose label is that value; 0 without any.
#[must_use]
pub fn sum(text: &str, name: &str, (key, value): (&str, &str)) -> f64 {
    let series = text.lines().filter_map(|line| line.rsplit_once(' '));
    let ours = series.filter(|(series, _)| {
        series
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('{'))
            .is_some_and(|labels| label(labels, key) == Some(value))
    });
    ours.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}

/// The sum of all series of `name`, whatever their labels; none without any: a gauge that nobody has set is not 0.
#[must_use]
pub fn total(text: &str, name: &str) -> Option<f64> {
    let series = text.lines().filter_map(|line| line.rsplit_once(' '));
    let ours = series.filter(|(series, _)| {
        series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
    });
    let values = ours.filter_map(|(_, value)| value.parse::<f64>().ok());
    values.reduce(|one, other| one + other)
}

/// The buckets of a histogram whose label is that value; none without it.
#[must_use]
pub fn buckets(text: &str, name: &str, (key, value): (&str, &str)) -> Buckets {
    let mut buckets = Buckets::default();
    for line in text.lines() {
        let Some((series, count)) = line.rsplit_once(' ') else { continue };
        let labels = series.strip_prefix(name).and_then(|rest| rest.strip_prefix("_bucket{"));
        let Some(labels) = labels.filter(|labels| label(labels, key) == Some(value)) else {
            continue;
        };
        bucket(&mut buckets, labels, count.parse().unwrap_or(0));
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_histograms_are_read() {
        let text = "# TYPE triad_ingest_rows_total counter\n\
            triad_ingest_rows_total{outcome=\"stored\"} 1500000\n\
            triad_ingest_rows_total{outcome=\"dead_lettered\"} 3\n\
            triad_ingest_retries_total{error=\"a\"} 2\n\
            triad_ingest_retries_total{error=\"b\"} 5\n\
            triad_ingest_in_flight_bytes 4.5e6\n\
            triad_ingest_end_to_end_lag_seconds_bucket{le=\"0.001\"} 1\n\
            triad_ingest_end_to_end_lag_seconds_bucket{le=\"+Inf\"} 4\n\
            triad_ingest_end_to_end_lag_seconds_sum 0.5\n\
            process_threads 9\n";
        let reading = Reading::parse(text);
        assert_eq!(
            (reading.stored, reading.dead_lettered, reading.settled()),
            (1_500_000, 3, 1_500_003)
        );
        assert_eq!((reading.retries, reading.in_flight_bytes), (7, 4_500_000));
        assert_eq!(reading.lag, Buckets { bounds: vec![0.001, f64::INFINITY], counts: vec![1, 4] });
        assert_eq!(reading.write, Buckets::default());
    }

    #[test]
    fn buckets_are_those_of_a_label() {
        let text = "x_seconds_bucket{topic=\"changes\",le=\"0.1\"} 3\n\
            x_seconds_bucket{topic=\"changes\",le=\"+Inf\"} 5\n\
            x_seconds_bucket{topic=\"audit\",le=\"0.1\"} 9\n\
            x_seconds_count{topic=\"changes\"} 5\n";
        let found = buckets(text, "x_seconds", ("topic", "changes"));
        assert_eq!(found, Buckets { bounds: vec![0.1, f64::INFINITY], counts: vec![3, 5] });
        assert_eq!(buckets(text, "x", ("topic", "changes")), Buckets::default());
    }

    #[test]
    fn series_are_summed_by_a_label() {
        let text = "triad_authz_checks_total{result=\"allow\",source=\"decision\"} 5\n\
            triad_authz_checks_total{result=\"deny\",source=\"decision\"} 7\n\
            triad_authz_checks_total{result=\"deny\",source=\"graph\"} 1\n\
            triad_authz_checks_total_other{source=\"decision\"} 9\n";
        let sum = |source| sum(text, "triad_authz_checks_total", ("source", source));
        assert_eq!([sum("decision"), sum("graph"), sum("views")], [12.0, 1.0, 0.0]);
        assert_eq!(total(text, "triad_authz_checks_total"), Some(13.0));
        assert_eq!(total("x_depth 7\nx_depth_y 9\n", "x_depth"), Some(7.0));
        assert_eq!(total("# TYPE x_depth gauge\nx_depth_y 9\n", "x_depth"), None);
    }
}

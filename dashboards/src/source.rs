//! A running Prometheus: what expressions are, now and over time (its HTTP API, `/api/v1/query` and
//! `/api/v1/query_range`).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// For one answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where expressions are evaluated.
#[derive(Debug, Clone)]
pub struct Source {
    client: reqwest::Client,
    url: String,
}

/// Moments at the same distance, the last of which is `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Unix time, in seconds.
    pub end: u32,
    /// Between two moments, in seconds; not 0.
    pub step: u32,
    /// How many there are.
    pub points: u32,
}

impl Window {
    /// The first moment.
    #[must_use]
    pub fn start(&self) -> u32 {
        self.end.saturating_sub(self.step * self.points.saturating_sub(1))
    }

    /// All of them.
    pub fn moments(&self) -> impl Iterator<Item = u32> + use<> {
        let (start, step) = (self.start(), self.step);
        (0..self.points).map(move |n| start + n * step)
    }
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Without the metric's name, if the expression made it from others.
    pub labels: BTreeMap<String, String>,
    /// Unix time in seconds, ascending, and value.
    pub samples: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    error: Option<String>,
    data: Option<Found>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Found {
    Vector(Vec<Now>),
    Matrix(Vec<Over>),
}

#[derive(Deserialize)]
struct Now {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

#[derive(Deserialize)]
struct Over {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Source {
    /// The Prometheus at a base URL, such as `http://127.0.0.1:9090`.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(url: &str) -> Result<Self> {
        // The client wants a TLS provider even for plain HTTP. A second installation fails because one is
        // installed, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(DEADLINE).no_proxy().build()?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// What an expression is now: one sample for each series.
    ///
    /// # Errors
    /// Without an answer in time, and what Prometheus says against the expression.
    pub async fn now(&self, expr: &str) -> Result<Vec<Series>> {
        self.ask("query", &[("query", expr.to_owned())]).await
    }

    /// What it was at each moment.
    ///
    /// # Errors
    /// As [`Self::now`].
    pub async fn over(&self, expr: &str, window: Window) -> Result<Vec<Series>> {
        let form = [
            ("query", expr.to_owned()),
            ("start", window.start().to_string()),
            ("end", window.end.to_string()),
            ("step", window.step.to_string()),
        ];
        self.ask("query_range", &form).await
    }

    async fn ask(&self, what: &str, form: &[(&str, String)]) -> Result<Vec<Series>> {
        let url = format!("{}/api/v1/{what}", self.url);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let kind = "application/x-www-form-urlencoded";
        let answer = self.client.post(&url).header("content-type", kind).body(body).send().await?;
        // What is wrong with an expression is said in the same form, with another status.
        let answer: Answer = answer.json().await.with_context(|| url.clone())?;
        series(answer).with_context(|| url)
    }
}

fn series(answer: Answer) -> Result<Vec<Series>> {
    let Some(found) = answer.data.filter(|_| answer.status == "success") else {
        bail!("{}", answer.error.unwrap_or(answer.status));
    };
    match found {
        Found::Vector(all) => {
            all.into_iter().map(|one| read(one.metric, vec![one.value])).collect()
        }
        Found::Matrix(all) => all.into_iter().map(|one| read(one.metric, one.values)).collect(),
    }
}

fn read(labels: BTreeMap<String, String>, values: Vec<(f64, String)>) -> Result<Series> {
    let number = |(at, text): (f64, String)| -> Result<(f64, f64)> {
        let value = text.parse().with_context(|| text)?;
        Ok((at, value))
    };
    Ok(Series { labels, samples: values.into_iter().map(number).collect::<Result<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Result<Vec<Series>> {
        series(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn answers_are_read_with_whatever_is_no_number() {
        let text = r#"{"status": "success", "data": {"resultType": "matrix", "result": [
            {"metric": {"job": "a"}, "values": [[1700000000, "1.5"], [1700000015.5, "NaN"]]},
            {"metric": {}, "values": [[1700000000, "+Inf"]]}]}}"#;
        let all = found(text).unwrap();
        assert_eq!(all[0].labels["job"], "a");
        assert_eq!(all[0].samples[0], (1_700_000_000.0, 1.5));
        assert!(all[0].samples[1].1.is_nan());
        assert_eq!(all[1].samples[0].1, f64::INFINITY);
        let text = r#"{"status": "success", "data": {"result": [{"metric": {}, "value": [1, "3"]}],
            "resultType": "vector"}}"#;
        assert_eq!(found(text).unwrap()[0].samples, [(1.0, 3.0)]);
    }

    #[test]
    fn what_is_wrong_with_an_expression_is_said() {
        let text = r#"{"status": "error", "errorType": "bad_data", "error": "parse error"}"#;
        assert_eq!(found(text).unwrap_err().to_string(), "parse error");
    }

    #[test]
    fn a_window_ends_at_its_end_and_has_so_many_moments() {
        let window = Window { end: 1000, step: 15, points: 4 };
        assert_eq!(window.moments().collect::<Vec<_>>(), [955, 970, 985, 1000]);
    }
}

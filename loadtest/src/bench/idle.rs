//! What a service that does nothing costs whoever looks at it.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::json;

use super::goals::Figure;
use crate::scrape;

/// Looks; the figure is their median.
const LOOKS: usize = 50;

/// The time of a scrape and how many series it has, as the figures `ids`.
///
/// # Errors
/// A scrape that fails.
pub(super) async fn scrapes(
    client: &reqwest::Client,
    admin: SocketAddr,
    ids: [&str; 2],
) -> anyhow::Result<Vec<Figure>> {
    let (mut times, mut series) = (Vec::new(), 0);
    for _ in 0..LOOKS {
        let begun = Instant::now();
        let text = scrape::text(client, admin).await?;
        times.push(json!({ "value": begun.elapsed().as_secs_f64() * 1000.0 }));
        series = count(&text);
    }
    let [time, many] = ids;
    let series = vec![json!({ "value": series })];
    Ok([Figure::median(time, times), Figure::median(many, series)].into_iter().flatten().collect())
}

/// What is no comment is a series.
fn count(text: &str) -> usize {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
}

#[cfg(test)]
mod tests {
    #[test]
    fn comments_are_no_series() {
        let text = "# HELP up Up\n# TYPE up gauge\nup 1\n\nx_bucket{le=\"1\"} 2\nx_bucket{le=\"+Inf\"} 2\n";
        assert_eq!(super::count(text), 3);
    }
}

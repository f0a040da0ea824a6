//! One edge under measurement, or the bare server in its place.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::check::bare::Bare;
use crate::check::link::Endpoint;
use crate::check::target::Kind;
use crate::child::{Launch, Service};
use crate::scrape;

/// For what is asked beside the checks.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The environment variable of a dotted key.
pub(crate) fn variable(key: &str) -> String {
    format!("{}{}", authz_edge::config::ENV_PREFIX, key.to_uppercase().replace('.', "__"))
}

/// Who is asked.
pub(crate) struct Side {
    pub(crate) kind: Kind,
    pub(crate) endpoint: Endpoint,
    pub(crate) pid: Option<u32>,
}

impl Side {
    /// The bare server; `bearer` is what it is sent, and does not read.
    pub(crate) fn bare(bare: &Bare, bearer: Option<&str>) -> anyhow::Result<Self> {
        let endpoint = Endpoint::new(&format!("http://{}", bare.address), bearer, false)?;
        Ok(Self { kind: Kind::Bare, endpoint, pid: bare.pid() })
    }
}

/// A running edge; killed when dropped.
pub(crate) struct Edge {
    service: Service,
    pub(crate) client: reqwest::Client,
}

/// Checks by what answered them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Sources {
    /// A cached decision.
    pub(crate) decision: f64,
    /// Cached views.
    pub(crate) views: f64,
    /// A read.
    pub(crate) graph: f64,
}

impl Sources {
    fn parse(text: &str) -> Self {
        let of = |source| scrape::sum(text, "triad_authz_checks_total", ("source", source));
        Self { decision: of("decision"), views: of("views"), graph: of("graph") }
    }

    /// Those after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            decision: self.decision - before.decision,
            views: self.views - before.views,
            graph: self.graph - before.graph,
        }
    }

    /// The share that was answered from what is cached, without the graph; 0 without any checks.
    pub(crate) fn hit_ratio(self) -> f64 {
        let cached = self.decision + self.views;
        let all = cached + self.graph;
        if all > 0.0 { cached / all } else { 0.0 }
    }
}

impl Edge {
    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(
        launch: &Launch,
        environment: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        let client = scrape::client(TIMEOUT)?;
        let mut service = Service::edge(launch, environment)?;
        service.ready(&client).await?;
        Ok(Self { service, client })
    }

    /// Where its public routes begin.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.service.http)
    }

    pub(crate) fn endpoint(&self, bearer: Option<&str>) -> anyhow::Result<Endpoint> {
        Endpoint::new(&self.url(), bearer, false)
    }

    pub(crate) fn side(&self, bearer: Option<&str>) -> anyhow::Result<Side> {
        let endpoint = self.endpoint(bearer)?;
        Ok(Side { kind: Kind::Triad, endpoint, pid: Some(self.service.pid()) })
    }

    /// Checks so far.
    pub(crate) async fn sources(&self) -> anyhow::Result<Sources> {
        Ok(Sources::parse(&scrape::text(&self.client, self.service.admin).await?))
    }

    /// A metric of a kind of cache.
    pub(crate) async fn cache(&self, metric: &str, kind: &str) -> anyhow::Result<f64> {
        let text = scrape::text(&self.client, self.service.admin).await?;
        Ok(scrape::sum(&text, metric, ("kind", kind)))
    }

    /// Its admin listener.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.service.admin
    }

    pub(crate) fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// Asks it to drain, and waits for its end.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.service.stop().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_what_was_answered_without_the_graph() {
        let text = |decision: u32, graph: u32| {
            format!(
                "triad_authz_checks_total{{result=\"deny\",source=\"decision\"}} {decision}\n\
                 triad_authz_checks_total{{result=\"deny\",source=\"views\"}} {decision}\n\
                 triad_authz_checks_total{{result=\"allow\",source=\"graph\"}} {graph}\n"
            )
        };
        let (before, after) = (Sources::parse(&text(10, 10)), Sources::parse(&text(55, 20)));
        assert_eq!(after.since(before), Sources { decision: 45.0, views: 45.0, graph: 10.0 });
        assert_eq!(after.since(before).hit_ratio(), 0.9);
        assert_eq!(before.since(before).hit_ratio(), 0.0);
    }

    #[test]
    fn keys_become_variables() {
        assert_eq!(variable("cache.life_ms"), "TRIAD_AUTHZ__CACHE__LIFE_MS");
    }
}

//! Dashboards and rules, evaluated by a real Prometheus that scrapes the three services under load.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use dashboards::source::Source;
use reqwest::Method;
use serde_json::{Value, json};

use crate::edge::{Edge, Edges, question, role};
use crate::identity::credentials::Installed;
use crate::identity::people::{logged_in_to, person_in};
use crate::identity::{Identities, Service};
use crate::process::Process;
use crate::world::{World, engine, until};

/// Grafana's, over samples of a second.
const RATE_INTERVAL: &str = "1m";

/// A Prometheus of the run.
struct Prometheus {
    source: Source,
    client: reqwest::Client,
    targets: PathBuf,
}

impl Prometheus {
    /// Told to ask these.
    fn of(processes: &[(&str, &Process)]) -> Result<Self> {
        let groups = processes.iter().map(
            |(job, process)| json!({"targets": [process.admin_address()], "labels": {"job": job}}),
        );
        let targets = Path::new(&engine("TRIAD_PROMETHEUS_TARGETS")?).join("it.json");
        std::fs::write(&targets, json!(groups.collect::<Vec<_>>()).to_string())?;
        let source = Source::new(&format!("http://{}", engine("TRIAD_PROMETHEUS")?))?;
        Ok(Self { source, client: reqwest::Client::new(), targets })
    }

    /// Rules that could not be evaluated.
    async fn sick(&self) -> Result<Vec<String>> {
        let url = format!("http://{}/api/v1/rules", engine("TRIAD_PROMETHEUS")?);
        let answer: Value = self.client.get(url).send().await?.json().await?;
        let groups = answer["data"]["groups"].as_array().context("no groups")?;
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let sick = rules.filter(|rule| rule["health"] != "ok");
        Ok(sick.map(|rule| format!("{} {}", rule["name"], rule["lastError"])).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Whoever comes next has others to ask.
        let _ = std::fs::remove_file(&self.targets);
    }
}

/// The three services on topics of their own.
struct Trio {
    world: World,
    ingest: Process,
    edge: Edge,
    identity: Service,
    tenant: String,
    admin: (String, String),
    _folder: tempfile::TempDir,
}

impl Trio {
    async fn new() -> Result<Self> {
        let world = World::new("dashboards", &[]).await?;
        let audit = world.config.kafka.topic.clone();
        let topics = [("KAFKA__AUDIT_TOPIC", audit.as_str()), ("KAFKA__PARTITIONS", "4")];
        let identities = Identities::with_kafka(&topics).await?;
        let changes = identities.config()?.kafka.changes_topic;
        let installed = Installed::of(&identities)?;
        let sync = [("SYNC__MODE", "identity"), ("SYNC__TOPIC", changes.as_str())];
        let edges = Edges::new(&[&topics[..], &sync].concat()).await?;
        let identity = installed.start().await?;
        let (ingest, edge) = (world.ingest().await?, edges.start().await?);
        let tenant = edges.tenant("dash");
        let Installed { admin, folder, .. } = installed;
        Ok(Self { world, ingest, edge, identity, tenant, admin, _folder: folder })
    }

    /// A tenant in which somebody may read.
    async fn prepare(&self) -> Result<String> {
        let t = &self.tenant;
        self.identity.tenant(t).await?;
        let user = person_in(t, &self.identity, "ada", &["authz:check"]).await?;
        let reader = json!({"permissions": [{"action": "read"}]});
        self.edge.put(&format!("/v1/tenants/{t}/roles/reader"), &reader).await?;
        Ok(user)
    }

    /// A little of everything.
    async fn use_it(&self, user: &str, round: usize) -> Result<()> {
        let t = &self.tenant;
        self.identity.user(t, &format!("u-{round}")).await?;
        self.identity.access((&self.admin.0, &self.admin.1)).await?;
        if round.is_multiple_of(10) {
            logged_in_to(t, &self.identity, "ada@acme.example").await?;
        }
        let bind = role("user", user, "reader", &Value::Null);
        let writes = json!({"writes": [{"op": "touch", "relationship": bind}]});
        let path = format!("/v1/tenants/{t}/relationships");
        self.edge.ask(Method::POST, &path, &[], Some(&writes)).await?;
        for n in 0..10 {
            let asked = question(user, "read", ("document", &format!("d-{round}-{}", n % 5)));
            self.edge
                .ask(Method::POST, &format!("/v1/tenants/{t}/check"), &[], Some(&asked))
                .await?;
        }
        // Whatever no route maps is denied, and a request of Envoy all the same.
        self.edge.ask(Method::GET, "/ext_authz/nowhere", &[], None).await?;
        self.world.produce_events(round * 20..round * 20 + 20, 1).await?;
        let path = format!("/v1/tenants/{t}/audit");
        let event = World::event(round, t);
        self.ingest
            .client
            .post(self.ingest.url(&path))
            .json(&event)
            .send()
            .await?
            .error_for_status()?;
        self.ingest.get(&format!("{path}?actor_id=u-1&limit=10")).await?;
        Ok(())
    }

    async fn stop(self) -> Result<()> {
        self.edge.stop().await?;
        self.identity.stop().await?;
        self.ingest.stop().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_and_rule_has_data_of_the_running_services() -> Result<()> {
    let trio = Trio::new().await?;
    let user = trio.prepare().await?;
    let prometheus = Prometheus::of(&[
        ("ingest", &trio.ingest),
        ("authz-edge", trio.edge.process()),
        ("identity-admin", trio.identity.process()),
    ])?;
    let looking = async {
        for asked in dashboards::asked(RATE_INTERVAL) {
            // What is wrong shows only when it is.
            if asked.is_alert {
                prometheus.source.now(&asked.expr).await.with_context(|| asked.place.clone())?;
                continue;
            }
            until(&format!("{} has data: {}", asked.place, asked.expr), async || {
                let found = prometheus.source.now(&asked.expr).await?;
                let mut samples = found.iter().flat_map(|series| &series.samples);
                let is_there = samples.any(|(_, value)| !value.is_nan());
                Ok(if is_there { Ok(()) } else { Err(format!("{found:?}")) })
            })
            .await?;
        }
        let sick = prometheus.sick().await?;
        ensure!(sick.is_empty(), "{sick:?}");
        anyhow::Ok(())
    };
    let loading = async {
        for round in 0.. {
            trio.use_it(&user, round).await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        seen = looking => seen?,
        broken = loading => broken?,
    }
    drop(prometheus);
    trio.stop().await
}

fn promtool(arguments: &[&str]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/prometheus");
    let output =
        Command::new(engine("TRIAD_PROMTOOL")?).args(arguments).current_dir(folder).output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

#[test]
fn rules_are_well_formed_and_each_alert_fires_on_what_it_is_for_and_stays_quiet_else() -> Result<()>
{
    promtool(&["check", "rules", "rules.yaml"])?;
    promtool(&["test", "rules", "rules.test.yaml"])
}

//! The test bed: a graph and a bus of our own, edges on them, and one measurement that must be right.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use authz_edge::graph::{GraphDb, schema};
use service_kit::bus::{TopicSpec, apply_topics};
use service_kit::config::Source;

use super::edge::{Edge, Side, variable};
use super::sizes::Sizes;
use crate::bench::turns;
use crate::check::graph::Shape;
use crate::check::load::load;
use crate::check::measure::{Measured, Plan, answered, measure};
use crate::check::pace::Pace;
use crate::check::space::{Draw, Keys, Space};
use crate::check::target::{Kind, Target};
use crate::child::Launch;
use crate::cli::AuthzBenchArgs;
use crate::deploy::{self, Local};
use crate::latency::median;
use crate::progress::say;
use crate::stop::Stop;
use crate::system::settle;

/// What a load left to compact is waited for, at most.
const SETTLE: Duration = Duration::from_secs(20);
/// Before anything counts, at most; it ends when everything was shown.
const WARM_UP: Duration = Duration::from_secs(120);
/// Hot questions, asked over and over.
const POOL: u64 = 2000;

/// Where the engines are, and what an edge is told.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) state: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) config: authz_edge::Config,
}

impl Place {
    /// Where edges find the engines of `local`, which are up, with topics and schema.
    ///
    /// # Errors
    /// When a setting is refused, or an engine does not answer.
    pub(crate) async fn prepare(
        local: &Local,
        settings: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let [kafka, dgraph] = local.addresses(["TRIAD_KAFKA", "TRIAD_DGRAPH"]).await?;
        let given = [
            ("dgraph.alpha_addresses", dgraph.join(",")),
            ("kafka.brokers", kafka.join(",")),
            ("kafka.replication", "1".to_owned()),
            ("kafka.min_insync_replicas", "1".to_owned()),
            ("ext_authz.listen", "127.0.0.1:0".to_owned()),
            ("telemetry.filter", "warn".to_owned()),
        ];
        let own = given.iter().map(|(key, value)| (variable(key), value.clone()));
        let asked = settings.iter().map(|(key, value)| (variable(key), value.clone()));
        let environment: Vec<_> = own.chain(asked).collect();
        let config: authz_edge::Config = service_kit::config::load(&Source {
            defaults: authz_edge::config::DEFAULTS,
            file: None,
            env_prefix: authz_edge::config::ENV_PREFIX,
            env: environment.clone(),
        })?;
        config.validate()?;
        let mut topics = authz_edge::topics::specs(&config);
        // In production it is ingest's.
        topics.push(TopicSpec { name: config.kafka.audit_topic.clone(), ..topics[0].clone() });
        apply_topics(&config.kafka.cluster(), &topics).await?;
        schema::apply(&GraphDb::dgraph(&config.dgraph.options())?).await?;
        Ok(Self { state: local.state().to_owned(), environment, config })
    }

    /// An edge that is ready, with some settings of its own.
    ///
    /// # Errors
    /// When it does not become ready.
    pub(crate) async fn edge(
        &self,
        launch: &Launch,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Edge> {
        let mut environment = self.environment.clone();
        environment.extend(settings.iter().map(|(key, value)| (variable(key), value.clone())));
        Edge::start(launch, environment).await
    }
}

/// A closed loop after a full warm-up.
pub(crate) fn closed(side: &Side, connections: u16, span: Duration) -> Plan {
    Plan {
        kind: side.kind,
        connections: usize::from(connections),
        pace: Pace::Closed,
        warm_up: WARM_UP,
        span,
        writes: None,
        server: side.pid,
    }
}

/// One measurement. A wrong answer is an error, and so are many checks without one.
///
/// # Errors
/// See above, and when nobody answers.
pub(crate) async fn check(
    side: &Side,
    space: &Space,
    plan: &Plan,
    stop: &Stop,
) -> anyhow::Result<Measured> {
    // Those that are written to may lie behind those that are checked.
    let tenants = plan.writes.as_ref().map_or(0, |(_, changes)| changes.tenants().end);
    let tenants = space.tenants().max(tenants);
    let endpoint = side.endpoint.clone();
    let target = Target::open(side.kind, endpoint, space.shape(), tenants).await?;
    let measured = Box::pin(measure(target, space.clone(), plan, stop)).await?;
    let remarks = measured.remarks.join("; ");
    if measured.wrong > 0 {
        bail!("{} of {} answers were wrong: {remarks}", measured.wrong, measured.checks);
    }
    answered(measured.checks, &measured.failures).context(remarks)?;
    Ok(measured)
}

/// See the module.
pub(super) struct Bed {
    pub(super) args: AuthzBenchArgs,
    pub(super) sizes: Sizes,
    pub(super) stop: Stop,
    launch: Launch,
    local: Option<Local>,
    place: Option<Place>,
    /// Tenants of each shape that the graph holds, by the shape's name.
    loaded: HashMap<String, u32>,
    /// Closed-loop checks a second of every run, by key space.
    rates: Vec<(Keys, f64)>,
}

impl Bed {
    pub(super) fn new(args: &AuthzBenchArgs, stop: &Stop) -> anyhow::Result<Self> {
        let launch = args.launch();
        let binary = launch.binary.display();
        ensure!(launch.binary.is_file(), "{binary} is no file: build it or give --authz-edge");
        Ok(Self {
            args: args.clone(),
            sizes: Sizes::of(args),
            stop: stop.clone(),
            launch,
            local: None,
            place: None,
            loaded: HashMap::new(),
            rates: Vec::new(),
        })
    }

    /// The engines, with topics and schema.
    pub(super) async fn place(&mut self) -> anyhow::Result<Place> {
        if let Some(place) = &self.place {
            return Ok(place.clone());
        }
        let state = std::env::temp_dir().join(format!("triad-bench-{}", std::process::id()));
        let local = self.local.insert(Local::new(state));
        local.start("kafka,dgraph", &[]).await?;
        let place = Place::prepare(local, &self.args.settings).await?;
        self.place = Some(place.clone());
        Ok(place)
    }

    /// An edge that is ready, with some settings of its own.
    pub(super) async fn edge(&mut self, settings: &[(&str, String)]) -> anyhow::Result<Edge> {
        self.place().await?.edge(&self.launch, settings).await
    }

    /// The graphs of the first `tenants`, told through an edge.
    pub(super) async fn graph(&mut self, shape: &Shape, tenants: u32) -> anyhow::Result<()> {
        if self.loaded.get(&shape.name()).is_some_and(|loaded| *loaded >= tenants) {
            return Ok(());
        }
        let edge = self.edge(&[]).await?;
        let endpoint = edge.endpoint(None)?;
        let target = Target::prepare(Kind::Triad, endpoint, shape, tenants).await?;
        let loaded = load(&target, shape, tenants, &self.stop).await?;
        edge.stop().await?;
        say(&format!(
            "loaded {tenants} tenants of {} users and {} resources: {} relationships, {:.0}/s",
            shape.users, shape.resources, loaded.facts, loaded.facts_per_second
        ));
        self.loaded.insert(shape.name(), tenants);
        let place = self.place().await?;
        if let Some(pid) = deploy::pid(&place.state, "dgraph-alpha") {
            settle(pid, SETTLE).await;
        }
        Ok(())
    }

    /// Questions about the first `tenants`.
    pub(super) fn space(&self, shape: &Shape, keys: Keys, tenants: u32, seed: u64) -> Space {
        let pool = if tenants == 1 { POOL } else { self.sizes.storm_pool };
        Space::new(shape, Draw { keys, tenants, allow_share: 0.5, exponent: 1.0, pool, seed })
    }

    /// A closed loop after a full warm-up.
    pub(super) fn plan(&self, side: &Side) -> Plan {
        closed(side, self.args.connections, self.sizes.span)
    }

    /// One measurement, see [`check`].
    pub(super) async fn check(
        &self,
        side: &Side,
        space: &Space,
        plan: &Plan,
    ) -> anyhow::Result<Measured> {
        check(side, space, plan, &self.stop).await
    }

    /// Asks everything that is to be seen before, twice, since a decision is cached when it is asked for
    /// again; and nothing that counts.
    pub(super) async fn warm(&self, side: &Side, space: &Space) -> anyhow::Result<()> {
        let plan = Plan { span: Duration::from_millis(100), ..self.plan(side) };
        for _ in 0..2 {
            self.check(side, space, &plan).await?;
        }
        Ok(())
    }

    /// Notes a closed-loop rate, for the comparison with peers.
    pub(super) fn note(&mut self, keys: Keys, checks_per_second: f64) {
        self.rates.push((keys, checks_per_second));
    }

    /// The median of what was noted; `None` if nothing was.
    pub(super) fn rate(&self, keys: Keys) -> Option<f64> {
        let of = self.rates.iter().filter(|(noted, _)| *noted == keys);
        let rates: Vec<f64> = of.map(|(_, rate)| *rate).collect();
        (!rates.is_empty()).then(|| median(rates))
    }

    /// How long the bench may still take: what is started ends itself by then.
    pub(super) fn limit(&self) -> Duration {
        self.stop.deadline().saturating_duration_since(Instant::now())
    }

    /// Stops the engines and deletes their data.
    pub(super) async fn down(&mut self) -> anyhow::Result<()> {
        self.place = None;
        self.loaded.clear();
        match self.local.take() {
            Some(local) => local.reset().await,
            None => Ok(()),
        }
    }
}

/// Does `pair` as often as there are to be pairs and as there is time for; at least [`turns::FEWEST`] times.
pub(super) async fn in_turns(
    bed: &mut Bed,
    until: Instant,
    mut pair: impl AsyncFnMut(&mut Bed, u64) -> anyhow::Result<serde_json::Value>,
) -> anyhow::Result<Vec<serde_json::Value>> {
    let (pairs, stop) = (bed.sizes.pairs, bed.stop.clone());
    turns::in_turns(pairs, &stop, until, async |turn| pair(bed, turn).await).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::turns::FEWEST;

    fn bed(pairs: usize) -> Bed {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            args: AuthzBenchArgs,
        }
        let own = std::env::current_exe().unwrap().display().to_string();
        let pairs = pairs.to_string();
        let words = ["x", "--authz-edge", &own, "--pairs", &pairs];
        let args = <Only as clap::Parser>::try_parse_from(words).unwrap().args;
        Bed::new(&args, &Stop::after(Duration::from_secs(60))).unwrap()
    }

    #[tokio::test]
    async fn pairs_are_left_out_when_time_is_short_but_not_too_many() {
        let counted = async |pairs, until| {
            let mut bed = bed(pairs);
            let one = async |_: &mut Bed, turn| Ok(json!({ "value": turn }));
            in_turns(&mut bed, until, one).await.unwrap().len()
        };
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(counted(7, later).await, 7);
        assert_eq!(counted(7, Instant::now()).await, FEWEST);
        assert_eq!(counted(2, Instant::now()).await, 2);
    }

    #[tokio::test]
    async fn an_error_in_a_pair_is_not_passed_over() {
        let mut bed = bed(7);
        let until = Instant::now() + Duration::from_secs(60);
        let one = async |_: &mut Bed, turn| {
            ensure!(turn < 5, "a wrong answer");
            Ok(json!({ "value": turn }))
        };
        assert!(in_turns(&mut bed, until, one).await.is_err());
    }

    #[test]
    fn rates_are_noted_by_key_space() {
        let mut bed = bed(7);
        for rate in [1.0, 9.0, 2.0] {
            bed.note(Keys::Hot, rate);
        }
        assert_eq!((bed.rate(Keys::Hot), bed.rate(Keys::Wide)), (Some(2.0), None));
    }
}

//! Comparing topics with their specifications, and changing what may be changed.

use super::{TopicAction, TopicOutcome, TopicSpec};
use crate::bus::{BusError, KafkaConfig};
use rdkafka::{
    admin::{
        AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewTopic,
        ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
    metadata::Metadata,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

/// How long one request to the cluster may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Makes the cluster agree with `specs`: creates what is missing and sets properties that differ.
/// Repeating it changes nothing. Partitions are never added, because that moves keys: a difference
/// is reported. Nothing is changed if anything is refused.
///
/// # Errors
/// `Refused` for another replication factor, with the procedure; `Kafka` when the cluster does not
/// answer or refuses.
pub async fn apply_topics(
    config: &KafkaConfig,
    specs: &[TopicSpec],
) -> Result<Vec<TopicOutcome>, BusError> {
    let cluster = Cluster::connect(config)?;
    let found = cluster.describe(specs).await?;
    let plans = specs.iter().map(|spec| plan(spec, found.get(&spec.name)));
    let plans = plans.collect::<Result<Vec<_>, _>>()?;
    let mut outcomes = Vec::with_capacity(specs.len());
    for (spec, plan) in specs.iter().zip(plans) {
        let action = match plan.step {
            Step::Create => {
                cluster.create(spec).await?;
                TopicAction::Created
            }
            Step::Configure { entries, changes } => {
                cluster.configure(&spec.name, &entries).await?;
                TopicAction::Configured(changes)
            }
            Step::Nothing => TopicAction::Unchanged,
        };
        let (topic, differences) = (spec.name.clone(), plan.differences);
        outcomes.push(TopicOutcome { topic, action, differences });
    }
    Ok(outcomes)
}

/// What start-up should warn about: missing topics, differences from `specs`, and whatever lets an
/// acknowledged record be lost. It changes nothing and takes two requests of 15 s each at
/// most; a cluster that does not answer is a warning too.
pub async fn check_topics(config: &KafkaConfig, specs: &[TopicSpec]) -> Vec<String> {
    let found = async { Cluster::connect(config)?.describe(specs).await };
    match found.await {
        Ok(found) => specs.iter().flat_map(|spec| warnings(spec, found.get(&spec.name))).collect(),
        Err(error) => vec![format!("topics could not be checked: {error}")],
    }
}

/// A topic as it is.
#[derive(Default)]
struct Found {
    partitions: usize,
    /// The least of any partition.
    replication: usize,
    config: BTreeMap<String, Property>,
}

#[derive(Clone)]
struct Property {
    /// Absent for what the broker does not show.
    value: Option<String>,
    /// Set on the topic, not inherited from the broker.
    own: bool,
}

struct Plan {
    step: Step,
    differences: Vec<String>,
}

enum Step {
    Create,
    Configure { entries: BTreeMap<String, String>, changes: Vec<String> },
    Nothing,
}

fn plan(spec: &TopicSpec, found: Option<&Found>) -> Result<Plan, BusError> {
    let Some(found) = found else {
        return Ok(Plan { step: Step::Create, differences: Vec::new() });
    };
    if found.replication != wanted(spec.replication) {
        return Err(BusError::Refused(format!(
            "topic {}: replication is {}, wanted {}; move replicas with kafka-reassign-partitions.sh \
             (--generate, then --execute with the wanted replicas, then --verify) and apply again",
            spec.name, found.replication, spec.replication,
        )));
    }
    let changes = config_differences(spec, found);
    let step = if changes.is_empty() {
        Step::Nothing
    } else {
        Step::Configure { entries: merged_config(spec, found)?, changes }
    };
    Ok(Plan { step, differences: partition_difference(spec, found).into_iter().collect() })
}

/// The only AlterConfigs that this client has replaces all of a topic's own properties, so those
/// that the specification does not name are sent along.
fn merged_config(spec: &TopicSpec, found: &Found) -> Result<BTreeMap<String, String>, BusError> {
    let mut entries = BTreeMap::new();
    for (name, property) in found.config.iter().filter(|(_, property)| property.own) {
        let Some(value) = &property.value else {
            let topic = &spec.name;
            return Err(BusError::Refused(format!(
                "topic {topic}: {name} is hidden and would be lost; use kafka-configs.sh --alter"
            )));
        };
        entries.insert(name.clone(), value.clone());
    }
    entries.extend(spec.config.clone());
    Ok(entries)
}

fn config_differences(spec: &TopicSpec, found: &Found) -> Vec<String> {
    let now = |name: &str| found.config.get(name).and_then(|property| property.value.as_deref());
    let differing = spec.config.iter().filter(|(name, value)| now(name) != Some(value));
    differing
        .map(|(name, value)| format!("{name}: {} -> {value}", now(name).unwrap_or("unset")))
        .collect()
}

fn partition_difference(spec: &TopicSpec, found: &Found) -> Option<String> {
    (found.partitions != wanted(spec.partitions)).then(|| {
        format!(
            "topic {}: {} partitions, wanted {}; kafka-topics.sh --alter --partitions adds them, but \
             moves keys to other partitions",
            spec.name, found.partitions, spec.partitions,
        )
    })
}

fn wanted(count: i32) -> usize {
    usize::try_from(count).unwrap_or_default()
}

fn warnings(spec: &TopicSpec, found: Option<&Found>) -> Vec<String> {
    let topic = &spec.name;
    let Some(found) = found else {
        return vec![format!("topic {topic} is missing: run `topics apply`")];
    };
    let value = |name: &str| found.config.get(name).and_then(|property| property.value.as_deref());
    let mut warnings: Vec<String> = partition_difference(spec, found).into_iter().collect();
    if found.replication < 3 {
        warnings.push(format!("topic {topic}: replication {} < 3", found.replication));
    }
    let in_sync =
        value("min.insync.replicas").and_then(|count| count.parse().ok()).unwrap_or(1_u32);
    if in_sync < 2 {
        warnings.push(format!("topic {topic}: min.insync.replicas {in_sync} < 2"));
    }
    if value("unclean.leader.election.enable") == Some("true") {
        let loss = "unclean leader election is on: acknowledged records can be lost";
        warnings.push(format!("topic {topic}: {loss}"));
    }
    let named = |difference: &String| format!("topic {topic}: {difference} is wanted");
    warnings.extend(config_differences(spec, found).iter().map(named));
    warnings
}

struct Cluster(Arc<AdminClient<DefaultClientContext>>);

impl Cluster {
    fn connect(config: &KafkaConfig) -> Result<Self, BusError> {
        config.validate()?;
        Ok(Self(Arc::new(config.client().create().map_err(BusError::kafka)?)))
    }

    /// The topics of `specs` that exist.
    async fn describe(&self, specs: &[TopicSpec]) -> Result<HashMap<String, Found>, BusError> {
        let admin = Arc::clone(&self.0);
        // All topics, because asking for one by name may create it.
        let fetch = move || admin.inner().fetch_metadata(None, TIMEOUT);
        let metadata = tokio::task::spawn_blocking(fetch)
            .await
            .map_err(BusError::kafka)?
            .map_err(BusError::kafka)?;
        let mut found = existing(&metadata, specs);
        let names: Vec<_> = found.keys().cloned().collect();
        if names.is_empty() {
            return Ok(found);
        }
        let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let described =
            self.0.describe_configs(&resources, &options()).await.map_err(BusError::kafka)?;
        for resource in described {
            let resource = resource.map_err(BusError::kafka)?;
            let rdkafka::admin::OwnedResourceSpecifier::Topic(name) = resource.specifier else {
                continue;
            };
            if let Some(topic) = found.get_mut(&name) {
                topic.config = resource.entries.into_iter().map(property).collect();
            }
        }
        Ok(found)
    }

    async fn create(&self, spec: &TopicSpec) -> Result<(), BusError> {
        let replication = TopicReplication::Fixed(spec.replication);
        let topic = NewTopic::new(&spec.name, spec.partitions, replication);
        let topic = spec.config.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
        let results = self.0.create_topics([&topic], &options()).await.map_err(BusError::kafka)?;
        results.into_iter().try_for_each(|result| match result {
            // Another replica's `topics apply` was quicker, with the same specification.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            Err((name, code)) => Err(BusError::Kafka(format!("creating topic {name}: {code}"))),
        })
    }

    async fn configure(
        &self,
        topic: &str,
        entries: &BTreeMap<String, String>,
    ) -> Result<(), BusError> {
        let alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let alter = entries.iter().fold(alter, |alter, (name, value)| alter.set(name, value));
        let results = self.0.alter_configs([&alter], &options()).await.map_err(BusError::kafka)?;
        results.into_iter().try_for_each(|result| match result {
            Ok(_) => Ok(()),
            Err((_, code)) => Err(BusError::Kafka(format!("configuring topic {topic}: {code}"))),
        })
    }
}

fn existing(metadata: &Metadata, specs: &[TopicSpec]) -> HashMap<String, Found> {
    let wanted = |name: &str| specs.iter().any(|spec| spec.name == name);
    let topics = metadata.topics().iter().filter(|topic| wanted(topic.name()));
    topics
        .map(|topic| {
            let replicas = topic.partitions().iter().map(|partition| partition.replicas().len());
            let (partitions, replication) = (topic.partitions().len(), replicas.min().unwrap_or(0));
            (topic.name().to_owned(), Found { partitions, replication, config: BTreeMap::new() })
        })
        .collect()
}

fn property(entry: ConfigEntry) -> (String, Property) {
    let own = entry.source == ConfigSource::DynamicTopic;
    (entry.name, Property { value: entry.value, own })
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(config: &[(&str, &str)]) -> TopicSpec {
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let (name, config) = ("audit".to_owned(), config.collect());
        TopicSpec { name, partitions: 6, replication: 3, config }
    }

    fn found(config: &[(&str, &str, bool)]) -> Found {
        let property = |(name, value, own): &(&str, &str, bool)| {
            ((*name).to_owned(), Property { value: Some((*value).to_owned()), own: *own })
        };
        Found { partitions: 6, replication: 3, config: config.iter().map(property).collect() }
    }

    #[test]
    fn a_missing_topic_is_created_and_one_that_agrees_is_left_alone() {
        let spec = spec(&[("retention.ms", "1")]);
        assert!(matches!(plan(&spec, None).unwrap().step, Step::Create));
        let agrees = plan(&spec, Some(&found(&[("retention.ms", "1", false)]))).unwrap();
        assert!(matches!(agrees.step, Step::Nothing) && agrees.differences.is_empty());
    }

    #[test]
    fn changing_a_property_keeps_what_an_operator_set_on_the_topic() {
        let found = found(&[
            ("retention.ms", "1", true),
            ("segment.ms", "9", true),
            ("min.insync.replicas", "2", false),
        ]);
        let Step::Configure { entries, changes } =
            plan(&spec(&[("retention.ms", "5")]), Some(&found)).unwrap().step
        else {
            panic!("the property differs");
        };
        assert_eq!(changes, ["retention.ms: 1 -> 5"]);
        let expected = [("retention.ms", "5"), ("segment.ms", "9")];
        let entries: Vec<_> = entries.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(entries, expected, "inherited properties stay inherited");
    }

    #[test]
    fn a_hidden_property_is_never_lost_by_replacing() {
        let mut found = found(&[("retention.ms", "1", true)]);
        found.config.insert("hidden".to_owned(), Property { value: None, own: true });
        let refused = plan(&spec(&[("retention.ms", "5")]), Some(&found)).err().unwrap();
        assert!(refused.to_string().contains("hidden"), "{refused}");
    }

    #[test]
    fn partitions_are_reported_and_replication_is_refused_with_the_procedure() {
        let fewer = Found { partitions: 3, ..found(&[]) };
        let reported = plan(&spec(&[]), Some(&fewer)).unwrap();
        assert!(matches!(reported.step, Step::Nothing));
        assert!(reported.differences[0].starts_with("topic audit: 3 partitions, wanted 6"));
        let one = Found { replication: 1, ..found(&[]) };
        let refused = plan(&spec(&[]), Some(&one)).err().unwrap().to_string();
        assert!(refused.contains("kafka-reassign-partitions"), "{refused}");
    }

    #[test]
    fn start_up_warns_of_whatever_can_lose_an_acknowledged_record() {
        let spec = spec(&[("message.timestamp.type", "LogAppendTime")]);
        let good = [
            ("message.timestamp.type", "LogAppendTime", true),
            ("min.insync.replicas", "2", false),
            ("unclean.leader.election.enable", "false", false),
        ];
        assert_eq!(warnings(&spec, Some(&found(&good))), [""; 0]);
        let bad = [
            ("message.timestamp.type", "CreateTime", false),
            ("min.insync.replicas", "1", false),
            ("unclean.leader.election.enable", "true", false),
        ];
        let bad = warnings(&spec, Some(&Found { replication: 1, ..found(&bad) })).join("\n");
        for part in [
            "replication 1 < 3",
            "min.insync.replicas 1 < 2",
            "unclean",
            "CreateTime -> LogAppendTime",
        ] {
            assert!(bad.contains(part), "{part} in {bad}");
        }
        assert!(warnings(&spec, None)[0].contains("topics apply"));
    }
}

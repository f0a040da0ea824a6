//! Topics are made by an explicit step (`topics apply`), never by accident; start-up only checks.

#[cfg(feature = "engines")]
mod apply;
#[cfg(feature = "engines")]
pub use apply::{apply_topics, check_topics};

use std::{collections::BTreeMap, fmt};

/// A topic as a service wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Partitions to create it with.
    pub partitions: i32,
    /// Replicas of each partition, the leader among them.
    pub replication: i32,
    /// Topic properties that must have these values; others are left as they are.
    pub config: BTreeMap<String, String>,
}

/// What [`apply_topics`] did to one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOutcome {
    /// The topic.
    pub topic: String,
    /// What was done.
    pub action: TopicAction,
    /// What differs and was left so, with the way to change it.
    pub differences: Vec<String>,
}

/// What was done to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicAction {
    /// It did not exist.
    Created,
    /// These properties, as `name: before -> after`, were set.
    Configured(Vec<String>),
    /// Nothing was to do.
    Unchanged,
}

/// One line for what was done, and one for each difference.
impl fmt::Display for TopicOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = &self.topic;
        match &self.action {
            TopicAction::Created => write!(f, "topic {topic}: created")?,
            TopicAction::Configured(changes) => write!(f, "topic {topic}: {}", changes.join(", "))?,
            TopicAction::Unchanged => write!(f, "topic {topic}: unchanged")?,
        }
        self.differences.iter().try_for_each(|difference| write!(f, "\n{difference}"))
    }
}

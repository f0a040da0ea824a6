//! What authorization edges tell each other on Kafka: which parts of the graph changed, and up to
//! which revision everything has been told.

use serde::{Deserialize, Serialize};

use crate::{GraphEpoch, Revision, TenantId};

/// Where changes of the graph are published. Deleted by age, never compacted.
pub const CHANGES_TOPIC: &str = "authz.changes";

/// The value of a record on [`CHANGES_TOPIC`].
///
/// Records only raise fences and watermarks: order, repeats and several publishers do no harm. Fields
/// that are not listed here are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChangeRecord {
    /// What was read of `keys` below revision `fence` is out of date.
    Fence {
        /// The graph that changed.
        epoch: GraphEpoch,
        /// At or above the commit of the change.
        fence: Revision,
        /// Whose part of it.
        tenant: TenantId,
        /// The external keys whose outgoing edges, attributes or state changed: printable, otherwise
        /// opaque here. A publisher splits what would exceed the topic's largest record.
        keys: Vec<String>,
    },
    /// Every change committed at or below `watermark` has had its fences published before, on every
    /// partition. Itself it is published to each of them.
    Watermark {
        /// The graph that was read.
        epoch: GraphEpoch,
        /// The revision of that read.
        watermark: Revision,
        /// When the read began, milliseconds since 1970-01-01T00:00:00Z: the changes after it are
        /// those that a reader of this record may not know of yet.
        #[serde(rename = "at")]
        at_ms: u64,
    },
    /// A type that this build does not know, from a newer publisher. What it invalidates is unknown
    /// too, so a reader keeps nothing that it holds.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl ChangeRecord {
    /// The key of the record: the tenant of a fence; the others, which concern all, have none.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Fence { tenant, .. } => Some(tenant.as_str()),
            Self::Watermark { .. } | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> serde_json::Result<ChangeRecord> {
        serde_json::from_str(text)
    }

    #[test]
    fn an_unknown_type_is_told_from_a_broken_record() {
        assert_eq!(read(r#"{"type":"epoch","epoch":[1],"x":{}}"#).unwrap(), ChangeRecord::Unknown);
        for broken in [
            "",
            "{}",
            r#"{"type":"watermark"}"#,
            r#"{"type":"watermark","epoch":"1","watermark":1,"at":1}"#,
            r#"{"type":"watermark","epoch":"0000000000000001","watermark":-1,"at":1}"#,
            r#"{"type":"fence","epoch":"0000000000000001","fence":1,"tenant":"A","keys":[]}"#,
        ] {
            assert!(read(broken).is_err(), "{broken}");
        }
        assert!(serde_json::to_string(&ChangeRecord::Unknown).is_err());
    }

    #[test]
    fn unknown_fields_are_ignored_and_numbers_are_whole() {
        let max = u64::MAX;
        let text = format!(
            r#"{{"type":"watermark","epoch":"0000000000000001","watermark":{max},"at":1,"new":2}}"#
        );
        let expected =
            ChangeRecord::Watermark { epoch: GraphEpoch(1), watermark: Revision(max), at_ms: 1 };
        assert_eq!(read(&text).unwrap(), expected);
    }

    #[test]
    fn only_a_fence_has_a_key() {
        let (epoch, tenant) = (GraphEpoch(1), TenantId::parse("acme").unwrap());
        let fence = ChangeRecord::Fence { epoch, fence: Revision(2), tenant, keys: Vec::new() };
        assert_eq!(fence.key(), Some("acme"));
        let watermark = ChangeRecord::Watermark { epoch, watermark: Revision(2), at_ms: 3 };
        assert_eq!(watermark.key(), None);
    }
}

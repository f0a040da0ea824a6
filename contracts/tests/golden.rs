//! The wire forms against their golden files: reading and writing one gives the same text.

use std::collections::BTreeSet;

use contracts::audit::AuditEvent;
use contracts::authz::ChangeRecord;
use contracts::identity::{Change, ChangeKind, SnapshotLine};
use contracts::{ConsistencyToken, GraphEpoch, Revision, TenantId};

#[track_caller]
fn survives<T: serde::de::DeserializeOwned + serde::Serialize>(golden: &str) {
    let value: T = serde_json::from_str(golden).expect("golden file parses");
    let text = serde_json::to_string_pretty(&value).expect("value serialises");
    assert_eq!(text, golden.trim_end());
}

#[test]
fn an_audit_event_keeps_its_wire_form() {
    survives::<AuditEvent>(include_str!("../golden/audit_event.json"));
    survives::<AuditEvent>(include_str!("../golden/audit_event_minimal.json"));
}

#[test]
fn a_change_of_the_graph_keeps_its_wire_form() {
    survives::<ChangeRecord>(include_str!("../golden/authz_fence.json"));
    survives::<ChangeRecord>(include_str!("../golden/authz_watermark.json"));
}

#[test]
fn every_change_of_identities_keeps_its_wire_form() {
    let mut seen = BTreeSet::new();
    for (line, seq) in include_str!("../golden/identity_changes.ndjson").lines().zip(1..) {
        let change = Change::parse(line.as_bytes()).expect("golden line parses");
        assert_eq!(change.seq, seq);
        assert_eq!(serde_json::to_string(&change).expect("change serialises"), line);
        seen.insert(change.kind.name());
    }
    assert_eq!(seen, ChangeKind::NAMES.iter().copied().collect(), "a line for every type");
}

#[test]
fn a_snapshot_keeps_its_wire_form() {
    let golden = include_str!("../golden/identity_snapshot.ndjson");
    let lines: Vec<SnapshotLine> = golden
        .lines()
        .map(|line| {
            let read = serde_json::from_str(line).expect("golden line parses");
            assert_eq!(serde_json::to_string(&read).expect("line serialises"), line);
            read
        })
        .collect();
    let between = u64::try_from(lines.len() - 2).expect("a few lines");
    assert_eq!(lines.last(), Some(&SnapshotLine::End { count: between }));
    let newer: SnapshotLine = serde_json::from_str(r#"{"type":"device","id":5}"#).expect("a line");
    assert_eq!(newer, SnapshotLine::Unknown);
}

#[test]
fn consistency_tokens_keep_their_text() {
    let acme = TenantId::parse("acme").expect("a tenant id");
    let graph = ConsistencyToken::Graph {
        epoch: GraphEpoch(0x00c0_ffee_00c0_ffee),
        revision: Revision(1207),
    };
    let identity = ConsistencyToken::Identity { seq: 42 };
    for (token, golden) in [
        (graph, include_str!("../golden/consistency_token_graph.txt")),
        (identity, include_str!("../golden/consistency_token_identity.txt")),
    ] {
        assert_eq!(token.encode(&acme), golden.trim_end());
        assert_eq!(ConsistencyToken::decode(golden.trim_end(), &acme), Ok(token));
    }
}

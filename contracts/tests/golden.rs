//! The wire forms against their golden files: reading and writing one gives the same text.

use contracts::audit::AuditEvent;

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

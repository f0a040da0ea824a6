use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn record(seq: u64, kind: &str, data: &Value) -> Vec<u8> {
    let id = "0192f0c4-5a00-7000-8000-000000000001";
    let at = "2026-11-22T14:03:07.123456Z";
    json!({"event_id": id, "tenant_id": "acme", "seq": seq, "type": kind, "occurred_at": at,
           "data": data})
    .to_string()
    .into_bytes()
}

#[track_caller]
fn refused(kind: &str, data: &Value, words: &str) {
    match Change::parse(&record(7, kind, data)) {
        Err(ChangeError::Invalid { tenant_id, seq: 7, reason }) if tenant_id.as_str() == "acme" => {
            assert!(reason.contains(words), "{kind} {data}: {reason}");
        }
        other => panic!("{kind} {data}: {other:?}"),
    }
}

#[test]
fn an_unknown_type_still_says_whose_number_it_takes() {
    let data = json!({"id": "", "anything": [1, 2]});
    let expected = ChangeError::UnknownType {
        kind: "user.merged".to_owned(),
        tenant_id: TenantId::parse("acme").unwrap(),
        seq: 7,
    };
    assert_eq!(Change::parse(&record(7, "user.merged", &data)), Err(expected));
}

#[test]
fn fields_of_a_newer_publisher_are_ignored_in_every_type() {
    for line in include_str!("../../../golden/identity_changes.ndjson").lines() {
        let mut newer: Value = serde_json::from_str(line).unwrap();
        newer["later"] = json!({"x": [1]});
        if let Some(data) = newer["data"].as_object_mut() {
            data.insert("later".to_owned(), json!([{"y": null}]));
        }
        let known = Change::parse(line.as_bytes()).unwrap();
        assert_eq!(Change::parse(newer.to_string().as_bytes()), Ok(known), "{line}");
    }
}

#[test]
fn a_record_without_the_fields_of_every_change_is_malformed() {
    let whole: Value = serde_json::from_slice(&record(7, "user.deleted", &json!({}))).unwrap();
    for missing in ["event_id", "tenant_id", "seq", "type", "occurred_at"] {
        let mut cut = whole.clone();
        cut.as_object_mut().unwrap().remove(missing);
        match Change::parse(cut.to_string().as_bytes()) {
            Err(ChangeError::Malformed { reason }) => assert!(reason.contains(missing), "{reason}"),
            other => panic!("{missing}: {other:?}"),
        }
    }
    for text in ["", "null", "[]", "{", "\u{feff}{}"] {
        assert!(matches!(Change::parse(text.as_bytes()), Err(ChangeError::Malformed { .. })));
    }
}

#[test]
fn data_of_a_known_type_is_checked() {
    let long = "x".repeat(129);
    refused("user.deleted", &json!({}), "missing field `id`");
    refused("user.deleted", &json!({"id": ""}), "at least one byte");
    refused("user.deleted", &json!({ "id": long }), "at most 128 bytes");
    refused("user.created", &json!({"id": "a\u{0}", "active": true}), "no control characters");
    refused("user.created", &json!({"id": "u-1"}), "missing field `active`");
    refused("tenant.deleted", &json!({"id": "A"}), "a tenant id is");
    refused(
        "team.member_added",
        &json!({"team_id": "t", "member": {"type": "robot", "id": "r"}}),
        "unknown variant `robot`",
    );
}

#[test]
fn a_change_that_contradicts_itself_is_invalid() {
    let tenant = |id: &str, status: &str| json!({"id": id, "name": "Acme", "status": status});
    for kind in ["tenant.created", "tenant.updated", "tenant.suspended", "tenant.deleted"] {
        refused(kind, &tenant("other", "suspended"), "data.id is not tenant_id");
    }
    refused("tenant.suspended", &tenant("acme", "active"), "contradicts");
    for kind in ["user", "service_account"] {
        let data = |active| json!({"id": "x-1", "name": "X", "active": active});
        refused(&format!("{kind}.deactivated"), &data(true), "contradicts");
        refused(&format!("{kind}.reactivated"), &data(false), "contradicts");
        let told = record(7, &format!("{kind}.deactivated"), &data(false));
        assert!(Change::parse(&told).is_ok());
    }
    let first = Change::parse(&record(0, "user.deleted", &json!({"id": "u-1"})));
    assert!(matches!(first, Err(ChangeError::Invalid { seq: 0, .. })), "{first:?}");
}

#[test]
fn a_revocation_names_one_thing() {
    let at = "2026-11-22T14:03:08Z";
    for data in [
        json!({}),
        json!({"subject": "user:u-1"}),
        json!({ "not_before": at }),
        json!({"jti": "a", "key_id": "b"}),
        json!({"jti": "a", "subject": "user:u-1", "not_before": at}),
    ] {
        refused("credentials.revoked", &data, "a revocation names");
    }
    let team = json!({"subject": "team:t-1", "not_before": at});
    refused("credentials.revoked", &team, "a subject is");
}

#[test]
fn what_a_newer_producer_adds_is_ignored() {
    let data = json!({"id": "u-1", "active": true, "password_hash": "x", "nested": {"a": [null]}});
    let mut wire: Value = serde_json::from_slice(&record(7, "user.created", &data)).unwrap();
    wire["trace"] = json!({"id": 1});
    let change = Change::parse(wire.to_string().as_bytes()).unwrap();
    let written = serde_json::to_value(&change).unwrap();
    assert_eq!(written["data"], json!({"id": "u-1", "active": true}));
    assert_eq!(written.get("trace"), None);
}

#[test]
fn absent_data_is_empty() {
    let whole: Value = serde_json::from_slice(&record(7, "change.skipped", &json!({}))).unwrap();
    let (mut null, mut absent) = (whole.clone(), whole.clone());
    null["data"] = Value::Null;
    absent.as_object_mut().unwrap().remove("data");
    for wire in [whole, null, absent] {
        let change = Change::parse(wire.to_string().as_bytes()).unwrap();
        assert_eq!(change.kind, ChangeKind::ChangeSkipped(Skipped { reason: None }));
    }
}

fn near_kinds() -> impl Strategy<Value = String> {
    prop_oneof![prop::sample::select(ChangeKind::NAMES).prop_map(str::to_owned), ".{0,20}"]
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(Change::parse(&bytes).is_err());
    }

    #[test]
    fn a_whole_envelope_is_never_malformed(
        seq in any::<u64>(), kind in near_kinds(), id in ".{0,140}", flag in any::<bool>(),
    ) {
        let data = json!({"id": id, "name": id, "active": flag, "status": "active", "jti": id});
        let known = ChangeKind::NAMES.contains(&kind.as_str());
        match Change::parse(&record(seq, &kind, &data)) {
            Ok(change) => prop_assert!(known && change.kind.name() == kind && change.seq == seq),
            Err(ChangeError::UnknownType { seq: its, .. }) => prop_assert!(!known && its == seq),
            Err(ChangeError::Invalid { seq: its, .. }) => prop_assert!(known && its == seq),
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::{Judged, Ticks};

fn judge() -> Judge {
    let env_prefix = "TRIAD_INGEST__";
    let source = service_kit::config::Source {
        defaults: crate::config::DEFAULTS,
        file: None,
        env_prefix,
        env: Vec::new(),
    };
    let config: crate::Config = service_kit::config::load(&source).unwrap();
    Judge::new(&config.limits)
}

fn row(judged: &Judged<'_>) -> Leaving {
    let mut body = Vec::new();
    encode_body(&judged.event, judged.time, judged.id, &mut body);
    let tenant = TenantId::parse(&judged.event.tenant).unwrap();
    let place = Place { table: 0, key: Vec::new() };
    Leaving { place, tenant, time: judged.time.millis(), body }
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[\\[\\]{}\":, a\\\\\u{e9}\u{1F600}\n]{0,8}",
        Just("{\"a\": 1}".to_owned()),
        Just("[1]".to_owned()),
        Just("{\"specversion\":\"1.0\",\"data\":{}}".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-c_]{0,3}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    /// The same bytes wherever it goes: whatever came, and however long ago.
    #[test]
    fn a_row_s_record_makes_the_row_again(
        details in proptest::collection::btree_map("[a-c_\u{e9}]{0,3}", value(), 0..5),
        unknown in proptest::collection::btree_map("x[a-c]{0,2}|specversion|data", value(), 0..3),
        ticks in 0..Ticks::MAX.raw(), some: bool,
    ) {
        let time = Ticks::from_gregorian(Ticks::EPOCH.gregorian() + ticks.cast_unsigned());
        let mut event = json!({"tenant_id": "acme", "id": "e", "event_time": time.to_rfc3339(),
            "action": "read", "details": details});
        if some {
            event["source_ip"] = json!("2001:db8::7");
            event["actor_id"] = json!("\u{e9} a");
            event["status"] = json!("DENIED");
        }
        for (name, value) in unknown {
            event[name] = value;
        }
        let (text, judge) = (event.to_string(), judge());
        let origin =
            Origin { topic: "other".into(), partition: 3, offset: 9, timestamp: time.millis() };
        // What is refused was never stored.
        let Ok(judged) = judge.judge(text.as_bytes(), &origin) else { return Ok(()) };
        let left = row(&judged);
        let record = left.record(&judge, "audit.events").unwrap();
        let headers = record.headers.iter().map(|(name, value)| (name.as_str(), &**value));
        let origin = Origin::from_headers(headers).unwrap();
        let again = row(&judge.judge(&record.payload, &origin).unwrap());
        prop_assert_eq!(again.body, left.body);
    }
}

#[test]
fn an_event_without_an_id_stays_as_it_would_be_another_one() {
    let (judge, text) = (judge(), br#"{"tenant_id":"acme","action":"x"}"#);
    let origin = Origin { topic: "here".into(), partition: 0, offset: 5, timestamp: 1_000 };
    let left = row(&judge.judge(text, &origin).unwrap());
    let refused = left.record(&judge, "audit.events").unwrap_err();
    assert!(refused.to_string().contains("another row"), "{refused}");
}

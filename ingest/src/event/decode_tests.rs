use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { max_record_bytes: 4096, max_fields: 8, max_depth: 4 };

fn ok(json: &str) -> Event<'_> {
    decode(json.as_bytes(), &LIMITS).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[track_caller]
fn refused(value: &[u8], reason: Reason) {
    let outcome = decode(value, &LIMITS);
    assert_eq!(outcome.as_ref().err().map(|r| r.reason), Some(reason), "{outcome:?}");
}

#[test]
fn the_contract_s_event_is_read_whole() {
    let event = ok(include_str!("../../../contracts/golden/audit_event.json"));
    assert_eq!(event.tenant, "acme");
    assert_eq!(event.id.as_deref(), Some("req-7f3a-1"));
    assert_eq!(event.time, Ticks::parse("2026-11-22T14:03:07.123Z"));
    assert_eq!(event.actor_type.as_deref(), Some("user"));
    assert_eq!(event.source_ip, Some("203.0.113.7".parse().unwrap()));
    assert_eq!(event.details, vec![("request_id".into(), "7f3a".into())]);
}

#[test]
fn one_rule_one_reason() {
    let cases: [(&[u8], Reason); 24] = [
        (b"", Reason::Empty),
        (&[b'x'; 4097], Reason::TooLarge),
        (b"{\"tenant_id\":\"a\xff\"}", Reason::InvalidUtf8),
        (b"{", Reason::InvalidJson),
        (b"nonsense", Reason::InvalidJson),
        (br#"{"tenant_id":"a","action":"x"} y"#, Reason::InvalidJson),
        (b"[]", Reason::WrongType),
        (br#"{"tenant_id":7,"action":"x"}"#, Reason::WrongType),
        (br#"{"tenant_id":"a","action":"x","details":[]}"#, Reason::WrongType),
        (br#"{"tenant_id":"a","action":"x","event_time":1763820187}"#, Reason::WrongType),
        (br#"{"action":"x"}"#, Reason::MissingField),
        (br#"{"tenant_id":"a"}"#, Reason::MissingField),
        (br#"{"tenant_id":"A","action":"x"}"#, Reason::InvalidTenant),
        (br#"{"tenant_id":"a","tenant_id":"a","action":"x"}"#, Reason::DuplicateKey),
        (br#"{"tenant_id":"a","action":"x","details":{"k":1,"k":2}}"#, Reason::DuplicateKey),
        (br#"{"tenant_id":"a","action":"x","new":1,"new":2}"#, Reason::DuplicateKey),
        (br#"{"tenant_id":"a","action":""}"#, Reason::InvalidId),
        (br#"{"tenant_id":"a","action":"x","actor_id":"a\u0000"}"#, Reason::InvalidId),
        (br#"{"tenant_id":"a","action":"x","status":"OK"}"#, Reason::InvalidEnum),
        (br#"{"tenant_id":"a","action":"x","source_ip":"1.2.3"}"#, Reason::InvalidIp),
        (br#"{"tenant_id":"a","action":"x","event_time":"today"}"#, Reason::InvalidTime),
        (br#"{"tenant_id":"a","action":"x","details":{"k":[[[[[1]]]]]}}"#, Reason::TooDeep),
        (br#"{"tenant_id":"a","action":"x","a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}"#,
            Reason::TooManyFields),
        (br#"{"tenant_id":"a","action":"x","new":1,"details":{"_extra":"{}"}}"#, Reason::ReservedKey),
    ];
    for (value, reason) in cases {
        refused(value, reason);
    }
}

#[test]
fn unknown_fields_are_kept_as_json_text_in_order_of_their_keys() {
    let event = ok(
        r#"{"z": [1, 2],"tenant_id":"a","action":"x","b\"c":{"k": "v w"},"details":{"zz":"1"}}"#,
    );
    let extra = r#"{"b\"c":{"k":"v w"},"z":[1,2]}"#;
    assert_eq!(event.details, vec![("_extra".into(), extra.into()), ("zz".into(), "1".into())]);
}

#[test]
fn values_in_details_are_text_whatever_their_type() {
    let event = ok(r#"{"tenant_id":"a","action":"x","details":
        {"n":1.50,"b":true,"z":null,"o":{ "k" : [ 1, "a b" ] },"s":"q\"\u00e9"}}"#);
    let expected: Vec<(Cow<'_, str>, Cow<'_, str>)> = vec![
        ("b".into(), "true".into()),
        ("n".into(), "1.50".into()),
        ("o".into(), r#"{"k":[1,"a b"]}"#.into()),
        ("s".into(), "q\"é".into()),
        ("z".into(), "null".into()),
    ];
    assert_eq!(event.details, expected);
}

#[test]
fn null_is_absent() {
    let event = ok(r#"{"tenant_id":"a","action":"x","id":null,"actor_id":null,"details":null}"#);
    assert_eq!(event, Event { tenant: "a".into(), action: "x".into(), ..Event::default() });
}

#[test]
fn a_cloud_event_is_its_data_with_the_envelope_s_id_and_time() {
    let event = ok(r#"{"specversion":"1.0","id":"ce-1","source":"/s","type":"t",
        "time":"2026-11-22T14:03:07Z","data":{"tenant_id":"a","action":"x"}}"#);
    assert_eq!(event.id.as_deref(), Some("ce-1"));
    assert_eq!(event.time, Ticks::parse("2026-11-22T14:03:07Z"));
    assert!(event.details.is_empty(), "the envelope is no unknown field");
    let own =
        ok(r#"{"specversion":"1.0","id":"ce-1","data":{"tenant_id":"a","action":"x","id":"own"}}"#);
    assert_eq!(own.id.as_deref(), Some("own"));
    refused(br#"{"specversion":"1.0","id":"ce-1","data":7}"#, Reason::WrongType);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(value in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = decode(&value, &LIMITS);
    }

    #[test]
    fn bytes_near_an_event_never_panic(at in 0_usize..230, byte in any::<u8>()) {
        let mut value = include_bytes!("../../../contracts/golden/audit_event.json").to_vec();
        let at = at % value.len();
        value[at] = byte;
        if let Ok(event) = decode(&value, &LIMITS) {
            prop_assert!(TenantId::is_valid(&event.tenant));
            prop_assert!(!event.action.is_empty());
            prop_assert!(event.details.windows(2).all(|w| w[0].0 < w[1].0));
        }
    }

    #[test]
    fn any_text_survives_in_details(key in "\\PC{1,20}", text in any::<String>()) {
        prop_assume!(key != EXTRA_KEY && key.len() <= 128);
        let json = serde_json::json!({"tenant_id": "a", "action": "x", "details": {&key: &text}});
        let json = json.to_string();
        prop_assume!(json.len() <= LIMITS.max_record_bytes);
        let event = ok(&json);
        prop_assert_eq!(event.details, vec![(Cow::from(key), Cow::from(text))]);
    }
}

use super::*;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

const DEFAULTS: &str = "
# brokers as host:port
kafka: {brokers: ['localhost:9092'], properties: {}, linger_ms: 5, idempotent: true}
topic: audit
shards: [1]
issuer: null
password: null
password_file: null
";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    kafka: Kafka,
    topic: String,
    shards: Vec<u8>,
    issuer: Option<String>,
    password: Option<Secret>,
    password_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kafka {
    brokers: Vec<String>,
    properties: BTreeMap<String, String>,
    linger_ms: u32,
    idempotent: bool,
}

fn load_with(file: Option<&str>, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, file.unwrap_or_default()).unwrap();
    load(&Source {
        defaults: DEFAULTS,
        file: file.map(|_| path.as_path()),
        env_prefix: "TRIAD_X__",
        env: env
            .iter()
            .map(|(name, value)| (format!("TRIAD_X__{name}"), (*value).to_owned()))
            .collect(),
    })
}

fn refusal(file: Option<&str>, env: &[(&str, &str)]) -> String {
    load_with(file, env).unwrap_err().to_string()
}

#[test]
fn each_layer_overrides_only_what_it_names() {
    let file = "kafka: {linger_ms: 9, properties: {ssl.ca.location: /ca}}\ntopic: other\n";
    let config =
        load_with(Some(file), &[("TOPIC", "123"), ("KAFKA__IDEMPOTENT", "false")]).unwrap();
    assert_eq!(config.kafka.brokers, ["localhost:9092"]);
    assert_eq!((config.kafka.linger_ms, config.kafka.idempotent), (9, false));
    assert_eq!(config.kafka.properties["ssl.ca.location"], "/ca");
    assert_eq!(config.topic, "123", "a string key takes the text as it is");
}

#[test]
fn a_section_left_empty_keeps_its_defaults() {
    assert_eq!(load_with(Some("kafka:\n"), &[]).unwrap().kafka.linger_ms, 5);
    assert_eq!(load_with(Some(""), &[]).unwrap().topic, "audit");
}

#[test]
fn lists_and_maps_come_from_the_environment() {
    let env = [
        ("KAFKA__BROKERS", "a:1, b:2"),
        ("SHARDS", "3,4"),
        ("KAFKA__PROPERTIES", "{security.protocol: SSL}"),
    ];
    let config = load_with(None, &env).unwrap();
    assert_eq!(config.kafka.brokers, ["a:1", "b:2"]);
    assert_eq!(config.shards, [3, 4]);
    assert_eq!(config.kafka.properties["security.protocol"], "SSL");
    let config = load_with(None, &[("KAFKA__BROKERS", "['c:3']")]).unwrap();
    assert_eq!(config.kafka.brokers, ["c:3"]);
}

#[test]
fn a_key_without_default_takes_text_that_looks_like_a_number() {
    let config = load_with(None, &[("ISSUER", "007"), ("PASSWORD", "12345")]).unwrap();
    assert_eq!(config.issuer.as_deref(), Some("007"));
    assert_eq!(config.password.unwrap().expose(), "12345");
    assert_eq!(load_with(None, &[("ISSUER", "")]).unwrap().issuer, None);
}

#[test]
fn what_is_wrong_is_refused_by_its_dotted_name() {
    assert!(refusal(Some("kafka: {linger: 1}"), &[]).starts_with("kafka.linger: unknown field"));
    assert!(refusal(Some("shards: [1, x]"), &[]).starts_with("shards[1]: invalid type"));
    assert!(
        refusal(None, &[("KAFKA__LINGER_MS", "soon")]).starts_with("kafka.linger_ms: invalid type")
    );
    assert!(refusal(None, &[("KAFKA__IDEMPOTENT", "yes")]).starts_with("kafka.idempotent: "));
    assert!(refusal(None, &[("KAFKA__PROPERTIES", "ssl")]).starts_with("kafka.properties: "));
    let unknown = refusal(None, &[("KAFKA__LINGER", "1")]);
    assert_eq!(unknown, "kafka.linger: TRIAD_X__KAFKA__LINGER names no known key");
    assert!(refusal(Some("topic: a\ntopic: b\n"), &[]).contains("config.yaml: "));
    assert!(refusal(Some("- a\n"), &[]).ends_with("must be a map of keys to values"));
}

#[test]
fn a_secret_is_never_shown_not_even_in_a_refusal() {
    let config = load_with(Some("password: hunter2\n"), &[]).unwrap();
    let secret = config.password.as_ref().unwrap();
    assert_eq!(secret.expose(), "hunter2");
    let json = serde_json::to_string(secret).unwrap();
    for shown in [format!("{config:?}"), secret.to_string(), json] {
        assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
    }
    for file in ["password: 8675309\n", "password: [8675309]\n", "password: \"8675309\n"] {
        let shown = refusal(Some(file), &[]);
        assert!(!shown.contains("8675309"), "{shown}");
    }
}

#[test]
fn a_secret_comes_inline_or_from_a_file_but_not_from_both() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    std::fs::write(&path, " hunter2\n\n").unwrap();
    let config = load_with(None, &[("PASSWORD_FILE", path.to_str().unwrap())]).unwrap();
    let read = secret_or_file("password", &config.password, &config.password_file).unwrap();
    assert_eq!(
        read.unwrap().expose(),
        " hunter2\n",
        "one newline is the editor's, the rest is the secret"
    );
    let both = secret_or_file("password", &Some(Secret::new("a")), &Some(path)).unwrap_err();
    assert_eq!(both.key(), "password");
    let missing = secret_or_file("password", &None, &Some(dir.path().join("none"))).unwrap_err();
    assert_eq!(missing.key(), "password_file");
    assert!(secret_or_file("password", &None, &None).unwrap().is_none());
}

#[test]
fn a_value_may_be_at_the_ends_of_its_range_and_no_further() {
    assert_eq!(check_ranges([("a", 1, 1, 3), ("b", 3, 1, 3)]), Ok(()));
    for value in [0, 4] {
        let refused = check_ranges([("a", 2, 1, 3), ("b.c", value, 1, 3)]).unwrap_err();
        assert_eq!(refused.to_string(), format!("b.c: {value} is not within 1 to 3"));
    }
}

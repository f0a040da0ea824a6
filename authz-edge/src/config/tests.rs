use service_kit::config::{ConfigError, Source};

use super::*;

/// What the defaults and these variables make.
fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variable = |(key, value): &(&str, &str)| {
        let key = key.to_uppercase().replace('.', "__");
        (format!("{ENV_PREFIX}{key}"), (*value).to_owned())
    };
    let config: Config = service_kit::config::load(&Source {
        defaults: DEFAULTS,
        file: None,
        env_prefix: ENV_PREFIX,
        env: variables.iter().map(variable).collect(),
    })?;
    config.validate()?;
    Ok(config)
}

#[track_caller]
fn refused(variables: &[(&str, &str)], key: &str) {
    let refusal = load(variables).map(drop).unwrap_err();
    assert_eq!(refusal.key(), key, "{variables:?}: {refusal}");
}

#[test]
fn every_bad_value_is_refused_by_its_name() {
    load(&[]).unwrap();
    for (key, values) in [
        ("drain_deadline_ms", &["0", "600001", "soon"][..]),
        ("http.listen", &["8102", "0.0.0.0:8102"]),
        ("http.max_connections", &["0"]),
        ("http.max_body_bytes", &["1023", "67108865"]),
        ("http.header_read_timeout_ms", &["0", "600001"]),
        ("http.body_read_timeout_ms", &["0", "600001"]),
        ("http.write_timeout_ms", &["99", "600001"]),
        ("rate.per_second", &["-1", "1000001"]),
        ("rate.burst", &["0", "10000001"]),
        ("http.drain_delay_ms", &["7501"]),
        ("http.public_url", &["authz", "ftp://a", "https://", "https://a/?b", "http://a/#b"]),
        ("dgraph.alpha_address", &["alpha", "alpha:0", ":9080", "a b:1", "u@a:1", "http://a:1"]),
        ("dgraph.alpha_addresses", &["a:1,b", "a:70000"]),
        ("dgraph.timeout_ms", &["9", "60001"]),
        ("dgraph.connect_timeout_ms", &["9"]),
        ("dgraph.tls.ca", &["/none"]),
        ("kafka.brokers", &["broker"]),
        ("kafka.properties", &["{acks: 1}"]),
        ("kafka.changes_topic", &["", ".", "a b", "audit.events"]),
        ("kafka.audit_topic", &["", "a/b"]),
        ("kafka.partitions", &["0", "-1", "1001"]),
        ("kafka.replication", &["0", "101"]),
        ("kafka.min_insync_replicas", &["0", "4"]),
        ("kafka.changes_retention_minutes", &["4", "43201"]),
        ("kafka.producer_buffer_kib", &["1023", "2097152"]),
        ("kafka.producer_timeout_ms", &["0", "600001"]),
        ("cache.life_ms", &["99", "3600001"]),
        ("cache.max_life_ms", &["29999"]),
        ("cache.deny_life_ms", &["30001"]),
        ("cache.subject_mib", &["0"]),
        ("cache.resource_mib", &["0"]),
        ("cache.decision_mib", &["0"]),
        ("cache.fills", &["0", "4097"]),
        ("cache.fill_deadline_ms", &["9"]),
        ("freshness.strict_after_ms", &["30001"]),
        ("freshness.wait_ms", &["60001"]),
        ("freshness.fail_closed_on_lag_ms", &["0", "499", "3600001"]),
        ("relay.interval_ms", &["9", "201"]),
        ("relay.batch", &["0"]),
        ("sync.mode", &["both"]),
        ("sync.topic", &["", "authz.changes"]),
        ("sync.dead_letter_topic", &["", "identity.changes"]),
        ("sync.group", &[""]),
        ("properties.precedence", &["mine"]),
        ("decision_audit.sample_one_in", &["0"]),
        ("decision_audit.queue", &["0"]),
        ("ext_authz.listen", &["0.0.0.0:8112"]),
        ("ext_authz.deadline_ms", &["0"]),
        ("auth.default_tenant", &["A B"]),
        ("dgraph.alpha", &["a:1"]),
        ("cache.subjects", &["1"]),
    ] {
        for value in values {
            let refusal = load(&[(key, value)]).map(drop).unwrap_err();
            // Two topics with one name are both wrong; a listener is refused with what is listened on.
            let others: &[&str] = match key {
                "kafka.changes_topic" => &["kafka.audit_topic"],
                "kafka.properties" => &["kafka.properties.acks"],
                "http.listen" | "ext_authz.listen" => &["http.listen", "auth.mode"],
                _ => &[],
            };
            let named = refusal.key() == key || others.contains(&refusal.key());
            assert!(named, "{key} = {value}: {refusal}");
        }
    }
}

#[test]
fn an_alpha_is_given_by_either_key_and_never_by_both() {
    let alphas = |variables: &[(&str, &str)]| load(variables).unwrap().dgraph.options().alphas;
    assert_eq!(alphas(&[]), ["127.0.0.1:9080"]);
    assert_eq!(alphas(&[("dgraph.alpha_address", "dgraph:9080")]), ["dgraph:9080"]);
    let two = alphas(&[("dgraph.alpha_addresses", "a:1, [::1]:2")]);
    assert_eq!(two, ["a:1", "[::1]:2"]);
    let both = [("dgraph.alpha_address", "a:1"), ("dgraph.alpha_addresses", "a:1")];
    refused(&both, "dgraph.alpha_address");
}

#[test]
fn certificates_and_keys_come_in_pairs() {
    for section in ["http.tls", "admin.tls", "ext_authz.tls"] {
        let key = |name: &str| format!("{section}.{name}");
        let (certificate, private, client_ca) = (key("certificate"), key("key"), key("client_ca"));
        refused(&[(certificate.as_str(), "/a.pem")], &private);
        refused(&[(private.as_str(), "/a.pem")], &certificate);
        refused(&[(client_ca.as_str(), "/a.pem")], &certificate);
    }
    refused(&[("dgraph.tls.key", "/a.pem")], "dgraph.tls.certificate");
    let pair = [("dgraph.tls.certificate", "/a.pem"), ("dgraph.tls.key", "/a.pem")];
    refused(&pair, "dgraph.tls.ca");
}

#[test]
fn what_rests_on_another_key_is_judged_by_it() {
    refused(&[("cache.life_ms", "500"), ("cache.deny_life_ms", "0")], "freshness.strict_after_ms");
    let short = [("cache.life_ms", "500"), ("cache.deny_life_ms", "0")];
    load(&[&short[..], &[("freshness.strict_after_ms", "500")]].concat()).unwrap();
    let single = [("kafka.replication", "1"), ("kafka.min_insync_replicas", "1")];
    load(&single).unwrap();
    refused(&single[..1], "kafka.min_insync_replicas");
    load(&[("http.public_url", "https://pdp.example.com/authz")]).unwrap();
}

//! `distributed.yaml`: where to, in the services' own words.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use service_kit::config::{ConfigError, Source, load, load_over};

use crate::serve::config::Services;

/// Every section, empty.
const SECTIONS: &str = "{ingest: {}, authz: {}, identity: {}}";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    ingest: Map<String, Value>,
    authz: Map<String, Value>,
    identity: Map<String, Value>,
}

/// The configurations that the three services are to be started with: each section over its service's defaults, and
/// the service's own variables over both.
///
/// # Errors
/// The key that is refused, with its section before it.
pub(super) fn load_targets(file: &Path, env: &[(String, String)]) -> Result<Services, ConfigError> {
    let none = Source { defaults: SECTIONS, file: Some(file), env_prefix: "\0", env: Vec::new() };
    let File { ingest, authz, identity } = load(&none)?;
    let targets = Services {
        ingest: service(
            "ingest",
            ingest::config::DEFAULTS,
            ingest::config::ENV_PREFIX,
            ingest,
            env,
        )?,
        authz: service(
            "authz",
            authz_edge::config::DEFAULTS,
            authz_edge::config::ENV_PREFIX,
            authz,
            env,
        )?,
        identity: service(
            "identity",
            identity_admin::config::DEFAULTS,
            identity_admin::config::ENV_PREFIX,
            identity,
            env,
        )?,
    };
    targets.validate()?;
    fit_together(&targets)?;
    Ok(targets)
}

fn fit_together(targets: &Services) -> Result<(), ConfigError> {
    if targets.authz.sync.mode != authz_edge::config::SyncMode::Identity {
        let reason = "must be identity, as it is here: users and teams are identity-admin's";
        return Err(ConfigError::new("authz.sync.mode", reason));
    }
    if targets.identity.secrets_file.is_none() {
        let reason = "is missing: API keys and signing keys mean nothing without it";
        return Err(ConfigError::new("identity.secrets_file", reason));
    }
    // What one publishes, the other must read.
    let (identity, events) = (&targets.identity.kafka, &targets.ingest.kafka.topic);
    for (key, topic, wanted) in [
        ("authz.sync.topic", &targets.authz.sync.topic, &identity.changes_topic),
        ("authz.kafka.audit_topic", &targets.authz.kafka.audit_topic, events),
        ("identity.kafka.audit_topic", &identity.audit_topic, events),
    ] {
        if topic != wanted {
            let reason = format!("is {topic}, and its other end {wanted}");
            return Err(ConfigError::new(key, reason));
        }
    }
    Ok(())
}

fn service<T: DeserializeOwned>(
    section: &str,
    defaults: &str,
    env_prefix: &str,
    theirs: Map<String, Value>,
    env: &[(String, String)],
) -> Result<T, ConfigError> {
    let source = Source { defaults, file: None, env_prefix, env: env.to_vec() };
    load_over(&source, vec![theirs]).map_err(|error| error.within(section))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(yaml: &str, env: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("distributed.yaml");
        std::fs::write(&file, yaml).unwrap();
        let env: Vec<_> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        match load_targets(&file, &env) {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused_by_name() {
        let good = "authz: {sync: {mode: identity}}\nidentity: {secrets_file: /x}\n";
        assert_eq!(refused(good, &[]), "nothing");
        for (yaml, env, why) in [
            ("ingests: {}", None, "ingests: "),
            ("ingest: {kafka: {broker: a}}", None, "ingest.kafka.broker: "),
            ("ingest: {query: {default_limit: 0}}", None, "ingest.query.default_limit: "),
            ("identity: {secrets_file: /x}", None, "authz.sync.mode: must be identity"),
            ("authz: {sync: {mode: identity}}", None, "identity.secrets_file: is missing"),
            (good, Some(("TRIAD_INGEST__KAFKA__TOPIC", "e")), "authz.kafka.audit_topic: "),
            (good, Some(("TRIAD_AUTHZ__SYNC__TOPIC", "c")), "authz.sync.topic: is c"),
            (good, Some(("TRIAD_IDENTITY__NO", "1")), "identity.no: "),
        ] {
            let error = refused(yaml, env.as_slice());
            assert!(error.starts_with(why), "{yaml}: {error}");
        }
    }
}

//! What `authz-edge` says of a bad configuration, and that it says it before anything is bound.

use std::net::TcpListener;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::process::binary;

#[test]
fn a_bad_configuration_is_refused_by_name_before_anything_is_bound() -> Result<()> {
    // Whoever binds first fails otherwise, and with another code.
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for (key, value, named) in [
        ("KAFKA__BROKER", "x", "kafka.broker"),
        ("DGRAPH__ALPHA_ADDRESSES", "alpha", "dgraph.alpha_addresses"),
        ("DGRAPH__ALPHA_ADDRESS", "a b:9080", "dgraph.alpha_address"),
        ("KAFKA__PRODUCER_TIMEOUT_MS", "0", "kafka.producer_timeout_ms"),
        ("HTTP__PUBLIC_URL", "authz", "http.public_url"),
        ("FRESHNESS__STRICT_AFTER_MS", "30001", "freshness.strict_after_ms"),
        ("EXT_AUTHZ__ROUTES", "[{path: '/{'}]", "ext_authz.routes[0]"),
        ("HTTP__LISTEN", "0.0.0.0:1", "auth.mode"),
    ] {
        let prefixed = |key: &str| format!("{}{key}", authz_edge::config::ENV_PREFIX);
        let output = Command::new(binary("authz-edge")?)
            .arg("serve")
            .envs(
                ["HTTP__LISTEN", "ADMIN__LISTEN", "EXT_AUTHZ__LISTEN"]
                    .map(|at| (prefixed(at), &address)),
            )
            .env(prefixed(key), value)
            .output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(64), "{key}: {}: {text}", output.status);
        ensure!(text.contains(&format!(" {named}")), "{key}: {text}");
    }
    Ok(())
}

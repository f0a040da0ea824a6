//! What a person reads at the start.

use std::fmt::Write as _;
use std::path::Path;

use super::config::{Auth, Config};

/// Where it listens and keeps its data; the first time the administrator's key, and what to try.
pub(super) fn text(config: &Config, is_new: bool) -> String {
    let (url, admin) = (config.public_url(), config.admin.listen);
    let scheme = if config.admin.tls.is_on() { "https" } else { "http" };
    let mut text = format!(
        "Triad serves on {url}  (probes and metrics: {scheme}://{admin})\nIts data is in {}",
        config.data_dir.display()
    );
    let key_file = config.key_file("admin");
    match (config.auth, is_new) {
        (Auth::Off, _) => {
            text.push_str("\nAuthentication is off: everybody on this machine may do everything.");
        }
        (Auth::Tokens, false) => {}
        (Auth::Tokens, true) => text.push_str(&first(&url, &key_file)),
    }
    text
}

fn first(url: &str, key_file: &Path) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    if let Ok(key) = std::fs::read_to_string(key_file) {
        let _ = write!(
            text,
            "\n\nThe administrator's API key, which is not shown again (it stays in {}, for you alone):\n\n  \
             export TRIAD_TOKEN={}\n",
            key_file.display(),
            key.trim_end()
        );
    }
    let _ = write!(
        text,
        r#"
In another terminal, with that line first, make a tenant; let ann read documents; and ask:

  curl -sS {url}/v1/tenants -H "authorization: Bearer $TRIAD_TOKEN" -d '{{"id": "acme", "name": "Acme", "administrator": {{"email": "ann@acme.example"}}}}'
  curl -sS -X PUT {url}/v1/tenants/acme/roles/reader -H "authorization: Bearer $TRIAD_TOKEN" -d '{{"permissions": [{{"action": "read"}}]}}'
  curl -sS {url}/v1/tenants/acme/audit -H "authorization: Bearer $TRIAD_TOKEN"

`triad demo` fills a tenant with people, teams, roles, documents and a week of audit events; `triad --help` names the rest."#
    );
    text
}

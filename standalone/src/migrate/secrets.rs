//! The files that keys mean nothing without. What is there already must be the same, and is never overwritten.

use std::path::Path;

use identity_admin::credentials::write_private;
use identity_admin::embedded::key_file;

use super::MigrateError;
use super::here::Here;
use super::tell::tell;
use crate::serve::config::Services;

/// Peppers and encryption keys, and the API keys with which the services ask about others, where their
/// configurations say.
pub(super) fn carry(here: &Here, targets: &Services) -> Result<(), MigrateError> {
    let key = |name: &str| key_file(here.folder.path(), name);
    // Known once the folder was opened.
    let secrets = here.services.identity.secrets_file.clone().unwrap_or_default();
    let asking = |config: &service_kit::auth::AuthConfig| config.introspection_key_file.clone();
    let all = [
        ("identity.secrets_file", secrets, targets.identity.secrets_file.clone()),
        ("ingest.auth.introspection_key_file", key("ingest"), asking(&targets.ingest.auth)),
        ("authz.auth.introspection_key_file", key("authz-edge"), asking(&targets.authz.auth)),
        (
            "identity.auth.introspection_key_file",
            key("identity-admin"),
            asking(&targets.identity.auth),
        ),
    ];
    for (name, from, to) in all {
        let Some(to) = to else { continue };
        let is_new = copy(name, &from, &to)?;
        tell(&format!("{name}: {}{}", to.display(), if is_new { "" } else { ", as it was" }));
    }
    Ok(())
}

/// Whether it was not there.
fn copy(name: &str, from: &Path, to: &Path) -> Result<bool, MigrateError> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path);
        text.map_err(MigrateError::file(path.display()))
    };
    let text = read(from)?;
    let text = text.trim_end();
    if write_private(to, text).map_err(MigrateError::file(to.display()))? {
        return Ok(true);
    }
    if read(to)?.trim_end() == text {
        return Ok(false);
    }
    Err(MigrateError::Refused(format!(
        "{name}: {} holds something else than {}; move it away, or name another file",
        to.display(),
        from.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_copied_for_its_owner_alone_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&from, "secret\n").unwrap();
        assert!(copy("x", &from, &to).unwrap());
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!copy("x", &from, &to).unwrap());
        std::fs::write(&from, "another").unwrap();
        assert!(copy("x", &from, &to).unwrap_err().to_string().starts_with("x: "));
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "secret\n");
    }
}

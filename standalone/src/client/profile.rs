//! What `triad login` keeps: `$XDG_CONFIG_HOME/triad/config.json`, for nobody else to read.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::credential::Credential;
use super::error::ClientError;
use super::settings::Env;

/// The profile that is used when none is named.
pub(crate) const DEFAULT: &str = "default";

/// All that is kept.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Profiles {
    /// Which is used when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) profiles: BTreeMap<String, Profile>,
}

/// A deployment, and who one is there.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// All three services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authz_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audit_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
    /// Who one is; sent to the services of this profile only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) credential: Option<Credential>,
}

/// Where it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    path: Option<PathBuf>,
}

impl Store {
    /// Where the environment says.
    pub(crate) fn of(env: &Env<'_>) -> Self {
        let folder = env("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = folder.or_else(|| env("HOME").map(|home| Path::new(&home).join(".config")));
        Self { path: folder.map(|folder| folder.join("triad").join("config.json")) }
    }

    /// A store of its own.
    #[cfg(test)]
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: Some(path.to_owned()) }
    }

    fn path(&self) -> Result<&Path, ClientError> {
        let nowhere = "there is no place to keep it: set HOME or XDG_CONFIG_HOME";
        self.path.as_deref().ok_or_else(|| ClientError::Usage(nowhere.to_owned()))
    }

    /// What is kept; nothing when there is no file.
    pub(crate) fn read(&self) -> Result<Profiles, ClientError> {
        let Some(path) = &self.path else { return Ok(Profiles::default()) };
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                ClientError::Usage(format!("{} is damaged: {error}", path.display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Profiles::default()),
            Err(error) => Err(ClientError::file(path)(error)),
        }
    }

    /// Keeps others from changing it until what is returned is dropped. Waits for one who does, an exchange of tokens
    /// at most.
    pub(crate) async fn lock(&self) -> Result<Lock, ClientError> {
        let path = self.path()?.with_extension("lock");
        let fault = ClientError::file(path.clone());
        let locking = move || {
            if let Some(folder) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let open =
                OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
            let file = open?;
            file.lock()?;
            Ok(Lock { _file: file })
        };
        tokio::task::spawn_blocking(locking)
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(fault)
    }

    /// Replaces what is kept, whole or not at all.
    pub(crate) fn write(&self, profiles: &Profiles, _held: &Lock) -> Result<(), ClientError> {
        let path = self.path()?;
        let mut text = serde_json::to_vec_pretty(profiles)
            .map_err(|error| ClientError::Output(io::Error::other(error)))?;
        text.push(b'\n');
        // Only who holds the lock writes it.
        let next = path.with_extension("json.next");
        let written = || {
            let _ = fs::remove_file(&next);
            let mut file =
                OpenOptions::new().create_new(true).write(true).mode(0o600).open(&next)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&next, path)
        };
        written().map_err(ClientError::file(path))
    }

    /// Changes one profile, which need not be there yet.
    pub(crate) async fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut Profile),
    ) -> Result<(), ClientError> {
        let lock = self.lock().await?;
        let mut profiles = self.read()?;
        change(profiles.profiles.entry(name.to_owned()).or_default());
        self.write(&profiles, &lock)
    }
}

/// The right to change what is kept.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_for_nobody_else_and_replaced_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("triad").join("config.json");
        let store = Store::at(&path);
        assert_eq!(store.read().unwrap(), Profiles::default());
        let secret = || Some(Credential::key("triad_dev_x".to_owned()));
        store.change("a", |profile| profile.credential = secret()).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        // A file that others could read is not so any more once it is written.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let reader = File::open(&path).unwrap();
        store.change("b", |profile| profile.tenant = Some("acme".to_owned())).await.unwrap();
        assert_eq!(mode(&path), 0o600);
        let before: Profiles = serde_json::from_reader(reader).unwrap();
        assert_eq!(before.profiles.len(), 1, "whoever reads sees one state");
        let after = store.read().unwrap();
        assert_eq!(after.profiles["a"].credential, secret());
        assert_eq!(after.profiles["b"].tenant.as_deref(), Some("acme"));
    }

    #[tokio::test]
    async fn a_damaged_file_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, "{").unwrap();
        let error = Store::at(&path).change("a", |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("config.json is damaged"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{");
    }

    #[test]
    fn the_environment_says_where() {
        let path = |vars: &[(&str, &str)]| {
            let vars: BTreeMap<_, _> = vars.iter().copied().collect();
            Store::of(&|name| vars.get(name).map(|value| (*value).to_owned())).path
        };
        let there = |text: &str| Some(PathBuf::from(text));
        assert_eq!(path(&[("HOME", "/h")]), there("/h/.config/triad/config.json"));
        let both = [("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")];
        assert_eq!(path(&both), there("/x/triad/config.json"));
        let relative = [("HOME", "/h"), ("XDG_CONFIG_HOME", "x")];
        assert_eq!(path(&relative), there("/h/.config/triad/config.json"));
        assert_eq!(path(&[]), None);
    }
}

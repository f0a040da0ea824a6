//! The keys that this program itself holds: peppers of API keys, and what encrypts secrets at rest.
//!
//! They stand in one file (`secrets_file`), made by `identity-admin bootstrap` and readable by nobody else:
//!
//! ```json
//! {"peppers": [{"id": "p1", "key": "BASE64"}], "encryption_keys": [{"id": "e1", "key": "BASE64"}]}
//! ```
//!
//! The first of each is used for what is new; the others still read what was written under them. To rotate,
//! put a new one in front, and take the old one out once nothing names its id any more.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use service_kit::config::ConfigError;

/// Of every key, in bytes.
const KEY: usize = 32;
/// Of a key's id: what its column holds.
const MAX_ID: usize = 64;
/// What a file may let others do.
const OWNER_ONLY: u32 = 0o600;

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    peppers: Vec<Entry>,
    encryption_keys: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    key: String,
}

/// Peppers and encryption keys. Its form for people shows none of them.
pub struct Secrets {
    peppers: Vec<(String, hmac::Key)>,
    boxes: Vec<(String, LessSafeKey)>,
    random: SystemRandom,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.peppers.iter().map(|(id, _)| id).collect();
        f.debug_struct("Secrets").field("peppers", &ids).finish_non_exhaustive()
    }
}

/// A secret as it is stored: hashed under a pepper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peppered {
    /// HMAC-SHA-256.
    pub hmac: [u8; 32],
    /// Under which pepper.
    pub pepper: String,
}

/// Something that was not encrypted here, or not with a key that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be decrypted")]
pub struct Undecryptable;

impl Secrets {
    /// Reads the file.
    ///
    /// # Errors
    /// `secrets_file`: one that cannot be read, that others may read, or that holds no usable keys. What it
    /// holds is not repeated.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let refuse = |reason: String| ConfigError::new("secrets_file", reason);
        let shown = path.display();
        let text =
            std::fs::read_to_string(path).map_err(|error| refuse(format!("{shown}: {error}")))?;
        let is_open = std::fs::metadata(path).is_ok_and(|meta| {
            let mode = meta.permissions().mode() & 0o777;
            // An orchestrator's secret is root's, and read by the group that the process has for it.
            mode & !if meta.uid() == 0 { OWNER_ONLY | 0o040 } else { OWNER_ONLY } != 0
        });
        if is_open {
            return Err(refuse(format!("{shown}: others may read it; chmod 600")));
        }
        // serde's words may repeat a value.
        let file: File = serde_json::from_str(&text).map_err(|error| {
            refuse(format!("{shown}: not of its form, at line {}", error.line()))
        })?;
        Self::of(&file).map_err(|reason| refuse(format!("{shown}: {reason}")))
    }

    /// Writes a file with new keys; one that is there stays as it is.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: &Path) -> std::io::Result<bool> {
        let random = SystemRandom::new();
        let entry = |id: &str| {
            let mut key = [0; KEY];
            random.fill(&mut key).map_err(|_| std::io::Error::other("no random numbers"))?;
            Ok::<_, std::io::Error>(Entry { id: id.to_owned(), key: BASE64.encode(key) })
        };
        let file = File { peppers: vec![entry("p1")?], encryption_keys: vec![entry("e1")?] };
        write_private(path, &serde_json::to_string_pretty(&file)?)
    }

    fn of(file: &File) -> Result<Self, String> {
        let bytes = |entry: &Entry| {
            let key = BASE64.decode(&entry.key).unwrap_or_default();
            if key.len() != KEY || entry.id.is_empty() || entry.id.len() > MAX_ID {
                return Err(format!("the key {:?} is not {KEY} bytes in base64", entry.id));
            }
            Ok((entry.id.clone(), key))
        };
        let sealed = |entry: &Entry| {
            let (id, key) = bytes(entry)?;
            let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| "no key".to_owned())?;
            Ok((id, LessSafeKey::new(key)))
        };
        let peppered = |entry: &Entry| {
            let (id, key) = bytes(entry)?;
            Ok((id, hmac::Key::new(hmac::HMAC_SHA256, &key)))
        };
        let peppers = file.peppers.iter().map(peppered).collect::<Result<Vec<_>, String>>()?;
        let boxes = file.encryption_keys.iter().map(sealed).collect::<Result<Vec<_>, String>>()?;
        if peppers.is_empty() || boxes.is_empty() {
            return Err("it has no pepper or no encryption key".to_owned());
        }
        Ok(Self { peppers, boxes, random: SystemRandom::new() })
    }

    /// Random bytes.
    ///
    /// # Errors
    /// Only when the system has none, which is no state to go on in.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], Undecryptable> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).map_err(|_| Undecryptable)?;
        Ok(bytes)
    }

    /// A secret under the present pepper, as it is stored.
    #[must_use]
    pub fn pepper(&self, secret: &str) -> Peppered {
        Self::under(&self.peppers[0], secret)
    }

    /// A secret under every pepper, the present one first: one of them is stored, if it is known.
    pub fn peppered(&self, secret: &str) -> impl Iterator<Item = Peppered> {
        self.peppers.iter().map(move |pepper| Self::under(pepper, secret))
    }

    fn under((id, key): &(String, hmac::Key), secret: &str) -> Peppered {
        let tag = hmac::sign(key, secret.as_bytes());
        let mut hmac = [0; 32];
        hmac.copy_from_slice(tag.as_ref());
        Peppered { hmac, pepper: id.clone() }
    }

    /// Encrypts, and names the key. `about` is what it belongs to: it opens for nothing else.
    ///
    /// # Errors
    /// As [`Secrets::random`].
    pub fn seal(&self, about: &str, plain: &[u8]) -> Result<(Vec<u8>, String), Undecryptable> {
        let (id, key) = &self.boxes[0];
        let nonce: [u8; NONCE_LEN] = self.random()?;
        let mut sealed = plain.to_vec();
        let about = Aad::from(about.as_bytes());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), about, &mut sealed)
            .map_err(|_| Undecryptable)?;
        Ok(([&nonce[..], &sealed].concat(), id.clone()))
    }

    /// Decrypts what [`Secrets::seal`] made about the same thing.
    ///
    /// # Errors
    /// [`Undecryptable`].
    pub fn open(&self, about: &str, sealed: &[u8], key: &str) -> Result<Vec<u8>, Undecryptable> {
        let (_, key) = self.boxes.iter().find(|(id, _)| id == key).ok_or(Undecryptable)?;
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or(Undecryptable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Undecryptable)?;
        let mut opened = rest.to_vec();
        let about = Aad::from(about.as_bytes());
        let plain = key.open_in_place(nonce, about, &mut opened).map_err(|_| Undecryptable)?;
        Ok(plain.to_vec())
    }
}

/// Writes a file that its owner alone may read; `false`, and nothing, when it is there.
///
/// # Errors
/// What the file system says.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<bool> {
    if path.try_exists()? {
        return Ok(false);
    }
    // Whole or not at all: half a key would be in the way for ever.
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = std::path::PathBuf::from(name);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(OWNER_ONLY).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&new, path);
    std::fs::remove_file(&new)?;
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, byte: u8) -> Entry {
        Entry { id: id.to_owned(), key: BASE64.encode([byte; KEY]) }
    }

    fn secrets(peppers: &[u8], boxes: &[u8]) -> Secrets {
        let all = |bytes: &[u8]| bytes.iter().map(|b| entry(&format!("k{b}"), *b)).collect();
        Secrets::of(&File { peppers: all(peppers), encryption_keys: all(boxes) }).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_what_it_is_about_and_under_a_rotated_key() {
        let old = secrets(&[1], &[1]);
        let (sealed, key) = old.seal("kid", b"hush").unwrap();
        assert!(!sealed.windows(4).any(|w| w == b"hush"));
        let rotated = secrets(&[1], &[2, 1]);
        assert_eq!(rotated.open("kid", &sealed, &key).unwrap(), b"hush");
        assert_eq!(rotated.open("other", &sealed, &key), Err(Undecryptable));
        assert_eq!(secrets(&[1], &[2]).open("kid", &sealed, &key), Err(Undecryptable));
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert_eq!(rotated.open("kid", &bad, &key), Err(Undecryptable), "{at}");
        }
        assert_eq!(rotated.open("kid", &[], &key), Err(Undecryptable));
    }

    #[test]
    fn a_rotated_pepper_is_still_known() {
        let stored = secrets(&[1], &[1]).pepper("s");
        let known: Vec<_> = secrets(&[2, 1], &[1]).peppered("s").collect();
        assert_eq!(known.len(), 2);
        assert!(known.contains(&stored) && known[0] != stored);
        assert_ne!(secrets(&[1], &[1]).pepper("t").hmac, stored.hmac);
    }

    #[test]
    fn a_file_is_made_once_and_read_only_while_nobody_else_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        assert!(Secrets::create(&path).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!Secrets::create(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let secrets = Secrets::read(&path).unwrap();
        let key = text.split("\"key\": \"").nth(1).unwrap().split('"').next().unwrap();
        assert!(!format!("{secrets:?}").contains(key));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        let is_root = std::fs::metadata(&path).unwrap().uid() == 0;
        assert_eq!(Secrets::read(&path).is_ok(), is_root, "as a secret is mounted");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Secrets::read(&path).unwrap_err().to_string().contains("chmod 600"));
        std::fs::write(&path, r#"{"peppers": [], "encryption_keys": [], "x": "hush"}"#).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(!Secrets::read(&path).unwrap_err().to_string().contains("hush"));
    }
}

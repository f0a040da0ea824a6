//! The text of an API key: `triad_<environment>_`, 30 characters of base62, and 6 of their checksum.
//!
//! The prefix lets scanners find leaked keys, and the checksum tells a mistyped one from an unknown one
//! without asking the database. 30 characters are 178 bits.

use super::secrets::{Secrets, Undecryptable};

const PREFIX: &str = "triad_";
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of the secret.
const SECRET: usize = 30;
/// Characters of the checksum: CRC-32 fits into six.
const CHECKSUM: usize = 6;

/// A new key of an environment.
///
/// # Errors
/// As [`Secrets::random`].
pub(super) fn generate(secrets: &Secrets, environment: &str) -> Result<String, Undecryptable> {
    let mut text = format!("{PREFIX}{environment}_");
    let mut left = SECRET;
    while left > 0 {
        // 248 is the last multiple of 62: above it, some characters would be likelier than others.
        let bytes: [u8; 64] = secrets.random()?;
        let usable = bytes.iter().filter(|byte| **byte < 248).take(left);
        for byte in usable {
            text.push(char::from(BASE62[usize::from(byte % 62)]));
            left -= 1;
        }
    }
    text.push_str(&checksum(&text));
    Ok(text)
}

/// Whether a text may be a key: of its form, with its checksum. It says nothing of whether it is known.
#[must_use]
pub(crate) fn is_key(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    let Some((environment, secret)) = rest.rsplit_once('_') else { return false };
    let alphanumeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_formed = !environment.is_empty()
        && alphanumeric(environment)
        && secret.len() == SECRET + CHECKSUM
        && alphanumeric(secret);
    is_formed && {
        let (signed, sum) = text.split_at(text.len() - CHECKSUM);
        checksum(signed) == sum
    }
}

/// CRC-32 (ISO-HDLC, as in zip) in base62.
fn checksum(text: &str) -> String {
    let mut sum = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(sum % 62) as usize];
        sum /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        Secrets::create(&path).unwrap();
        generate(&Secrets::read(&path).unwrap(), "dev").unwrap()
    }

    #[test]
    fn keys_are_formed_and_differ() {
        let (one, other) = (key(), key());
        assert!(one.starts_with("triad_dev_") && one.len() == 10 + 36, "{one}");
        assert!(is_key(&one) && is_key(&other) && one != other);
    }

    #[test]
    fn a_mistyped_key_is_told() {
        let key = key();
        for at in 0..key.len() {
            let mut bytes = key.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_key(&String::from_utf8(bytes).unwrap()), "{at}");
        }
        for bad in ["", "triad_", "triad_dev_", &key[..key.len() - 1], &format!("{key}0")] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}

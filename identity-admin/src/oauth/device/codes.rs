//! Codes: a long one for the program, a short one for the person.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::credentials::{Secrets, Undecryptable};

/// Letters without vowels, so that no code is a word (RFC 8628 section 6.1): 20^8 are 34 bits.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Of the short code.
const LETTERS: usize = 8;
/// Of the long code, in bytes.
const RANDOM: usize = 32;
/// Separates these hashes from any other.
const CONTEXT: &str = "triad identity-admin 2026-11 device code";

/// A new long code.
pub(super) fn long(secrets: &Secrets) -> Result<String, Undecryptable> {
    let random: [u8; RANDOM] = secrets.random()?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// A long code as it is stored.
pub(super) fn hash(long: &str) -> [u8; 32] {
    blake3::derive_key(CONTEXT, long.as_bytes())
}

/// A new short code, every one as likely as any other.
pub(super) fn short(secrets: &Secrets) -> Result<String, Undecryptable> {
    let mut code = String::with_capacity(LETTERS);
    while code.len() < LETTERS {
        let random: [u8; 16] = secrets.random()?;
        // 240 is the last multiple of 20 in a byte.
        let letters = random.into_iter().filter(|byte| *byte < 240);
        let letters = letters.filter_map(|byte| ALPHABET.get(usize::from(byte % 20)));
        code.extend(letters.take(LETTERS - code.len()).map(|letter| char::from(*letter)));
    }
    Ok(code)
}

/// A short code as people read it.
pub(super) fn shown(short: &str) -> String {
    match short.split_at_checked(LETTERS / 2) {
        Some((left, right)) => format!("{left}-{right}"),
        None => short.to_owned(),
    }
}

/// A short code as somebody typed it; `None` for what is none.
pub(super) fn typed(text: &str) -> Option<String> {
    let letters = text.bytes().filter(|byte| !matches!(byte, b'-' | b' '));
    let code: Vec<u8> = letters.map(|byte| byte.to_ascii_uppercase()).take(LETTERS + 1).collect();
    let is_code = code.len() == LETTERS && code.iter().all(|byte| ALPHABET.contains(byte));
    if is_code { String::from_utf8(code).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_code_is_read_however_it_is_typed() {
        assert_eq!(shown("WDJBMJHT"), "WDJB-MJHT");
        for typed in ["WDJB-MJHT", "wdjbmjht", " wdjb mjht "] {
            assert_eq!(super::typed(typed).as_deref(), Some("WDJBMJHT"), "{typed}");
        }
        for bad in ["", "WDJB-MJH", "WDJB-MJHTT", "WDJB-MJHA", "WDJB-MJH\u{e9}"] {
            assert_eq!(super::typed(bad), None, "{bad}");
        }
    }
}

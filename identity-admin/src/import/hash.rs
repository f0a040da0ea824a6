//! Which password hashes are taken: Argon2id in PHC form, with costs that a log-in can bear.

use crate::credentials::is_hash;

/// What a column holds.
const MAX_BYTES: usize = 255;
/// Memory in KiB, passes and lanes: more than anybody needs, and no more than one log-in may take.
const MOST: [(&str, u32); 3] = [("m", 262_144), ("t", 16), ("p", 16)];

/// The hash as it is stored.
///
/// # Errors
/// What is wrong with it, for people; it repeats nothing of it.
pub(super) fn check(text: &str) -> Result<String, &'static str> {
    const FORM: &str = "must be $argon2id$v=19$m=…,t=…,p=…$SALT$HASH";
    if text.len() > MAX_BYTES {
        return Err("has at most 255 bytes");
    }
    let parts: Vec<_> = text.split('$').collect();
    let ["", "argon2id", "v=19", costs, salt, hash] = parts[..] else { return Err(FORM) };
    let is_base64 = |text: &str, least: usize| {
        text.len() >= least
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
    };
    // 8 bytes of salt, 16 of hash.
    if !is_base64(salt, 11) || !is_base64(hash, 22) {
        return Err(FORM);
    }
    let costs: Vec<_> = costs.split(',').map(|cost| cost.split_once('=')).collect();
    if costs.len() != MOST.len() {
        return Err(FORM);
    }
    for (cost, (name, most)) in costs.iter().zip(MOST) {
        let known = cost.filter(|(known, _)| *known == name);
        let value = known.and_then(|(_, value)| value.parse::<u32>().ok()).ok_or(FORM)?;
        if value == 0 || value > most {
            return Err("costs more than a log-in may: m ≤ 262144, t ≤ 16, p ≤ 16");
        }
    }
    if is_hash(text) { Ok(text.to_owned()) } else { Err(FORM) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_argon2id_with_bearable_costs_is_taken() {
        let hash = |kind: &str, costs: &str| {
            format!("${kind}$v=19${costs}$c29tZXNhbHQ$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A")
        };
        assert!(check(&hash("argon2id", "m=19456,t=2,p=1")).is_ok());
        for bad in [
            hash("argon2i", "m=19456,t=2,p=1"),
            hash("argon2id", "m=999999999,t=2,p=1"),
            hash("argon2id", "m=19456,t=0,p=1"),
            hash("argon2id", "t=2,m=19456,p=1"),
            hash("argon2id", "m=19456,t=2"),
            "$2b$12$abcdefghijklmnopqrstuv".to_owned(),
            "plain".to_owned(),
            String::new(),
        ] {
            assert!(check(&bad).is_err(), "{bad}");
        }
    }
}

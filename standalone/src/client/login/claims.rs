//! What an access token says. It is not verified here: that is for services, and nothing rests on it but words.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The claims of a JWT; null for what is none.
pub(super) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    serde_json::from_slice(&payload).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_and_what_is_no_token_has_none() {
        let body = URL_SAFE_NO_PAD.encode(r#"{"sub":"user:u-1"}"#);
        assert_eq!(claims(&format!("h.{body}.s"))["sub"], "user:u-1");
        for bad in ["", "triad_dev_x", "a.b.c", "a.%.c"] {
            assert!(claims(bad).is_null(), "{bad}");
        }
    }
}

//! What an access token says: RFC 9068, signed with Ed25519 (RFC 8037).

use contracts::TenantId;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::signing::Key;

/// The type of a token, in its header.
pub(super) const TYPE: &str = "at+jwt";

/// Whose token, for what, how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) sub: String,
    pub(crate) client_id: String,
    pub(crate) tid: TenantId,
    pub(crate) scope: String,
    /// Seconds since 1970, as all times here.
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) jti: Uuid,
}

impl Claims {
    /// The token.
    ///
    /// # Errors
    /// Claims that are no JSON, which is a fault of ours.
    pub(crate) fn sign(&self, key: &Key) -> Result<String, serde_json::Error> {
        Ok(key.sign(&serde_json::to_vec(self)?))
    }

    /// What a token of ours says, if it holds: signed by one of `keys`, of the right type, for the right
    /// audience, and not over at `now`.
    pub(crate) fn verify<'a>(
        token: &str,
        keys: impl Iterator<Item = &'a Key>,
        (issuer, audience): (&str, &str),
        now: i64,
    ) -> Option<Self> {
        let header = decode_header(token).ok()?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return None;
        }
        let kid = header.kid?;
        let key = { keys }.find(|key| key.kid == kid)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // Compared here, with the clock of the service.
        validation.validate_exp = false;
        let claims = decode::<Self>(token, key.public(), &validation).ok()?.claims;
        (claims.exp > now).then_some(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: (&str, &str) = ("https://id.example", "triad");

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.0.to_owned(),
            aud: ISSUER.1.to_owned(),
            sub: "service_account:s".to_owned(),
            client_id: "s".to_owned(),
            tid: TenantId::parse("acme").unwrap(),
            scope: "authz:check audit:write later:thing".to_owned(),
            iat: 100,
            exp: 400,
            jti: Uuid::nil(),
        }
    }

    fn key(kid: &str, byte: u8) -> Key {
        Key::of(kid.to_owned(), &[byte; 32]).unwrap()
    }

    #[test]
    fn a_token_holds_until_it_ends_and_only_under_its_key() {
        let (own, other) = (key("a", 1), key("a", 2));
        let token = claims().sign(&own).unwrap();
        let verify =
            |key: &Key, issuer, now| Claims::verify(&token, [key].into_iter(), issuer, now);
        assert_eq!(verify(&own, ISSUER, 399), Some(claims()));
        assert_eq!(verify(&own, ISSUER, 400), None, "over");
        assert_eq!(verify(&other, ISSUER, 100), None, "another key of that name");
        assert_eq!(verify(&key("b", 1), ISSUER, 100), None, "an unknown key");
        assert_eq!(verify(&own, ("https://other", ISSUER.1), 100), None, "another issuer");
        assert_eq!(verify(&own, (ISSUER.0, "other"), 100), None, "another audience");
    }

    #[test]
    fn a_token_that_was_altered_or_says_another_algorithm_does_not_hold() {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let own = key("a", 1);
        let token = claims().sign(&own).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let verify = |token: &str| Claims::verify(token, [&own].into_iter(), ISSUER, 100);
        let admin = Claims { scope: "system:admin".to_owned(), ..claims() };
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&admin).unwrap());
        assert_eq!(verify(&format!("{}.{body}.{}", parts[0], parts[2])), None);
        for header in [
            r#"{"alg":"none","typ":"at+jwt","kid":"a"}"#,
            r#"{"alg":"HS256","typ":"at+jwt","kid":"a"}"#,
            r#"{"alg":"EdDSA","typ":"JWT","kid":"a"}"#,
            r#"{"alg":"EdDSA","typ":"at+jwt"}"#,
        ] {
            let header = URL_SAFE_NO_PAD.encode(header);
            assert_eq!(verify(&format!("{header}.{}.{}", parts[1], parts[2])), None);
            assert_eq!(verify(&format!("{header}.{}.", parts[1])), None);
        }
    }
}

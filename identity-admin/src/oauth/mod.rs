//! Tokens: issued to those who prove themselves, asked about, revoked.
//!
//! | module | what it holds |
//! |---|---|
//! | `signing` | the keys that tokens are signed with, and their rotation |
//! | `claims`, `issue` | what a token says (RFC 9068), and how one is made |
//! | `client`, `keys` | who holds an API key, and how keys are looked up |
//! | `people` | what people may allow public clients |
//! | `sessions`, `refresh` | what a person allowed a client, and how it goes on |
//! | `device` | how a person allows it (RFC 8628) |
//! | `journal` | audit events that are stored before the answer |
//! | `token`, `introspect`, `revoke`, `metadata` | the routes (RFC 6749, 7662, 7009, 8414) |

mod claims;
mod client;
pub(crate) mod device;
pub(crate) mod introspect;
mod issue;
mod journal;
mod keys;
pub(crate) mod metadata;
mod people;
mod refresh;
pub(crate) mod revoke;
mod sessions;
mod signing;
pub(crate) mod token;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

pub(crate) use journal::{Journal, journal};
pub(crate) use keys::{Keys, keys};
pub(crate) use people::People;
use people::wait_for_void;
pub(crate) use revoke::keep;
pub(crate) use sessions::{end_sessions, void};
#[cfg(test)]
pub(crate) use signing::keep_keys;
pub(crate) use signing::{Rotation, Signing, rotate};

use crate::credentials::Credentials;
use crate::http::Api;

/// No token holds longer, however it is configured: what voids the tokens of a subject is kept so long.
pub(crate) const LONGEST: chrono::Duration = chrono::Duration::hours(1);

/// The largest form: a token and a few words.
const MAX_FORM: usize = 16 << 10;

/// What the routes work with.
pub(crate) struct OAuth {
    pub(crate) credentials: Credentials,
    pub(crate) signing: Arc<Signing>,
    pub(crate) journal: Journal,
    pub(crate) keys: Keys,
    /// Claim `iss`, and where the routes are found.
    pub(crate) issuer: String,
    /// Claim `aud`.
    pub(crate) audience: String,
    /// Of a token.
    pub(crate) life: chrono::Duration,
    /// What people may allow.
    pub(crate) people: People,
}

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/oauth2/token", post(token::token))
        .route("/oauth2/introspect", post(introspect::introspect))
        .route("/oauth2/revoke", post(revoke::revoke))
        .route("/oauth2/device_authorization", post(device::authorization::authorize))
        .route("/device", get(device::page::show).post(device::page::answer))
        .route("/.well-known/jwks.json", get(metadata::jwks))
        .route("/.well-known/oauth-authorization-server", get(metadata::server))
        .layer(axum::extract::DefaultBodyLimit::max(MAX_FORM))
}

/// An error as RFC 6749 section 5.2 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
}

impl Fault {
    const fn new(status: StatusCode, error: &'static str, description: &'static str) -> Self {
        Self { status, error, description }
    }

    fn request(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// Never says what of it was wrong: that would help whoever guesses.
    fn client() -> Self {
        let description = "no such client, or not its secret";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
    }

    /// The body did not come whole, or is too large.
    pub(crate) fn body() -> Self {
        Self::request("the body is too large, or broke off")
    }

    /// Nothing to sign with.
    pub(crate) fn unconfigured() -> Self {
        let description = "no secrets_file is configured: identity-admin bootstrap";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", description)
    }

    fn unavailable() -> Self {
        let description = "the database does not answer";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", description)
    }

    fn server() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "a fault of the service")
    }
}

impl From<crate::db::DbError> for Fault {
    fn from(error: crate::db::DbError) -> Self {
        use crate::db::DbError as E;
        match error {
            E::Refused(_) | E::MissingReference | E::Duplicate { .. } => {
                tracing::error!(%error, "a request for tokens failed");
                Self::server()
            }
            E::Storage(_) => {
                tracing::error!(%error, "database");
                Self::unavailable()
            }
            _ => Self::unavailable(),
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = json!({"error": self.error, "error_description": self.description});
        let mut answer = (self.status, uncached(), axum::Json(body)).into_response();
        let headers = answer.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let value = header::HeaderValue::from_static("Basic realm=\"triad\"");
                headers.insert(header::WWW_AUTHENTICATE, value);
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
            }
            _ => {}
        }
        answer
    }
}

/// Answers that hold tokens, or say something of them, are nobody else's.
fn uncached() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, header::HeaderValue::from_static("no-cache"));
    headers
}

/// The parameters of a form; none comes twice (RFC 6749 section 3.2).
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Fault> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Fault::request("the body must be application/x-www-form-urlencoded"));
        }
        let all: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
        let mut names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Fault::request("a parameter comes twice"));
        }
        Ok(Self(all))
    }

    /// A parameter that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(kind: &str, body: &str) -> Result<Form, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        Form::read(&headers, body.as_bytes())
    }

    #[test]
    fn a_form_is_a_form_whose_parameters_come_once() {
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        let read = form(kind, "a=1+2&b=%C3%A9&c=").unwrap();
        assert_eq!((read.get("a"), read.get("b"), read.get("c")), (Some("1 2"), Some("é"), None));
        assert!(form(kind, "a=1&a=1").is_err());
        assert!(form("application/json", "a=1").is_err());
    }
}

//! Where everything is, and the keys: RFC 8414 and RFC 7517.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use contracts::Scope;
use serde_json::json;

use super::Fault;
use crate::http::Api;

/// The keys that tokens are signed with. A new one is here for at least as long as this answer may be kept before
/// it signs.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "tokens",
    responses((status = 200, description = "A key set (RFC 7517).", body = Value))
)]
pub(crate) async fn jwks(State(api): State<Arc<Api>>) -> Result<Response, Fault> {
    let oauth = api.oauth()?;
    if oauth.signing.keys().is_empty() {
        return Err(Fault::unavailable());
    }
    let kept = oauth.signing.rotation.published.num_seconds();
    let cached = [(header::CACHE_CONTROL, format!("public, max-age={kept}"))];
    Ok((cached, Json(oauth.signing.set())).into_response())
}

/// What this server offers, and where (RFC 8414).
#[utoipa::path(
    get, path = "/.well-known/oauth-authorization-server", tag = "tokens",
    responses((status = 200, description = "Its metadata.", body = Value))
)]
pub(crate) async fn server(State(api): State<Arc<Api>>) -> Result<Response, Fault> {
    let oauth = api.oauth()?;
    let at = |path: &str| format!("{}{path}", oauth.issuer.trim_end_matches('/'));
    let methods = ["client_secret_basic", "client_secret_post"];
    Ok(Json(json!({
        "issuer": oauth.issuer,
        "token_endpoint": at("/oauth2/token"),
        "introspection_endpoint": at("/oauth2/introspect"),
        "revocation_endpoint": at("/oauth2/revoke"),
        "jwks_uri": at("/.well-known/jwks.json"),
        "device_authorization_endpoint": at("/oauth2/device_authorization"),
        "grant_types_supported": ["client_credentials", "refresh_token", super::device::GRANT_TYPE],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "scopes_supported": Scope::ALL,
    }))
    .into_response())
}

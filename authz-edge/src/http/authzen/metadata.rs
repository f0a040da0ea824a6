//! `/.well-known/authzen-configuration`: where everything is.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use contracts::TenantId;
use serde::Serialize;
use service_kit::Problem;

use super::Refusal;
use crate::http::Api;

/// Where it is asked for; a tenant's own is below.
pub(super) const WELL_KNOWN: &str = "/.well-known/authzen-configuration";

/// Endpoints move with a deployment at most, seconds.
const CACHED: &str = "max-age=300";

#[derive(Debug, Serialize, PartialEq)]
struct Configuration {
    policy_decision_point: String,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
    search_subject_endpoint: String,
    search_resource_endpoint: String,
    search_action_endpoint: String,
}

impl Configuration {
    fn new(base: &str) -> Self {
        let at = |path: &str| format!("{base}/access/v1/{path}");
        Self {
            policy_decision_point: base.to_owned(),
            access_evaluation_endpoint: at("evaluation"),
            access_evaluations_endpoint: at("evaluations"),
            search_subject_endpoint: at("search/subject"),
            search_resource_endpoint: at("search/resource"),
            search_action_endpoint: at("search/action"),
        }
    }
}

/// `GET`; nobody needs a token for it, and whether a tenant exists is not told.
pub(super) async fn configuration(
    State(api): State<Arc<Api>>,
    tenant: Option<Path<String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let base = base(api.options.public_url.as_deref(), &headers)?;
    let base = match tenant {
        None => base,
        Some(Path(tenant)) => {
            let tenant =
                TenantId::parse(&tenant).map_err(|_| Problem::not_found("no such tenant"))?;
            format!("{base}/tenants/{tenant}")
        }
    };
    let cached = [(header::CACHE_CONTROL, CACHED), (header::VARY, "host")];
    Ok((cached, Json(Configuration::new(&base))).into_response())
}

/// The configured URL, else the host that was asked: then by plain HTTP, as this service speaks it.
fn base(public_url: Option<&str>, headers: &HeaderMap) -> Result<String, Refusal> {
    if let Some(url) = public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    match authority.filter(|authority| !authority.as_str().contains('@')) {
        Some(authority) => Ok(format!("http://{authority}")),
        None => Err(Refusal::bad("the request names no host")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_url_comes_before_the_host_that_was_asked() {
        let headers = |host: &str| HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
        let at = |url, host| base(url, &headers(host)).ok();
        let public = "https://pdp.example.com/";
        assert_eq!(at(Some(public), "in.side").as_deref(), Some("https://pdp.example.com"));
        assert_eq!(at(None, "127.0.0.1:8102").as_deref(), Some("http://127.0.0.1:8102"));
        assert_eq!(at(None, "user@host"), None);
        assert_eq!(at(None, "a/b"), None);
        assert!(base(None, &HeaderMap::new()).is_err());
    }
}

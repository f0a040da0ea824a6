//! Requests: axum's extractors whose refusals are problems, and bodies whose faults name their fields.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::{Bytes, HttpBody as _};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{self, ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use contracts::Scope;
use serde::de::DeserializeOwned;
use service_kit::Problem;
use service_kit::auth::Principal;
use service_kit::rate::Rates;

use super::answer::invalid;
use super::api::{Api, Caller, administers, made_by};
use super::source::source;
use crate::change::{Author, Condition, FieldFault};
use crate::oauth::{Fault, Form};

/// What a path names; 400 when it is no UTF-8. Databases may compare names without the space at their ends, and
/// nothing is called so: 404.
pub(crate) struct Path<T>(pub T);

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    extract::Path<T>: FromRequestParts<S, Rejection = PathRejection>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().split('/').any(|part| part.ends_with("%20")) {
            return Err(Problem::not_found("nothing is called so"));
        }
        let extract::Path(named) = extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(named))
    }
}

/// The parameters of a query, in order.
pub(crate) struct Query(pub Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read: Result<_, QueryRejection> =
            extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        Ok(Self(read?.0))
    }
}

/// A request that changes something, whole. Its body is read once its caller is known: strangers cost no
/// memory.
pub(crate) struct Incoming {
    pub(super) principal: Arc<Principal>,
    pub(super) method: Method,
    pub(super) path: String,
    pub(crate) headers: HeaderMap,
    pub(super) source: Option<IpAddr>,
    peer: Option<SocketAddr>,
    rates: Arc<Rates>,
    pub(crate) body: Bytes,
}

impl FromRequest<Arc<Api>> for Incoming {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let headers = request.headers().clone();
        let principal = api.principal(&headers).await?;
        let (source, peer) = (came_from(&request, api), peer(&request));
        let too_large = || Problem::payload_too_large("the body is larger than this route takes");
        let (options, is_own) = (&api.options, path.starts_with("/v1/"));
        let most = if is_own { options.max_body_bytes } else { options.scim.max_body_bytes };
        // One that says so is not waited for; others are cut off by the route's own limit.
        if request.body().size_hint().lower() > most as u64 {
            return Err(too_large());
        }
        let body = Bytes::from_request(request, api).await;
        let body = body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Problem::bad_request(rejection.body_text()),
        })?;
        let rates = Arc::clone(&api.rates);
        Ok(Self { principal, method, path, headers, source, peer, rates, body })
    }
}

fn came_from(request: &Request, api: &Api) -> Option<IpAddr> {
    source(&api.options.trusted_proxies, peer(request), request.headers())
}

fn peer(request: &Request) -> Option<SocketAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0)
}

/// A form that is sent to a token endpoint. Its caller proves itself within.
pub(crate) struct Posted {
    pub(crate) headers: HeaderMap,
    pub(crate) source: Option<IpAddr>,
    body: Bytes,
}

impl FromRequest<Arc<Api>> for Posted {
    type Rejection = Fault;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Fault> {
        let headers = request.headers().clone();
        let source = came_from(&request, api);
        let body = Bytes::from_request(request, api).await.map_err(|_| Fault::body())?;
        Ok(Self { headers, source, body })
    }
}

impl Posted {
    /// Its parameters.
    pub(crate) fn form(&self) -> Result<Form, Fault> {
        Form::read(&self.headers, &self.body)
    }

    /// Who asks, for the audit trail.
    pub(crate) fn author(&self, subject: String) -> Author {
        made_by(subject, &self.headers, self.source)
    }
}

impl Incoming {
    /// Whether its caller may use a scope.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.principal.has(scope)
    }

    /// Its caller, who may use `scope` in the tenant of a path.
    pub(crate) fn caller(&self, tenant: &str, scope: Scope) -> Result<Caller, Problem> {
        Caller::new(&self.principal, tenant, scope)?.within(scope, &self.rates)
    }

    /// Its caller, who may use `scope` in the tenant that it comes from.
    pub(crate) fn caller_at_home(&self, scope: Scope) -> Result<Caller, Problem> {
        Caller::at_home(&self.principal, scope)?.within(scope, &self.rates)
    }

    /// Gives a request that is made of this one what says who asks.
    pub(crate) fn pass_on<T>(&self, request: &mut axum::http::Request<T>) {
        *request.headers_mut() = self.headers.clone();
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
    }

    /// That its caller administers the platform.
    pub(crate) fn system(&self) -> Result<(), Problem> {
        administers(&self.principal)
    }

    /// What the client knows of what it changes.
    pub(crate) fn condition(&self) -> Condition {
        condition(&self.headers, &header::IF_MATCH)
    }

    /// The body of a PATCH, which is a JSON merge patch (RFC 7396).
    pub(crate) fn patch<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("application/json-patch+json")) {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let problem = Problem::new(status, "unsupported-media-type", "Unsupported media type");
            return Err(problem.detail("a patch is application/merge-patch+json"));
        }
        read(&self.body)
    }
}

/// The entity tags of a header, which may come more than once.
pub(super) fn condition(headers: &HeaderMap, name: &header::HeaderName) -> Condition {
    let values: Vec<_> = headers.get_all(name).iter().map(|v| v.to_str().unwrap_or("?")).collect();
    let joined = (!values.is_empty()).then(|| values.join(","));
    Condition::parse(joined.as_deref())
}

/// A JSON body; its fault names the field.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader);
    let refuse = |field: String, error: serde_json::Error| {
        if error.is_data() {
            // serde's words may repeat a value, up to its place in the body.
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
            return invalid(vec![FieldFault::new(field, reason)]);
        }
        Problem::bad_request(format!("the body is not JSON: {error}"))
    };
    let value = read.map_err(|error| {
        let field = error.path().to_string();
        refuse(field, error.into_inner())
    })?;
    reader.end().map_err(|error| refuse(".".to_owned(), error))?;
    Ok(value)
}

//! What is asked.

use contracts::CONSISTENCY_TOKEN_HEADER;
use rand::Rng as _;
use reqwest::header::{HeaderName, HeaderValue, IF_MATCH};
use reqwest::{Method, Url};
use serde_json::Value;

use super::Service;
use crate::client::error::{Asked, ClientError};

/// The header under which a write can be repeated.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    about: String,
    tenant: Option<String>,
    key: Option<String>,
}

/// What goes with it.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    None,
    Json(Value),
    /// As OAuth has it; such a call proves itself.
    Form(Vec<(&'static str, String)>),
}

/// When a write is to be done, and what it can be repeated under.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    /// Only while it has this version.
    pub(crate) version: Option<u64>,
    /// A key that the caller chose.
    pub(crate) key: Option<String>,
}

impl Call {
    fn new(service: Service, method: Method, path: &[&str]) -> Self {
        Self {
            service,
            method,
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            query: Vec::new(),
            body: Body::None,
            headers: Vec::new(),
            about: path.last().copied().unwrap_or_default().to_owned(),
            tenant: None,
            key: None,
        }
    }

    pub(crate) fn get(service: Service, path: &[&str]) -> Self {
        Self::new(service, Method::GET, path)
    }

    pub(crate) fn post(service: Service, path: &[&str]) -> Self {
        Self::new(service, Method::POST, path)
    }

    pub(crate) fn put(service: Service, path: &[&str]) -> Self {
        Self::new(service, Method::PUT, path)
    }

    pub(crate) fn patch(service: Service, path: &[&str]) -> Self {
        Self::new(service, Method::PATCH, path)
    }

    pub(crate) fn delete(service: Service, path: &[&str]) -> Self {
        Self::new(service, Method::DELETE, path)
    }

    /// Below `/v1/tenants/{tenant}`.
    pub(crate) fn of(mut self, tenant: &str) -> Self {
        self.path.splice(0..0, ["v1", "tenants", tenant].map(str::to_owned));
        self.tenant = Some(tenant.to_owned());
        self
    }

    /// What it is about, for errors: `user u-1`.
    pub(crate) fn about(mut self, about: impl Into<String>) -> Self {
        self.about = about.into();
        self
    }

    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    pub(crate) fn form(mut self, form: Vec<(&'static str, String)>) -> Self {
        self.body = Body::Form(form);
        self
    }

    pub(crate) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, ClientError> {
        let value = HeaderValue::from_str(value);
        let value = value.map_err(|_| ClientError::Usage(format!("{name} cannot be sent so")))?;
        self.headers.push((name, value));
        Ok(self)
    }

    /// Answered from a state that holds what gave out the token.
    pub(crate) fn at_least(self, token: Option<&str>) -> Result<Self, ClientError> {
        match token {
            Some(token) => self.header(HeaderName::from_static(CONSISTENCY_TOKEN_HEADER), token),
            None => Ok(self),
        }
    }

    /// A write of identity-admin, which can be repeated under a key: the caller's or a new one.
    pub(crate) fn condition(mut self, condition: &Condition) -> Result<Self, ClientError> {
        if let Some(version) = condition.version {
            self = self.header(IF_MATCH, &format!("\"{version}\""))?;
        }
        let random = || format!("{:032x}", rand::rng().random::<u128>());
        let key = condition.key.clone().unwrap_or_else(random);
        self.key = Some(key.clone());
        self.header(KEY, &key)
    }

    /// Where it goes.
    ///
    /// # Errors
    /// An id that no URL can hold.
    pub(super) fn url(&self, base: &Url) -> Result<Url, ClientError> {
        if let Some(bad) = self.path.iter().find(|part| matches!(part.as_str(), "" | "." | "..")) {
            return Err(ClientError::Usage(format!("\"{bad}\" is no id")));
        }
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }

    pub(super) fn asked(&self, url: &Url, is_proven: bool) -> Asked {
        Asked {
            about: self.about.clone(),
            url: url.to_string(),
            tenant: self.tenant.clone(),
            is_proven,
            key: self.key.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_in_their_place_of_the_url() {
        let url = |base: &str, id: &str| {
            let call = Call::get(Service::Authz, &["roles", id]).of("acme").query("a", Some("x&y"));
            call.url(&base.parse().unwrap()).map(|url| url.to_string())
        };
        assert_eq!(
            url("http://h", "a/b?c#d%").unwrap(),
            "http://h/v1/tenants/acme/roles/a%2Fb%3Fc%23d%25?a=x%26y"
        );
        assert_eq!(
            url("http://h/p/", "é").unwrap(),
            "http://h/p/v1/tenants/acme/roles/%C3%A9?a=x%26y"
        );
        for bad in ["", ".", ".."] {
            assert!(url("http://h", bad).unwrap_err().to_string().contains("is no id"), "{bad}");
        }
    }

    #[test]
    fn a_write_has_a_key_of_its_own_unless_one_is_chosen() {
        let key = |condition: &Condition| {
            let call = Call::post(Service::Identity, &["users"]).condition(condition).unwrap();
            call.asked(&"http://h".parse().unwrap(), true).key.unwrap()
        };
        let none = Condition::default();
        assert_ne!(key(&none), key(&none));
        let chosen = Condition { version: Some(3), key: Some("k".to_owned()) };
        assert_eq!(key(&chosen), "k");
        let call = Call::post(Service::Identity, &["users"]).condition(&chosen).unwrap();
        assert!(call.headers.iter().any(|(name, value)| name == IF_MATCH && value == "\"3\""));
    }
}

//! The route table: from a request's method, host and path to a question.

use std::collections::BTreeMap;

use axum::http::{HeaderName, Method, header};
use contracts::TenantId;
use service_kit::config::ConfigError;

use super::config::{ActionConfig, ExtAuthzConfig, RouteConfig, SubjectConfig};
use super::host::{self, HostRule};
use super::path::{Captures, Pattern, Segments};
use super::template::Template;
use crate::model::key::check_id;
use crate::model::{ResourceRef, SubjectRef, SubjectType};

/// More routes are refused: they are tried one by one.
const MAX_ROUTES: usize = 1000;

/// All routes, in their order.
#[derive(Debug)]
pub struct Table(Vec<Route>);

/// One route.
#[derive(Debug)]
pub struct Route {
    host: Option<HostRule>,
    methods: Option<Vec<String>>,
    path: Pattern,
    /// A fixed tenant; else the token's.
    pub tenant: Option<TenantId>,
    /// A fixed subject; else the token's.
    pub subject: Option<SubjectRef>,
    action: Action,
    type_: String,
    id: Template,
    /// Headers that conditions see.
    pub context: Vec<HeaderName>,
}

#[derive(Debug)]
enum Action {
    Name(String),
    ByMethod(BTreeMap<String, String>),
}

/// What a request does to what, and the route that says so.
#[derive(Debug)]
pub struct Mapped<'a> {
    /// The route.
    pub route: &'a Route,
    /// What is done.
    pub action: &'a str,
    /// To what.
    pub resource: ResourceRef,
}

impl Table {
    /// Reads the routes.
    ///
    /// # Errors
    /// The key that is refused.
    pub fn new(config: &ExtAuthzConfig) -> Result<Self, ConfigError> {
        if config.routes.len() > MAX_ROUTES {
            let reason = format!("must be at most {MAX_ROUTES}");
            return Err(ConfigError::new("ext_authz.routes", reason));
        }
        let route = |(at, route)| {
            Route::new(route).map_err(|(key, reason)| {
                ConfigError::new(format!("ext_authz.routes[{at}].{key}"), reason)
            })
        };
        config.routes.iter().enumerate().map(route).collect::<Result<_, _>>().map(Self)
    }

    /// What a request is; `None` when nothing says. `target` is the path as it was sent, and may have
    /// a query.
    #[must_use]
    pub fn find(&self, method: &str, host: &str, target: &str) -> Option<Mapped<'_>> {
        let (host, path) = (host::plain(host)?, Segments::parse(target)?);
        self.0.iter().find_map(|route| route.try_map(method, &host, &path))?
    }
}

/// The key below the route, and why its value is refused.
type Refused = (String, String);

fn refuse<E: std::fmt::Display>(key: &str) -> impl FnOnce(E) -> Refused {
    let key = key.to_owned();
    move |reason| (key, reason.to_string())
}

impl Route {
    fn new(config: &RouteConfig) -> Result<Self, Refused> {
        let host =
            config.host.as_deref().map(HostRule::parse).transpose().map_err(refuse("host"))?;
        check_methods(config.methods.as_deref())?;
        let path = Pattern::parse(&config.path).map_err(refuse("path"))?;
        let tenant = match config.tenant.as_str() {
            "token" => None,
            id => Some(TenantId::parse(id).map_err(refuse("tenant"))?),
        };
        let subject = match &config.subject {
            SubjectConfig::Token(_) => None,
            SubjectConfig::Fixed(subject) => Some(check_subject(subject)?.clone()),
        };
        check_id("type", &config.resource.type_).map_err(|e| refuse("resource.type")(e.rule))?;
        let id = Template::parse(&config.resource.id, &path).map_err(refuse("resource.id"))?;
        Ok(Self {
            host,
            methods: config.methods.clone(),
            path,
            tenant,
            subject,
            action: action(&config.action)?,
            type_: config.resource.type_.clone(),
            id,
            context: context(&config.context)?,
        })
    }

    /// `Some(None)` when the request fits and has no action: it is denied, and no later route is tried.
    fn try_map(&self, method: &str, host: &str, path: &Segments<'_>) -> Option<Option<Mapped<'_>>> {
        let fits_host = self.host.as_ref().is_none_or(|rule| rule.covers(host));
        let fits_method =
            self.methods.as_ref().is_none_or(|methods| methods.iter().any(|known| known == method));
        if !fits_host || !fits_method {
            return None;
        }
        let captures: Captures<'_> = self.path.matches(path)?;
        let action = match &self.action {
            Action::Name(name) => Some(name),
            Action::ByMethod(names) => names.get(method),
        };
        Some(action.map(|action| Mapped {
            route: self,
            action,
            resource: ResourceRef::new(&*self.type_, self.id.fill(&captures)),
        }))
    }

    /// Whether a verified token is needed.
    #[must_use]
    pub fn needs_token(&self) -> bool {
        self.tenant.is_none() || self.subject.is_none()
    }
}

fn check_subject(subject: &SubjectRef) -> Result<&SubjectRef, Refused> {
    subject.check().map_err(|invalid| refuse("subject.id")(invalid.rule))?;
    if subject.is_everyone() {
        return Err(refuse("subject.id")("must be one subject, not *"));
    }
    if subject.type_ == SubjectType::Team {
        return Err(refuse("subject.type")("must be user or service_account"));
    }
    Ok(subject)
}

fn check_methods(methods: Option<&[String]>) -> Result<(), Refused> {
    let Some(methods) = methods else { return Ok(()) };
    if methods.is_empty() {
        return Err(refuse("methods")("must not be empty; leave it out for any"));
    }
    let mut all = methods.iter().enumerate();
    all.try_for_each(|(at, method)| check_method(&format!("methods[{at}]"), method))
}

/// Methods differ by case (RFC 9110 section 9.1), so `get` would never fit.
fn check_method(key: &str, method: &str) -> Result<(), Refused> {
    let is_lower = method.bytes().any(|b| b.is_ascii_lowercase());
    if is_lower || Method::from_bytes(method.as_bytes()).is_err() {
        return Err(refuse(key)("must be a method in upper case"));
    }
    Ok(())
}

fn action(config: &ActionConfig) -> Result<Action, Refused> {
    let check = |key: &str, name: &str| {
        check_id("action", name).map_err(|invalid| refuse(key)(invalid.rule))
    };
    match config {
        ActionConfig::Name(name) => {
            check("action", name)?;
            Ok(Action::Name(name.clone()))
        }
        ActionConfig::ByMethod(names) => {
            if names.is_empty() {
                return Err(refuse("action")("must not be empty"));
            }
            for (method, name) in names {
                let key = format!("action.{method}");
                check_method(&key, method)?;
                check(&key, name)?;
            }
            Ok(Action::ByMethod(names.clone()))
        }
    }
}

fn context(names: &[String]) -> Result<Vec<HeaderName>, Refused> {
    let parsed = names.iter().enumerate().map(|(at, name)| {
        let key = format!("context[{at}]");
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(header::AUTHORIZATION | header::COOKIE) => {
                Err(refuse(&key)("holds a secret, which conditions must not see"))
            }
            Ok(name) => Ok(name),
            Err(_) => Err(refuse(&key)("is no header's name")),
        }
    });
    parsed.collect()
}

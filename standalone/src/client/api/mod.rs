//! The one HTTP layer: where services are, what is asked, how it is sent and repeated, and lists page by page.

mod answer;
mod call;
mod pages;
mod send;

use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;

pub(crate) use answer::Answer;
pub(crate) use call::{Call, Condition};
pub(crate) use pages::{List, Pages};

use super::clock::Clock;
use super::credential::Auth;
use super::error::ClientError;

/// Until somebody accepts the connection, at most.
const CONNECT: Duration = Duration::from_secs(10);

/// The services of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Tenants, users, teams, service accounts, keys and tokens.
    Identity,
    /// Checks, roles and relationships.
    Authz,
    /// Audit events.
    Audit,
}

impl Service {
    /// In the order of [`Bases`].
    pub(crate) const ALL: [Self; 3] = [Self::Identity, Self::Authz, Self::Audit];
}

/// Where the services are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bases(pub(crate) [Url; 3]);

impl Bases {
    /// Where one is.
    pub(crate) fn of(&self, service: Service) -> &Url {
        &self.0[service as usize]
    }

    /// Whether one of them is there.
    pub(crate) fn has(&self, base: &Url) -> bool {
        self.0.contains(base)
    }
}

/// Asks the services.
#[derive(Debug)]
pub(crate) struct Api {
    client: reqwest::Client,
    pub(crate) bases: Bases,
    pub(crate) auth: Auth,
    pub(crate) clock: Clock,
    timeout: Duration,
    /// Whether requests are told of on stderr.
    verbose: bool,
}

impl Api {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When there is no TLS to be had.
    pub(crate) fn new(
        bases: Bases,
        auth: Auth,
        clock: Clock,
        (timeout, verbose): (Duration, bool),
    ) -> Result<Self, ClientError> {
        // A second installation fails because one is installed, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .connect_timeout(timeout.min(CONNECT))
            .read_timeout(timeout)
            .redirect(Policy::none())
            .user_agent(concat!("triad/", env!("CARGO_PKG_VERSION")));
        if bases.0.iter().all(|base| base.scheme() == "http") {
            // Reading the system's certificates takes longer than most commands.
            client = client.tls_certs_only([]);
        }
        let fault = |error| ClientError::Output(std::io::Error::other(error));
        let client = client.build().map_err(fault)?;
        Ok(Self { client, bases, auth, clock, timeout, verbose })
    }
}

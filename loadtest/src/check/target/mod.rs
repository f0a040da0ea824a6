//! What is asked: four kinds of targets, each in the protocol that its own clients speak.
//!
//! OpenFGA's clients speak HTTP, SpiceDB's gRPC. Both servers have a gateway that turns HTTP into a gRPC
//! call to themselves. SpiceDB answers half as many cached checks through it, and nobody's client takes
//! that way, so gRPC is the fairer one there.

mod body;
mod openfga;
mod proto;
mod spicedb;
mod triad;

use bytes::BytesMut;
use clap::ValueEnum;
use serde::Serialize;

use self::openfga::OpenFga;
use self::spicedb::SpiceDb;
use self::triad::Triad;
pub(crate) use self::triad::{permissions, relationship};
use super::change::Change;
use super::graph::Shape;
use super::link::{Answer, Ask, Endpoint};
use super::space::Question;
use super::words::Fact;

/// A kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `authz-edge`, over HTTP.
    Triad,
    /// `loadtest check bare`: as Triad answers, without a thought. What HTTP alone allows.
    Bare,
    /// OpenFGA, over HTTP.
    Openfga,
    /// SpiceDB, over gRPC.
    Spicedb,
}

impl Kind {
    /// Where it is by default, if anywhere.
    #[must_use]
    pub fn default_url(self) -> Option<&'static str> {
        (self == Self::Triad).then_some("http://127.0.0.1:8102")
    }

    /// Whether gRPC is what it speaks.
    #[must_use]
    pub fn speaks_grpc(self) -> bool {
        self == Self::Spicedb
    }

    /// Whether it knows the right answers.
    #[must_use]
    pub fn knows(self) -> bool {
        self != Self::Bare
    }
}

/// A target with what its requests are made of.
pub struct Target {
    /// Where it is.
    pub(super) endpoint: Endpoint,
    dialect: Dialect,
}

enum Dialect {
    Triad(Triad),
    OpenFga(OpenFga),
    SpiceDb(SpiceDb),
}

impl Target {
    /// A target that holds the graphs of the first `tenants` already.
    ///
    /// # Errors
    /// When it does not answer, or has no such graphs where it can tell.
    pub async fn open(
        kind: Kind,
        endpoint: Endpoint,
        shape: &Shape,
        tenants: u32,
    ) -> anyhow::Result<Self> {
        let dialect = match kind {
            Kind::Triad | Kind::Bare => Dialect::Triad(Triad::new(&endpoint, shape, tenants)?),
            Kind::Openfga => Dialect::OpenFga(OpenFga::find(&endpoint, shape, tenants).await?),
            Kind::Spicedb => Dialect::SpiceDb(SpiceDb::new(&endpoint, shape, tenants)?),
        };
        Ok(Self { endpoint, dialect })
    }

    /// A target that is ready to be told the graphs of the first `tenants`: it has their stores, or its
    /// schema.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub async fn prepare(
        kind: Kind,
        endpoint: Endpoint,
        shape: &Shape,
        tenants: u32,
    ) -> anyhow::Result<Self> {
        let dialect = match kind {
            Kind::Triad | Kind::Bare => Dialect::Triad(Triad::new(&endpoint, shape, tenants)?),
            Kind::Openfga => Dialect::OpenFga(OpenFga::create(&endpoint, shape, tenants).await?),
            Kind::Spicedb => {
                let spicedb = SpiceDb::new(&endpoint, shape, tenants)?;
                spicedb.write_schema(&endpoint).await?;
                Dialect::SpiceDb(spicedb)
            }
        };
        Ok(Self { endpoint, dialect })
    }

    /// The request of a question; `buffer` is where bodies are written.
    pub(super) fn check(&self, question: &Question, buffer: &mut BytesMut) -> Ask {
        match &self.dialect {
            Dialect::Triad(triad) => triad.check(&self.endpoint, question, buffer),
            Dialect::OpenFga(openfga) => openfga.check(&self.endpoint, question, buffer),
            Dialect::SpiceDb(spicedb) => spicedb.check(&self.endpoint, question),
        }
    }

    /// What a check's answer says.
    ///
    /// # Errors
    /// In a few words, what it is instead of an answer.
    pub(super) fn decision(&self, answer: &Answer) -> Result<bool, String> {
        self.accepted(answer)?;
        let decision = match &self.dialect {
            Dialect::Triad(_) => triad::decision(&answer.body),
            Dialect::OpenFga(_) => openfga::decision(&answer.body),
            Dialect::SpiceDb(_) => spicedb::decision(&answer.body),
        };
        decision.ok_or_else(|| "unreadable answer".to_owned())
    }

    /// Whether the request was a success.
    ///
    /// # Errors
    /// In a few words, what it was instead.
    pub(super) fn accepted(&self, answer: &Answer) -> Result<(), String> {
        if !answer.status.is_success() {
            return Err(format!("status {}", answer.status.as_u16()));
        }
        match (&self.dialect, &answer.grpc) {
            (Dialect::SpiceDb(_), Some((0, _))) => Ok(()),
            (Dialect::SpiceDb(_), Some((code, _))) => Err(format!("grpc-status {code}")),
            (Dialect::SpiceDb(_), None) => Err("no grpc-status".to_owned()),
            _ => Ok(()),
        }
    }

    /// The request of a change in a tenant.
    pub(super) fn change(&self, tenant: u32, change: Change) -> Ask {
        match &self.dialect {
            Dialect::Triad(triad) => triad.change(&self.endpoint, tenant, change),
            Dialect::OpenFga(openfga) => openfga.change(&self.endpoint, tenant, change),
            Dialect::SpiceDb(spicedb) => spicedb.change(&self.endpoint, tenant, change),
        }
    }

    /// The requests that tell a tenant's roles and facts, each as large as the target takes.
    pub(super) fn tell<'a>(
        &'a self,
        tenant: u32,
        facts: &'a [Fact],
    ) -> Box<dyn Iterator<Item = Ask> + Send + 'a> {
        match &self.dialect {
            Dialect::Triad(triad) => Box::new(triad.tell(&self.endpoint, tenant, facts)),
            Dialect::OpenFga(openfga) => Box::new(openfga.tell(&self.endpoint, tenant, facts)),
            Dialect::SpiceDb(spicedb) => Box::new(spicedb.tell(&self.endpoint, tenant, facts)),
        }
    }
}

/// What a refusal says beyond its status, for people.
pub(super) fn refusal(answer: &Answer) -> String {
    let grpc = answer.grpc.as_ref().map(|(code, message)| format!("grpc-status {code} {message}"));
    let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]).into_owned();
    format!("{}: {}", answer.status, grpc.unwrap_or(body))
}

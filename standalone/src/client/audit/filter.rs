//! Which events, of which time.

use std::fmt;

use crate::client::api::Call;
use crate::client::context::Context;
use crate::client::error::ClientError;
use crate::client::time::{Toward, rfc3339};

/// Which events.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only events of this actor, by id
    #[arg(long, visible_alias = "actor-id", value_name = "ID")]
    actor: Option<String>,
    /// Only this action, as document.read
    #[arg(long)]
    action: Option<String>,
    /// Only events on this: TYPE:ID
    #[arg(long, value_name = "TYPE:ID", conflicts_with_all = ["resource_type", "resource_id"])]
    resource: Option<crate::client::entity::Entity>,
    /// Only events on this kind of thing
    #[arg(long, value_name = "TYPE")]
    resource_type: Option<String>,
    /// Only events on the thing of this id
    #[arg(long, value_name = "ID")]
    resource_id: Option<String>,
    /// Only these
    #[arg(long, ignore_case = true)]
    status: Option<Status>,
}

/// How an action ended.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Status {
    /// It was done.
    Success,
    /// It was allowed and failed.
    Failure,
    /// It was not allowed.
    Denied,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Denied => "DENIED",
        })
    }
}

/// Which come first.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Order {
    /// The latest.
    Newest,
    /// The earliest.
    Oldest,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
        })
    }
}

/// Of which time.
#[derive(Debug, clap::Args)]
pub(crate) struct Range {
    /// The first time, inclusive: RFC 3339, a date, today, -24h, 7d ago [default: 24 hours before --to]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// The last time, exclusive [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
}

impl Filter {
    /// Its parameters.
    pub(super) fn apply(&self, call: Call) -> Call {
        let (type_, id) = match &self.resource {
            Some(resource) => (Some(&resource.type_), Some(&resource.id)),
            None => (self.resource_type.as_ref(), self.resource_id.as_ref()),
        };
        call.query("actor_id", self.actor.as_ref())
            .query("action", self.action.as_ref())
            .query("resource_type", type_)
            .query("resource_id", id)
            .query("status", self.status)
    }
}

impl Range {
    /// Its parameters. Both ends stay the same for all pages.
    pub(super) fn apply(&self, ctx: &Context, call: Call) -> Result<Call, ClientError> {
        let from = ctx.time("--from", self.from.as_deref(), Toward::Past)?;
        let to = ctx.time("--to", self.to.as_deref(), Toward::Past)?;
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(ClientError::Usage("--from is later than --to".to_owned()));
        }
        Ok(call.query("from", from.map(rfc3339)).query("to", to.map(rfc3339)))
    }
}

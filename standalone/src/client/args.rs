//! Options that several commands have.

use super::api::Condition;

/// How much of a list.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Paging {
    /// So many entries at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Paging {
    /// All of them.
    pub(crate) const ALL: Self = Self { limit: 1, all: true };

    /// So many at most, or all.
    pub(crate) fn limit(&self) -> Option<usize> {
        (!self.all).then(|| usize::try_from(self.limit).unwrap_or(usize::MAX))
    }
}

/// When a change of identities is made.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Write {
    /// Only while it has this version: what others changed meanwhile is not lost
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
    /// Make it once, however often it is asked for under this key; errors name the key to repeat it with
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Write {
    /// The same for a call.
    pub(crate) fn condition(&self) -> Condition {
        Condition { version: self.if_version, key: self.idempotency_key.clone() }
    }
}

/// Since which state something is asked or written.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Since {
    /// Wait until the service knows of the write that gave out this token
    #[arg(long, visible_alias = "at-least", value_name = "TOKEN")]
    pub(crate) consistency_token: Option<String>,
}

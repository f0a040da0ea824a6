//! Options of every command.

use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;
use super::time;

/// Options of every command. What is not given comes from the environment, then from the profile that `triad login`
/// keeps, then from the default.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Where, and as whom")]
pub struct Global {
    /// The deployment: one URL for all three services [env: TRIAD_SERVER] [default: http://127.0.0.1:8100]
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Where identity-admin is, if elsewhere [env: TRIAD_IDENTITY_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub identity_url: Option<String>,
    /// Where authz-edge is, if elsewhere [env: TRIAD_AUTHZ_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub authz_url: Option<String>,
    /// Where ingest is, if elsewhere [env: TRIAD_AUDIT_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub audit_url: Option<String>,
    /// The tenant [env: TRIAD_TENANT]
    #[arg(short, long, global = true, value_name = "ID")]
    pub tenant: Option<String>,
    /// An API key or an access token; other users of this machine may see it here [env: TRIAD_TOKEN]
    #[arg(long, global = true, value_name = "TEXT", conflicts_with = "token_file")]
    pub token: Option<Secret>,
    /// A file that holds nothing else; `-` is stdin
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The profile to use, of those in $XDG_CONFIG_HOME/triad/config.json [env: TRIAD_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// How long a request may take, its retries included [default: 30s]
    #[arg(long, global = true, value_name = "TIME", value_parser = time::wait)]
    pub timeout: Option<Duration>,
    /// How answers are written: by default a table on a terminal, JSON elsewhere
    #[arg(short, long, global = true, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// Say on stderr what is asked, and the consistency token of the answer
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns, for people.
    Table,
    /// JSON as the API has it; a list is an array.
    Json,
    /// JSON, a line for each entry.
    Jsonl,
    /// Ids only, a line for each.
    Id,
}

impl Format {
    /// Whether errors are written as JSON, too.
    #[must_use]
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

//! No answer at all.

use std::error::Error;
use std::{fmt, io};

use super::Asked;

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Nothing listens there.
    Refused,
    /// No host of that name.
    Unknown,
    /// No answer in time.
    Late,
    /// The other side's certificate is not trusted, or it speaks no TLS.
    Tls(String),
    /// Anything else, as the connection that breaks.
    Broken(String),
}

/// Nobody answers.
#[derive(Debug)]
pub struct Unreachable {
    /// Why.
    pub why: Why,
    base: String,
    key: Option<String>,
}

impl Unreachable {
    /// Reads what the HTTP client says.
    pub(crate) fn new(error: &reqwest::Error, base: &str, asked: &Asked) -> Self {
        Self {
            why: Why::of(error),
            base: base.trim_end_matches('/').to_owned(),
            key: asked.key.clone(),
        }
    }
}

impl Why {
    fn of(error: &reqwest::Error) -> Self {
        let mut causes = Vec::new();
        let mut source: Option<&(dyn Error + 'static)> = error.source();
        while let Some(cause) = source {
            let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
            if kind == Some(io::ErrorKind::ConnectionRefused) {
                return Self::Refused;
            }
            causes.push(cause.to_string());
            source = cause.source();
        }
        let last = causes.last().cloned().unwrap_or_else(|| error.to_string());
        let says = |word: &str| causes.iter().any(|cause| cause.contains(word));
        if error.is_timeout() {
            Self::Late
        } else if says("dns error") || says("failed to lookup") {
            Self::Unknown
        } else if says("certificate") || says("received corrupt message") {
            Self::Tls(last)
        } else {
            Self::Broken(last)
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = &self.base;
        match &self.why {
            Why::Refused => write!(
                f,
                "nothing listens on {base}: start it with `triad`, or name another with --server"
            )?,
            Why::Unknown => write!(f, "{base}: no host of that name; --server names another")?,
            Why::Late => write!(f, "{base} does not answer in time; --timeout waits longer")?,
            Why::Tls(why) => write!(f, "{base} cannot be trusted: {why}")?,
            Why::Broken(why) => write!(f, "{base} broke off: {why}")?,
        }
        match &self.key {
            Some(key) if matches!(self.why, Why::Late | Why::Broken(_)) => {
                write!(
                    f,
                    "; whether it was done is unknown: repeat it with --idempotency-key {key}"
                )
            }
            _ => Ok(()),
        }
    }
}

impl Error for Unreachable {}

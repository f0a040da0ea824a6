//! Why a command ends otherwise than it should: one line that says what happened, to whom, and what to do next.

mod answered;
mod unreachable;

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

pub use answered::Answered;
pub(crate) use answered::Asked;
pub use unreachable::Unreachable;

use super::exit::Exit;
use super::text::plain;

/// Why a command ends otherwise than it should.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The command line says what cannot be.
    #[error("{0}")]
    Usage(String),
    /// A file that the command line names.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What it refuses.
        source: io::Error,
    },
    /// What came on stdin or in a file breaks rules.
    #[error("{0}")]
    Input(String),
    /// There is nothing of that name.
    #[error("{0}")]
    Missing(String),
    /// Nobody is logged in, or not any more.
    #[error("{0}: log in with `triad login`")]
    LoggedOut(String),
    /// Nobody answers.
    #[error(transparent)]
    Unreachable(Box<Unreachable>),
    /// A service answered with an error.
    #[error(transparent)]
    Answered(Box<Answered>),
    /// A service answered with what its description does not have.
    #[error(
        "{about}: {url} answered what is not of its API ({why}): does --server name a Triad deployment?"
    )]
    Malformed {
        /// What was asked about.
        about: String,
        /// Where.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody reads what is written any more, which is no error: `triad audit query | head`.
    #[error("nobody reads the output")]
    Closed,
    /// `^C`.
    #[error("interrupted; nothing was kept")]
    Interrupted,
    /// What is written cannot be.
    #[error("the output: {0}")]
    Output(io::Error),
}

impl ClientError {
    /// What failed at a file.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// How the command ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::File { .. } => Exit::Usage,
            Self::Input(_) => Exit::Refused,
            Self::Missing(_) => Exit::NotFound,
            Self::LoggedOut(_) => Exit::NotPermitted,
            Self::Unreachable(_) => Exit::Unavailable,
            Self::Answered(answered) => Exit::of_status(answered.status),
            Self::Malformed { .. } | Self::Output(_) => Exit::Unexpected,
            Self::Closed => Exit::Ok,
            Self::Interrupted => Exit::Interrupted,
        }
    }

    /// Whether the same may succeed later, by itself.
    pub(crate) fn may_pass(&self) -> bool {
        self.exit() == Exit::Unavailable
    }

    /// The error as scripts read it: the service's problem (RFC 9457), or one of the same form.
    #[must_use]
    pub fn json(&self) -> Value {
        if let Self::Answered(answered) = self
            && answered.body.get("type").is_some()
        {
            return answered.body.clone();
        }
        let kind = match self {
            Self::Usage(_) => "usage",
            Self::File { .. } => "file",
            Self::Input(_) => "input",
            Self::Missing(_) => "missing",
            Self::LoggedOut(_) => "logged-out",
            Self::Unreachable(_) => "unreachable",
            Self::Answered(_) => "answered",
            Self::Malformed { .. } => "malformed",
            Self::Interrupted => "interrupted",
            Self::Closed | Self::Output(_) => "output",
        };
        let mut problem = json!({"type": format!("urn:triad:client:{kind}"), "title": "Not done",
            "detail": self.to_string(), "exit_code": self.exit().code()});
        if let Self::Answered(answered) = self {
            problem["status"] = answered.status.into();
        }
        problem
    }

    /// The error as people read it: a line, and one for each member that is at fault.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![plain(&self.to_string())];
        if let Self::Answered(answered) = self {
            lines.extend(answered.faults().map(|fault| format!("  {}", plain(&fault))));
        }
        lines
    }
}

impl From<Answered> for ClientError {
    fn from(answered: Answered) -> Self {
        Self::Answered(Box::new(answered))
    }
}

impl From<Unreachable> for ClientError {
    fn from(unreachable: Unreachable) -> Self {
        Self::Unreachable(Box::new(unreachable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_without_an_answer_are_problems_too() {
        let error = ClientError::Usage("no tenant".to_owned());
        let problem = error.json();
        assert_eq!(problem["type"], "urn:triad:client:usage");
        assert_eq!((problem["exit_code"].as_u64(), error.exit()), (Some(2), Exit::Usage));
        let error = ClientError::file("/none")(io::Error::from(io::ErrorKind::NotFound));
        assert!(error.to_string().starts_with("/none: "), "{error}");
        assert_eq!(error.exit(), Exit::Usage);
    }
}

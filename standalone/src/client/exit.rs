//! How a command ends, for scripts.

/// Exit codes. Scripts rest on them: a number never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was done; a check is allowed.
    Ok = 0,
    /// A check is denied. No other command ends so.
    Denied = 1,
    /// The command line says what cannot be, or a file that it names cannot be read.
    Usage = 2,
    /// There is no such thing, or not for this caller to know.
    NotFound = 3,
    /// Nobody is logged in, or who is may not (401, 403).
    NotPermitted = 4,
    /// It does not fit the state of things (409, 412, 428).
    Conflict = 5,
    /// What was sent breaks rules (400, 413, 422, other 4xx).
    Refused = 6,
    /// Nobody answers, or not now (429, 502, 503, 504).
    Unavailable = 7,
    /// A fault of a service or of this program.
    Unexpected = 70,
    /// `^C`, as shells have it.
    Interrupted = 130,
}

/// The same for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0   done; a check is allowed
  1   a check is denied (only `check` ends so)
  2   the command line or a file that it names is wrong
  3   no such thing, or not for this caller to know
  4   not logged in, or not permitted (401, 403)
  5   conflict: it does not fit the state of things (409, 412, 428)
  6   refused: what was sent breaks rules (400, 413, 422)
  7   unavailable: nobody answers in time, or not now (429, 502, 503, 504)
  70  unexpected: a fault of a service or of this program
  130 interrupted by ^C";

impl Exit {
    /// The exit of a command that a service answered with this HTTP status.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Ok,
            401 | 403 => Self::NotPermitted,
            404 => Self::NotFound,
            409 | 412 | 428 => Self::Conflict,
            408 | 429 | 502..=504 => Self::Unavailable,
            400..=499 => Self::Refused,
            _ => Self::Unexpected,
        }
    }

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_exit() {
        for (status, exit) in [
            (200, Exit::Ok),
            (302, Exit::Unexpected),
            (400, Exit::Refused),
            (401, Exit::NotPermitted),
            (403, Exit::NotPermitted),
            (404, Exit::NotFound),
            (405, Exit::Refused),
            (408, Exit::Unavailable),
            (409, Exit::Conflict),
            (412, Exit::Conflict),
            (413, Exit::Refused),
            (422, Exit::Refused),
            (428, Exit::Conflict),
            (429, Exit::Unavailable),
            (500, Exit::Unexpected),
            (502, Exit::Unavailable),
            (503, Exit::Unavailable),
            (504, Exit::Unavailable),
        ] {
            assert_eq!(Exit::of_status(status), exit, "{status}");
        }
    }

    #[test]
    fn the_help_names_every_code() {
        use Exit::*;
        let all = [
            Ok,
            Denied,
            Usage,
            NotFound,
            NotPermitted,
            Conflict,
            Refused,
            Unavailable,
            Unexpected,
            Interrupted,
        ];
        let lines: Vec<_> = EXIT_CODES.lines().skip(1).collect();
        assert_eq!(lines.len(), all.len());
        for (line, exit) in lines.iter().zip(all) {
            let number = line.split_whitespace().next().unwrap();
            assert_eq!(number, exit.code().to_string(), "{line}");
        }
    }
}

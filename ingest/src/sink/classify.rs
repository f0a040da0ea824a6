//! What a failed write says about the row and about the database.

use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

/// What to do after a failed write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Try again: it may or may not have been written, and says nothing about the rows.
    Retry,
    /// The database answered no. Whether a row is to blame or the database, only other rows can tell.
    Refused,
}

/// A short name of the error, for the metric of retries.
pub(super) fn label(error: &ExecutionError) -> &'static str {
    match error {
        ExecutionError::RequestTimeout(_) => "client_timeout",
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => match error {
            DbError::WriteTimeout { .. } => "write_timeout",
            DbError::Unavailable { .. } => "unavailable",
            DbError::Overloaded => "overloaded",
            DbError::WriteFailure { .. } => "write_failure",
            DbError::Invalid => "invalid",
            DbError::Unauthorized => "unauthorized",
            DbError::ServerError => "server_error",
            _ => "other_database_error",
        },
        ExecutionError::ConnectionPoolError(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::LastAttemptError(RequestAttemptError::BrokenConnectionError(_)) => {
            "connection"
        }
        _ => "other",
    }
}

/// Sorts an error. A `WriteTimeout` is never success, whatever it says was received; what is unknown
/// is tried again.
pub(super) fn classify(error: &ExecutionError) -> Verdict {
    match error {
        ExecutionError::BadQuery(_) => Verdict::Refused,
        ExecutionError::LastAttemptError(attempt) => match attempt {
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_) => Verdict::Refused,
            RequestAttemptError::DbError(error, _) => of_database(error),
            _ => Verdict::Retry,
        },
        _ => Verdict::Retry,
    }
}

fn of_database(error: &DbError) -> Verdict {
    match error {
        DbError::Invalid
        | DbError::SyntaxError
        | DbError::Unauthorized
        | DbError::ConfigError
        | DbError::FunctionFailure { .. }
        | DbError::ServerError
        | DbError::ProtocolError => Verdict::Refused,
        _ => Verdict::Retry,
    }
}

#[cfg(test)]
mod tests {
    use scylla::errors::WriteType;
    use scylla::statement::Consistency;

    use super::*;

    fn database(error: DbError) -> Verdict {
        let attempt = RequestAttemptError::DbError(error, String::new());
        classify(&ExecutionError::LastAttemptError(attempt))
    }

    #[test]
    fn a_write_timeout_is_never_success_and_never_the_row_s_fault() {
        let timeout = DbError::WriteTimeout {
            consistency: Consistency::Quorum,
            received: 1,
            required: 2,
            write_type: WriteType::UnloggedBatch,
        };
        assert_eq!(database(timeout), Verdict::Retry);
        assert_eq!(classify(&ExecutionError::EmptyPlan), Verdict::Retry);
    }

    #[test]
    fn an_answer_of_no_is_looked_into() {
        for error in [DbError::Invalid, DbError::Unauthorized, DbError::ServerError] {
            assert_eq!(database(error), Verdict::Refused);
        }
    }
}

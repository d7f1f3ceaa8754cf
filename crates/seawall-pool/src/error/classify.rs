//! What an error of the driver says about the node, the connection and the
//! statement.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

/// The connection broke, or the server is stopping or starting: the same read
/// can be run elsewhere.
pub(crate) fn is_connection_lost(error: &Error) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_closed()
        // Not a failure of the link, but bytes that cannot be encoded or decoded.
        || io.is_some_and(|io| io.kind() != io::ErrorKind::InvalidInput)
        || error.code().is_some_and(|code| {
            code.code().starts_with("08")
                || [
                    &SqlState::ADMIN_SHUTDOWN,
                    &SqlState::CRASH_SHUTDOWN,
                    &SqlState::CANNOT_CONNECT_NOW,
                    &SqlState::IDLE_SESSION_TIMEOUT,
                ]
                .contains(&code)
        })
}

/// A standby gave up a query for the sake of replay, or the server chose the
/// transaction as the victim of a conflict.
pub(crate) fn is_conflict(error: &Error) -> bool {
    let conflicts = [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| conflicts.contains(&code))
}

/// The server has no connection to spare. It is alive.
pub(crate) fn is_full(error: &Error) -> bool {
    error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS)
}

/// The server is starting, or stopping. It may serve in a moment.
pub(crate) fn is_starting(error: &Error) -> bool {
    error.code() == Some(&SqlState::CANNOT_CONNECT_NOW)
}

/// The cause may pass by itself.
pub(crate) fn is_transient(error: &Error) -> bool {
    is_connection_lost(error) || is_conflict(error) || is_full(error)
}

/// The server refused the statement and the connection goes on: nothing of it
/// is still under way.
pub(crate) fn is_refusal(error: &Error) -> bool {
    error
        .as_db_error()
        .is_some_and(|db| db.parsed_severity().is_none_or(|severity| severity == Severity::Error))
        && !is_connection_lost(error)
}

/// The statement would write, in a transaction that may not.
pub(crate) fn is_read_only(error: &Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// A parameter does not fit the type that the statement wants: found before
/// anything is sent. Of the errors of running a statement only this one has
/// a cause that is neither of the link nor of the server.
pub(crate) fn is_unsent(error: &Error) -> bool {
    error.source().is_some_and(|source| !source.is::<io::Error>() && !source.is::<DbError>())
}

/// The prepared statement is gone or its plan no longer fits the tables.
/// Raised before the statement does anything: an error with a context comes
/// from a function that the statement was already running.
pub(crate) fn is_stale_statement(error: &Error) -> bool {
    let Some(db) = error.as_db_error() else {
        return false;
    };
    if db.where_().is_some() {
        return false;
    }
    *db.code() == SqlState::INVALID_SQL_STATEMENT_NAME
        || (*db.code() == SqlState::FEATURE_NOT_SUPPORTED
            && db.routine() == Some("RevalidateCachedQuery"))
}

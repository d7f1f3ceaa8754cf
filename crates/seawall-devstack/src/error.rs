//! What can go wrong.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a stack, one of its servers or a proxy did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A server program is neither on `PATH` nor in a usual folder.
    #[error(
        "{program} is not installed: run scripts/setup, or `apt-get install {debian}` \
         (Debian, Ubuntu), or `brew install {brew}` (macOS)"
    )]
    NotInstalled {
        /// The program looked for.
        program: &'static str,
        /// The Debian and Ubuntu package that has it.
        debian: &'static str,
        /// The Homebrew formula that has it.
        brew: &'static str,
    },

    /// The program found is too old, or is not what its name says.
    #[error("{program} at {} reports version {found:?}; {needed} or later is needed", path.display())]
    Version {
        /// The program asked.
        program: &'static str,
        /// Where it was found.
        path: PathBuf,
        /// The first line that it printed for `--version`.
        found: String,
        /// The oldest major version that works.
        needed: u32,
    },

    /// The stack was not built with this server.
    #[error("this stack has no {server}: build it with `{call}`")]
    NotStarted {
        /// The server asked for.
        server: &'static str,
        /// The call on the builder that adds it.
        call: &'static str,
    },

    /// A setting that would break the stack or the server's configuration file.
    #[error("setting {name:?}: {problem}")]
    Setting {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// The operating system refused a file, a directory or a process.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },

    /// The runtime was shut down while a stack started.
    #[error("the runtime is shutting down")]
    RuntimeStopped,

    /// The operating system refused a socket or a pipe.
    #[error("cannot {action}")]
    Net {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },

    /// The PostgreSQL data directory that every server is copied from could not be made.
    #[error("cannot make the PostgreSQL template: {step} failed:\n{output}")]
    Template {
        /// The program or statement that failed.
        step: &'static str,
        /// The end of its output.
        output: LogTail,
    },

    /// A server ended when it should have run.
    #[error("{server} ended while starting ({status}); its log is {}:\n{log}", path.display())]
    Exited {
        /// Which server.
        server: String,
        /// How it ended.
        status: ExitStatus,
        /// True if another process had its port: starting again may work.
        address_in_use: bool,
        /// The whole log, which is kept.
        path: PathBuf,
        /// The end of it.
        log: LogTail,
    },

    /// A server did not become ready in time.
    #[error("{server} was not ready after {waited:?}; its log is {}:\n{log}", path.display())]
    NotReady {
        /// Which server.
        server: String,
        /// For how long it was waited for.
        waited: Duration,
        /// The whole log, which is kept.
        path: PathBuf,
        /// The end of it.
        log: LogTail,
    },

    /// A server is down: stopped, killed or never started again.
    #[error("{server} is not running")]
    NotRunning {
        /// Which server.
        server: String,
    },

    /// A condition did not come true in time.
    #[error("{server}: {what} did not happen within {waited:?}")]
    Deadline {
        /// Which server.
        server: String,
        /// The condition.
        what: &'static str,
        /// For how long it was waited for.
        waited: Duration,
    },

    /// PostgreSQL refused a connection or a statement.
    #[error("{server}: cannot {action}")]
    Postgres {
        /// Which server.
        server: String,
        /// What was tried.
        action: &'static str,
        /// What PostgreSQL or the connection said.
        source: tokio_postgres::Error,
    },

    /// Prometheus refused a connection or a request.
    #[error("{action} to Prometheus failed")]
    Prometheus {
        /// What was being done.
        action: &'static str,
        /// What Prometheus or the connection said.
        #[source]
        source: io::Error,
    },
    /// Redis refused a connection or a command.
    #[error("{server}: {action} failed")]
    Redis {
        /// Which server.
        server: String,
        /// The command.
        action: &'static str,
        /// What Redis or the connection said.
        source: io::Error,
    },
}

impl Error {
    /// True if the same call may succeed when repeated as it is: a port was
    /// taken by another process, a deadline passed, a connection was lost.
    /// Repeating is always safe; this says whether it is useful.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Exited { address_in_use, .. } => *address_in_use,
            Self::NotReady { .. } | Self::Deadline { .. } => true,
            Self::Postgres { source, .. } => source.is_closed() || source.as_db_error().is_none(),
            Self::Redis { source, .. } | Self::Prometheus { source, .. } => {
                source.kind() != io::ErrorKind::Other
            }
            Self::Net { source, .. } => source.kind() == io::ErrorKind::AddrInUse,
            _ => false,
        }
    }
}

/// The last lines of a server's log or a program's output.
#[derive(Clone, PartialEq, Eq)]
pub struct LogTail(pub(crate) String);

impl LogTail {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.trim().is_empty() {
            return f.write_str("    (empty)");
        }
        for (index, line) in self.0.lines().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}    {line}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As lines, not as one escaped string: `unwrap` prints errors with this.
        write!(f, "\n{self}\n")
    }
}

//! What all servers of a stack have in common: a process, a port, a place for their files.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::home;
use crate::io_error;
use crate::process::{Process, Spec, StopSignal};
use crate::run_as::{self, RunAs};

/// One server of a stack, whatever it serves. Each kind derefs to it.
///
/// The controls act on the real process from outside and give up after ten seconds; a
/// dropped future may or may not have acted.
pub struct Server {
    process: Arc<Process>,
    port: u16,
}

impl Server {
    /// `127.0.0.1`
    #[must_use]
    pub fn host(&self) -> String {
        self.addr().ip().to_string()
    }

    /// Its TCP port, the same for as long as the stack lives.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its name in the stack, such as `primary`, `replica-1`, `redis`; that of its log, too.
    #[must_use]
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// The server's log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.process.log_path()
    }

    /// Its process id (of PostgreSQL the postmaster's), `None` while it is down.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Freezes it with all its processes (SIGSTOP): connections stay open, new ones are
    /// accepted by the kernel, nothing is answered. Returns when it stands still.
    ///
    /// # Errors
    /// [`Error::NotRunning`]
    pub async fn pause(&self) -> Result<(), Error> {
        self.process.pause().await
    }

    /// Lets a frozen server run again (SIGCONT).
    ///
    /// # Errors
    /// [`Error::NotRunning`]
    pub async fn resume(&self) -> Result<(), Error> {
        self.process.resume().await
    }

    /// Kills it with SIGKILL; returns when it is gone. Nothing happens if it is down.
    /// PostgreSQL has a [`kill`](crate::Postgres::kill) of its own, which sees to its children.
    ///
    /// # Errors
    /// [`Error::Deadline`] if it does not go.
    pub async fn kill(&self) -> Result<(), Error> {
        self.process.kill().await
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    pub(crate) fn deadline(&self, what: &'static str, waited: Duration) -> Error {
        Error::Deadline { server: self.name().to_owned(), what, waited }
    }

    /// `Debug` for a server of this kind.
    pub(crate) fn show(&self, kind: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(kind)
            .field("name", &self.name())
            .field("addr", &self.addr())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show("Server", f)
    }
}

/// Where a server is to be, and as what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) name: &'a str,
    pub(crate) program: &'a Path,
    pub(crate) stack_dir: &'a Path,
    pub(crate) kept_logs: &'a Path,
    pub(crate) port: u16,
    pub(crate) run_as: Option<RunAs>,
}

impl Place<'_> {
    /// Its directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.stack_dir.join(self.name)
    }

    /// Makes its directory and writes its configuration there; returns where.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<PathBuf, Error> {
        let dir = self.dir();
        home::make_dir(&dir, 0o700)?;
        run_as::give(self.run_as, &dir)?;
        let path = dir.join(file);
        std::fs::write(&path, text).map_err(io_error("write", &path))?;
        run_as::give(self.run_as, &path)?;
        Ok(path)
    }

    /// The server, which is yet to be started.
    pub(crate) fn server(&self, args: Vec<OsString>, stop_signal: StopSignal) -> Server {
        let process = Process::new(Spec {
            name: self.name.to_owned(),
            program: self.program.to_path_buf(),
            args,
            dir: self.dir(),
            stack_dir: self.stack_dir.to_path_buf(),
            kept_logs: self.kept_logs.to_path_buf(),
            run_as: self.run_as,
            stop_signal,
        });
        Server { process: Arc::new(process), port: self.port }
    }
}

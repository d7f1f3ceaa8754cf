//! One server process: started through `launch.sh`, stopped, waited for.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, timeout};

use crate::error::Error;
use crate::io_error;
use crate::logs;
use crate::process_table as table;
use crate::run_as::{self, RunAs};

/// What to run, and where.
#[derive(Debug)]
pub(crate) struct Spec {
    /// For people: `primary`, `replica-1`, `redis`.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Its working directory.
    pub(crate) dir: PathBuf,
    pub(crate) stack_dir: PathBuf,
    pub(crate) kept_logs: PathBuf,
    pub(crate) run_as: Option<RunAs>,
    /// The quickest way to stop it without a trace left behind.
    pub(crate) stop_signal: StopSignal,
}

/// A signal that ends a server at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopSignal {
    /// PostgreSQL's immediate shutdown; it frees its shared memory.
    Quit,
    /// For a server without children.
    Kill,
}

/// A server that may be up or down.
#[derive(Debug)]
pub(crate) struct Process {
    spec: Spec,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    /// How the last child ended.
    ended: Option<ExitStatus>,
    /// Where the log of the last child begins.
    log_from: u64,
}

impl Process {
    pub(crate) fn new(spec: Spec) -> Self {
        Self { spec, state: Mutex::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.spec.stack_dir.join("logs").join(format!("{}.log", self.spec.name))
    }

    pub(crate) const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Starts it, unless it is running.
    pub(crate) fn spawn(&self) -> Result<(), Error> {
        let mut state = self.lock();
        self.reap(&mut state);
        if state.child.is_some() {
            return Ok(());
        }
        let path = self.log_path();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        let log_from = log.metadata().map_or(0, |data| data.len());
        let log_too = log.try_clone().map_err(io_error("open", &path))?;

        let spec = &self.spec;
        let mut command = command(&spec.stack_dir, spec.stop_signal, &spec.program, spec.run_as);
        command
            .args(&spec.args)
            .current_dir(&spec.dir)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_too);
        let child = command.spawn().map_err(io_error("run", &spec.program))?;
        *state = State { child: Some(child), ended: None, log_from };
        Ok(())
    }

    /// Its process id while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        let mut state = self.lock();
        self.reap(&mut state);
        state.child.as_ref().map(Child::id)
    }

    pub(crate) fn running(&self) -> Result<u32, Error> {
        self.pid().ok_or_else(|| Error::NotRunning { server: self.spec.name.clone() })
    }

    /// An error if it ended, with its log kept.
    pub(crate) fn check_started(&self) -> Result<(), Error> {
        let (status, log_from) = {
            let mut state = self.lock();
            self.reap(&mut state);
            match state.ended {
                Some(status) => (status, state.log_from),
                None => return Ok(()),
            }
        };
        let log = logs::tail(&self.log_path(), log_from);
        let address_in_use = log.as_str().to_ascii_lowercase().contains("address already in use");
        Err(Error::Exited {
            server: self.spec.name.clone(),
            status,
            address_in_use,
            path: self.keep_logs(),
            log,
        })
    }

    /// The error for a server that runs but does not answer, with its log kept.
    pub(crate) fn not_ready(&self, waited: Duration) -> Error {
        let log = logs::tail(&self.log_path(), self.lock().log_from);
        Error::NotReady { server: self.spec.name.clone(), waited, path: self.keep_logs(), log }
    }

    /// Kills it with SIGKILL; returns when it is gone. Nothing happens if it is
    /// down.
    pub(crate) async fn kill(&self) -> Result<(), Error> {
        if self.signal(Signal::KILL).is_err() || self.wait_ended(CONTROL_DEADLINE).await {
            return Ok(());
        }
        let (server, waited) = (self.spec.name.clone(), CONTROL_DEADLINE);
        Err(Error::Deadline { server, what: "its end", waited })
    }

    /// Kills it if it is up, starts it, and returns when `probe` is content.
    pub(crate) async fn restart<F>(
        &self,
        deadline: Duration,
        probe: impl FnMut() -> F,
    ) -> Result<(), Error>
    where
        F: Future<Output = bool>,
    {
        self.kill().await?;
        self.spawn()?;
        self.until(deadline, probe).await
    }

    /// Asks `probe` again and again until it says yes. A probe that hangs says no
    /// after two seconds. An error, with the log, if the server ends first or the
    /// deadline passes.
    pub(crate) async fn until<F>(
        &self,
        deadline: Duration,
        mut probe: impl FnMut() -> F,
    ) -> Result<(), Error>
    where
        F: Future<Output = bool>,
    {
        let end = Instant::now() + deadline;
        loop {
            self.check_started()?;
            if timeout(PROBE_DEADLINE, probe()).await == Ok(true) {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(self.not_ready(deadline));
            }
            tokio::time::sleep(PROBE_POLL).await;
        }
    }

    /// Signals the process itself.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        table::signal(self.running()?, signal);
        Ok(())
    }

    /// Signals the process and all its children, stopping it first so that it
    /// makes no new ones meanwhile.
    pub(crate) fn signal_all(&self, signal: Signal) -> Result<(), Error> {
        let pid = self.running()?;
        if signal == Signal::CONT {
            for child in table::children(pid) {
                table::signal(child, signal);
            }
            table::signal(pid, signal);
            return Ok(());
        }
        table::signal(pid, Signal::STOP);
        // A fork that was under way may still add one after the first look.
        let mut children = Vec::new();
        for _ in 0..2 {
            for child in table::children(pid) {
                if !children.contains(&child) {
                    table::signal(child, Signal::STOP);
                    children.push(child);
                }
            }
        }
        if signal != Signal::STOP {
            table::signal(pid, signal);
            for child in children {
                table::signal(child, signal);
            }
        }
        Ok(())
    }

    /// Stops it and its children from running; returns when all stand still.
    pub(crate) async fn pause(&self) -> Result<(), Error> {
        self.signal_all(Signal::STOP)?;
        self.settle(|pid| table::is_stopped(pid).unwrap_or(true)).await
    }

    /// Lets it and its children run again.
    pub(crate) async fn resume(&self) -> Result<(), Error> {
        self.signal_all(Signal::CONT)?;
        self.settle(|pid| !table::is_stopped(pid).unwrap_or(false)).await
    }

    async fn settle(&self, reached: impl Fn(u32) -> bool) -> Result<(), Error> {
        let pid = self.running()?;
        let end = Instant::now() + SETTLE_DEADLINE;
        loop {
            if reached(pid) && table::children(pid).into_iter().all(&reached) {
                return Ok(());
            }
            if Instant::now() >= end {
                let (server, what) = (self.spec.name.clone(), "a stop or start of its processes");
                return Err(Error::Deadline { server, what, waited: SETTLE_DEADLINE });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until it ended; false if the deadline came first.
    pub(crate) async fn wait_ended(&self, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        while self.pid().is_some() {
            if Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }

    /// The same for `Drop`, where nothing can be awaited.
    pub(crate) fn wait_ended_blocking(&self, deadline: Duration) -> bool {
        poll_blocking(deadline, || self.pid().is_none())
    }

    /// Copies the stack's logs to where they outlive it; the path there, or the
    /// path here if that failed.
    fn keep_logs(&self) -> PathBuf {
        let spec = &self.spec;
        let id = spec.stack_dir.file_name().unwrap_or_default().to_string_lossy();
        logs::keep(&spec.stack_dir.join("logs"), &spec.kept_logs, &id)
            .map_or_else(|_| self.log_path(), |dir| dir.join(format!("{}.log", spec.name)))
    }

    fn reap(&self, state: &mut State) {
        let Some(child) = &mut state.child else {
            return;
        };
        let pid = child.id();
        let status = match child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => status,
            // Someone else waited for it (a `wait(-1)` in the program under test).
            Err(_) => ExitStatus::default(),
        };
        state.child = None;
        state.ended = Some(status);
        let _ = fs::remove_file(self.spec.stack_dir.join("run").join(pid.to_string()));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program that is registered with the stack from its first moment, so that it
/// ends with it.
pub(crate) fn command(
    stack_dir: &Path,
    stop_signal: StopSignal,
    program: &Path,
    run_as: Option<RunAs>,
) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", include_str!("scripts/launch.sh"), "seawall-launch"])
        .arg(stack_dir)
        .arg(match stop_signal {
            StopSignal::Quit => "QUIT",
            StopSignal::Kill => "KILL",
        })
        .arg(program)
        // A group of its own: the terminal's Ctrl-C is not for the servers.
        .process_group(0);
    clean_environment(&mut command);
    run_as::apply(run_as, &mut command);
    command
}

/// Polls a condition on a thread that may block.
pub(crate) fn poll_blocking(deadline: Duration, mut done: impl FnMut() -> bool) -> bool {
    // Counted, not timed: tokio's clock stands still where a test paused it.
    for _ in 0..deadline.as_millis() / POLL.as_millis() {
        if done() {
            return true;
        }
        #[expect(clippy::disallowed_methods, reason = "Drop cannot await")]
        std::thread::sleep(POLL);
    }
    done()
}

/// Removes a file that may be gone.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Takes out what would change a server's behaviour from one shell to the next.
fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("PG") || text.starts_with("LC_") || text == "LANG" || text == "TZ" {
            command.env_remove(&name);
        }
    }
    command.env("LC_ALL", "C");
}

const CONTROL_DEADLINE: Duration = Duration::from_secs(10);
const PROBE_DEADLINE: Duration = Duration::from_secs(2);
const PROBE_POLL: Duration = Duration::from_millis(10);
const SETTLE_DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn stack_dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("seawall-{name}-{}", std::process::id()));
        fs::create_dir_all(dir.join("run")).unwrap();
        dir
    }

    #[test]
    fn program_is_on_record_under_its_own_mark_before_it_runs() {
        let dir = stack_dir("record");
        let mut cat = command(&dir, StopSignal::Quit, Path::new("/bin/cat"), None);
        let mut child = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Whatever `cat` answers, it was recorded before.
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        io::Write::write_all(&mut input, b"x").unwrap();
        io::Read::read_exact(&mut output, &mut [0]).unwrap();
        let record = fs::read_to_string(dir.join("run").join(child.id().to_string())).unwrap();
        let mark = table::mark(child.id());
        drop(input);
        child.wait().unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(record.lines().nth(1), Some("QUIT"));
        assert_eq!(mark, Some(table::mark_of(&record)));
        assert_eq!(table::mark(child.id()), None);
    }

    #[test]
    fn nothing_is_launched_once_the_stack_is_being_removed() {
        let dir = stack_dir("closed");
        fs::write(dir.join("closed"), "").unwrap();
        let proof = dir.join("proof");
        let mut touch = command(&dir, StopSignal::Quit, Path::new("/usr/bin/touch"), None);
        let closed = touch.arg(&proof).status().unwrap();
        fs::remove_file(dir.join("closed")).unwrap();
        let launched = proof.exists();
        let open = touch.status().unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert!(!closed.success() && !launched);
        assert!(open.success());
    }
}

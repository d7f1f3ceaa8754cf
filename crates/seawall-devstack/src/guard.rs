//! What stops a stack: `Drop` when its owner lets go of it, a watchdog process
//! when its owner dies.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use crate::cleanup;
use crate::error::Error;
use crate::home::StackDir;
use crate::io_error;
use crate::logs;
use crate::ports::Port;
use crate::process::{Process, StopSignal};

/// Owns the directory and the processes of a stack.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) dir: StackDir,
    pub(crate) keep_logs: bool,
    kept_logs: PathBuf,
    processes: Mutex<Vec<Arc<Process>>>,
    ports: Vec<Port>,
    watchdog: Watchdog,
}

/// A shell that waits for the end of a pipe whose other end only this process
/// has: the kernel closes it however this process ends.
#[derive(Debug)]
struct Watchdog {
    child: Child,
    pipe: Option<io::PipeWriter>,
}

impl Guard {
    pub(crate) fn new(dir: StackDir, kept_logs: PathBuf, keep_logs: bool) -> Result<Self, Error> {
        let watchdog = match Watchdog::start(&dir.path, &dir.id) {
            Ok(watchdog) => watchdog,
            Err(error) => {
                cleanup::remove_stack(&dir.path, &dir.id);
                return Err(error);
            }
        };
        Ok(Self {
            dir,
            keep_logs,
            kept_logs,
            processes: Mutex::default(),
            ports: Vec::new(),
            watchdog,
        })
    }

    pub(crate) fn add(&self, process: Arc<Process>) {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }

    pub(crate) fn hold_port(&mut self, port: Port) -> u16 {
        let number = port.number;
        self.ports.push(port);
        number
    }

    fn stop_processes(&self) {
        let processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        for process in processes.iter() {
            let signal = match process.spec().stop_signal {
                StopSignal::Quit => Signal::QUIT,
                StopSignal::Kill => Signal::KILL,
            };
            // `NotRunning` is what is wanted here. Paused ones wake up to stop.
            let _ = process.signal(signal);
            let _ = process.signal_all(Signal::CONT);
        }
        for process in processes.iter() {
            if !process.wait_ended_blocking(PATIENCE) {
                let _ = process.signal_all(Signal::KILL);
                process.wait_ended_blocking(PATIENCE);
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop_processes();
        let panicking = std::thread::panicking();
        if self.keep_logs || panicking {
            match logs::keep(&self.dir.path.join("logs"), &self.kept_logs, &self.dir.id) {
                Ok(kept) => logs::say(format_args!("server logs kept in {}", kept.display())),
                Err(error) => logs::say(format_args!("cannot keep the server logs: {error}")),
            }
        }
        cleanup::remove_stack(&self.dir.path, &self.dir.id);
        self.watchdog.dismiss();
    }
}

impl Watchdog {
    fn start(dir: &Path, id: &str) -> Result<Self, Error> {
        let (end, pipe) =
            io::pipe().map_err(|source| Error::Net { action: "make a pipe", source })?;
        let child = Command::new("/bin/sh")
            .args(["-c", include_str!("scripts/watchdog.sh"), "seawall-watchdog"])
            .arg(dir)
            .arg(cleanup::cluster_prefix(id))
            .current_dir("/")
            .stdin(end)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(io_error("run", Path::new("/bin/sh")))?;
        Ok(Self { child, pipe: Some(pipe) })
    }

    /// Lets it go and waits for it: it finds no directory and ends.
    fn dismiss(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(3);

//! Removing a stack: its processes, then its directory. The same work as
//! `watchdog.sh` does, for a stack whose watchdog is gone or not needed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::poll_blocking;
use crate::process_table as table;
use crate::shared_memory;

/// Stops whatever still runs for the stack, then removes its directory. Blocks
/// for a few milliseconds, or some seconds if a process does not go.
pub(crate) fn remove_stack(dir: &Path, id: &str) {
    // A server that is only just being launched gives up when it sees this.
    let _ = fs::write(dir.join("closed"), "");
    let title = cluster_title(id);
    for (pid, signal) in registered(dir) {
        table::signal(pid, signal);
        table::signal(pid, Signal::CONT);
    }
    let gone = || registered(dir).is_empty() && table::titled(&title).is_empty();
    if !poll_blocking(PATIENCE, gone) {
        for (pid, _) in registered(dir) {
            table::signal(pid, Signal::KILL);
        }
        for pid in table::titled(&title) {
            table::signal(pid, Signal::KILL);
        }
        poll_blocking(PATIENCE, gone);
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let pid_file = entry.path().join("postmaster.pid");
        poll_blocking(PATIENCE, || shared_memory::release(&pid_file));
    }
    if !poll_blocking(PATIENCE, || remove_dir(dir)) {
        tracing::warn!(dir = %dir.display(), "cannot remove the directory of a stack");
    }
}

/// How the titles of a stack's PostgreSQL processes begin.
pub(crate) fn cluster_title(id: &str) -> String {
    format!("postgres: {}", cluster_prefix(id))
}

/// How `cluster_name` begins in each server of a stack.
pub(crate) fn cluster_prefix(id: &str) -> String {
    format!("seawall-{id}-")
}

/// Removes all of it, its lock last: until then nobody takes it for abandoned.
/// Others may be at it too, so "not found" may come up half way.
fn remove_dir(dir: &Path) -> bool {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name() != "lock" {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
    fs::remove_dir_all(dir).is_ok() || !dir.exists()
}

/// The living processes that `launch.sh` recorded, and what stops each.
fn registered(dir: &Path) -> Vec<(u32, Signal)> {
    fs::read_dir(dir.join("run"))
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let record = fs::read_to_string(entry.path()).ok()?;
            let signal = match record.lines().nth(1) {
                Some("QUIT") => Signal::QUIT,
                _ => Signal::KILL,
            };
            // The id may have gone to another process since.
            (table::mark(pid)? == table::mark_of(&record)).then_some((pid, signal))
        })
        .collect()
}

const PATIENCE: Duration = Duration::from_secs(3);

//! What the operating system knows of processes: `/proc` where there is one, else `ps`.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal; a process that is gone, or is not ours, is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// What tells this process from a later one with the same id; `None` if it is
/// gone or only waits to be reaped.
pub(crate) fn mark(pid: u32) -> Option<String> {
    if has_proc() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, _) = state_and_parent(&stat)?;
        return (state != "Z" && state != "X").then(|| mark_of(&stat));
    }
    let line = ps(&["-o", "lstart=", "-p", &pid.to_string()]);
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// Whether a process is stopped by a signal; `None` if it is gone.
pub(crate) fn is_stopped(pid: u32) -> Option<bool> {
    if has_proc() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        return state_and_parent(&stat).map(|(state, _)| state == "T");
    }
    let state = ps(&["-o", "state=", "-p", &pid.to_string()]);
    let state = state.trim();
    (!state.is_empty()).then(|| state.starts_with('T'))
}

/// The mark in a record that `launch.sh` wrote.
pub(crate) fn mark_of(record: &str) -> String {
    let line = record.lines().next().unwrap_or_default();
    line.rsplit_once(") ")
        .and_then(|(_, fields)| fields.split(' ').nth(START_TIME_FIELD))
        .unwrap_or_else(|| line.trim())
        .to_owned()
}

/// The living children of a process.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    if has_proc() {
        return proc_pids()
            .filter(|pid| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                matches!(state_and_parent(&stat), Some((state, of)) if of == parent && state != "Z")
            })
            .collect();
    }
    ps(&["-axo", "pid=,ppid="])
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().map(|word| word.parse().ok());
            let pid = words.next()??;
            (words.next()?? == parent).then_some(pid)
        })
        .collect()
}

/// The processes whose title (command line) begins with `prefix`.
pub(crate) fn titled(prefix: &str) -> Vec<u32> {
    if has_proc() {
        return proc_pids()
            .filter(|pid| {
                fs::read(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|title| title.starts_with(prefix.as_bytes()))
            })
            .collect();
    }
    ps(&["-axo", "pid=,command="])
        .lines()
        .filter_map(|line| {
            let (pid, title) = line.trim_start().split_once(' ')?;
            title.trim_start().starts_with(prefix).then(|| pid.parse().ok())?
        })
        .collect()
}

fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

fn proc_pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// `pid (name) state ppid ..`, where the name may hold anything.
fn state_and_parent(stat: &str) -> Option<(&str, u32)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    Some((fields.next()?, fields.next()?.parse().ok()?))
}

fn ps(args: &[&str]) -> String {
    Command::new("ps")
        .args(args)
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

/// Field 22 of `/proc/PID/stat`, counted from the state, which is field 3.
const START_TIME_FIELD: usize = 19;

//! What the tests share.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::time::{Instant, sleep, timeout};

/// Long enough for a busy machine; nothing waits for it unless it fails.
pub(crate) const SOON: Duration = Duration::from_secs(40);

/// Polls a condition until it holds; panics when it has not within [`SOON`].
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let end = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a future does not resolve for a moment.
pub(crate) async fn hangs<T>(future: impl Future<Output = T>) -> bool {
    timeout(Duration::from_millis(300), future).await.is_err()
}

/// A directory of its own for stacks that other tests must not sweep; removed when dropped.
pub(crate) struct Base(PathBuf);

impl Base {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("seawall-it-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The directories of the stacks in it.
    pub(crate) fn stacks(&self) -> Vec<PathBuf> {
        entries(&self.shared().join("stacks"))
    }

    /// The crate's directory in it.
    pub(crate) fn shared(&self) -> PathBuf {
        entries(&self.0).pop().expect("no stack was started here")
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The living processes: id, parent's id, command line or title.
pub(crate) fn processes() -> Vec<(u32, u32, String)> {
    if !Path::new("/proc/self/stat").exists() {
        let output = Command::new("ps").args(["-axo", "pid=,ppid=,command="]).output().unwrap();
        return String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (pid, parent) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                Some((pid, parent, words.collect::<Vec<_>>().join(" ")))
            })
            .collect();
    }
    entries(Path::new("/proc"))
        .into_iter()
        .filter_map(|dir| {
            let pid = dir.file_name()?.to_str()?.parse().ok()?;
            let stat = fs::read_to_string(dir.join("stat")).ok()?;
            let (_, fields) = stat.rsplit_once(") ")?;
            let mut fields = fields.split(' ');
            let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
            let title = fs::read(dir.join("cmdline")).ok()?;
            let title = String::from_utf8_lossy(&title).replace('\0', " ");
            (state != "Z").then_some((pid, parent, title))
        })
        .collect()
}

pub(crate) fn is_alive(pid: u32) -> bool {
    processes().iter().any(|(it, _, _)| *it == pid)
}

/// The processes that name a stack: its PostgreSQL servers and its watchdog.
pub(crate) fn processes_of(stack_dir: &Path) -> Vec<(u32, u32, String)> {
    let id = stack_dir.file_name().unwrap().to_str().unwrap();
    processes().into_iter().filter(|(_, _, title)| title.contains(id)).collect()
}

/// The processes that work in a directory or below it, or name it.
pub(crate) fn processes_in(dir: &Path) -> Vec<(u32, u32, String)> {
    let name = dir.to_str().unwrap();
    let works_there = |pid| {
        fs::read_link(format!("/proc/{pid}/cwd"))
            .is_ok_and(|it| it.to_string_lossy().contains(name))
    };
    let found = |(pid, _, title): &(u32, u32, String)| title.contains(name) || works_there(*pid);
    processes().into_iter().filter(found).collect()
}

pub(crate) fn send(signal: Signal, pid: u32) {
    kill_process(id(pid), signal).unwrap();
}

/// As a terminal does for Ctrl-C.
pub(crate) fn send_to_group(signal: Signal, leader: u32) {
    kill_process_group(id(leader), signal).unwrap();
}

fn id(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

//! The directory that all stacks of one user share, and the locks in it.
//!
//! ```text
//! TMP/seawall-devstack-UID/
//!   lock            held while a stack is registered or stale ones are claimed
//!   ports/N         locked by the stack that uses port N
//!   templates/KEY/  a PostgreSQL data directory to copy
//!   stacks/ID/      one stack; its `lock` is held by the process that owns it
//!   kept-logs/ID/   logs of stacks that failed
//! ```
//!
//! All locks are `flock`: the kernel gives them back however their holder dies.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::cleanup;
use crate::error::Error;
use crate::io_error;
use crate::run_as::{self, RunAs};

/// The shared directory.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
}

/// The directory of one stack, owned by this process until dropped.
#[derive(Debug)]
pub(crate) struct StackDir {
    pub(crate) path: PathBuf,
    pub(crate) id: String,
    /// Released when the file closes.
    _lock: File,
}

impl Home {
    /// Opens it under `base`, or under the temporary directory of the system.
    pub(crate) fn open(base: Option<&Path>, run_as: Option<RunAs>) -> Result<Self, Error> {
        let uid = rustix::process::geteuid().as_raw();
        let base = base.map_or_else(|| temporary_dir(run_as), Path::to_path_buf);
        // The servers' working directory is another than this process'.
        let base = std::path::absolute(&base).map_err(io_error("find", &base))?;
        let root = base.join(format!("seawall-devstack-{uid}"));
        // Another user must be able to pass through only if it runs the servers.
        let mode = if run_as.is_some() { 0o711 } else { 0o700 };
        make_dir_of(&root, mode, uid)?;
        let home = Self { root };
        for part in ["ports", "templates", "stacks"] {
            make_dir(&home.root.join(part), mode)?;
        }
        Ok(home)
    }

    /// A new stack's directory. Before that, whatever a process left behind that
    /// died without its watchdog is stopped and removed.
    pub(crate) fn new_stack(&self, run_as: Option<RunAs>) -> Result<StackDir, Error> {
        let (new, stale) = {
            // A stack's directory exists before its lock does: nobody may look meanwhile.
            let _lock = self.lock("lock")?;
            (self.make_stack(run_as)?, self.claim_stale())
        };
        for stack in stale {
            tracing::warn!(stack = stack.id, "removing a stack whose process died");
            cleanup::remove_stack(&stack.path, &stack.id);
        }
        Ok(new)
    }

    /// Waits for a lock.
    pub(crate) fn lock(&self, name: &str) -> Result<File, Error> {
        let path = self.root.join(name);
        let file = open_lock(&path).map_err(io_error("open", &path))?;
        file.lock().map_err(io_error("lock", &path))?;
        Ok(file)
    }

    /// Waits for a lock that many may hold for reading.
    pub(crate) fn lock_shared(&self, name: &str) -> Result<File, Error> {
        let path = self.root.join(name);
        let file = open_lock(&path).map_err(io_error("open", &path))?;
        file.lock_shared().map_err(io_error("lock", &path))?;
        Ok(file)
    }

    /// The lock, if nobody holds it.
    pub(crate) fn try_lock(&self, name: &str) -> Option<File> {
        let file = open_lock(&self.root.join(name)).ok()?;
        file.try_lock().is_ok().then_some(file)
    }

    pub(crate) fn templates(&self) -> PathBuf {
        self.root.join("templates")
    }

    pub(crate) fn kept_logs(&self) -> PathBuf {
        self.root.join("kept-logs")
    }

    fn make_stack(&self, run_as: Option<RunAs>) -> Result<StackDir, Error> {
        let id = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
        let path = self.root.join("stacks").join(&id);
        make_dir(&path, 0o711)?;
        for (part, mode) in [("logs", 0o700), ("run", 0o700)] {
            make_dir(&path.join(part), mode)?;
        }
        // Each server writes its own process id there.
        run_as::give(run_as, &path.join("run"))?;
        let lock = self.lock(&format!("stacks/{id}/lock"))?;
        Ok(StackDir { path, id, _lock: lock })
    }

    fn claim_stale(&self) -> Vec<StackDir> {
        fs::read_dir(self.root.join("stacks"))
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let id = entry.file_name().into_string().ok()?;
                let lock = self.try_lock(&format!("stacks/{id}/lock"))?;
                Some(StackDir { path: entry.path(), id, _lock: lock })
            })
            .collect()
    }
}

/// Makes a directory with exactly this mode; one that exists is fine.
pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(io_error("create", path))?;
    // The umask may have taken bits away.
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, permissions).map_err(io_error("set the mode of", path))
}

/// The same for a place where anyone may have made something of that name before.
fn make_dir_of(path: &Path, mode: u32, uid: u32) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io_error("create", parent))?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io_error("create", path)(error));
        }
        _ => {}
    }
    // Not following a link: that could lead to a directory which is ours as well.
    let found = fs::symlink_metadata(path).map_err(io_error("examine", path))?;
    if !found.is_dir() || found.uid() != uid {
        let error = io::ErrorKind::PermissionDenied.into();
        return Err(io_error("use, as another user made it,", path)(error));
    }
    make_dir(path, mode)
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// The system's temporary directory, unless the servers' user cannot get there
/// (root with `TMPDIR` in its own home directory).
fn temporary_dir(run_as: Option<RunAs>) -> PathBuf {
    let dir = std::env::temp_dir();
    let passable = |part: &Path| fs::metadata(part).is_ok_and(|data| data.mode() & 0o001 != 0);
    if run_as.is_none() || dir.ancestors().all(passable) { dir } else { PathBuf::from("/tmp") }
}

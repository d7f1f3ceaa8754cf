//! Which user the servers run as: PostgreSQL refuses to run as root.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::error::Error;
use crate::io_error;

/// The user of the servers, if it is not the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunAs {
    uid: u32,
    gid: u32,
}

impl RunAs {
    /// `postgres` if there is such a user, else `nobody`, when the caller is
    /// root; `None` when it is not.
    pub(crate) fn detect() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        ["postgres", "nobody"].iter().find_map(|user| {
            let uid = id("-u", user)?;
            (uid != 0).then_some(Self { uid, gid: id("-g", user)? })
        })
    }

    pub(crate) const fn uid(self) -> u32 {
        self.uid
    }
}

/// Makes the program run as that user; the standard library drops the
/// caller's supplementary groups with it.
pub(crate) fn apply(run_as: Option<RunAs>, command: &mut Command) {
    if let Some(RunAs { uid, gid }) = run_as {
        command.uid(uid).gid(gid);
    }
}

/// Gives a file or directory to that user.
pub(crate) fn give(run_as: Option<RunAs>, path: &Path) -> Result<(), Error> {
    match run_as {
        Some(RunAs { uid, gid }) => {
            chown(path, Some(uid), Some(gid)).map_err(io_error("change the owner of", path))
        }
        None => Ok(()),
    }
}

fn id(which: &str, user: &str) -> Option<u32> {
    let output = Command::new("id").args([which, user]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

//! Freeing what a killed PostgreSQL leaves in the kernel.
//!
//! A postmaster holds one small System V segment as a lock on its data directory
//! and frees it when it stops. After `kill -9` it stays until a server on the same
//! directory, or a reboot, removes it; a test suite that kills would fill the
//! system's table of them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Removes the segment named in a `postmaster.pid` left by a process that is dead.
/// Where `/proc/sysvipc/shm` cannot confirm that the segment is that process' own
/// and in nobody's use, it is left alone.
pub(crate) fn release(pid_file: &Path) {
    let Ok(pid_file) = fs::read_to_string(pid_file) else {
        return;
    };
    let Ok(segments) = fs::read_to_string("/proc/sysvipc/shm") else {
        return;
    };
    if let Some(id) = orphan(&pid_file, &segments) {
        let _ = Command::new("ipcrm")
            .args(["-m", id])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// `postmaster.pid`: the process id in line 1, segment key and id in line 7.
/// `/proc/sysvipc/shm`: key, id, perms, size, creator's pid, last pid, attached ..
fn orphan<'a>(pid_file: &'a str, segments: &str) -> Option<&'a str> {
    let pid = pid_file.lines().next()?.trim();
    let mut line = pid_file.lines().nth(6)?.split_whitespace();
    let (key, id) = (line.next()?, line.next()?);
    // One file prints the key unsigned, the other signed.
    let same_key = |text: &str| {
        let number = |text: &str| text.parse::<i64>().ok().map(|key| key & 0xffff_ffff);
        number(text).is_some() && number(text) == number(key)
    };
    segments
        .lines()
        .any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            matches!(words[..], [its_key, its_id, _, _, creator, _, attached, ..]
                if same_key(its_key) && its_id == id && creator == pid && attached == "0")
        })
        .then_some(id)
}

#[cfg(test)]
mod tests {
    use super::orphan;

    const PID_FILE: &str =
        "4242\n/tmp/x\n1700000000\n15432\n\n127.0.0.1\n  3145731        12\nready\n";
    const HEADER: &str =
        "       key      shmid perms                  size  cpid  lpid nattch   uid\n";

    #[test]
    fn segment_of_the_dead_postmaster_is_found() {
        let segments =
            format!("{HEADER}   3145731         12   600    56  4242  4250      0   101\n");
        assert_eq!(orphan(PID_FILE, &segments), Some("12"));
    }

    #[test]
    fn segment_in_use_or_of_another_process_is_left_alone() {
        for line in [
            "   3145731         12   600    56  4242  4250      1   101\n",
            "   3145731         12   600    56  4243  4250      0   101\n",
            "   3145732         12   600    56  4242  4250      0   101\n",
            "   3145731         13   600    56  4242  4250      0   101\n",
        ] {
            assert_eq!(orphan(PID_FILE, &format!("{HEADER}{line}")), None, "{line}");
        }
        assert_eq!(orphan("4242\n", HEADER), None);
    }
}

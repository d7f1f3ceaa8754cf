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
/// False if another process has not let go of it yet: a dying one is out of sight
/// a moment before the kernel takes its memory.
///
/// Where `/proc/sysvipc/shm` cannot confirm that the segment is that process' own,
/// it is left alone.
pub(crate) fn release(pid_file: &Path) -> bool {
    let Ok(pid_file) = fs::read_to_string(pid_file) else {
        return true;
    };
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    match find(&pid_file, &segments) {
        Segment::None => true,
        Segment::Attached => false,
        Segment::Orphan(id) => {
            let _ = Command::new("ipcrm")
                .args(["-m", id])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            true
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Segment<'a> {
    None,
    Attached,
    Orphan(&'a str),
}

/// `postmaster.pid`: the process id in line 1, segment key and id in line 7.
/// `/proc/sysvipc/shm`: key, id, perms, size, creator's pid, last pid, attached ..
fn find<'a>(pid_file: &'a str, segments: &str) -> Segment<'a> {
    let mut lines = pid_file.lines();
    let pid = lines.next().unwrap_or_default().trim();
    let mut words = lines.nth(5).unwrap_or_default().split_whitespace();
    let (Some(key), Some(id)) = (words.next(), words.next()) else {
        return Segment::None;
    };
    // One file prints the key unsigned, the other signed.
    let number = |text: &str| text.parse::<i64>().ok().map(|key| key & 0xffff_ffff);
    for line in segments.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let [its_key, its_id, _, _, creator, _, attached, ..] = words[..]
            && number(its_key).is_some()
            && (number(its_key), its_id, creator) == (number(key), id, pid)
        {
            return if attached == "0" { Segment::Orphan(id) } else { Segment::Attached };
        }
    }
    Segment::None
}

#[cfg(test)]
mod tests {
    use super::{Segment, find};

    const PID_FILE: &str =
        "4242\n/tmp/x\n1700000000\n15432\n\n127.0.0.1\n  3145731        12\nready\n";
    const HEADER: &str = "       key      shmid perms   size  cpid  lpid nattch   uid\n";

    #[test]
    fn segment_of_the_dead_postmaster_is_found_and_waited_for() {
        let line = |attached| {
            format!("{HEADER}   3145731  12   600    56  4242  4250  {attached}   101\n")
        };
        assert_eq!(find(PID_FILE, &line(0)), Segment::Orphan("12"));
        assert_eq!(find(PID_FILE, &line(1)), Segment::Attached);
    }

    #[test]
    fn segment_of_another_process_is_left_alone() {
        for line in [
            "   3145731         12   600    56  4243  4250      0   101\n",
            "   3145732         12   600    56  4242  4250      0   101\n",
            "   3145731         13   600    56  4242  4250      0   101\n",
        ] {
            assert_eq!(find(PID_FILE, &format!("{HEADER}{line}")), Segment::None, "{line}");
        }
        assert_eq!(find("4242\n", HEADER), Segment::None);
    }
}

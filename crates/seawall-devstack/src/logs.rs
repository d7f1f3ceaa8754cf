//! Reading the ends of logs, and keeping logs past the life of their stack.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::LogTail;

/// The end of a log: at most the last 8 KiB and 40 lines after `from`.
pub(crate) fn tail(path: &Path, from: u64) -> LogTail {
    let text = read_end(path, from, TAIL_BYTES).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let skipped = text.lines().count().saturating_sub(TAIL_LINES);
    LogTail(text.lines().skip(skipped).collect::<Vec<_>>().join("\n"))
}

/// The end of a program's output, likewise.
pub(crate) fn tail_of(output: &[u8]) -> LogTail {
    let text = String::from_utf8_lossy(output);
    let skipped = text.lines().count().saturating_sub(TAIL_LINES);
    LogTail(text.lines().skip(skipped).collect::<Vec<_>>().join("\n"))
}

/// Copies the logs in `from` to `kept/NAME` and returns that folder. Of each log
/// at most the last 4 MiB, of such folders at most the last 20 are kept.
pub(crate) fn keep(from: &Path, kept: &Path, name: &str) -> io::Result<PathBuf> {
    let to = kept.join(name);
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let end = read_end(&entry.path(), 0, KEPT_BYTES)?;
        fs::write(to.join(entry.file_name()), end)?;
    }
    drop_oldest(kept)?;
    Ok(to)
}

/// Tells the person at the terminal; works while a test captures `stdout`.
pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "seawall-devstack: {line}");
}

fn read_end(path: &Path, from: u64, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(limit))))?;
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text)?;
    Ok(text)
}

fn drop_oldest(kept: &Path) -> io::Result<()> {
    let mut folders: Vec<_> = fs::read_dir(kept)?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .collect();
    folders.sort();
    let surplus = folders.len().saturating_sub(KEPT_FOLDERS);
    for (_, folder) in folders.drain(..surplus) {
        // Another process may be doing the same.
        let _ = fs::remove_dir_all(folder);
    }
    Ok(())
}

const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 40;
const KEPT_BYTES: u64 = 4 * 1024 * 1024;
const KEPT_FOLDERS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_logs_are_bounded_in_number_and_size() {
        let dir = std::env::temp_dir().join(format!("seawall-logs-{}", std::process::id()));
        let (from, kept) = (dir.join("from"), dir.join("kept"));
        fs::create_dir_all(&from).unwrap();
        let mut long = vec![b'a'; 5 * 1024 * 1024];
        long.extend(b"the end");
        fs::write(from.join("primary.log"), &long).unwrap();
        for number in 0..25 {
            keep(&from, &kept, &format!("{number}")).unwrap();
        }
        let folders = fs::read_dir(&kept).unwrap().count();
        let last = fs::read(kept.join("24/primary.log")).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(folders, 20);
        assert_eq!(last.len(), 4 * 1024 * 1024);
        assert!(last.ends_with(b"the end"));
    }

    #[test]
    fn tail_shows_the_last_lines_of_this_run_only() {
        let path = std::env::temp_dir().join(format!("seawall-tail-{}", std::process::id()));
        let lines: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
        fs::write(&path, lines.join("\n")).unwrap();
        let whole = tail(&path, 0);
        let run = tail(&path, "line 0\n".len() as u64 * 10 + "line 10\n".len() as u64 * 88);
        let missing = tail(&path.with_extension("none"), 0);
        fs::remove_file(&path).unwrap();
        assert!(whole.as_str().starts_with("line 60\n") && whole.as_str().ends_with("line 99"));
        assert_eq!(run.as_str(), "line 98\nline 99");
        assert_eq!(missing.to_string(), "    (empty)");
    }
}

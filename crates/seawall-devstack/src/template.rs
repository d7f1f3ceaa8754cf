//! One PostgreSQL data directory per version, made once and copied for every server.
//!
//! A replica may start from the same copy as its primary: the template was shut
//! down in order, so both know the same end of the log, and the replica streams
//! what the primary writes after it. That spares each start an `initdb` and each
//! replica a base backup.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::binaries;
use crate::error::Error;
use crate::home::{self, Home};
use crate::io_error;
use crate::logs;
use crate::run_as::{self, RunAs};

/// A template, protected from removal until dropped.
#[derive(Debug)]
pub(crate) struct Template {
    data: PathBuf,
    entries: usize,
    /// Whether `pg_stat_statements` is installed in it and must be preloaded.
    pub(crate) pg_stat_statements: bool,
    _lock: File,
}

impl Template {
    /// The template for this version of PostgreSQL, made now if there is none.
    pub(crate) fn open(
        home: &Home,
        programs: &binaries::Postgres,
        run_as: Option<RunAs>,
    ) -> Result<Self, Error> {
        let key = key(programs, run_as);
        let lock_name = format!("templates/{key}.lock");
        loop {
            let lock = home.lock_shared(&lock_name)?;
            if let Some(template) = Self::read(&home.templates().join(&key), lock) {
                return Ok(template);
            }
            // Two processes may come here at once; the second finds it made.
            let _lock = home.lock(&lock_name)?;
            if read_info(&home.templates().join(&key)).is_none() {
                build(home, &key, programs, run_as)?;
            }
        }
    }

    /// Copies the data directory. An incomplete template is removed and reported
    /// as `Ok(false)`: systems clean their temporary directory file by file.
    pub(crate) fn copy_to(&self, to: &Path, run_as: Option<RunAs>) -> Result<bool, Error> {
        let entries = copy_tree(&self.data, to, run_as)?;
        if entries == self.entries {
            return Ok(true);
        }
        if let Some(parent) = self.data.parent() {
            let _ = fs::remove_file(parent.join("info"));
        }
        Ok(false)
    }

    fn read(dir: &Path, lock: File) -> Option<Self> {
        let (entries, pg_stat_statements) = read_info(dir)?;
        Some(Self {
            data: dir.join("data"),
            entries,
            pg_stat_statements,
            _lock: lock,
        })
    }
}

/// Written last, so its presence says that the template is whole.
fn read_info(dir: &Path) -> Option<(usize, bool)> {
    let info = fs::read_to_string(dir.join("info")).ok()?;
    let (entries, pg_stat_statements) = info.trim().split_once(' ')?;
    Some((entries.parse().ok()?, pg_stat_statements == "true"))
}

/// Differs whenever the content would: version, owner, and how this file makes it.
fn key(programs: &binaries::Postgres, run_as: Option<RunAs>) -> String {
    let version: String = programs
        .version
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
        .collect();
    let owner = run_as.map_or_else(|| "self".to_owned(), |run_as| run_as.uid().to_string());
    format!("{version}-{owner}-{RECIPE}")
}

/// Under the exclusive lock of `key`.
fn build(
    home: &Home,
    key: &str,
    programs: &binaries::Postgres,
    run_as: Option<RunAs>,
) -> Result<(), Error> {
    let started = tokio::time::Instant::now();
    let done = home.templates().join(key);
    let dir = home.templates().join(format!("{key}.new"));
    // What a killed builder left, or a template of which files went missing.
    for leftover in [&dir, &done] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(io_error("remove", leftover))?;
        }
    }
    home::make_dir(&dir, 0o711)?;
    let data = dir.join("data");
    home::make_dir(&data, 0o700)?;
    run_as::give(run_as, &data)?;

    let mut initdb = program(&programs.initdb, run_as);
    initdb.arg("-D").arg(&data).args([
        "-U",
        "seawall",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "-N",
    ]);
    let output = initdb.output().map_err(io_error("run", &programs.initdb))?;
    if !output.status.success() {
        return Err(Error::Template {
            step: "initdb",
            output: logs::tail_of(&output.stderr),
        });
    }
    let made = single_user(
        programs,
        run_as,
        &data,
        &["postgres"],
        "CREATE DATABASE seawall",
    )?;
    if let Err(output) = made {
        return Err(Error::Template {
            step: "CREATE DATABASE",
            output: logs::tail_of(&output),
        });
    }
    // Debian has it in the server's package; elsewhere it may be one of its own.
    let preload = [
        "-c",
        "shared_preload_libraries=pg_stat_statements",
        "seawall",
    ];
    let extension = "CREATE EXTENSION pg_stat_statements";
    let has_extension = single_user(programs, run_as, &data, &preload, extension)?.is_ok();

    let info = format!("{} {has_extension}\n", count_tree(&data)?);
    fs::write(dir.join("info"), info).map_err(io_error("write", &dir))?;
    fs::rename(&dir, &done).map_err(io_error("rename", &dir))?;
    tracing::info!(took = ?started.elapsed(), version = programs.version, "made the PostgreSQL template");
    Ok(())
}

/// Runs one statement without a server; `Err` holds what PostgreSQL printed.
fn single_user(
    programs: &binaries::Postgres,
    run_as: Option<RunAs>,
    data: &Path,
    args: &[&str],
    statement: &str,
) -> Result<Result<(), Vec<u8>>, Error> {
    let failed = |error| io_error("run", &programs.postgres)(error);
    let mut command = program(&programs.postgres, run_as);
    command
        .args(["--single", "-F", "-D"])
        .arg(data)
        .args(args)
        .stdin(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it ended already, its output says why.
        let _ = writeln!(stdin, "{statement}");
    }
    let output = child.wait_with_output().map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stderr);
    let refused = text.contains("ERROR:") || text.contains("FATAL:");
    Ok(if output.status.success() && !refused {
        Ok(())
    } else {
        Err(output.stderr)
    })
}

fn program(path: &Path, run_as: Option<RunAs>) -> Command {
    let mut command = Command::new(path);
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    crate::process::clean_environment(&mut command);
    run_as::apply(run_as, &mut command);
    command
}

/// Copies a directory with its modes, gives all of it to the servers' user, and
/// returns how many files and directories that were.
fn copy_tree(from: &Path, to: &Path, run_as: Option<RunAs>) -> Result<usize, Error> {
    let mode = fs::metadata(from)
        .map_err(io_error("examine", from))?
        .permissions()
        .mode();
    home::make_dir(to, mode & 0o777)?;
    run_as::give(run_as, to)?;
    let mut entries = 1;
    for entry in fs::read_dir(from).map_err(io_error("list", from))? {
        let entry = entry.map_err(io_error("list", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry
            .file_type()
            .map_err(io_error("examine", &source))?
            .is_dir()
        {
            entries += copy_tree(&source, &target, run_as)?;
        } else {
            // Clones the blocks on file systems that can.
            fs::copy(&source, &target).map_err(io_error("copy", &source))?;
            run_as::give(run_as, &target)?;
            entries += 1;
        }
    }
    Ok(entries)
}

fn count_tree(dir: &Path) -> Result<usize, Error> {
    let mut entries = 1;
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let entry = entry.map_err(io_error("list", dir))?;
        let is_dir = entry
            .file_type()
            .map_err(io_error("examine", &entry.path()))?
            .is_dir();
        entries += if is_dir {
            count_tree(&entry.path())?
        } else {
            1
        };
    }
    Ok(entries)
}

/// To be raised with any change to `build`.
const RECIPE: u32 = 1;

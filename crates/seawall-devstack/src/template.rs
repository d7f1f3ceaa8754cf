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
use crate::process::{self, StopSignal};
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

/// What makes a template.
#[derive(Debug)]
pub(crate) struct Maker<'a> {
    pub(crate) programs: &'a binaries::Postgres,
    pub(crate) run_as: Option<RunAs>,
    /// The stack that needs it; should its owner die, the programs end with it.
    pub(crate) stack_dir: &'a Path,
}

impl Template {
    /// The template for this version of PostgreSQL, made now if there is none.
    pub(crate) fn open(home: &Home, maker: &Maker<'_>) -> Result<Self, Error> {
        let key = maker.key();
        let lock_name = format!("templates/{key}.lock");
        loop {
            let lock = home.lock_shared(&lock_name)?;
            if let Some(template) = Self::read(&home.templates().join(&key), lock) {
                return Ok(template);
            }
            // Two processes may come here at once; the second finds it made.
            let _lock = home.lock(&lock_name)?;
            if read_info(&home.templates().join(&key)).is_none() {
                maker.build(&home.templates(), &key)?;
            }
        }
    }

    /// Copies the data directory. An incomplete template is given up and reported
    /// as `Ok(false)`: systems clean their temporary directory file by file.
    pub(crate) fn copy_to(&self, to: &Path, run_as: Option<RunAs>) -> Result<bool, Error> {
        let entries = copy_tree(&self.data, to, run_as)?;
        if entries == self.entries {
            return Ok(true);
        }
        if let Some(parent) = self.data.parent() {
            let _ = fs::remove_file(parent.join("info"));
        }
        fs::remove_dir_all(to).map_err(io_error("remove", to))?;
        Ok(false)
    }

    fn read(dir: &Path, lock: File) -> Option<Self> {
        let (entries, pg_stat_statements) = read_info(dir)?;
        Some(Self { data: dir.join("data"), entries, pg_stat_statements, _lock: lock })
    }
}

/// Written last, so its presence says that the template is whole.
fn read_info(dir: &Path) -> Option<(usize, bool)> {
    let info = fs::read_to_string(dir.join("info")).ok()?;
    let (entries, pg_stat_statements) = info.trim().split_once(' ')?;
    Some((entries.parse().ok()?, pg_stat_statements == "true"))
}

impl Maker<'_> {
    /// Differs whenever the content would: version, owner, and how this file makes it.
    fn key(&self) -> String {
        let version = self.programs.version.chars();
        let version: String = version.filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
        let owner = self.run_as.map_or_else(|| "self".to_owned(), |user| user.uid().to_string());
        format!("{version}-{owner}-{RECIPE}")
    }

    /// Under the exclusive lock of `key`.
    fn build(&self, templates: &Path, key: &str) -> Result<(), Error> {
        let started = tokio::time::Instant::now();
        let (done, dir) = (templates.join(key), templates.join(format!("{key}.new")));
        // What a killed maker left, or a template of which files went missing.
        for leftover in [&dir, &done] {
            if leftover.exists() {
                fs::remove_dir_all(leftover).map_err(io_error("remove", leftover))?;
            }
        }
        home::make_dir(&dir, 0o711)?;
        let data = dir.join("data");
        home::make_dir(&data, 0o700)?;
        run_as::give(self.run_as, &data)?;

        self.initdb(&data)?;
        let create = "CREATE DATABASE seawall";
        if let Err(output) = self.single_user(&data, &["postgres"], create)? {
            let output = logs::tail_of(&output);
            return Err(Error::Template { step: create, output });
        }
        // Debian has it in the server's package; elsewhere it may be one of its own.
        let preload = ["-c", "shared_preload_libraries=pg_stat_statements", "seawall"];
        let create = "CREATE EXTENSION pg_stat_statements";
        let has_extension = self.single_user(&data, &preload, create)?.is_ok();

        let info = format!("{} {has_extension}\n", count_tree(&data)?);
        fs::write(dir.join("info"), info).map_err(io_error("write", &dir))?;
        fs::rename(&dir, &done).map_err(io_error("rename", &dir))?;
        let (took, version) = (started.elapsed(), &self.programs.version);
        tracing::info!(?took, version, "made the PostgreSQL template");
        Ok(())
    }

    fn initdb(&self, data: &Path) -> Result<(), Error> {
        let mut initdb = self.command(&self.programs.initdb);
        initdb.arg("-D").arg(data).args(INITDB).stdin(Stdio::null());
        let output = initdb.output().map_err(io_error("run", &self.programs.initdb))?;
        if output.status.success() {
            return Ok(());
        }
        let output = logs::tail_of(&output.stderr);
        Err(Error::Template { step: "initdb", output })
    }

    /// Runs one statement without a server; `Err` holds what PostgreSQL printed.
    fn single_user(
        &self,
        data: &Path,
        args: &[&str],
        statement: &str,
    ) -> Result<Result<(), Vec<u8>>, Error> {
        let mut command = self.command(&self.programs.postgres);
        command.args(["--single", "-F", "-D"]).arg(data).args(args).stdin(Stdio::piped());
        let failed = |error| io_error("run", &self.programs.postgres)(error);
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // If it ended already, its output says why.
            let _ = writeln!(stdin, "{statement}");
        }
        let output = child.wait_with_output().map_err(failed)?;
        let text = String::from_utf8_lossy(&output.stderr);
        let refused = text.contains("ERROR:") || text.contains("FATAL:");
        let done = output.status.success() && !refused;
        Ok(if done { Ok(()) } else { Err(output.stderr) })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = process::command(self.stack_dir, StopSignal::Quit, program, self.run_as);
        command.current_dir("/").stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Copies a directory with its modes, gives all of it to the servers' user, and
/// returns how many files and directories that were.
fn copy_tree(from: &Path, to: &Path, run_as: Option<RunAs>) -> Result<usize, Error> {
    let mode = fs::metadata(from).map_err(io_error("examine", from))?.permissions().mode();
    home::make_dir(to, mode & 0o777)?;
    run_as::give(run_as, to)?;
    let mut entries = 1;
    for entry in fs::read_dir(from).map_err(io_error("list", from))? {
        let entry = entry.map_err(io_error("list", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(io_error("examine", &source))?.is_dir() {
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
        let is_dir = entry.file_type().map_err(io_error("examine", &entry.path()))?.is_dir();
        entries += if is_dir { count_tree(&entry.path())? } else { 1 };
    }
    Ok(entries)
}

/// Everyone on the loopback is let in as the superuser `seawall`; nothing is flushed.
const INITDB: [&str; 8] = ["-U", "seawall", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
/// To be raised with any change to `build`.
const RECIPE: u32 = 1;

//! Finding the server programs.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// PostgreSQL's server program and the one that makes data directories.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    pub(crate) postgres: PathBuf,
    pub(crate) initdb: PathBuf,
    /// The whole line, for instance `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`.
    pub(crate) version: String,
}

/// Finds PostgreSQL: in `dir` only, if given, else on `PATH`, else in the usual
/// folders, the newest first.
pub(crate) fn postgres(dir: Option<&Path>) -> Result<Postgres, Error> {
    let dirs = dir.map_or_else(postgres_dirs, |dir| vec![dir.to_path_buf()]);
    let (postgres, initdb) = dirs
        .iter()
        .find_map(|dir| {
            // A link on PATH may stand without its neighbour: follow it.
            let postgres = fs::canonicalize(executable(&dir.join("postgres"))?).ok()?;
            let initdb = executable(&postgres.with_file_name("initdb"))?;
            Some((postgres, initdb))
        })
        .ok_or(Error::NotInstalled {
            program: "PostgreSQL (postgres, initdb)",
            debian: "postgresql",
            brew: "postgresql@17",
        })?;
    let version = version("postgres", &postgres, OLDEST_POSTGRES)?;
    Ok(Postgres { postgres, initdb, version })
}

/// Finds Redis likewise; Valkey, which is compatible, serves as well.
pub(crate) fn redis(dir: Option<&Path>) -> Result<PathBuf, Error> {
    let dirs = dir.map_or_else(redis_dirs, |dir| vec![dir.to_path_buf()]);
    let program = ["redis-server", "valkey-server"]
        .iter()
        .find_map(|name| dirs.iter().find_map(|dir| executable(&dir.join(name))))
        .ok_or(Error::NotInstalled {
            program: "Redis (redis-server)",
            debian: "redis-server",
            brew: "redis",
        })?;
    version("redis-server", &program, OLDEST_REDIS)?;
    Ok(program)
}

/// Finds PgBouncer likewise.
pub(crate) fn pgbouncer(dir: Option<&Path>) -> Result<PathBuf, Error> {
    let dirs = dir.map_or_else(redis_dirs, |dir| vec![dir.to_path_buf()]);
    let program = dirs.iter().find_map(|dir| executable(&dir.join("pgbouncer")));
    let program = program.ok_or(Error::NotInstalled {
        program: "PgBouncer (pgbouncer)",
        debian: "pgbouncer",
        brew: "pgbouncer",
    })?;
    version("pgbouncer", &program, OLDEST_PGBOUNCER)?;
    Ok(program)
}

/// Finds Prometheus with its `promtool` likewise.
pub(crate) fn prometheus(dir: Option<&Path>) -> Result<PathBuf, Error> {
    let dirs = dir.map_or_else(redis_dirs, |dir| vec![dir.to_path_buf()]);
    let program = dirs
        .iter()
        .find_map(|dir| {
            let program = executable(&dir.join("prometheus"))?;
            executable(&dir.join("promtool")).and(Some(program))
        })
        .ok_or(Error::NotInstalled {
            program: "Prometheus (prometheus, promtool)",
            debian: "prometheus",
            brew: "prometheus",
        })?;
    version("prometheus", &program, OLDEST_PROMETHEUS)?;
    Ok(program)
}

fn postgres_dirs() -> Vec<PathBuf> {
    let mut dirs = path_dirs();
    for (parent, prefix, bin) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/usr/local", "pgsql", "bin"),
    ] {
        dirs.extend(newest_first(Path::new(parent), prefix).into_iter().map(|dir| dir.join(bin)));
    }
    dirs
}

fn redis_dirs() -> Vec<PathBuf> {
    let usual = ["/usr/bin", "/usr/sbin", "/opt/homebrew/bin", "/usr/local/bin"];
    path_dirs().into_iter().chain(usual.map(PathBuf::from)).collect()
}

fn path_dirs() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

/// The folders in `parent` that begin with `prefix`, by the number they end in.
fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(prefix)?;
            let number = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
            Some((number.parse().unwrap_or(0), entry.path()))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

fn executable(path: &Path) -> Option<PathBuf> {
    let data = fs::metadata(path).ok()?;
    (data.is_file() && data.permissions().mode() & 0o111 != 0).then(|| path.to_path_buf())
}

fn version(program: &'static str, path: &Path, oldest: u32) -> Result<String, Error> {
    let output =
        Command::new(path).arg("--version").output().map_err(crate::io_error("run", path))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    match major(&line) {
        Some(major) if major >= oldest => Ok(line),
        _ => Err(Error::Version { program, path: path.to_path_buf(), found: line, needed: oldest }),
    }
}

/// The first number of the line: `postgres (PostgreSQL) 15.13 ..`, `Redis server v=7.0.15 ..`.
fn major(line: &str) -> Option<u32> {
    let digits = line.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The first with `wal_keep_size` and a reloadable `primary_conninfo`.
const OLDEST_POSTGRES: u32 = 13;
/// Any release with a number.
const OLDEST_PGBOUNCER: u32 = 1;
/// The first with client tracking over RESP3.
const OLDEST_REDIS: u32 = 6;
/// The first major version that scrapes OpenMetrics.
const OLDEST_PROMETHEUS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_reads_what_the_programs_print() {
        assert_eq!(major("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc"), Some(7));
        let prometheus = "prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0)";
        assert_eq!(major(prometheus), Some(2));
        assert_eq!(major("PgBouncer 1.18.0"), Some(1));
        assert_eq!(major("no version here"), None);
    }

    #[test]
    fn newest_version_is_tried_first_by_number_not_by_letter() {
        let dir = env::temp_dir().join(format!("seawall-binaries-{}", std::process::id()));
        for name in ["9", "15", "16", "other"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let found = newest_first(&dir, "");
        fs::remove_dir_all(&dir).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["16", "15", "9", "other"]);
    }
}

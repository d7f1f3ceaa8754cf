//! The configuration that a stack's servers run with.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::error::Error;
use crate::io_error;
use crate::run_as::{self, RunAs};

/// What is the same for all servers of a stack.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The caller's; they win over the defaults below.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) pg_stat_statements: bool,
    pub(crate) run_as: Option<RunAs>,
}

impl Config {
    /// Appends to the `postgresql.conf` in `data`, and makes a replica one.
    ///
    /// A file, not the command line: `ALTER SYSTEM` must be able to override it.
    pub(crate) fn write(
        &self,
        data: &Path,
        cluster_name: &str,
        port: u16,
        primary_port: Option<u16>,
        name: &str,
    ) -> Result<(), Error> {
        let mut lines = String::new();
        let mut set = |name: &str, value: &str| {
            lines.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        };
        for (name, value) in DEFAULTS {
            set(name, value);
        }
        if self.pg_stat_statements {
            set("shared_preload_libraries", "pg_stat_statements");
        }
        for (name, value) in &self.settings {
            set(name, value);
        }
        set("cluster_name", cluster_name);
        set("port", &port.to_string());
        if let Some(primary) = primary_port {
            set("primary_conninfo", &conninfo(primary, name));
            let signal = data.join("standby.signal");
            fs::write(&signal, "").map_err(io_error("write", &signal))?;
            run_as::give(self.run_as, &signal)?;
        }
        let path = data.join("postgresql.conf");
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .map_err(io_error("write", &path))
    }
}

/// How a replica finds its primary.
pub(crate) fn conninfo(port: u16, name: &str) -> String {
    format!("host=127.0.0.1 port={port} user=seawall application_name={name}")
}

/// Refuses a setting that the stack depends on, or that would not be one line.
pub(crate) fn check_setting(name: &str, value: &str) -> Result<(), Error> {
    let problem = if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        "the stack sets it itself"
    } else if name.is_empty()
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
    {
        "a name has letters, digits, `_` and `.` only"
    } else if value.contains(['\n', '\r', '\0', '\\']) {
        "a value has no line break and no backslash"
    } else {
        return Ok(());
    };
    Err(Error::Setting { name: name.to_owned(), problem })
}

/// Quick to start, safe against `kill -9` (not against a power cut, which ends
/// the test as well), and with the replication machinery at its most prompt.
const DEFAULTS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    // Paths of temporary directories may be too long for one.
    ("unix_socket_directories", ""),
    ("max_connections", "200"),
    ("shared_buffers", "64MB"),
    ("fsync", "off"),
    ("jit", "off"),
    ("wal_level", "replica"),
    ("max_wal_senders", "10"),
    ("max_replication_slots", "10"),
    // A replica that was paused or cut off finds what it missed.
    ("wal_keep_size", "1GB"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "30min"),
    ("hot_standby", "on"),
    ("hot_standby_feedback", "on"),
    ("wal_receiver_status_interval", "1s"),
    ("wal_retrieve_retry_interval", "100ms"),
    ("logging_collector", "off"),
    ("log_line_prefix", "%m [%p] %a "),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
];

/// Other values would part the server from the stack that runs it.
const RESERVED: &[&str] = &[
    "cluster_name",
    "config_file",
    "data_directory",
    "external_pid_file",
    "hba_file",
    "ident_file",
    "listen_addresses",
    "log_destination",
    "logging_collector",
    "port",
    "primary_conninfo",
    "restore_command",
    "unix_socket_directories",
    "update_process_title",
];

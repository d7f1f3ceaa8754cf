//! Real PostgreSQL with streaming replicas and real Redis as child processes, for tests, benches and examples.

mod binaries;
mod builder;
mod cleanup;
mod error;
mod guard;
mod home;
mod launch;
mod logs;
mod ports;
mod postgres;
mod process;
mod process_table;
mod proxy;
mod redis;
mod run_as;
mod shared_memory;
mod stack;
mod template;

pub use builder::StackBuilder;
pub use error::{Error, LogTail};
pub use postgres::Postgres;
pub use proxy::{Direction, Faults, Proxy};
pub use redis::{Redis, RedisCluster, Reply};
pub use stack::Stack;

/// For `map_err`: says what was tried on which path.
fn io_error<'a>(
    action: &'static str,
    path: &'a std::path::Path,
) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::Io {
        action,
        path: path.to_path_buf(),
        source,
    }
}

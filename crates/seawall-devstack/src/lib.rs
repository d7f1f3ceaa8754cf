//! Real PostgreSQL with streaming replicas, real Redis, PgBouncer and Prometheus as child processes, for tests, benches and examples.
//!
//! ```
//! use seawall_devstack::Stack;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let stack = Stack::builder().replicas(1).redis().start().await?;
//! let (primary, replica) = (stack.primary()?, stack.replica(0)?);
//!
//! replica.pause_replay().await?;
//! primary.client().await?.batch_execute("CREATE TABLE bids (price bigint)").await?;
//! assert!(replica.replay_lsn().await? < primary.lsn().await?);
//! replica.resume_replay().await?;
//! replica.wait_caught_up(primary, std::time::Duration::from_secs(5)).await?;
//!
//! stack.redis()?.command(&["SET", "lot:1", "open"]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # When to use it, and when not
//!
//! For tests that need the real servers' behaviour: replication lag, failover, a
//! cluster's redirections, a server that hangs rather than refuses. It needs the
//! server programs, no container runtime and no privileges; `scripts/setup`
//! installs them, and [`Error::NotInstalled`] names them if they are missing.
//!
//! Not for data that matters: PostgreSQL runs without `fsync` and trusts every
//! process of the machine, Redis keeps nothing on disk. Not for tests that pause
//! tokio's clock: the servers live in real time. Unix only.
//!
//! # How it works
//!
//! - **Start.** A PostgreSQL data directory is made once per version (`initdb`, then
//!   the database `seawall`) and kept in the temporary directory. Each server starts
//!   from a copy. As the template was shut down in order, a copy of it can follow
//!   another as its replica without a base backup, so all servers start at once;
//!   primary, two replicas and Redis take about half a second.
//! - **Side by side.** Ports come from below the range of outgoing connections, are
//!   reserved by a lock for as long as the stack lives, and another is tried should
//!   a stranger take one. Any number of stacks and processes may run at once.
//! - **End.** Dropping the [`Stack`] stops the servers and removes their directory.
//!   If the process dies first, in whatever way, a pipe closes that only it held
//!   open: a small shell process at the other end then does the same. If that is
//!   killed as well, the next stack to start does it; who is dead is told by a file
//!   lock, which the kernel takes back. The servers are in process groups of their
//!   own, so that Ctrl-C ends the test and not, half way through it, its servers.
//! - **Root.** PostgreSQL refuses to run as root; for root, all servers run as
//!   `postgres`, or `nobody` if there is no such user.
//! - **Logs.** If a start fails, the error shows the end of the server's log and says
//!   where it is kept; if a test panics, the logs are kept and standard error says
//!   where. The last 20 such folders stay.
//!
//! # Faults
//!
//! [`Postgres`] and [`Redis`] can be paused (SIGSTOP), killed (SIGKILL) and restarted
//! on the same port; with sentinels ([`RedisSentinel`]) the replica then becomes master. Replicas
//! of PostgreSQL can pause or delay their replay, be promoted, and
//! follow another server. A [`Proxy`] in front of any server adds latency, jitter,
//! a narrow bandwidth, blackholes, resets and refusals to the connections that
//! take it, replication included.
//!
//! # Consistency
//!
//! A control that returns has acted: replay stands still, the process is gone, the
//! server accepts connections. The one exception is stated at [`Postgres::follow`].
//! `kill -9` loses no committed transaction, as the operating system still has what
//! PostgreSQL wrote.
//!
//! # Cancel safety
//!
//! Dropping the future of [`StackBuilder::start`] stops and removes what it has
//! started, on a blocking thread. Dropping that of a control leaves the server
//! either before or after it.
//!
//! # Cost
//!
//! A start copies some 40 MB a PostgreSQL server. Dropping a stack blocks its thread
//! for about 50 ms; [`Stack::shutdown`] does not. There are no features: whoever
//! needs one of the servers in tests needs no more than this.

mod binaries;
mod builder;
mod cleanup;
mod error;
mod guard;
mod home;
mod launch;
mod logs;
mod pgbouncer;
mod ports;
mod postgres;
mod process;
mod process_table;
mod prometheus;
mod proxy;
mod redis;
mod run_as;
mod server;
mod shared_memory;
mod stack;
mod template;

pub use builder::StackBuilder;
pub use error::{Error, LogTail};
pub use pgbouncer::PgBouncer;
pub use postgres::Postgres;
pub use prometheus::Prometheus;
pub use proxy::{Direction, Faults, Proxy};
pub use redis::{Redis, RedisCluster, RedisSentinel, Reply};
pub use server::Server;
pub use stack::Stack;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// For `map_err`: says what was tried on which path.
fn io_error<'a>(
    action: &'static str,
    path: &'a std::path::Path,
) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::Io { action, path: path.to_path_buf(), source }
}

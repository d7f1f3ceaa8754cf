//! Composable performance libraries for services that must stand up to a surge, behind one dependency.
//!
//! Each module below is a crate of its own, and a service that needs one of them may
//! depend on that one alone. Nothing is on by default; each feature below adds one module and
//! changes none. Beside that it holds only what joins two of them: `PoolSize`, with the
//! features `pool` and `scale`, lets scaling decisions set the size of a pool.
//!
//! | feature | module | what it is |
//! |---|---|---|
//! | `cache` | `cache` | [`seawall-cache`](https://docs.rs/seawall-cache): L1 on moka, L2 on Redis, read-through, versioned fills |
//! | `pool` | `pool` | [`seawall-pool`](https://docs.rs/seawall-pool): one pool over a PostgreSQL primary and its replicas |
//! | `balance` | `balance` | [`seawall-balance`](https://docs.rs/seawall-balance): picking one of many, health, outlier ejection |
//! | `limit` | `limit` | [`seawall-limit`](https://docs.rs/seawall-limit): quotas per key, guards, tower layers |
//! | `metrics` | `metrics` | [`seawall-metrics`](https://docs.rs/seawall-metrics): recorder, windows, exposition, RED layer |
//! | `signal` | `signal` | [`seawall-signal`](https://docs.rs/seawall-signal): named signals and the condition language |
//! | `scale` | `scale` | [`seawall-scale`](https://docs.rs/seawall-scale): the scaling decision as a pure function |
//! | `full` | all of them | |
//!
//! A feature of a crate (`serde`, `tower`, `redis`, `schedules`, `log` and so on) is passed on
//! under its own name, to each module that is on and has it. The README lists them, with the two
//! that are not.
//!
//! When not to use it: a library should depend on the single crate it needs, so
//! that its users do not get a choice of features that they never made.
//!
//! The `marketplace` example of the repository wires all of them into one service.

#[cfg(feature = "balance")]
#[doc(inline)]
pub use seawall_balance as balance;
#[cfg(feature = "cache")]
#[doc(inline)]
pub use seawall_cache as cache;
#[cfg(feature = "limit")]
#[doc(inline)]
pub use seawall_limit as limit;
#[cfg(feature = "metrics")]
#[doc(inline)]
pub use seawall_metrics as metrics;
#[cfg(feature = "pool")]
#[doc(inline)]
pub use seawall_pool as pool;
#[cfg(feature = "scale")]
#[doc(inline)]
pub use seawall_scale as scale;
#[cfg(feature = "signal")]
#[doc(inline)]
pub use seawall_signal as signal;

#[cfg(all(feature = "pool", feature = "scale"))]
mod pool_size;
#[cfg(all(feature = "pool", feature = "scale"))]
pub use pool_size::PoolSize;

/// The program of the repository's README, compiled and run with the doc tests.
#[cfg(all(doctest, feature = "cache"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

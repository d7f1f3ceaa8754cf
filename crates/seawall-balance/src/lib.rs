//! Picking one of many: eight policies, health, outlier ejection, slow start and draining, as pure cores and as a tower service.
//!
//! ```
//! use seawall_balance::{BalanceConfig, Balancer, Member, Outcome, PickOptions, Policy};
//! use tokio::time::Instant;
//!
//! let now = Instant::now();
//! let balancer = Balancer::new(BalanceConfig::new("replicas", Policy::PeakEwma), now)?;
//! balancer.update([Member::new("a"), Member::new("b"), Member::new("c").weight(2)], now)?;
//!
//! let pick = balancer.next(now)?;
//! let first = *pick.id(); // send the request there ..
//! pick.finish(Outcome::Failure, Instant::now()); // .. and tell how it ended
//!
//! // Try again elsewhere.
//! let others = |id: &&str| *id != first;
//! let pick = balancer.pick(&PickOptions::new().filter(&others), Instant::now())?;
//! assert_ne!(*pick.id(), first);
//! pick.finish(Outcome::Success, Instant::now());
//! # Ok::<(), seawall_balance::Error>(())
//! ```
//!
//! As a tower service over discovered services: `BalanceLayer`.
//!
//! # When to use it, and when not
//! Use it where a client knows several servers that do the same: replicas of a
//! database, instances behind a proxy, nodes of a cache. It connects to nothing and
//! finds no one: the set comes from the caller or from a stream. Where a load
//! balancer stands between, it sees one node. For few nodes that never fail,
//! a counter is enough. Latencies are compared as if all requests were of one kind:
//! where some take minutes and others milliseconds, give each kind a balancer, or
//! use [`Policy::LeastOutstanding`].
//!
//! # How it works
//! The **set** of nodes, with each node's conditions, is kept behind a lock that only
//! changes take. From it follows a **view**: who may be picked, with which share,
//! and the policy's table. Picks read the view and the nodes' own counters.
//!
//! **Three reasons against a node are kept apart**, each with its own way in and out.
//! *Failure*: probes that fail, or requests that do (in a row, or compared with the
//! other nodes, as in Envoy); a node that failed is out for longer each time and
//! then starts slowly. *Lag*: as told; out above the soft limit unless too few are
//! fresh. *Saturation*: a node that is full rests for a moment, and has not failed.
//! When too few nodes are sound, all of them are used ("panic"), since the load of
//! all would break the few.
//!
//! **Time is passed in**, except by the tower service and [`Prober`]. Ejections,
//! pauses, slow starts and intervals end by the first pick, [`tick`](Balancer::tick)
//! or [`status`](Balancer::status) after their time.
//!
//! | policy | picks | cost | weights | keys |
//! |---|---|---|---|---|
//! | [`RoundRobin`](Policy::RoundRobin) | one after the other | O(1) | only 0 | no |
//! | [`SmoothWeighted`](Policy::SmoothWeighted) | nginx's smooth sequence | O(n), short lock | exact | no |
//! | [`LeastOutstanding`](Policy::LeastOutstanding) | fewest requests for its weight | O(n) | yes | no |
//! | [`PeakEwma`](Policy::PeakEwma) | cheaper of two, by latency, queue and failures | O(1) | yes | no |
//! | [`Rendezvous`](Policy::Rendezvous) | the key's node | O(n) | yes | yes |
//! | [`Ring`](Policy::Ring) | the key's node, with bounded loads | O(log n) | yes | yes |
//! | [`Maglev`](Policy::Maglev) | the key's node, by a table | O(1) | yes | yes |
//! | [`Sticky`](Policy::Sticky) | the cheapest of the key's few nodes | O(n) | yes | yes |
//!
//! Of peak-EWMA as Finagle, linkerd and tower have it, three things differ, each
//! of which shows in the `balance` example. A failure never makes a node look fast: the cost
//! is divided by the square of the success ratio. Requests that are waiting count
//! with their age, so that a node which hangs is left before anything times out.
//! And a peak fades after some fifty answers, if time has not done it before, so that at high
//! rates the estimate is of the node and not of its worst request.
//!
//! # Consistency
//! Counts of outstanding requests are exact, however many threads pick. A pick that
//! began before a change may still follow the old view; once
//! [`update`](Balancer::update) or [`remove`](Balancer::remove) has returned, no
//! pick that begins later gives a node that was removed. With the same seed, calls and
//! times one thread picks the same nodes. Hash policies give the same node for the same
//! key, set and conditions in every process.
//!
//! # Cancel safety
//! A [`Pick`] that is dropped was cancelled: the request no longer counts as
//! outstanding, and neither as failed nor as answered. So does a response future
//! of the tower service. A dropped [`Probe`] says nothing.
//!
//! # Cost
//! A pick by a policy of O(1) is one atomic addition for chance, one for the count, one
//! reference count and two reads of each candidate; a finish is four atomic changes of
//! words of its node. Neither allocates, locks or reads a clock (but for the short lock of
//! [`Policy::SmoothWeighted`]). A change of a node's conditions costs O(n) and a small
//! allocation, a change of the set also the policy's table: up to some milliseconds
//! for Maglev.
//!
//! # Features
//!
//! | feature | what | default |
//! |---|---|---|
//! | `tower` | `BalanceLayer`, `BalanceService` | no |
//! | `serde` | `BalanceConfig` from configuration files | no |

mod balancer;
mod config;
mod error;
mod pick;
mod policy;
mod status;

mod control;
mod node;
mod outlier;
mod ramp;
mod shared;
mod state;
mod view;

mod probe;
mod prober;

mod clock;
mod hash;
mod stats;

#[cfg(feature = "tower")]
mod change;
#[cfg(feature = "tower")]
mod classify;
#[cfg(feature = "tower")]
mod service;

pub use balancer::{Balancer, MAX_WEIGHT, Member};
pub use config::{BalanceConfig, LagConfig, OutlierConfig, ProbeConfig, RingConfig, SlowStart};
pub use error::{Error, Nodes};
pub use hash::hash_key;
pub use pick::{Outcome, Pick, PickOptions};
pub use policy::Policy;
pub use probe::Probe;
pub use prober::Prober;
pub use status::{Leaving, NodeStatus, Standing, Status};

#[cfg(feature = "tower")]
pub use change::Change;
#[cfg(feature = "tower")]
pub use classify::{Classify, ErrorsFail, KeyOf, NoKey};
#[cfg(feature = "tower")]
pub use service::{BalanceFuture, BalanceLayer, BalanceService, BoxError};

#[cfg(all(doctest, feature = "tower"))]
#[doc = include_str!("../README.md")]
struct Readme;

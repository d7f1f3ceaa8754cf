//! Quotas per key, named policies, request guards, overload protection, and tower layers that answer as clients expect.
//!
//! ```
//! use std::time::Duration;
//! use seawall_limit::{Limiter, Policy, Quota};
//! use tokio::time::Instant;
//!
//! let limiter = Limiter::builder()
//!     .policy(Policy::new("bids", Quota::per(50, Duration::from_secs(60))?.with_burst(2)?))
//!     .policy(Policy::new("api", Quota::per(5_000, Duration::from_secs(900))?))
//!     .build()?;
//! let bidding = limiter.set(&["bids", "api"])?; // looked up once, most specific first
//!
//! let now = Instant::now();
//! assert!(limiter.check("alice", &bidding, now).is_allowed());
//! assert!(limiter.check("alice", &bidding, now).is_allowed());
//! let decision = limiter.check("alice", &bidding, now);
//! assert!(!decision.is_allowed());
//! assert_eq!(decision.policy(), "bids");
//! assert_eq!(decision.retry_after(), Some(Duration::from_millis(1_200)));
//! assert!(limiter.check("bob", &bidding, now).is_allowed());
//! # Ok::<(), seawall_limit::Error>(())
//! ```
//!
//! As tower layers, for axum and others: `LimitLayer`, `GuardLayer` and, against more load than the
//! service can take from all clients together, `OverloadLayer` on an [`Overload`] guard.
//!
//! In front of them: `ListLayer` turns addresses and countries away,
//! `ChallengeLayer` asks for a proof of work above a rate, and `PenaltyLayer`
//! challenges, then blocks, who keeps overrunning (see [`Penalties`]). On the other side,
//! `ObeyLayer` keeps a client to what servers say.
//!
//! # When to use it, and when not
//!
//! Use it where each client may do so much and no more. A [`Limiter`] counts for
//! its process: behind a balancer, `n` instances admit `n` times the quota. With
//! the feature `redis`, `ClusterLimiter` counts for all of them. Quotas do not
//! protect a service from more clients than it can serve: that is what the
//! overload guard is for. The guard finds how much a service can do by watching
//! it do it, so it has little to go by below some ten requests a second, and
//! none for streams without an end.
//!
//! # How it works
//!
//! A policy is, unless asked otherwise, a bucket that refills evenly (the generic
//! cell rate algorithm, in whole nanoseconds): a key's state is one integer. A
//! quota of 50 a minute gives one unit each 1.2 s, on top of the burst. There are
//! no windows that reset, so no moment at which everybody comes back at once.
//! Other [modes](Mode) hold any window to the limit, or count as other limiters
//! do; the most that any window can admit is [`Quota::max_admitted`] in each.
//!
//! The policies of one request are decided together, under one lock: all are
//! charged or none is, so that a rejection by one does not eat up another. The
//! first in the set that rejects is named; the wait is the longest of all.
//! [`Limiter::check_joint`] does the same for several keys, a share inside a
//! total. What a request costs may be known afterwards only:
//! [`Limiter::reserve`] charges an estimate and [`Limiter::admit`] nothing, and
//! the [`Reservation`] is settled when it is known. In a layer a rule says what
//! its policies count: `Rule::count`.
//!
//! A policy on trial ([`Policy::shadow`], [`Policy::candidate`], for some keys or all)
//! is decided in a twin of the limiter, which refuses nobody:
//! [`Limiter::shadow`] tells what would change.
//!
//! Keys live in a table of fixed size, hashed with a random seed to 64 bits. A
//! key that has refilled is as good as absent and makes room; one that has not
//! is never evicted, so flooding the table with keys frees nobody. When there is
//! no room, new keys share a sketch: too strict, never too lax, counted, and
//! told ([`Decision::is_saturated`]). A quota for all without keys is [`Direct`].
//!
//! A `ClusterLimiter` keeps the same integers in Redis and decides on all policies
//! of a key in one script there, or out of units taken ahead: `docs/cluster.md`
//! has the protocol, the bound, and what happens without Redis.
//!
//! The overload guard counts requests, not clients. While its slots are all
//! taken, the limit follows a latency gradient, and each marked step down has to
//! be confirmed by throughput: if less gets done at once, the service is slow
//! rather than full, and the step is taken back. Requests without a slot wait in
//! a short queue (CoDel, newest first once it stands); what is above capacity is
//! turned away by [`Priority`], one cohort of users after another. While slots
//! are free nothing is turned away, whatever the latency.
//!
//! # Consistency
//!
//! Decisions on one key are strictly ordered, and time does not go back between
//! them: no number of threads admits more than the law. Time is the caller's
//! `tokio::time::Instant`, so a test can pause it.
//!
//! # Cancel safety
//!
//! A check is not a future. A reservation that is dropped, with its future or
//! without, is settled at what it was told to be dropped as. In the layers the charge is made when the request
//! arrives; dropping the response future drops the inner call and keeps the
//! charge. Nothing is held while the inner service works.
//!
//! An overload permit is given back when it is dropped, however the work ended;
//! the layer holds it to the end of the response's body. A waiter that is
//! dropped leaves its place, or gives its slot to the next.
//!
//! # Cost
//!
//! A check hashes the key, locks one of up to 256 shards by spinning, compares up
//! to sixteen tags and does some integer arithmetic per policy. It allocates
//! nothing and reads no clock. The layer reads the clock once; the header values
//! of admitted requests are made once for each number of units left (up to
//! 16 384) and shared; a rejection's body is made beforehand, unless several
//! policies reject at once. An overload permit costs two clock reads and
//! a handful of atomic operations, no lock and no allocation while slots are
//! free; a rejection costs one clock read. The layer clones the service once a
//! request.
//!
//! # Features
//!
//! | feature | what | default |
//! |---|---|---|
//! | `tower` | the layers, client identity, lists, challenge, guards, `OverloadLayer` | yes |
//! | `quanta` | [`Moment::now`] from the processor's time-stamp counter | no |
//! | `redis` | `ClusterLimiter`, quotas that all nodes share | no |
//! | `tonic` | `Decision::to_status`; the layer answers gRPC without it | no |
//! | `serde` | `LimitConfig`, `LayerConfig`, `Guards` and `OverloadConfig` from configuration files | no |

#[cfg(feature = "redis")]
mod cluster;
mod config;
mod decide;
mod decision;
mod direct;
mod error;
mod exception;
mod gcra;
#[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "layers reload"))]
mod heritage;
mod joint;
mod key;
mod law;
mod limiter;
mod lock;
mod moment;
mod overload;
mod penalty;
mod policy;
pub mod presets;
mod quota;
mod reservation;
mod set;
mod share;
mod stats;
mod table;
mod trial;

#[cfg(feature = "tower")]
mod answer;
#[cfg(feature = "tower")]
mod body;
#[cfg(feature = "tower")]
mod challenge;
#[cfg(feature = "tower")]
mod client;
#[cfg(feature = "tower")]
mod guard;
#[cfg(feature = "tower")]
mod limit;
#[cfg(feature = "tower")]
mod lists;
#[cfg(feature = "tower")]
mod obey;
#[cfg(feature = "tower")]
mod short;
#[cfg(feature = "tower")]
mod wall;

#[cfg(feature = "redis")]
pub use cluster::{
    ClusterConfig, ClusterDecision, ClusterError, ClusterLimiter, ClusterLimiterBuilder,
    ClusterReservation, ClusterSet, FailureMode, Source,
};
pub use config::{CandidateConfig, LimitConfig, PolicyConfig};
pub use decision::Decision;
pub use direct::{Direct, Refusal};
pub use error::Error;
pub use heritage::Carry;
pub use joint::Joint;
pub use key::Key;
pub use limiter::{Limiter, LimiterBuilder, MAX_KEYS, MAX_POLICIES, TableLoad};
pub use moment::Moment;
pub use overload::{
    Acquire, Criticality, Deadline, Outcome, Overload, OverloadConfig, OverloadStatus, Permit,
    Pressure, Priority, QuotaUsed, Reason, Rejected,
};
pub use penalty::{Penalties, PenaltyConfig, Standing, Violation};
pub use policy::{DEFAULT_MESSAGE, Policy};
pub use quota::{Mode, Quota};
pub use reservation::Reservation;
pub use set::PolicySet;
pub use share::Share;
pub use trial::{Difference, ShadowPolicy, ShadowStats};

#[cfg(feature = "tower")]
pub use answer::{Answers, RateLimitFields};
#[cfg(feature = "tower")]
pub use body::LimitBody;
#[cfg(feature = "tower")]
pub use challenge::{
    Challenge, ChallengeConfig, ChallengeLayer, ChallengeService, Pass, Puzzle, Refused, solve,
};
#[cfg(feature = "tower")]
pub use client::{
    ClientIp, MAX_TIERS, Network, Networks, PeerAddr, ProxyHeader, Resolver, TIERS, Tiers,
    client_ip,
};
#[cfg(feature = "tower")]
pub use guard::{BodyTooLarge, GuardBody, GuardFuture, GuardLayer, GuardService, Guards};
#[cfg(feature = "tower")]
pub use limit::{
    Answered, ClientConfig, Count, CountConfig, CountFn, ExceptionConfig, Finding, Head,
    LayerConfig, LimitFuture, LimitLayer, LimitLayerBuilder, LimitService, Rule, RuleConfig,
    Subject, SubjectConfig, Trap,
};
#[cfg(feature = "tower")]
pub use lists::{
    Access, AccessList, AccessListBuilder, Country, GeoPolicy, ListLayer, ListService, Locate,
    Place, PrefixTable, SharedAccessList,
};
#[cfg(feature = "tower")]
pub use obey::{Advice, ObeyConfig, ObeyError, ObeyFuture, ObeyLayer, ObeyService, advice};
#[cfg(feature = "tower")]
pub use overload::{OverloadBody, OverloadFuture, OverloadLayer, OverloadService};
#[cfg(feature = "tower")]
pub use penalty::{PenaltyFuture, PenaltyLayer, PenaltyService};
#[cfg(feature = "tower")]
pub use short::ShortFuture;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "tower"))]
#[doc = include_str!("../docs/policies.md")]
struct PoliciesPage;

#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../docs/cluster.md")]
struct ClusterPage;

//! A balancer as plain data.

use std::time::Duration;

use crate::error::{Error, in_range};
use crate::policy::Policy;

/// Everything that a [`Balancer`](crate::Balancer) takes.
///
/// With the feature `serde` it is read from TOML, JSON and the like; unknown
/// fields are refused, missing ones take their defaults.
///
/// ```toml
/// name = "replicas"
/// policy = "peak_ewma"
/// max_outstanding = 100
///
/// [outlier]
/// consecutive_failures = 3
/// base_ejection = "10s"
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct BalanceConfig {
    /// The label `balancer` of metrics and events. Default: `default`.
    pub name: String,
    /// Default: [`Policy::PeakEwma`].
    pub policy: Policy,
    /// How long latencies and failures are remembered: after this time a
    /// memory weighs 1/e. 1 ms to 1 h. Default: 10 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub decay: Duration,
    /// A node with so many requests outstanding takes no more: it is saturated.
    /// 1 to 1 000 000. Default: 1 000 000.
    pub max_outstanding: u32,
    /// How long a node rests that answered [`Saturated`](crate::Outcome::Saturated)
    /// without a time of its own. Up to 1 h. Default: 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub saturated_for: Duration,
    /// Below this share of nodes without failure all are used, failed or not:
    /// better some errors than the load of all on few. 0 to 1; with 0 only when
    /// none is left. Default: 0.5.
    pub panic_share: f64,
    /// Fail picks instead of panicking. Default: false.
    pub fail_on_panic: bool,
    /// Nodes of each key under [`Policy::Sticky`]. 1 to 16. Default: 3.
    pub replicas: u32,
    /// Slots of the table under [`Policy::Maglev`], a prime of at least 100 times
    /// the nodes. 11 to 5 000 011. Default: 65 537.
    pub maglev_slots: u32,
    /// For [`Policy::Ring`].
    pub ring: RingConfig,
    /// How a node's share grows when it is new or comes back.
    pub slow_start: SlowStart,
    /// Passive detection of nodes that fail.
    pub outlier: OutlierConfig,
    /// Active probes.
    pub probe: ProbeConfig,
    /// When a node that lags is left out.
    pub lag: LagConfig,
    /// Where random numbers start. Default: none, which is another start in each
    /// process; set it only in tests, or all processes pick alike.
    pub seed: Option<u64>,
}

/// The ring of [`Policy::Ring`].
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct RingConfig {
    /// Points of a node of average weight. More spread keys more evenly: the
    /// deviation of shares is about one over the root. 1 to 10 000. Default: 160.
    pub points: u32,
    /// A node takes at most this many times its share of the requests
    /// outstanding; what is above goes on to the next node. 1.01 to 1 000.
    /// Default: 1.25 (Mirrokni, Thorup, Zadimoghaddam 2016).
    pub load_bound: f64,
}

/// A node that is new, or was ejected or unhealthy, starts with a small share of
/// its weight that grows as in Envoy: `weight * max(min_share, (t / window)^(1 / aggression))`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct SlowStart {
    /// 0, which is off, to 1 h. Default: 10 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub window: Duration,
    /// 0.001 to 1. Default: 0.1.
    pub min_share: f64,
    /// 1 is linear, more is faster at first. 0.01 to 100. Default: 1.
    pub aggression: f64,
}

/// Ejection of nodes by how their requests end; the figures are Envoy's.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct OutlierConfig {
    /// Failures in a row that eject a node at once; 0 is off. Default: 5.
    pub consecutive_failures: u32,
    /// How often the statistics below are judged, and a clean node is forgiven
    /// one of its ejections. 10 ms to 1 h. Default: 10 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub interval: Duration,
    /// The first ejection lasts this long, the n-th n times as long. 1 ms to 24 h. Default: 30 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub base_ejection: Duration,
    /// No ejection is longer. At least `base_ejection`, up to 24 h. Default: 300 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub max_ejection: Duration,
    /// The share of all nodes that may be ejected at once; one node always may,
    /// unless this is 0, which is off. 0 to 1. Default: 0.1.
    pub max_ejected: f64,
    /// A node is ejected whose success rate is so many standard deviations below
    /// the mean of all; 0 is off. Up to 100. Default: 1.9.
    pub success_rate_deviations: f64,
    /// Nodes with enough requests that it takes to compare success rates. Default: 5.
    pub success_rate_nodes: u32,
    /// Requests in the interval that make a node comparable, at least 1. Default: 100.
    pub success_rate_requests: u32,
    /// A node is ejected of whose requests this share failed; 0 is off. 0 to 1. Default: 0.85.
    pub failure_share: f64,
    /// Nodes with enough requests that it takes. Default: 5.
    pub failure_share_nodes: u32,
    /// Requests in the interval that count, at least 1. Default: 50.
    pub failure_share_requests: u32,
}

/// When nodes are probed, and what the results do. Nothing is probed unless
/// somebody asks for probes that are due, such as a [`Prober`](crate::Prober).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ProbeConfig {
    /// From the end of a probe to the next one of the same node. 1 ms to 24 h. Default: 5 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub interval: Duration,
    /// The same while the node is unhealthy, or new and waiting. Default: 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub unhealthy_interval: Duration,
    /// Intervals differ by up to this share either way. 0 to 0.9. Default: 0.1.
    pub jitter: f64,
    /// A [`Prober`](crate::Prober) gives up a probe after this time, as failed. 1 ms to 1 h. Default: 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub timeout: Duration,
    /// Failed probes in a row that make a node unhealthy, at least 1. Default: 3.
    pub unhealthy_after: u32,
    /// Probes in a row that make it healthy again, at least 1. Default: 2.
    pub healthy_after: u32,
    /// A new node counts as failed before its first good probe, and needs just one.
    /// Without anybody who probes, all nodes of such a set are failed, which is a
    /// panic. Default: false.
    pub required: bool,
}

/// Lag is told with [`Balancer::set_lag`](crate::Balancer::set_lag).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LagConfig {
    /// Above, a node is left out, as long as `keep` others are not. Default: 1 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub soft: Duration,
    /// Above, a node is left out whatever happens. At least `soft`. Default: 30 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub hard: Duration,
    /// So many nodes are kept in spite of soft lag, the least lagged ones. Default: 1.
    pub keep: u32,
    /// A node that lagged is back when below this share of the limit. 0 to 1. Default: 0.8.
    pub clear: f64,
}

impl BalanceConfig {
    /// The defaults with another policy.
    #[must_use]
    pub fn new(name: impl Into<String>, policy: Policy) -> Self {
        Self { name: name.into(), policy, ..Self::default() }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field outside its range, or a table size that is no prime.
    pub fn validate(&self) -> Result<(), Error> {
        span("decay", self.decay, MILLI, HOUR)?;
        in_range("max_outstanding", f64::from(self.max_outstanding), 1.0, 1e6)?;
        span("saturated_for", self.saturated_for, Duration::ZERO, HOUR)?;
        in_range("panic_share", self.panic_share, 0.0, 1.0)?;
        in_range("replicas", f64::from(self.replicas), 1.0, 16.0)?;
        in_range("maglev_slots", f64::from(self.maglev_slots), 11.0, 5_000_011.0)?;
        if !is_prime(self.maglev_slots) {
            return Err(Error::NotPrime { value: self.maglev_slots });
        }
        in_range("ring.points", f64::from(self.ring.points), 1.0, 10_000.0)?;
        in_range("ring.load_bound", self.ring.load_bound, 1.01, 1_000.0)?;
        span("slow_start.window", self.slow_start.window, Duration::ZERO, HOUR)?;
        in_range("slow_start.min_share", self.slow_start.min_share, 0.001, 1.0)?;
        in_range("slow_start.aggression", self.slow_start.aggression, 0.01, 100.0)?;
        self.outlier.validate()?;
        self.probe.validate()?;
        span("lag.soft", self.lag.soft, Duration::ZERO, DAY)?;
        span("lag.hard", self.lag.hard, self.lag.soft, DAY)?;
        in_range("lag.clear", self.lag.clear, 0.0, 1.0)
    }
}

impl OutlierConfig {
    fn validate(&self) -> Result<(), Error> {
        span("outlier.interval", self.interval, 10 * MILLI, HOUR)?;
        span("outlier.base_ejection", self.base_ejection, MILLI, DAY)?;
        span("outlier.max_ejection", self.max_ejection, self.base_ejection, DAY)?;
        in_range("outlier.max_ejected", self.max_ejected, 0.0, 1.0)?;
        in_range("outlier.success_rate_deviations", self.success_rate_deviations, 0.0, 100.0)?;
        in_range("outlier.failure_share", self.failure_share, 0.0, 1.0)?;
        let max = f64::from(u32::MAX);
        let requests = f64::from(self.success_rate_requests);
        in_range("outlier.success_rate_requests", requests, 1.0, max)?;
        let requests = f64::from(self.failure_share_requests);
        in_range("outlier.failure_share_requests", requests, 1.0, max)
    }
}

impl ProbeConfig {
    fn validate(&self) -> Result<(), Error> {
        span("probe.interval", self.interval, MILLI, DAY)?;
        span("probe.unhealthy_interval", self.unhealthy_interval, MILLI, DAY)?;
        in_range("probe.jitter", self.jitter, 0.0, 0.9)?;
        span("probe.timeout", self.timeout, MILLI, HOUR)?;
        let max = f64::from(u32::MAX);
        in_range("probe.unhealthy_after", f64::from(self.unhealthy_after), 1.0, max)?;
        in_range("probe.healthy_after", f64::from(self.healthy_after), 1.0, max)
    }
}

impl Default for BalanceConfig {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            policy: Policy::PeakEwma,
            decay: Duration::from_secs(10),
            max_outstanding: 1_000_000,
            saturated_for: Duration::from_secs(1),
            panic_share: 0.5,
            fail_on_panic: false,
            replicas: 3,
            maglev_slots: 65_537,
            ring: RingConfig::default(),
            slow_start: SlowStart::default(),
            outlier: OutlierConfig::default(),
            probe: ProbeConfig::default(),
            lag: LagConfig::default(),
            seed: None,
        }
    }
}

impl Default for RingConfig {
    fn default() -> Self {
        Self { points: 160, load_bound: 1.25 }
    }
}

impl Default for SlowStart {
    fn default() -> Self {
        Self { window: Duration::from_secs(10), min_share: 0.1, aggression: 1.0 }
    }
}

impl Default for OutlierConfig {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejected: 0.1,
            success_rate_deviations: 1.9,
            success_rate_nodes: 5,
            success_rate_requests: 100,
            failure_share: 0.85,
            failure_share_nodes: 5,
            failure_share_requests: 50,
        }
    }
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            unhealthy_interval: Duration::from_secs(1),
            jitter: 0.1,
            timeout: Duration::from_secs(1),
            unhealthy_after: 3,
            healthy_after: 2,
            required: false,
        }
    }
}

impl Default for LagConfig {
    fn default() -> Self {
        Self { soft: Duration::from_secs(1), hard: Duration::from_secs(30), keep: 1, clear: 0.8 }
    }
}

fn span(field: &'static str, value: Duration, min: Duration, max: Duration) -> Result<(), Error> {
    in_range(field, value.as_secs_f64(), min.as_secs_f64(), max.as_secs_f64())
}

fn is_prime(number: u32) -> bool {
    number > 1
        && (2..)
            .take_while(|divisor| divisor * divisor <= u64::from(number))
            .all(|divisor| u64::from(number) % divisor != 0)
}

const MILLI: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests;

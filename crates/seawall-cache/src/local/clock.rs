//! Moments of this process in eight bytes.

use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::Instant;

/// A moment, in nanoseconds on the [`Clock`] it comes from. Moments before that clock began count
/// too: an entry read from L2 may have been loaded days ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick(u64);

impl Tick {
    /// No later than any moment.
    pub(crate) const FIRST: Self = Self(0);

    /// Later than any moment.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// `self` and `duration` later; at most [`NEVER`](Self::NEVER).
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// `self` and `duration` earlier.
    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// How long after `earlier` it is; zero if it is not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// [`since`](Self::since) in nanoseconds.
    pub(crate) fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// For atomics.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// Back from [`to_bits`](Self::to_bits).
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Where ticks are counted from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
    coarse: Option<Coarse>,
}

impl Clock {
    /// The clock of a cache whose hits read the exact time, or need not.
    pub(crate) fn for_hits(exact: bool) -> Self {
        // The kernel's clock knows nothing of a pause of Tokio's.
        if exact || can_pause() { Self::exact() } else { Self::coarse() }
    }

    /// One whose every reading is exact.
    pub(crate) fn exact() -> Self {
        Self { began: Instant::now(), coarse: None }
    }

    /// One whose [`latest`](Self::latest) is cheap, where the system has a clock for that.
    pub(crate) fn coarse() -> Self {
        let coarse = Coarse::new();
        Self { began: Instant::now(), coarse }
    }

    /// Reads the clock.
    pub(crate) fn now(&self) -> Tick {
        self.tick(Instant::now())
    }

    /// Now, or with a coarse clock up to [`Coarse::AHEAD`] later: what is not over by that is not
    /// over. The one time that a hit reads a clock.
    #[inline]
    pub(crate) fn latest(&self) -> Tick {
        match &self.coarse {
            None => self.now(),
            Some(coarse) => coarse.latest(),
        }
    }

    /// For a `latest` of this clock: now, or with a coarse clock up to a tick of the kernel earlier.
    #[inline]
    pub(crate) fn earliest(&self, latest: Tick) -> Tick {
        if self.is_coarse() { Tick(latest.0.saturating_sub(AHEAD)) } else { latest }
    }

    pub(crate) fn is_coarse(&self) -> bool {
        self.coarse.is_some()
    }

    /// `at` on this clock.
    pub(crate) fn tick(&self, at: Instant) -> Tick {
        match at.checked_duration_since(self.began) {
            Some(after) => Tick(BEGAN + nanos(after).min(u64::MAX - BEGAN - 1)),
            None => Tick(BEGAN.saturating_sub(nanos(self.began.duration_since(at)))),
        }
    }
}

/// The time as of the kernel's last tick: a load from memory, where the exact time costs the
/// processor a read of its counter, and a wait until all before that is done.
#[derive(Debug, Clone, Copy)]
struct Coarse {
    /// The kernel's clock when the [`Clock`] began, or a moment before.
    began: u64,
}

impl Coarse {
    /// More than what a tick of 100 Hz and its handler take. Only a machine that is stopped for
    /// longer is later with its tick.
    const AHEAD: Duration = Duration::from_millis(20);

    #[cfg(target_os = "linux")]
    fn new() -> Option<Self> {
        // The clock that Instant reads.
        Some(Self { began: Self::read(rustix::time::ClockId::Monotonic) })
    }

    #[cfg(not(target_os = "linux"))]
    fn new() -> Option<Self> {
        None
    }

    #[inline]
    fn latest(self) -> Tick {
        #[cfg(target_os = "linux")]
        let now = Self::read(rustix::time::ClockId::MonotonicCoarse);
        #[cfg(not(target_os = "linux"))]
        let now = self.began;
        Tick(BEGAN + (now + AHEAD).saturating_sub(self.began))
    }

    #[cfg(target_os = "linux")]
    #[inline]
    fn read(clock: rustix::time::ClockId) -> u64 {
        let time = rustix::time::clock_gettime(clock);
        // Since the machine started: neither is negative, and 584 years fit.
        time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
    }
}

/// Whether this program is built with Tokio's `test-util`, so that its time can be paused.
///
/// A crate cannot ask for the features of another. But a method of a type goes before a trait's of
/// the same name: what the call below returns tells whether `Builder` has one, which it has with
/// that feature only. Should a later Tokio always have it, every reading is exact.
fn can_pause() -> bool {
    trait Otherwise {
        fn start_paused(&mut self, paused: bool) -> Absent;
    }
    impl Otherwise for Builder {
        fn start_paused(&mut self, _paused: bool) -> Absent {
            Absent
        }
    }
    struct Absent;
    trait Answer {
        const YES: bool;
    }
    impl Answer for Absent {
        const YES: bool = false;
    }
    impl Answer for &mut Builder {
        const YES: bool = true;
    }
    fn answer<'b, T: Answer>(_never_called: impl FnOnce(&'b mut Builder) -> T) -> bool {
        T::YES
    }
    // Used in either case.
    let _: fn(&mut Builder, bool) -> Absent = Otherwise::start_paused;
    answer(|builder: &mut Builder| builder.start_paused(true))
}

const AHEAD: u64 = Coarse::AHEAD.as_nanos() as u64;

/// Saturating: 584 years.
fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}

/// The tick of the beginning: 146 years of past.
const BEGAN: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_clock_is_not_late_through_many_ticks_and_not_far_ahead() {
        let clock = Clock::coarse();
        // Through ten ticks of 100 Hz. Where the kernel is kept from its tick, as on a crowded
        // machine, it is late by as much: some time it is not kept from it.
        let span = Duration::from_millis(100);
        let in_time = |_| {
            let (began, mut furthest) = (clock.now(), Duration::MAX);
            let mut latenesses = 0;
            while clock.now().since(began) < span {
                let before = clock.now();
                let latest = clock.latest();
                latenesses += u32::from(latest < before);
                assert!(clock.earliest(latest) <= clock.now());
                // Whoever stops this thread in between makes it look less far ahead, not further.
                furthest = furthest.min(latest.since(clock.now()));
                assert!(clock.now().plus(Coarse::AHEAD) >= latest || !clock.is_coarse());
            }
            assert!(furthest <= Coarse::AHEAD);
            latenesses == 0
        };
        assert!((0..50).any(in_time), "late in each tenth of a second");
    }

    #[test]
    fn where_time_can_be_paused_hits_read_the_exact_time() {
        assert!(can_pause(), "these tests pause it");
        assert!(!Clock::for_hits(false).is_coarse());
    }

    #[tokio::test]
    async fn the_past_has_ticks_too() {
        let clock = Clock::exact();
        let day = Duration::from_secs(86_400);
        let began = clock.tick(clock.began);
        let before = clock.tick(clock.began - day);
        assert!(before < began);
        assert_eq!(began.since(before), day);
        assert_eq!(before.since(began), Duration::ZERO);
        assert_eq!(before.plus(day), began);
        assert_eq!(began.plus(Duration::MAX), Tick::NEVER);
    }
}

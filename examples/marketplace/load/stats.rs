//! What the load saw: per route over the run, and per second.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::oracle::Freshness;

/// The routes that the load calls, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Read,
    List,
    Top,
    MyBids,
    Bid,
    Login,
}

impl Route {
    pub const ALL: [Self; 6] =
        [Self::Read, Self::List, Self::Top, Self::MyBids, Self::Bid, Self::Login];

    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "GET /api/auctions/{id}",
            Self::List => "GET /api/auctions",
            Self::Top => "GET /api/auctions/top",
            Self::MyBids => "GET /api/users/me/bids",
            Self::Bid => "POST /api/auctions/{id}/bids",
            Self::Login => "POST /api/login",
        }
    }
}

/// How one request ended, as its caller judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// What was asked for.
    Ok,
    /// A refusal that the caller had to expect: outbid, or a wrong password.
    Refused,
    /// 429.
    Limited,
    /// 5xx, no answer, or an answer that makes no sense.
    Error,
}

/// Counts and latencies of one route, or of all.
#[derive(Clone, Debug)]
pub struct Tally {
    pub ok: u64,
    pub refused: u64,
    pub limited: u64,
    pub errors: u64,
    /// Of answers (429s and errors left out), from the moment the request was due: what a user waits.
    pub response: Histogram<u64>,
    /// Of answers, from the moment the request was sent: what the service takes.
    pub service: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        Self {
            ok: 0,
            refused: 0,
            limited: 0,
            errors: 0,
            response: histogram(),
            service: histogram(),
        }
    }

    pub fn total(&self) -> u64 {
        self.ok + self.refused + self.limited + self.errors
    }

    fn add(&mut self, sample: &Sample) {
        match sample.ending {
            Ending::Ok => self.ok += 1,
            Ending::Refused => self.refused += 1,
            Ending::Limited => self.limited += 1,
            Ending::Error => self.errors += 1,
        }
        if !sample.counts() {
            return;
        }
        self.response.saturating_record(micros(sample.response));
        self.service.saturating_record(micros(sample.service));
    }

    fn merge(&mut self, other: &Self) {
        self.ok += other.ok;
        self.refused += other.refused;
        self.limited += other.limited;
        self.errors += other.errors;
        // All histograms here have the same bounds, so adding cannot fail.
        let _ = self.response.add(&other.response);
        let _ = self.service.add(&other.service);
    }
}

/// One finished request.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub route: Route,
    pub ending: Ending,
    /// Offset of the intended start from the run's start.
    pub due: Duration,
    /// Whether the schedule asked for it; else it follows from the answer before.
    pub scheduled: bool,
    pub response: Duration,
    pub service: Duration,
    /// How the answer compared with what was acknowledged, if it could be compared.
    pub verdict: Option<Freshness>,
}

impl Sample {
    /// A refusal by quota is quick and an error is slow or quick: neither says how
    /// long an answer takes.
    fn counts(&self) -> bool {
        matches!(self.ending, Ending::Ok | Ending::Refused)
    }
}

/// One second of the run, by intended start.
#[derive(Clone, Debug)]
pub struct Second {
    pub sent: u64,
    pub limited: u64,
    pub errors: u64,
    /// Reads that were compared with an acknowledged bid, and those that showed less.
    pub checked: u64,
    pub stale: u64,
    /// Of scheduled requests.
    pub response: Histogram<u64>,
}

/// Everything that the load counted.
#[derive(Clone, Debug)]
pub struct Stats {
    routes: Vec<Tally>,
    pub seconds: Vec<Second>,
    /// Of scheduled requests, from their intended start: what the SLO is about.
    pub scheduled: Histogram<u64>,
    /// Wishes fulfilled; each is one request or more.
    pub arrivals: u64,
    /// Arrivals that were due but never sent, for want of a free slot, or never answered.
    pub missed: u64,
}

impl Default for Stats {
    fn default() -> Self {
        let routes = Route::ALL.iter().map(|_| Tally::new()).collect();
        Self { routes, seconds: Vec::new(), scheduled: histogram(), arrivals: 0, missed: 0 }
    }
}

impl Stats {
    pub fn record(&mut self, sample: &Sample) {
        self.routes[sample.route as usize].add(sample);
        let index = sample.due.as_secs() as usize;
        while self.seconds.len() <= index {
            self.seconds.push(Second {
                sent: 0,
                limited: 0,
                errors: 0,
                checked: 0,
                stale: 0,
                response: coarse(),
            });
        }
        let second = &mut self.seconds[index];
        second.sent += 1;
        second.limited += u64::from(sample.ending == Ending::Limited);
        second.errors += u64::from(sample.ending == Ending::Error);
        second.checked += u64::from(sample.verdict.is_some());
        second.stale += u64::from(sample.verdict == Some(Freshness::Stale));
        if sample.scheduled && sample.counts() {
            second.response.saturating_record(micros(sample.response));
            self.scheduled.saturating_record(micros(sample.response));
        }
    }

    /// Reads that were compared with an acknowledged bid.
    pub fn checked(&self) -> u64 {
        self.seconds.iter().map(|second| second.checked).sum()
    }

    /// Reads that showed less than an acknowledged bid.
    pub fn stale(&self) -> u64 {
        self.seconds.iter().map(|second| second.stale).sum()
    }

    pub fn route(&self, route: Route) -> &Tally {
        &self.routes[route as usize]
    }

    /// All routes as one.
    pub fn total(&self) -> Tally {
        let mut total = Tally::new();
        self.routes.iter().for_each(|tally| total.merge(tally));
        total
    }
}

/// Milliseconds at quantile `q`, NaN when nothing was recorded.
pub fn quantile_ms(histogram: &Histogram<u64>, q: f64) -> f64 {
    if histogram.is_empty() {
        return f64::NAN;
    }
    histogram.value_at_quantile(q) as f64 / 1_000.0
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// 1 us to 60 s, three digits.
fn histogram() -> Histogram<u64> {
    bounded(3)
}

/// One for each second of the run: two digits are enough for a plot.
fn coarse() -> Histogram<u64> {
    bounded(2)
}

fn bounded(digits: u8) -> Histogram<u64> {
    // The bounds are constants that hdrhistogram accepts; its error cannot occur.
    #[expect(clippy::expect_used, reason = "constant bounds, covered by a test")]
    Histogram::new_with_bounds(1, 60_000_000, digits).expect("constant bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_counts_in_the_second_it_was_due() {
        let mut stats = Stats::default();
        stats.record(&Sample {
            route: Route::Bid,
            ending: Ending::Refused,
            due: Duration::from_millis(1_900),
            scheduled: true,
            response: Duration::from_secs(5),
            service: Duration::from_secs(1),
            verdict: None,
        });
        assert_eq!((stats.seconds[0].sent, stats.seconds[1].sent), (0, 1));
        assert_eq!((stats.total().refused, stats.scheduled.len()), (1, 1));
        assert!((quantile_ms(&stats.route(Route::Bid).response, 0.5) - 5_000.0).abs() < 5.0);
        assert!(quantile_ms(&stats.route(Route::Read).response, 0.5).is_nan());
    }

    #[test]
    fn quick_refusals_and_follow_ups_do_not_improve_the_percentiles() {
        let mut stats = Stats::default();
        let sample = Sample {
            route: Route::Login,
            ending: Ending::Ok,
            due: Duration::ZERO,
            scheduled: true,
            response: Duration::from_secs(2),
            service: Duration::from_secs(2),
            verdict: None,
        };
        let quick = Duration::from_millis(1);
        stats.record(&sample);
        stats.record(&Sample { ending: Ending::Limited, response: quick, ..sample });
        stats.record(&Sample { scheduled: false, response: quick, ..sample });
        assert!(quantile_ms(&stats.scheduled, 0.0) > 1_900.0);
        assert_eq!(stats.route(Route::Login).response.len(), 2);
    }
}

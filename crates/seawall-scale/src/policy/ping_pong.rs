//! Pairs that would play ping-pong, found by reading the policy.

use std::fmt;
use std::time::Duration;

use seawall_signal::{Comparison, Condition, Sample, Unit, Units};
use tokio::time::Instant;

use super::{Band, Change, Goal, Policy, RuleAction, Step};

/// Something shrinks the group to a size from which something else grows it
/// again under the same load.
///
/// [`decide`](crate::decide()) does not follow it there, so at these sizes `down`
/// does nothing; most likely its threshold is too high.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PingPong {
    /// Canonical name of the signal that both go by.
    pub signal: String,
    /// What shrinks: `rules[1]` or `bands[0]`.
    pub down: String,
    /// What grows again: `rules[0]`, `targets[0]` or `bands[0]`.
    pub up: String,
    /// The smallest size at which it happens.
    pub from: u32,
    /// The largest. All up to 64 are looked at, and some beyond.
    pub to: u32,
    /// The size that `down` asks for at the largest.
    pub left: u32,
    /// A use at which it asks for that, as a ratio.
    pub measured: f64,
    /// What the same load would be at that size.
    pub projected: f64,
}

impl fmt::Display for PingPong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signal, down, up, from, to, left, .. } = self;
        let [now, then] = [self.measured, self.projected].map(|use_| Unit::Ratio.show(use_));
        write!(
            f,
            "{down} takes {to} instances to {left} when {signal} is {now}: the same load is {then} \
             there, and {up} grows the group again; so at {from} to {to} instances it will not \
             shrink"
        )
    }
}

impl Policy {
    /// Rules, bands and targets that would undo each other, with the numbers. For
    /// start-up checks; an [`Engine`](crate::Engine) warns of each.
    ///
    /// Pairs are looked at that read one and the same signal, a use: one that is a
    /// ratio by `units`, by its name or by a `%`, or with `cpu`, `usage` or `util`
    /// in its name.
    ///
    /// Cost: a few evaluations for each pair and size, of at most about 140 sizes.
    #[must_use]
    pub fn ping_pongs(&self, units: &Units) -> Vec<PingPong> {
        let (ups, downs) = self.opinions();
        let mut found = Vec::new();
        for down in &downs {
            let mine = ups.iter().filter(|up| up.signal == down.signal);
            let of_use =
                |up: &&Opinion<'_>| up.is_percent || down.is_percent || is_use(down.signal, units);
            found.extend(mine.filter(of_use).filter_map(|up| self.pair(down, up)));
        }
        found
    }

    fn pair(&self, down: &Opinion<'_>, up: &Opinion<'_>) -> Option<PingPong> {
        let mut found: Option<PingPong> = None;
        let points: Vec<f64> = down.points.iter().chain(&up.points).copied().collect();
        for instances in sizes(self.min.saturating_add(1).max(2), self.max) {
            let left = (down.size)(instances).max(self.min);
            if left == 0 || left >= instances {
                continue;
            }
            let factor = f64::from(instances) / f64::from(left);
            let near = points.iter().flat_map(|point| [*point, point / factor]);
            let near = near.flat_map(|at| [at - STEP, at, at + STEP]).filter(|at| *at >= 0.0);
            let both = near.filter(|at| (down.holds)(*at) && (up.holds)(at * factor));
            let Some(measured) = both.max_by(f64::total_cmp) else { continue };
            found = Some(PingPong {
                signal: down.signal.to_owned(),
                down: down.place.clone(),
                up: up.place.clone(),
                from: found.map_or(instances, |found| found.from),
                to: instances,
                left,
                measured,
                projected: measured * factor,
            });
        }
        found
    }

    /// What may grow the group by a use alone, and what may shrink it.
    fn opinions(&self) -> (Vec<Opinion<'_>>, Vec<Opinion<'_>>) {
        let (mut ups, mut downs) = (Vec::new(), Vec::new());
        for (index, rule) in self.rules.iter().enumerate() {
            let [signal] = rule.condition.signals()[..] else { continue };
            let opinion = Opinion::of_rule(format!("rules[{index}]"), signal, &rule.condition);
            match rule.action {
                RuleAction::ScaleUp => ups.push(opinion),
                RuleAction::ScaleDown => downs.push(Opinion { size: below(rule.by), ..opinion }),
                RuleAction::Advise => {}
            }
        }
        for (index, bands) in self.bands.iter().enumerate() {
            for band in &bands.bands {
                let opinion = Opinion::of_band(format!("bands[{index}]"), &bands.signal, band);
                match band.change {
                    Change::Add(_) => ups.push(opinion),
                    Change::Remove(by) => downs.push(Opinion { size: below(by), ..opinion }),
                    Change::Exactly(_) | Change::Stay => {}
                }
            }
        }
        for (index, target) in self.targets.iter().enumerate() {
            let Goal::Utilisation(level) = target.goal else { continue };
            let most = level * (1.0 + self.tolerance);
            ups.push(Opinion {
                place: format!("targets[{index}]"),
                signal: &target.signal,
                is_percent: true,
                points: vec![most],
                holds: Box::new(move |value| value > most + super::NOISE),
                size: Box::new(|instances| instances),
            });
        }
        (ups, downs)
    }
}

/// Something in a policy that asks for a change by the value of one signal.
struct Opinion<'a> {
    place: String,
    signal: &'a str,
    is_percent: bool,
    /// Values at which its answer may change.
    points: Vec<f64>,
    holds: Box<dyn Fn(f64) -> bool + 'a>,
    /// What a shrinkage makes of a size.
    size: Box<dyn Fn(u32) -> u32>,
}

impl<'a> Opinion<'a> {
    fn of_rule(place: String, signal: &'a str, condition: &'a Condition) -> Self {
        let literals = || condition.comparisons().into_iter().filter_map(Comparison::literal);
        let now = Instant::now();
        Self {
            place,
            signal,
            is_percent: literals().any(|literal| literal.unit() == Some(Unit::Ratio)),
            points: literals().filter_map(|literal| literal.against(Unit::Ratio)).collect(),
            holds: Box::new(move |value| {
                let sample = |_: &str| Some(Sample { value, unit: Unit::Ratio, at: now });
                condition.evaluate_as(&sample, now, Duration::ZERO).is_true()
            }),
            size: Box::new(|instances| instances),
        }
    }

    fn of_band(place: String, signal: &'a str, band: &'a Band) -> Self {
        Self {
            place,
            signal,
            is_percent: false,
            points: band.from.into_iter().chain(band.to).collect(),
            holds: Box::new(|value| band.holds(value)),
            size: Box::new(|instances| instances),
        }
    }
}

fn below(by: Step) -> Box<dyn Fn(u32) -> u32> {
    Box::new(move |instances| by.below(instances))
}

/// Sizes to look at: a change by a few matters most to small groups, one by a share to all alike.
fn sizes(first: u32, last: u32) -> impl Iterator<Item = u32> {
    let next = |size: &u32| size.checked_add(if *size < EACH { 1 } else { size / 4 });
    std::iter::successors(Some(first), next).take_while(move |size| *size <= last)
}

/// Whether a signal is a use of instances, which grows as they become fewer.
fn is_use(signal: &str, units: &Units) -> bool {
    match Unit::of_name_in(signal, Some(units)) {
        Unit::Ratio => true,
        Unit::None => ["cpu", "usage", "util"].iter().any(|part| signal.contains(part)),
        _ => false,
    }
}

/// Beside a threshold.
const STEP: f64 = 1e-6;

/// Up to here each size is looked at.
const EACH: u32 = 64;

use seawall_signal::{Missing, Op, Sample, Signals};
use tokio::time::Instant;

use super::{Proposal, Proposals, cool};
use crate::state::Panic;
use crate::{
    Band, Bands, Burst, Change, Forecast, Foreseen, Measured, Outlook, Policy, Queue, Reason,
    State, Trigger,
};

/// What a proposal is made from.
#[derive(Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) policy: &'a Policy,
    pub(super) state: &'a State,
    pub(super) signals: &'a Signals,
    pub(super) now: Instant,
}

impl<'a> World<'a> {
    /// A sample that cannot be negative.
    fn amount(self, signal: &str) -> Result<&'a Sample, Missing> {
        let sample = self.signals.fresh(signal, self.now, self.policy.max_signal_age)?;
        if sample.value < 0.0 { Err(Missing::Negative) } else { Ok(sample) }
    }

    pub(super) fn bands(self, bands: &Bands, proposals: &mut Proposals) {
        let sample = self.signals.fresh(&bands.signal, self.now, self.policy.max_signal_age);
        let sample = match sample {
            Ok(sample) => sample,
            Err(why) => return proposals.miss(&bands.signal, why),
        };
        let Some(band) = bands.find(sample.value) else { return };
        let size = cool(self.policy, bands.cooldown, self.state, self.now, |instances| match band
            .change
        {
            Change::Add(step) => step.above(instances),
            Change::Remove(step) => step.below(instances),
            Change::Exactly(size) => size,
            Change::Stay => self.state.current,
        });
        let (relation, threshold) = end(band);
        let measured = Measured {
            signal: bands.signal.clone(),
            value: sample.value,
            unit: sample.unit,
            relation,
            threshold,
            per_instance: false,
        };
        let (wish, current) = (size.asks, self.state.current);
        proposals.made.push(Proposal {
            trigger: Some(trigger(&bands.signal, sample.value, threshold)),
            reason: Reason::Band { measured, wish, current },
            size,
            floor: false,
        });
    }

    pub(super) fn queue(self, queue: &Queue, proposals: &mut Proposals) {
        let backlog = match self.amount(&queue.backlog) {
            Ok(sample) => sample.value,
            Err(why) => return proposals.miss(&queue.backlog, why),
        };
        let arrivals = match queue.arrivals.as_ref().map(|signal| (signal, self.amount(signal))) {
            Some((_, Ok(sample))) => sample.value,
            // The backlog alone may still ask for more.
            Some((signal, Err(why))) => {
                proposals.miss(signal, why);
                0.0
            }
            None => 0.0,
        };
        let needed = queue.wish(backlog, arrivals);
        let size = cool(self.policy, None, self.state, self.now, |_| needed);
        proposals.made.push(Proposal {
            trigger: Some(trigger(&queue.backlog, backlog, queue.per_worker)),
            reason: Reason::Backlog {
                signal: queue.backlog.clone(),
                backlog,
                arrivals,
                per_worker: queue.per_worker,
                drain: queue.drain,
                wish: size.asks,
                current: self.state.current,
            },
            size,
            floor: false,
        });
    }

    pub(super) fn burst(self, burst: &Burst, before: Option<Panic>, proposals: &mut Proposals) {
        let current = self.state.current;
        let stable = self.amount(&burst.stable);
        let short = self.amount(&burst.panic);
        for (signal, sample) in [(&burst.stable, stable), (&burst.panic, short)] {
            if let Err(why) = sample {
                proposals.miss(signal, why);
            }
        }
        let wish = |sample: Result<&Sample, Missing>| sample.map_or(0, |s| burst.wish(s.value));
        let (calm, short_wish) = (wish(stable), wish(short));
        // Starting instances count: slowness to start is no lack of capacity.
        let over = f64::from(short_wish) >= burst.threshold * f64::from(current.max(1));
        let going =
            before.filter(|panic| self.now.saturating_duration_since(panic.last) < burst.calm);
        let most = calm.max(short_wish);
        let panic = if over {
            let peak = going.map_or(current, |panic| panic.peak).max(most);
            Some(Panic { last: self.now, peak })
        } else {
            going.map(|panic| Panic { peak: panic.peak.max(most), ..panic })
        };
        proposals.panics.push(panic);
        let shown = match (panic, stable, short) {
            (None, Ok(sample), _) | (Some(_), Ok(sample), Err(_)) => Some((&burst.stable, sample)),
            (_, _, Ok(sample)) => Some((&burst.panic, sample)),
            (_, Err(_), Err(_)) => None,
        };
        let Some((signal, sample)) = shown else { return };
        // Without the stable window nothing speaks for a smaller size.
        let needed = match panic {
            Some(panic) => panic.peak,
            None if stable.is_err() => most.max(current),
            None => calm,
        };
        let size = cool(self.policy, None, self.state, self.now, |_| needed);
        let value = sample.value / f64::from(current.max(1));
        let measured = Measured {
            signal: signal.clone(),
            value,
            unit: sample.unit,
            relation: side(value, burst.per_instance),
            threshold: burst.per_instance,
            per_instance: current > 0,
        };
        let wish = size.asks;
        let reason = match panic {
            Some(panic) => Reason::Panic {
                measured,
                wish,
                current,
                remaining: burst
                    .calm
                    .saturating_sub(self.now.saturating_duration_since(panic.last)),
            },
            None => Reason::Target { measured, wish, current },
        };
        let trigger = Some(trigger(signal, value, burst.per_instance));
        proposals.made.push(Proposal { trigger, reason, size, floor: false });
    }

    pub(super) fn forecast(self, forecast: &Forecast, proposals: &mut Proposals) {
        let skill = forecast.skill.as_ref().map(|skill| {
            let known = self.signals.fresh(&skill.signal, self.now, self.policy.max_signal_age);
            (skill, known.map(|sample| sample.value))
        });
        let signal = &forecast.signal;
        let mut known = None;
        match skill {
            Some((skill, Ok(value))) if value < skill.at_least => {
                return proposals.notes.push(Reason::ForecastOff {
                    signal: signal.clone(),
                    skill: value,
                    at_least: skill.at_least,
                });
            }
            Some((_, Ok(value))) => known = Some(value),
            Some((skill, Err(why))) if !forecast.ignore_missing => {
                proposals.miss(&skill.signal, why);
            }
            Some((_, Err(_))) => return,
            None => {}
        }
        let sample = match self.amount(signal) {
            Ok(sample) => sample,
            Err(_) if forecast.ignore_missing => return,
            Err(why) => return proposals.miss(signal, why),
        };
        let needed = forecast.wish(sample.value);
        let size = cool(self.policy, None, self.state, self.now, |_| needed);
        let threshold = forecast.per_instance.unwrap_or(1.0);
        proposals.made.push(Proposal {
            trigger: Some(trigger(signal, sample.value, threshold)),
            reason: Reason::Forecast {
                signal: signal.clone(),
                value: sample.value,
                unit: sample.unit,
                skill: known,
                foreseen: forecast.outlook.as_ref().map(|it| self.foreseen(it)).unwrap_or_default(),
                wish: size.asks,
                current: self.state.current,
            },
            size,
            floor: !forecast.may_shrink,
        });
    }

    /// What is not known of it holds nothing: it is only told.
    fn foreseen(self, outlook: &Outlook) -> Foreseen {
        let known = |signal: &Option<String>| {
            let signal = signal.as_ref()?;
            let sample = self.signals.fresh(signal, self.now, self.policy.max_signal_age).ok()?;
            Some(sample.value)
        };
        Foreseen {
            horizon: known(&outlook.horizon),
            low: known(&outlook.low),
            high: known(&outlook.high),
            error: known(&outlook.error),
            missed: known(&outlook.missed),
        }
    }

    pub(super) fn vertical(self, proposals: &mut Proposals) {
        for each in &self.policy.vertical {
            // Advice is no opinion on the size: what it lacks holds nothing.
            let Ok(sample) = self.amount(&each.signal) else { continue };
            if let Some(advised) = each.advised(sample.value) {
                proposals.notes.push(Reason::Vertical {
                    resource: each.resource.clone(),
                    used: sample.value,
                    unit: sample.unit,
                    given: each.given,
                    advised,
                });
            }
        }
    }
}

/// The end of a band that tells it best from its neighbours.
fn end(band: &Band) -> (Op, f64) {
    match (band.from, band.to) {
        (Some(from), _) => (Op::AtLeast, from),
        (None, Some(to)) => (Op::Below, to),
        (None, None) => (Op::AtLeast, f64::NEG_INFINITY),
    }
}

fn side(value: f64, level: f64) -> Op {
    if value > level {
        Op::Above
    } else if value < level {
        Op::Below
    } else {
        Op::Equal
    }
}

fn trigger(signal: &str, value: f64, threshold: f64) -> Trigger {
    Trigger { metric: signal.to_owned(), value, threshold }
}

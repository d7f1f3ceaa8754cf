use std::time::Duration;

use super::{
    Bands, Budget, Burst, Churn, Forecast, Goal, Kind, Policy, PolicyError, Queue, Rates, Rule,
    RuleAction, Scalability, StepLimit, Target, Vertical,
};

impl Policy {
    /// Checks every bound.
    ///
    /// # Errors
    /// Names the first field that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<(), PolicyError> {
        let length = self.group.len();
        if !(1..=100).contains(&length) {
            return Err(PolicyError::Group { length });
        }
        if self.max == 0 {
            return Err(PolicyError::MaxIsZero);
        }
        if self.min > self.max {
            let (min, max) = (self.min, self.max);
            return Err(PolicyError::MinAboveMax { min, max });
        }
        let below_one = (0.0..1.0).contains(&self.tolerance);
        number("tolerance", self.tolerance, below_one, "0 to below 1")?;
        let zero = Duration::ZERO;
        for (field, value, min, max) in [
            ("cooldown_up", self.cooldown_up, zero, WEEK),
            ("cooldown_down", self.cooldown_down, zero, WEEK),
            ("window_up", self.window_up, zero, DAY),
            ("window_down", self.window_down, zero, DAY),
            ("max_signal_age", self.max_signal_age, SECOND, DAY),
            ("evaluate_every", self.evaluate_every, SECOND / 10, HOUR),
        ] {
            duration(field, value, min, max)?;
        }
        for (field, limit) in
            [("limit_up.percent", self.limit_up), ("limit_down.percent", self.limit_down)]
        {
            step_limit(field, limit)?;
        }
        let down = self.tolerance_down.unwrap_or_default();
        number("tolerance_down", down, (0.0..1.0).contains(&down), "0 to below 1")?;
        number("max_spot", self.max_spot, (0.0..=1.0).contains(&self.max_spot), "0 to 1")?;
        let zones = f64::from(self.spread);
        number("spread", zones, (1..=10).contains(&self.spread), "1 to 10")?;
        duration("start_delay", self.start_delay, zero, DAY)?;
        duration("ready_within", self.ready_within.unwrap_or_default(), zero, DAY)?;
        self.lists()?;
        for (index, each) in self.targets.iter().enumerate() {
            let error = |error| PolicyError::Target { index, error };
            target(each).map_err(Box::new).map_err(error)?;
        }
        for (index, each) in self.rules.iter().enumerate() {
            let error = |error| PolicyError::Rule { index, error };
            rule(each).map_err(Box::new).map_err(error)?;
        }
        Ok(())
    }

    fn lists(&self) -> Result<(), PolicyError> {
        entries("bands", &self.bands, Bands::validate)?;
        entries("queues", &self.queues, Queue::validate)?;
        entries("bursts", &self.bursts, Burst::validate)?;
        entries("forecasts", &self.forecasts, Forecast::validate)?;
        entries("dependencies", &self.dependencies, |each| each.validate(self.min))?;
        entries("vertical", &self.vertical, Vertical::validate)?;
        entries("kinds", &self.kinds, Kind::validate)?;
        for (field, limit) in [("rates_up", &self.rates_up), ("rates_down", &self.rates_down)] {
            entries(field, std::slice::from_ref(limit), Rates::validate)?;
        }
        #[cfg(feature = "schedules")]
        {
            entries("schedules", &self.schedules, |each| each.validate(self.max))?;
            crate::schedule::conflicts(&self.schedules)?;
        }
        self.fleet.validate()?;
        self.budget.map_or(Ok(()), Budget::validate)?;
        self.scalability.as_ref().map_or(Ok(()), Scalability::validate)?;
        self.churn.as_ref().map_or(Ok(()), Churn::validate)?;
        self.zero.as_ref().map_or(Ok(()), |zero| zero.validate(self.min))
    }
}

fn entries<T>(
    list: &'static str,
    all: &[T],
    check: impl Fn(&T) -> Result<(), PolicyError>,
) -> Result<(), PolicyError> {
    for (index, each) in all.iter().enumerate() {
        check(each).map_err(|error| PolicyError::Entry { list, index, error: Box::new(error) })?;
    }
    Ok(())
}

fn target(target: &Target) -> Result<(), PolicyError> {
    if target.signal.is_empty() {
        return Err(PolicyError::EmptySignal);
    }
    let level = target.goal.level();
    let positive = level.is_finite() && level > 0.0;
    match target.goal {
        // 70 where 0.7 is meant would hold the fleet at its minimum.
        Goal::Utilisation(_) => number(
            "goal.utilisation",
            level,
            positive && level <= 10.0,
            "a ratio above 0 and at most 10",
        ),
        Goal::PerInstance(_) => number("goal.per_instance", level, positive, "finite and above 0"),
        Goal::Total(_) => number("goal.total", level, positive, "finite and above 0"),
    }
}

fn rule(rule: &Rule) -> Result<(), PolicyError> {
    rule.by.validate("by")?;
    if (rule.action == RuleAction::Advise) != rule.advice.is_some() {
        return Err(PolicyError::Advice);
    }
    match rule.cooldown {
        Some(cooldown) => duration("cooldown", cooldown, Duration::ZERO, WEEK),
        None => Ok(()),
    }
}

/// A limit of nothing would freeze the direction for good.
fn step_limit(field: &'static str, limit: Option<StepLimit>) -> Result<(), PolicyError> {
    let Some(limit) = limit else { return Ok(()) };
    let valid = limit.percent.is_finite() && limit.percent >= 0.0;
    let moves = limit.instances > 0 || limit.percent > 0.0;
    number(
        field,
        limit.percent,
        valid && moves,
        "finite and not negative, and above 0 if instances is 0",
    )
}

pub(super) fn finite(field: &'static str, value: f64) -> Result<(), PolicyError> {
    number(field, value, value.is_finite(), "finite")
}

pub(super) fn positive(field: &'static str, value: f64) -> Result<(), PolicyError> {
    number(field, value, value.is_finite() && value > 0.0, "finite and above 0")
}

pub(super) fn number(
    field: &'static str,
    value: f64,
    holds: bool,
    bound: &'static str,
) -> Result<(), PolicyError> {
    if holds { Ok(()) } else { Err(PolicyError::Number { field, value, bound }) }
}

pub(crate) fn duration(
    field: &'static str,
    value: Duration,
    min: Duration,
    max: Duration,
) -> Result<(), PolicyError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(PolicyError::Duration { field, value, min, max })
    }
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

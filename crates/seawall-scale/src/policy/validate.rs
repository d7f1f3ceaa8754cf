use std::time::Duration;

use super::{Goal, Policy, PolicyError, Rule, Step, StepLimit, Target};

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
    match rule.by {
        Step::Instances(0) => number("by", 0.0, false, "at least 1"),
        Step::Instances(_) => Ok(()),
        Step::Percent(percent) => number(
            "by",
            percent,
            percent > 0.0 && percent <= 1000.0,
            "above 0 and at most 1000 per cent",
        ),
    }?;
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

fn number(
    field: &'static str,
    value: f64,
    holds: bool,
    bound: &'static str,
) -> Result<(), PolicyError> {
    if holds { Ok(()) } else { Err(PolicyError::Number { field, value, bound }) }
}

fn duration(
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

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

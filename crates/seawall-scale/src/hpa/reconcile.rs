//! One whole decision.

use std::time::Duration;

use super::pods::Initialisation;
use super::{
    Behaviour, Condition, ConditionKind, Direction, Metric, Moment, Pod, Proposal, Reason, Rules,
    ScaleEvent, Source, Tolerance, Wish, limit_by_factor, limit_by_rules, stabilise_down,
    stabilise_within,
};

/// What the flags of the controller set.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "callers build it from the flags")]
pub struct Controller {
    /// Default: 0.1 both ways.
    pub tolerance: Tolerance,
    /// How CPU use of young pods is taken.
    pub initialisation: Initialisation,
    /// The window of a group that shrinks. Default: 300 s.
    pub downscale_window: Duration,
    /// Without `behavior`: how many times its size a group may become at once. Default: 2.
    pub up_factor: f64,
    /// Without `behavior`: the size it may become in any case. Default: 4.
    pub up_minimum: f64,
    /// Whether a group may be scaled to zero and back (the gate `HPAScaleToZero`). Default: no.
    pub scale_to_zero: bool,
    /// Whether the tolerances of rules count (`HPAConfigurableTolerance`). Default: yes.
    pub configurable_tolerance: bool,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            tolerance: Tolerance::default(),
            initialisation: Initialisation::default(),
            downscale_window: Duration::from_secs(300),
            up_factor: 2.0,
            up_minimum: 4.0,
            scale_to_zero: false,
            configurable_tolerance: true,
        }
    }
}

/// A horizontal pod autoscaler: its spec, with what was answered for its metrics.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "callers build it from a manifest")]
pub struct Hpa {
    /// Fewest replicas. Default: 1.
    pub min: i32,
    /// Most replicas. Default: 10.
    pub max: i32,
    /// What it goes by.
    pub metrics: Vec<Metric>,
    /// How fast; `None`: the controller's way.
    pub behaviour: Option<Behaviour>,
}

impl Default for Hpa {
    fn default() -> Self {
        Self { min: 1, max: 10, metrics: Vec::new(), behaviour: None }
    }
}

/// What it scales, as it is now.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "callers build it from the API")]
pub struct World {
    /// Replicas asked for.
    pub spec_replicas: i32,
    /// Replicas there are.
    pub status_replicas: i32,
    /// The pods its selector finds.
    pub pods: Vec<Pod>,
    /// Whether the condition `ScaledToZero` holds: the size is zero because the HPA made it so.
    pub scaled_to_zero: bool,
}

/// What the controller remembers of an HPA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Earlier wishes. `None`: it sees the HPA for the first time, and takes the size for one.
    pub wishes: Option<Vec<Wish>>,
    /// Changes that were made, up.
    pub ups: Vec<ScaleEvent>,
    /// And down.
    pub downs: Vec<ScaleEvent>,
}

/// What goes wrong with the scale subresource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is read, and it is written")]
pub struct Faults {
    /// It cannot be read.
    pub get: bool,
    /// It cannot be written. A conflict is not that: the write is repeated.
    pub update: bool,
}

/// What came of one decision.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Done {
    /// How many replicas there should be.
    pub desired: i32,
    /// Whether that was written.
    pub rescaled: bool,
    /// Whether something went wrong, even if a change was made.
    pub error: bool,
    /// CPU use in per cent of the requests, if that is a metric and was measured.
    pub cpu_utilisation: Option<i32>,
    /// All there are.
    pub conditions: Vec<Condition>,
}

/// Decides as the controller does in one pass, and remembers it.
///
/// The order is: the scale; a size of zero or out of bounds, for which no metric is
/// asked; proposals, of which the largest wins, and none shrinks the group while a metric
/// fails; the stabilisation windows; rules or factor, with the bounds; the write.
pub fn reconcile(
    controller: &Controller,
    hpa: &Hpa,
    world: &World,
    memory: &mut Memory,
    faults: Faults,
    now: Moment,
) -> Done {
    let current = world.spec_replicas;
    let mut done = Done {
        desired: current,
        rescaled: false,
        error: false,
        cpu_utilisation: None,
        conditions: Vec::new(),
    };
    if world.scaled_to_zero {
        // It is in the status until it is replaced or removed.
        done.set(ConditionKind::ScaledToZero, true, Reason::ScaledToZero);
    }
    if faults.get {
        done.set(ConditionKind::AbleToScale, false, Reason::FailedGetScale);
        done.error = true;
        return done;
    }
    done.set(ConditionKind::AbleToScale, true, Reason::SucceededGetScale);
    memory.wishes.get_or_insert_with(|| vec![Wish { replicas: current, at: now }]);

    let own_zero = controller.scale_to_zero && world.scaled_to_zero;
    let by_objects = hpa.goes_by_objects();
    let desired = if current == 0 && !(own_zero && (hpa.min != 0 || by_objects)) {
        done.set(ConditionKind::ScalingActive, false, Reason::ScalingDisabled);
        if !controller.scale_to_zero {
            done.remove(ConditionKind::ScaledToZero);
        }
        return done;
    } else if current > hpa.max {
        hpa.max
    } else if current < hpa.min && current != 0 {
        hpa.min
    } else {
        let Some(wanted) = done.propose(controller, hpa, world, now) else { return done };
        let normal = match &hpa.behaviour {
            None => done.normalise(controller, hpa, memory, (current, wanted), now),
            Some(behaviour) => {
                done.follow(controller, hpa, behaviour, memory, (current, wanted), now)
            }
        };
        // The minimum was raised while it slept: no rule keeps it from that.
        if current == 0 { normal.max(hpa.min) } else { normal }
    };
    if desired == current {
        return done;
    }
    if faults.update {
        done.set(ConditionKind::AbleToScale, false, Reason::FailedUpdateScale);
        done.error = true;
        return done;
    }
    done.set(ConditionKind::AbleToScale, true, Reason::SucceededRescale);
    if !controller.scale_to_zero {
        done.remove(ConditionKind::ScaledToZero);
    } else if desired == 0 && hpa.min == 0 && by_objects {
        done.set(ConditionKind::ScaledToZero, true, Reason::ScaledToZero);
    } else {
        done.set(ConditionKind::ScaledToZero, false, Reason::NotScaledToZero);
    }
    (done.desired, done.rescaled) = (desired, true);
    if let Some(behaviour) = &hpa.behaviour {
        memory.store(behaviour, current, desired, now);
    }
    done
}

impl Done {
    fn remove(&mut self, kind: ConditionKind) {
        self.conditions.retain(|condition| condition.kind != kind);
    }

    fn set(&mut self, kind: ConditionKind, status: bool, reason: Reason) {
        self.remove(kind);
        self.conditions.push(Condition { kind, status, reason });
    }

    /// The largest proposal. `None` if that must not be followed.
    fn propose(
        &mut self,
        controller: &Controller,
        hpa: &Hpa,
        world: &World,
        now: Moment,
    ) -> Option<i32> {
        let tolerance = controller.tolerance_for(hpa);
        let mut failure = None;
        let mut wanted: Option<i32> = None;
        for metric in &hpa.metrics {
            match metric.propose(controller, world, tolerance, now) {
                Ok(Proposal { replicas, utilisation, .. }) => {
                    if metric.source == (Source::Resource { resource: "cpu".into() }) {
                        self.cpu_utilisation = utilisation.or(self.cpu_utilisation);
                    }
                    wanted = wanted.max(Some(replicas));
                }
                Err(_) => _ = failure.get_or_insert(metric.failure()),
            }
        }
        self.error = failure.is_some();
        let wanted = wanted.filter(|wanted| failure.is_none() || *wanted >= world.spec_replicas);
        match (wanted, failure) {
            (Some(_), _) => self.set(ConditionKind::ScalingActive, true, Reason::ValidMetricFound),
            (None, Some(reason)) => self.set(ConditionKind::ScalingActive, false, reason),
            // There are no metrics at all.
            (None, None) => {}
        }
        // A metric may be negative; nobody wishes for less than none.
        wanted.map(|wanted| wanted.max(0))
    }

    /// Stabilises and limits a wish of a group without `behavior`.
    fn normalise(
        &mut self,
        controller: &Controller,
        hpa: &Hpa,
        memory: &mut Memory,
        (current, wanted): (i32, i32),
        now: Moment,
    ) -> i32 {
        let window = controller.downscale_window;
        let stable = stabilise_down(memory.wishes(), wanted, window, now);
        memory.wish(wanted, window, now);
        self.ready((stable != wanted).then_some(Reason::ScaleDownStabilized));
        let factor = (controller.up_factor, controller.up_minimum);
        let limited = limit_by_factor((current, stable), (hpa.min, hpa.max), factor);
        self.limited(stable, limited)
    }

    /// Stabilises and limits a wish by rules.
    fn follow(
        &mut self,
        controller: &Controller,
        hpa: &Hpa,
        behaviour: &Behaviour,
        memory: &mut Memory,
        (current, wanted): (i32, i32),
        now: Moment,
    ) -> i32 {
        let up = Rules::filled(behaviour.up.as_ref(), Direction::Up).window.unwrap_or_default();
        let down = Rules::filled(behaviour.down.as_ref(), Direction::Down).window;
        let down = down.unwrap_or(controller.downscale_window);
        let stable = stabilise_within(memory.wishes(), (current, wanted), up, down, now);
        memory.wish(wanted, up.max(down), now);
        let reason =
            if wanted >= current { Reason::ScaleUpStabilized } else { Reason::ScaleDownStabilized };
        self.ready((stable != wanted).then_some(reason));
        let events = (&*memory.ups, &*memory.downs);
        let limited = limit_by_rules(behaviour, (current, stable), (hpa.min, hpa.max), events, now);
        self.limited(stable, limited)
    }

    fn ready(&mut self, stabilised: Option<Reason>) {
        let reason = stabilised.unwrap_or(Reason::ReadyForNewScale);
        self.set(ConditionKind::AbleToScale, true, reason);
    }

    fn limited(&mut self, stable: i32, (desired, reason): (i32, Reason)) -> i32 {
        self.set(ConditionKind::ScalingLimited, desired != stable, reason);
        desired
    }
}

impl Hpa {
    /// Whether a metric is there that can be measured without a pod.
    fn goes_by_objects(&self) -> bool {
        self.metrics.iter().any(|metric| matches!(metric.source, Source::Object | Source::External))
    }
}

impl Controller {
    fn tolerance_for(&self, hpa: &Hpa) -> Tolerance {
        let Some(behaviour) = hpa.behaviour.as_ref().filter(|_| self.configurable_tolerance) else {
            return self.tolerance;
        };
        let own = |rules: &Option<Rules>| rules.as_ref().and_then(|rules| rules.tolerance);
        Tolerance {
            down: own(&behaviour.down).unwrap_or(self.tolerance.down),
            up: own(&behaviour.up).unwrap_or(self.tolerance.up),
        }
    }
}

impl Memory {
    fn wishes(&self) -> &[Wish] {
        self.wishes.as_deref().unwrap_or_default()
    }

    /// Remembers a wish for as long as a window may ask for it.
    fn wish(&mut self, replicas: i32, window: Duration, now: Moment) {
        let wishes = self.wishes.get_or_insert_default();
        wishes.retain(|wish| wish.at.saturating_add(window) >= now);
        wishes.push(Wish { replicas, at: now });
    }

    /// Remembers a change. As in the controller it takes the place of the last one of its direction
    /// that no policy of that direction reaches.
    fn store(&mut self, behaviour: &Behaviour, from: i32, to: i32, now: Moment) {
        let (events, rules) = if to > from {
            (&mut self.ups, Rules::filled(behaviour.up.as_ref(), Direction::Up))
        } else {
            (&mut self.downs, Rules::filled(behaviour.down.as_ref(), Direction::Down))
        };
        let event = ScaleEvent { change: to.saturating_sub(from).saturating_abs(), at: now };
        let longest = rules.longest_period();
        match events.iter_mut().rfind(|event| event.at.saturating_add(longest) < now) {
            Some(outdated) => *outdated = event,
            None => events.push(event),
        }
    }
}

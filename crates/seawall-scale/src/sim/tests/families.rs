//! Kinds of load that nothing was tuned on, made up from a seed.

use crate::sim::Trace;

/// The same numbers for the same seed.
struct Chance(u64);

impl Chance {
    /// 0 to below 1.
    fn share(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal: the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// Each kind by name, a value for each of so many minutes.
pub(crate) fn families(seed: u64, minutes: u32) -> Vec<(&'static str, Trace)> {
    let mut chance = Chance(seed);
    let mut all = Vec::new();
    let mut add = |name, value: &mut dyn FnMut(u32, &mut Chance) -> f64| {
        let values = (0..minutes).map(|minute| value(minute, &mut chance).max(0.0)).collect();
        all.extend(Trace::new(60.0, values).map(|trace| (name, trace)));
    };
    let day = |minute: u32| 1.0 - 0.6 * (f64::from(minute) / 1440.0 * std::f64::consts::TAU).cos();

    let mut noise = 0.0;
    add("diurnal with noise", &mut |minute, chance| {
        noise = 0.9 * noise + 0.03 * chance.normal();
        100.0 * day(minute) * f64::exp(noise)
    });
    let mut crowd = 0.0;
    add("flash crowds", &mut |minute, chance| {
        crowd *= 0.95;
        if chance.share() < 1.0 / 480.0 {
            crowd = 3.0 + 5.0 * chance.share();
        }
        100.0 * (day(minute) + crowd)
    });
    add("sawtooth", &mut |minute, _| 50.0 + 3.0 * f64::from(minute % 97));
    let mut walk = 0.0;
    add("random walk", &mut |_, chance| {
        walk = 0.999 * walk + 0.03 * chance.normal();
        100.0 * f64::exp(walk)
    });
    let (mut on, mut left) = (false, 0.0);
    add("on and off", &mut |_, chance| {
        left -= 1.0;
        if left <= 0.0 {
            on = !on;
            left = 5.0 + 35.0 * chance.share();
        }
        if on { 300.0 } else { 20.0 }
    });
    add("office hours", &mut |minute, chance| {
        let open = (480..1_080).contains(&(minute % 1_440));
        (if open { 200.0 } else { 40.0 }) * (1.0 + 0.05 * chance.normal())
    });
    all
}

/// What one instance can do: a number of slots, each busy for a mean time with one request.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "a model of three numbers")]
pub struct Service {
    /// Requests a second that one instance finishes when always busy. Above 0.
    pub rate: f64,
    /// Requests that one instance works on at a time. At least 1.
    pub slots: u32,
    /// The objective: how much longer than alone a request may take on average for waiting, in
    /// service times. Above 0. With exponential service the 95th percentile alone is three
    /// service times, and about three mean waits more with waiting, so 1/3 keeps it within four.
    pub wait: f64,
}

impl Service {
    /// The mean wait for a slot in service times, at `rate` requests a second on `instances`.
    /// Infinite if they cannot keep up.
    ///
    /// Source: Sakasegawa, "An approximation formula L_q = a r^b / (1 - r)" (1977), for M/M/c.
    #[must_use]
    pub fn mean_wait(self, rate: f64, instances: u32) -> f64 {
        let servers = f64::from(instances) * f64::from(self.slots);
        let busy = rate / (f64::from(instances) * self.rate);
        if busy <= 0.0 {
            return 0.0;
        }
        // Also for no instances, where the ratio is infinite.
        if busy < 1.0 {
            busy.powf((2.0 * (servers + 1.0)).sqrt() - 1.0) / (servers * (1.0 - busy))
        } else {
            f64::INFINITY
        }
    }

    /// Whether `instances` keep the objective at `rate`.
    #[must_use]
    pub fn keeps(self, rate: f64, instances: u32) -> bool {
        self.mean_wait(rate, instances) <= self.wait
    }

    /// The least number of instances that keep the objective at `rate` requests a second; 0 for
    /// no load, and `u32::MAX` where no number does.
    ///
    /// Cost: a search over about as many sizes as the square root of the answer.
    #[must_use]
    pub fn least(self, rate: f64) -> u32 {
        if rate <= 0.0 {
            return 0;
        }
        // Also for a wait that is no number: no size would ever do.
        if self.slots == 0 || self.wait.is_nan() || self.wait < 0.0 {
            return u32::MAX;
        }
        let busy = (rate / self.rate).floor();
        if busy >= f64::from(u32::MAX) || !busy.is_finite() {
            return u32::MAX;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        let mut instances = (busy as u32).max(1);
        while !self.keeps(rate, instances) {
            let Some(next) = instances.checked_add(1) else { return u32::MAX };
            instances = next;
        }
        instances
    }

    /// The highest rate at which `instances` keep the objective, to a thousandth.
    ///
    /// Cost: some twenty evaluations.
    #[must_use]
    pub fn most(self, instances: u32) -> f64 {
        let (mut low, mut high) = (0.0, f64::from(instances) * self.rate);
        while high - low > 1e-3 * high.max(f64::MIN_POSITIVE) {
            let middle = f64::midpoint(low, high);
            if self.keeps(middle, instances) { low = middle } else { high = middle }
        }
        low
    }
}

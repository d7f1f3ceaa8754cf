use super::Service;

/// What one instance can do, learned from how busy the instances were: nobody has to know how long a
/// request takes, and a release that makes it slower is noticed.
///
/// ```
/// use seawall_scale::capacity::{Service, ServiceModel};
///
/// // Thought to finish 10 requests a second; in truth it is 25.
/// let given = Service { rate: 10.0, slots: 8, wait: 1.0 / 3.0 };
/// let mut model = ServiceModel::new(given);
/// for step in 0..200 {
///     let rate = 40.0 + f64::from(step % 50);
///     // Four instances.
///     model.observe(rate, 4, rate / 4.0 / 25.0);
/// }
/// assert!((model.service().rate / 25.0 - 1.0).abs() < 0.01);
/// ```
///
/// By the utilisation law an instance is busy for its rate of requests times the time that each
/// takes, and for what it does without any: `busy = base + rate / most`. Both are a regression by
/// least squares that forgets and in which a measurement far from what was expected counts less
/// (Huber's weights). While the load hardly moves the two cannot be told apart: the base stays then,
/// and the time of a request takes all that changes.
///
/// The slots and the objective stay as they were given. Cost: an observation is constant, and
/// allocates nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceModel {
    given: Service,
    /// Sums of weights, rates, uses, and of their products.
    weight: f64,
    rates: f64,
    uses: f64,
    squares: f64,
    products: f64,
    /// How busy an instance is without any request.
    base: f64,
    /// How far off it is on average.
    off: f64,
    seen: u64,
    /// Requests a second at which an instance would be busy all the time, once that was learned.
    most: Option<f64>,
}

impl ServiceModel {
    /// A model that knows nothing yet, and says what is given.
    #[must_use]
    pub fn new(given: Service) -> Self {
        Self {
            given,
            weight: 0.0,
            rates: 0.0,
            uses: 0.0,
            squares: 0.0,
            products: 0.0,
            base: 0.0,
            off: 0.0,
            seen: 0,
            most: None,
        }
    }

    /// One measurement: `rate` requests a second on `instances` that served, which were `busy` on
    /// average, as a ratio: of what runs out first. That is their CPU, or their slots (requests in
    /// flight by slots) where requests wait for something else; of anything that does not run out
    /// first too much is learned.
    ///
    /// What is no number, negative, of no instance, or more than a hundred times what was given, is
    /// left out, and so is what was busy to more than twice of all its time, which is a wrong unit.
    ///
    /// At 95 % and more work waits, and what arrives is not what is done: no less than that. So it is
    /// left out where as much was expected. Else an instance does no more than what arrives, and by a
    /// twentieth the rate moves there each time: what is thought faster than it is makes the group so
    /// small that it is never less busy, and nothing else would ever be learned. What spins, and is
    /// busy whatever arrives, is thought slower and slower, down to a tenth of its usual rate, or to a
    /// hundredth of the given one: a target of CPU would let it grow as well.
    ///
    /// What says nothing of requests is left out as well: a tenth of the usual rate and less, so that
    /// what was learned by day is known in the morning, and what is busy to less than a tenth at less
    /// than a tenth of the rate that was given, for who starts idle is busy with other things.
    pub fn observe(&mut self, rate: f64, instances: u32, busy: f64) {
        let each = rate / f64::from(instances);
        let sound = (0.0..=MOST_TIMES * self.given.rate).contains(&each);
        if !sound || instances == 0 || !(0.0..=MOST_BUSY).contains(&busy) {
            return;
        }
        let expected = self.base + each / self.service().rate * (1.0 - self.base);
        if busy >= SATURATED && expected >= SATURATED {
            return;
        }
        if busy < LEAST_BUSY && each < IDLE * self.given.rate {
            return;
        }
        if self.seen >= ENOUGH && each < IDLE * self.rates / self.weight {
            return;
        }
        self.seen = self.seen.saturating_add(1);
        if busy >= SATURATED {
            return self.slow_down(each);
        }
        let weight = self.trust(each, busy);
        for (sum, value) in [
            (&mut self.weight, 1.0),
            (&mut self.rates, each),
            (&mut self.uses, busy),
            (&mut self.squares, each * each),
            (&mut self.products, each * busy),
        ] {
            *sum = *sum * KEPT + weight * value;
        }
        if self.seen >= ENOUGH {
            // Where it cannot be told anew it is less than all there is.
            let known = self.base.min(0.9 * self.uses / self.weight);
            self.base = self.fitted_base().unwrap_or(known);
            self.most = self.fitted().or(self.most);
        }
    }

    /// The service with the learned rate; with the given one before twenty measurements. What is
    /// more than a hundred times off the given one is a wrong unit and no service: while the
    /// measurements say so, it stays as it was, which is the last that was learned, if any was.
    #[must_use]
    pub fn service(&self) -> Service {
        Service { rate: self.most.unwrap_or(self.given.rate), ..self.given }
    }

    /// How many measurements were taken.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// All are busy where they were thought to have time left: no more than `each` is done. What was
    /// measured before is another service's, and this is no point of a line, for the line ends here.
    fn slow_down(&mut self, each: f64) {
        for sum in [
            &mut self.weight,
            &mut self.rates,
            &mut self.uses,
            &mut self.squares,
            &mut self.products,
        ] {
            *sum *= KEPT_REFUTED;
        }
        let most = self.service().rate;
        let most = most + (each - most) / ENOUGH as f64;
        if self.seen >= ENOUGH && most >= LEAST_OF_GIVEN * self.given.rate {
            self.most = Some(most);
        }
    }

    fn fitted(&self) -> Option<f64> {
        let for_requests = self.uses - self.base * self.weight;
        let most = self.rates / for_requests * (1.0 - self.base);
        (LEAST_OF_GIVEN..=MOST_TIMES).contains(&(most / self.given.rate)).then_some(most)
    }

    /// How much a measurement counts: beyond three mean errors as much as at three, and less at more
    /// than three times the mean rate.
    fn trust(&mut self, each: f64, busy: f64) -> f64 {
        let Some(most) = self.most else { return 1.0 };
        let off = (busy - self.base - each / most * (1.0 - self.base)).abs();
        let usual = self.off.max(LEAST_ERROR);
        // One that is wild does not make the next wild one usual; many do, soon.
        self.off = usual + (off.min(10.0 * usual) - usual) / MEMORY_OF_ERRORS;
        // A rate far above all others would bend the line alone.
        let far = (3.0 * self.rates / self.weight / each).min(1.0);
        (3.0 * usual / off).min(1.0) * far * far
    }

    /// From the spread of the rates, if there is one: their standard deviation is a tenth of the
    /// mean at least.
    fn fitted_base(&self) -> Option<f64> {
        let (rate, busy) = (self.rates / self.weight, self.uses / self.weight);
        let spread = self.squares / self.weight - rate * rate;
        if spread <= 0.01 * rate * rate {
            return None;
        }
        let slope = (self.products / self.weight - rate * busy) / spread;
        let base = busy - slope * rate;
        (slope > 0.0 && base.is_finite()).then(|| base.clamp(0.0, MOST_BASE))
    }
}

/// About a hundred measurements are remembered: 25 minutes of one every 15 s.
const KEPT: f64 = 0.99;
/// What is remembered is halved by seven that refute it.
const KEPT_REFUTED: f64 = 0.9;
const ENOUGH: u64 = 20;
/// From here on it counts as busy all the time.
pub(crate) const SATURATED: f64 = 0.95;
/// Time is measured badly, and what waits may be counted as in flight; more is a percentage.
const MOST_BUSY: f64 = 2.0;
const LEAST_BUSY: f64 = 0.1;
const MEMORY_OF_ERRORS: f64 = 50.0;
/// Use is measured no better.
const LEAST_ERROR: f64 = 0.005;
/// No rate is learned that is further off.
const MOST_TIMES: f64 = 100.0;
const LEAST_OF_GIVEN: f64 = 0.01;
const IDLE: f64 = 0.1;
/// An instance that is busier without a request is measured wrongly.
const MOST_BASE: f64 = 0.5;

use std::collections::VecDeque;

/// A simple way to tell the load of the next minutes from that of the last ones.
#[derive(Clone, Debug)]
pub(super) struct Predictor {
    way: Way,
    /// Loads of as long as it looks back, oldest first; for a peak, the largest first.
    loads: VecDeque<(f64, f64)>,
    sum: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// As it is now.
    Last,
    /// The mean of so many seconds.
    Mean(f64),
    /// The most of so many seconds.
    Peak(f64),
    /// Carried on along the slope of so many seconds, by this share of the horizon.
    Slope(f64, f64),
}

impl Predictor {
    pub(super) fn all() -> Vec<Self> {
        let ways = [
            Way::Last,
            Way::Mean(60.0),
            Way::Mean(300.0),
            Way::Peak(120.0),
            Way::Peak(300.0),
            Way::Peak(900.0),
            Way::Slope(60.0, 0.7),
            Way::Slope(180.0, 0.7),
        ];
        ways.into_iter().map(|way| Self { way, loads: VecDeque::new(), sum: 0.0 }).collect()
    }

    /// The most of so many seconds.
    pub(super) fn peak(over: f64) -> Self {
        Self { way: Way::Peak(over), loads: VecDeque::new(), sum: 0.0 }
    }

    pub(super) fn name(&self) -> &'static str {
        match self.way {
            Way::Last => "last",
            Way::Mean(_) => "mean",
            Way::Peak(_) => "peak",
            Way::Slope(..) => "slope",
        }
    }

    /// The load expected within `horizon` seconds, once it is `load` at `now`.
    pub(super) fn predict(&mut self, now: f64, load: f64, horizon: f64) -> f64 {
        let over = match self.way {
            Way::Last => return load,
            Way::Mean(over) | Way::Peak(over) | Way::Slope(over, _) => over,
        };
        if matches!(self.way, Way::Peak(_)) {
            while self.loads.back().is_some_and(|(_, smaller)| *smaller <= load) {
                self.loads.pop_back();
            }
        }
        self.loads.push_back((now, load));
        self.sum += load;
        while let Some((_, old)) = self.loads.front().filter(|(at, _)| *at <= now - over) {
            self.sum -= old;
            self.loads.pop_front();
        }
        match self.way {
            Way::Last => load,
            Way::Mean(_) => (self.sum / self.loads.len() as f64).max(0.0),
            Way::Peak(_) => self.loads.front().map_or(load, |(_, most)| *most),
            Way::Slope(over, share) => {
                let slope = self.slope(now - over / 2.0) / (over / 2.0);
                (load + share * slope * horizon).clamp(load, 2.0 * load)
            }
        }
    }

    /// The mean after `half` less the one before.
    fn slope(&self, half: f64) -> f64 {
        let mut halves = [(0.0, 0.0); 2];
        for (at, load) in &self.loads {
            let (sum, count) = &mut halves[usize::from(*at > half)];
            *sum += load;
            *count += 1.0;
        }
        let [before, after] = halves;
        if before.1 > 0.0 && after.1 > 0.0 { after.0 / after.1 - before.0 / before.1 } else { 0.0 }
    }
}

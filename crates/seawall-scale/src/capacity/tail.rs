use std::sync::LazyLock;

/// How far the load went beyond what was ready for it: a histogram of the ratio, weighed by
/// requests.
///
/// Cost: an observation is one addition; the best factor is a scan of [`BINS`] counters.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Tail {
    weights: Box<[f64]>,
    /// Of requests that no factor could have failed.
    safe: f64,
}

impl Tail {
    pub(super) fn new() -> Self {
        Self { weights: vec![0.0; BINS].into(), safe: 0.0 }
    }

    /// `weight` requests came at `ratio` of what was ready for them at a factor of 1.
    pub(super) fn add(&mut self, ratio: f64, weight: f64) {
        match bin(ratio) {
            Some(bin) => self.weights[bin] += weight,
            None => self.safe += weight,
        }
    }

    /// As it came from outside.
    #[cfg(feature = "serde")]
    pub(super) fn sound(&self) -> bool {
        let known = |weight: &f64| weight.is_finite() && *weight >= 0.0;
        self.weights.len() == BINS && self.weights.iter().all(known) && known(&self.safe)
    }

    /// Makes all weights smaller alike.
    pub(super) fn scale(&mut self, by: f64) {
        self.weights.iter_mut().for_each(|weight| *weight *= by);
        self.safe *= by;
    }

    /// The factor for which `paid` for each unit of it, and `price` for the share of the requests
    /// beyond it, are least together. Of the requests, `assumed` are taken to have come from the
    /// tail that is assumed before anything was seen; where growth is `foreseen`, less is left to
    /// go beyond.
    ///
    /// Source: the newsvendor problem (Arrow, Harris, Marschak 1951), on the empirical
    /// distribution (sample average approximation).
    pub(super) fn best(&self, paid: f64, price: f64, assumed: f64, foreseen: bool) -> f64 {
        let all = self.safe + self.weights.iter().sum::<f64>() + assumed;
        let price = price / all.max(f64::MIN_POSITIVE);
        let (mut best, mut least, mut beyond) = (MOST, f64::INFINITY, 0.0);
        for (weight, edge) in self.weights.iter().zip(EDGES.iter()).rev() {
            let unseen = if foreseen { edge.beyond_foreseen } else { edge.beyond };
            let costs = edge.factor * paid + price * (beyond + assumed * unseen);
            if costs < least {
                (best, least) = (edge.factor, costs);
            }
            beyond += weight;
        }
        best
    }
}

/// The upper edge of a bin, and what is assumed to come beyond it.
#[derive(Clone, Copy, Debug, Default)]
struct Edge {
    factor: f64,
    beyond: f64,
    beyond_foreseen: f64,
}

/// Powers and exponentials of fixed numbers, once.
static EDGES: LazyLock<[Edge; BINS]> = LazyLock::new(|| {
    let mut edges = [Edge::default(); BINS];
    let mut factor = LEAST;
    for edge in &mut edges {
        factor *= STEP;
        let beyond_foreseen = assumed_beyond(1.0 + (factor - 1.0) / FORESEEN);
        *edge = Edge { factor, beyond: assumed_beyond(factor), beyond_foreseen };
    }
    edges
});

/// The factor that a price asks for before anything was seen.
pub(super) fn assumed_factor(price: f64, foreseen: bool) -> f64 {
    Tail::new().best(1.0, price, 1.0, foreseen)
}

/// The share of the requests that come at more than a factor of what is ready, before anything
/// was seen. Chosen so that the factor is 1.43, a target of 70 %, where a per cent of the requests
/// is worth a fifth of the instances; dearer requests ask for more by its tail.
fn assumed_beyond(factor: f64) -> f64 {
    if factor < 1.0 { 1.0 } else { ASSUMED * (-(factor - 1.0) / ASSUMED_WIDTH).exp() }
}

/// None for what any factor carries.
fn bin(ratio: f64) -> Option<usize> {
    let bin = (ratio / LEAST).ln() / STEP.ln();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above zero")]
    (bin >= 0.0).then(|| (bin as usize).min(BINS - 1))
}

const BINS: usize = 192;
/// The bins are 2.5 % wide, from here up to [`MOST`].
const LEAST: f64 = 0.1;
const STEP: f64 = 1.025;
/// `LEAST` times `STEP` to the power of `BINS`.
const MOST: f64 = 11.453_9;
const ASSUMED: f64 = 0.0858;
const ASSUMED_WIDTH: f64 = 0.2;
/// The share of that room which is assumed where growth is foreseen.
const FORESEEN: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_factor_is_the_upper_edge_of_the_last_bin() {
        let edge = LEAST * STEP.powi(i32::try_from(BINS).expect("few"));
        assert!((edge / MOST - 1.0).abs() < 1e-3, "{edge}");
        assert_eq!(bin(MOST * 0.999), Some(BINS - 1));
        assert_eq!(bin(1e9), Some(BINS - 1));
        assert_eq!((bin(0.05), bin(0.0), bin(f64::NAN)), (None, None, None));
    }

    #[test]
    fn before_anything_was_seen_the_factor_is_a_target_of_seventy_per_cent() {
        assert!(
            (assumed_factor(20.0, false) - 1.43).abs() < 0.03,
            "{}",
            assumed_factor(20.0, false)
        );
        assert!(assumed_factor(100.0, false) > assumed_factor(20.0, false));
        assert!(assumed_factor(5.0, false) < assumed_factor(20.0, false));
    }

    #[test]
    fn a_rare_peak_is_carried_where_it_is_worth_more_than_the_room_for_it() {
        // One request in fifty comes at half as much again: room for it costs 0.5.
        let mut tail = Tail::new();
        (0..980).for_each(|_| tail.add(1.0, 1.0));
        (0..20).for_each(|_| tail.add(1.5, 1.0));
        assert!(tail.best(1.0, 20.0, 0.0, false) < 1.05, "0.02 of 20 is worth 0.4");
        let room = tail.best(1.0, 30.0, 0.0, false);
        assert!((1.5..1.56).contains(&room), "0.02 of 30 is worth 0.6, not {room}");
    }
}

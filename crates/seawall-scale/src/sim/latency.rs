/// How long requests took, in buckets a fiftieth wide.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
}

impl Latencies {
    pub(super) fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]), count: 0 }
    }

    pub(super) fn add(&mut self, seconds: f64) {
        let place = (seconds.max(LEAST) / LEAST).ln() / WIDTH.ln();
        self.counts[(place as usize).min(BUCKETS - 1)] += 1;
        self.count += 1;
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The upper edge of the bucket of a quantile; 0 for none.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.count as f64).ceil() as u64;
        let mut below = 0;
        for (count, bucket) in self.counts.iter().zip(1..) {
            below += count;
            if below >= rank && below > 0 {
                return LEAST * WIDTH.powi(bucket);
            }
        }
        0.0
    }
}

const BUCKETS: usize = 1_024;
/// A tenth of a millisecond; the last bucket is far above half a minute of waiting.
const LEAST: f64 = 1e-4;
const WIDTH: f64 = 1.02;

//! Sampling by weight in constant time (Walker 1977; Vose 1991).

use crate::hash::below;

#[derive(Debug)]
pub(crate) struct Alias(Box<[Slot]>);

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Below this, of 2^32, the slot is itself.
    own: u32,
    other: u32,
}

impl Alias {
    /// Over positions of `shares`, whose mean is 1.
    pub(crate) fn new(shares: impl ExactSizeIterator<Item = f32>) -> Self {
        let mut left: Vec<f64> = shares.map(f64::from).collect();
        let mut slots: Vec<Slot> =
            (0..left.len() as u32).map(|index| Slot { own: u32::MAX, other: index }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..left.len()).partition(|index| left[*index] < 1.0);
        while let (Some(few), Some(much)) = (small.pop(), large.last().copied()) {
            slots[few] = Slot { own: (left[few] * SCALE) as u32, other: much as u32 };
            left[much] -= 1.0 - left[few];
            if left[much] < 1.0 {
                large.pop();
                small.push(much);
            }
        }
        Self(slots.into())
    }

    #[inline]
    pub(crate) fn sample(&self, random: u64) -> usize {
        let index = below((random >> 32) as u32, self.0.len());
        let slot = self.0[index];
        if (random as u32) < slot.own { index } else { slot.other as usize }
    }
}

const SCALE: f64 = (1_u64 << 32) as f64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::random;

    #[test]
    fn samples_follow_the_weights() {
        let weights = [1.0, 10.0, 0.5, 4.0, 0.0, 4.5, 20.0];
        let sum: f32 = weights.iter().sum();
        let mean = sum / weights.len() as f32;
        let alias = Alias::new(weights.iter().map(|weight| weight / mean));
        let mut counts = [0_u32; 7];
        for index in 0..400_000 {
            counts[alias.sample(random(1, index))] += 1;
        }
        assert_eq!(counts[4], 0);
        for (count, weight) in counts.iter().zip(weights) {
            let expected = 400_000.0 * weight / sum;
            // Five standard deviations.
            assert!((*count as f32 - expected).abs() <= 5.0 * expected.sqrt(), "{counts:?}");
        }
    }
}

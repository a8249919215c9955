//! Chance as a pure function: no generator is kept, so a run's position in its data is its step.
//!
//! ```text
//! (seed, purpose, a, b) ─► ChaCha8 key ─► Random ─► choices
//! (seed, epoch, n)      ─► Permutation ─► each of 0..n once, any place looked up alone
//! ```

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What is drawn, so that no two kinds of choice share a stream: switching one augmentation off
/// changes none of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Purpose {
    Order = 1,
    Caption = 2,
    Variation = 3,
    Direction = 4,
    Negative = 5,
    Crop = 6,
    Mix = 7,
    Gain = 8,
    Shift = 9,
    Speed = 10,
    Tilt = 11,
    LowPass = 12,
    Noise = 13,
    Masks = 14,
    Wording = 15,
}

/// A stream of choices that depends on its four coordinates and nothing else.
#[derive(Debug, Clone)]
pub(super) struct Random(ChaCha8Rng);

impl Random {
    /// The stream at `(seed, purpose, a, b)`; the four are the cipher's key, so no two share one.
    pub(super) fn at(seed: u64, purpose: Purpose, a: u64, b: u64) -> Self {
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, a, b]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Any 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..n`; `n` above 0. The excess of 2⁶⁴ over a multiple of `n` is drawn again.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        let excess = (u64::MAX % n + 1) % n;
        loop {
            let bits = self.bits();
            if bits <= u64::MAX - excess {
                return bits % n;
            }
        }
    }

    /// Uniform in `[0, 1)`.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `[low, high)`; `low` where they are the same.
    pub(super) fn between(&mut self, [low, high]: [f64; 2]) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Whether something of this probability happens.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// An index with chances in proportion to `weights`; `None` where they sum to 0.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> Option<usize> {
        let mut at = self.unit() * weights.iter().sum::<f64>();
        let mut last = None;
        for (index, &weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
            last = Some(index);
            if at < weight {
                break;
            }
            at -= weight;
        }
        last
    }

    /// Normal, of mean 0 and variance 1 (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Rounds of [`Permutation`]; six times log₂ of ten thousand million rows is 200, and what mixes is
/// more than twice the logarithm. One lookup is a fraction of a microsecond.
const ROUNDS: usize = 96;

/// A permutation of `0..n` of which any place is looked up alone, in constant memory: swap-or-not
/// (Hoang, Morris and Rogaway 2012). Unlike a Feistel network it needs no power of two, so there is
/// nothing to walk around and small sets are shuffled as well as large ones.
#[derive(Debug, Clone)]
pub(super) struct Permutation {
    n: u64,
    /// Of each round: the sum that partners add up to modulo `n`, and what decides about swapping.
    rounds: Vec<(u64, u64)>,
}

impl Permutation {
    /// The order of `n` rows of stream `stream` in `epoch`.
    pub(super) fn new(seed: u64, stream: u64, epoch: u64, n: u64) -> Self {
        let mut random = Random::at(seed, Purpose::Order, stream, epoch);
        let round = |_| (random.below(n.max(1)), random.bits());
        Self {
            n,
            rounds: (0..ROUNDS).map(round).collect(),
        }
    }

    /// What stands at `place`, which is in `0..n`.
    pub(super) fn get(&self, place: u64) -> u64 {
        let mut at = place;
        for &(sum, key) in &self.rounds {
            let partner = (sum + self.n - at) % self.n;
            if mix(key ^ at.max(partner)) >> 63 == 1 {
                at = partner;
            }
        }
        at
    }
}

/// SplitMix64's finaliser (Steele, Lea and Flood 2014): every bit of the input reaches the top one.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_holds_each_number_once() {
        for n in [1, 2, 3, 7, 64, 1_000] {
            let order = Permutation::new(5, 0, 3, n);
            let mut seen: Vec<u64> = (0..n).map(|place| order.get(place)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_order_of_three_is_as_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..6_000 {
            let order = Permutation::new(1, 0, epoch, 3);
            *counts.entry([0, 1, 2].map(|p| order.get(p))).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // 1,000 each; five standard deviations are 144.
        assert!(
            counts.values().all(|c| (856..=1_144).contains(c)),
            "{counts:?}"
        );
    }

    #[test]
    fn choices_are_uniform_and_weighted_as_asked() {
        let mut random = Random::at(1, Purpose::Caption, 2, 3);
        let mut counts = [0; 3];
        for _ in 0..8_000 {
            counts[random.weighted(&[1.0, 0.0, 3.0]).unwrap()] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((1_800..=2_200).contains(&counts[0]), "{counts:?}");
        assert_eq!(random.weighted(&[0.0]), None);
        assert!((0..100).all(|_| random.below(7) < 7));
        assert_eq!(random.between([2.0, 2.0]), 2.0);
    }
}

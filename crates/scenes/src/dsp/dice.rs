//! Chance, as a pure function of a seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::maths::{exp2, log2};
use super::source::Noise;

/// A stream of random choices. Equal seeds and purposes give equal streams, on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// `purpose` keeps streams of one seed apart, so that drawing more in one never shifts another.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose);
        Self(rng)
    }

    /// A seed for something that has dice of its own.
    pub(crate) fn seed(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in octaves, for frequencies and rates: `[low, high)`, both positive.
    pub(crate) fn octaves(&mut self, low: f32, high: f32) -> f32 {
        low * exp2(log2(high / low) * self.unit())
    }

    /// `1 ± amount`, for things that are almost the same each time.
    pub(crate) fn about(&mut self, amount: f32) -> f32 {
        1.0 + self.range(-amount, amount)
    }

    /// Uniform in `0..n`; `n` is at least 1.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// One of `items`, which has at least one.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Noise of its own seed.
    pub(crate) fn noise(&mut self) -> Noise {
        Noise::new(self.0.next_u32())
    }

    /// Any order of `items`, all alike likely.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

//! What sounds are made of: dice, oscillators, noise, filters, curves, struck bodies, throats, rooms.
//!
//! Nothing here calls `sin`, `exp` or `ln` of the platform, whose last bits differ between machines:
//! [`maths`] has its own, built of additions and multiplications alone.

pub(crate) mod curve;
pub(crate) mod dice;
pub(crate) mod filter;
pub(crate) mod grain;
pub(crate) mod maths;
pub(crate) mod room;
pub(crate) mod source;
pub(crate) mod throat;

/// Samples per second, as `f32`.
pub(crate) const RATE: f32 = crate::SAMPLE_RATE as f32;

/// How many samples `seconds` are.
pub(crate) fn samples(seconds: f32) -> usize {
    (seconds * RATE) as usize
}

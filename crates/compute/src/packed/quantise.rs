//! Numbers as small whole ones with a scale.

use crate::cpu::each_isa::each_isa;

/// Adding it rounds a number below 2^22 to the nearest whole one, ties to even, in its low bits.
const ROUND: f32 = 12_582_912.0;

each_isa! {
    /// `values` (at most a block) as whole numbers of −127 to 127, into `quants`, whose rest is zeros;
    /// the scale that gives them back. A block with a NaN or an infinity has a scale of NaN, so that it
    /// shows in the result.
    pub(super) fn to_int8(values: &[f32], quants: &mut [i8]) -> f32 {
        let mut greatest = [0.0_f32; 16];
        let mut poison = [0.0_f32; 16];
        let (whole, rest) = values.as_chunks::<16>();
        for values in whole {
            for l in 0..16 {
                let v = values[l].abs();
                greatest[l] = if v > greatest[l] { v } else { greatest[l] };
                poison[l] += v * 0.0;
            }
        }
        for (l, v) in rest.iter().enumerate() {
            let v = v.abs();
            greatest[l] = if v > greatest[l] { v } else { greatest[l] };
            poison[l] += v * 0.0;
        }
        let max = greatest.iter().copied().fold(0.0, f32::max);
        let poison: f32 = poison.iter().sum();
        // A block of zeros, and one so small that its inverse overflows, is zeros.
        let inverse = if max > 1e-36 { 127.0 / max } else { 0.0 };
        let (now, behind) = quants.split_at_mut(values.len());
        for (q, v) in now.iter_mut().zip(values) {
            *q = (v * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i8;
        }
        behind.fill(0);
        if inverse == 0.0 { poison } else { max / 127.0 + poison }
    }
}

/// `values` (at most 32) as whole numbers of −8 to 7, into `quants`, whose rest is zeros; the scale, a
/// bf16, that gives them back: among a few that cut the greatest a little or not at all, the one with the
/// least squared error.
pub(super) fn to_int4(values: &[f32], quants: &mut [i8; 32]) -> f32 {
    let extreme = values
        .iter()
        .copied()
        .fold(0.0, |max: f32, v| if v.abs() > max.abs() { v } else { max });
    let bad = values.iter().any(|v| !v.is_finite());
    *quants = [0; 32];
    if bad || extreme.abs() < 1e-36 {
        return if bad { f32::NAN } else { 0.0 };
    }
    let mut best = (f32::INFINITY, 0.0);
    for steps in [-8.0, -8.5, -9.0, -7.5, 7.0, 7.5, 8.0, 6.5] {
        let scale = half::bf16::from_f32(extreme / steps).to_f32();
        let error = values
            .iter()
            .map(|v| (v - f32::from(nearest4(*v, scale)) * scale).powi(2))
            .sum();
        if error < best.0 {
            best = (error, scale);
        }
    }
    for (q, v) in quants.iter_mut().zip(values) {
        *q = nearest4(*v, best.1);
    }
    best.1
}

fn nearest4(v: f32, scale: f32) -> i8 {
    (v / scale).round_ties_even().clamp(-8.0, 7.0) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_by_hand() {
        let mut quants = [9; 6];
        let scale = to_int8(&[1.0, -2.54, 0.01, 0.0], &mut quants);
        assert_eq!(
            quants,
            [50, -127, 0, 0, 0, 0],
            "0.01 is half a step: to even"
        );
        assert!((scale - 0.02).abs() < 1e-9);
        assert_eq!(to_int8(&[0.0; 4], &mut quants), 0.0);
        assert_eq!(quants, [0; 6]);
    }

    #[test]
    fn four_bits_use_the_whole_range_and_the_sign_of_the_greatest() {
        let mut quants = [0; 32];
        let scale = to_int4(&[-8.0, 7.0, 1.0, 0.0], &mut quants);
        assert_eq!((scale, &quants[..5]), (1.0, &[-8, 7, 1, 0, 0][..]));
        let scale = to_int4(&[8.0, -7.0], &mut quants);
        assert_eq!((scale, &quants[..2]), (-1.0, &[-8, 7][..]));
    }

    #[test]
    fn what_is_not_finite_is_not_hidden() {
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(to_int8(&[1.0, bad, 3.0], &mut [0; 3]).is_nan());
            assert!(to_int8(&[0.0, bad], &mut [0; 2]).is_nan());
            assert!(to_int4(&[1.0, bad], &mut [0; 32]).is_nan());
        }
    }
}

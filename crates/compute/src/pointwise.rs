//! What is done to each number alone: biases, sums, SiLU, GELU.

use rayon::prelude::*;

use crate::cpu::each_isa::each_isa;

/// Numbers that one task handles; smaller slices stay on the calling thread.
const TASK: usize = 1 << 14;

/// `x[i, j] += bias[j]` for rows of `bias.len()` numbers.
///
/// # Panics
///
/// Where `x` is not whole rows.
pub fn add_bias(x: &mut [f32], bias: &[f32]) {
    assert!(
        x.len().is_multiple_of(bias.len()),
        "{} is not rows of {}",
        x.len(),
        bias.len()
    );
    x.par_chunks_mut(TASK.next_multiple_of(bias.len()))
        .for_each(|rows| {
            for row in rows.chunks_exact_mut(bias.len()) {
                add_task(row, bias);
            }
        });
}

/// `x += y`.
///
/// # Panics
///
/// Where the lengths differ.
pub fn add(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len());
    x.par_chunks_mut(TASK)
        .zip(y.par_chunks(TASK))
        .for_each(|(x, y)| add_task(x, y));
}

each_isa! {
    /// [`add`] on the calling thread.
    pub(crate) fn add_task(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }
}

/// SwiGLU's gate: `gate = silu(gate) ⊙ up`, with `silu(x) = x / (1 + e^-x)`.
///
/// # Panics
///
/// Where the lengths differ.
pub fn silu_mul(gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len());
    gate.par_chunks_mut(TASK)
        .zip(up.par_chunks(TASK))
        .for_each(|(gate, up)| silu_mul_task(gate, up));
}

each_isa! {
    fn silu_mul_task(gate: &mut [f32], up: &[f32]) {
        for (g, u) in gate.iter_mut().zip(up) {
            *g = *g / (1.0 + exp(-*g)) * u;
        }
    }
}

/// GELU in its exact form, `x · Φ(x) = x/2 · (1 + erf(x/√2))` (Hendrycks & Gimpel 2016), in place.
pub fn gelu(x: &mut [f32]) {
    x.par_chunks_mut(TASK).for_each(gelu_task);
}

each_isa! {
    fn gelu_task(x: &mut [f32]) {
        for x in x {
            *x = 0.5 * *x * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2));
        }
    }
}

/// `e^x` within 2 units in the last place; below −87.3 it stays at `e^-87.3`, above 88.3 at
/// `e^88.3`, and a NaN stays one. Branch-free, so that loops over it become vector code.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Written as comparisons and not as `clamp` and `max`, which would turn a NaN into a number.
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.3 { 88.3 } else { x };
    // x = n ln 2 + r with |r| ≤ ln 2 / 2. Adding 1.5 · 2^23 rounds to the nearest integer and
    // leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, the first with few enough bits that n times it is exact.
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    // The Taylor series of e^r; the first term left out is below 6e-9.
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    let exponent = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127)
        << 23;
    p * f32::from_bits(exponent)
}

/// The error function within 4e-7 (Abramowitz & Stegun 1964, 7.1.26, and rounding).
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152_1;
    p = p * t + 1.421_413_8;
    p = p * t - 0.284_496_72;
    p = p * t + 0.254_829_6;
    (1.0 - p * t * exp(-a * a)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 4,000th float of both signs up to 100.
    fn sweep() -> impl Iterator<Item = f32> {
        (0..=100_f32.to_bits())
            .step_by(4000)
            .map(f32::from_bits)
            .flat_map(|x| [x, -x])
    }

    #[test]
    fn exp_agrees_with_the_library_in_double_precision() {
        for x in sweep().filter(|x| (-87.0..88.0).contains(x)) {
            let true_value = f64::from(x).exp();
            let error = (f64::from(exp(x)) - true_value).abs() / true_value;
            assert!(error < 2.5e-7, "exp({x}) is off by {error:e}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(-1e9) < 1.3e-38);
    }

    #[test]
    fn gelu_agrees_with_the_library_in_double_precision() {
        for x in sweep() {
            let mut y = [x];
            gelu(&mut y);
            let x = f64::from(x);
            let true_value = 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2));
            let error = (f64::from(y[0]) - true_value).abs();
            assert!(
                error <= 4e-7 * x.abs().max(1.0),
                "gelu({x}) is off by {error:e}"
            );
        }
        let mut nan = [f32::NAN];
        gelu(&mut nan);
        assert!(nan[0].is_nan());
    }

    #[test]
    fn silu_agrees_with_the_library_in_double_precision() {
        for x in sweep() {
            let mut y = [x];
            silu_mul(&mut y, &[3.0]);
            let true_value = 3.0 * f64::from(x) / (1.0 + (-f64::from(x)).exp());
            let error = (f64::from(y[0]) - true_value).abs();
            assert!(
                error <= 5e-7 * f64::from(x).abs().max(1.0),
                "silu({x}) is off by {error:e}"
            );
        }
    }

    #[test]
    fn a_bias_is_added_to_every_row() {
        let mut x = [1.0, 2.0, 3.0, 4.0];
        add_bias(&mut x, &[10.0, 20.0]);
        assert_eq!(x, [11.0, 22.0, 13.0, 24.0]);
    }
}

//! Elementary functions with the same bits on every machine.

use std::f64::consts::{LN_2, TAU};

/// `sin(2π x)`, within 1e-7.
pub(crate) fn sin_turns(x: f32) -> f32 {
    let x = f64::from(x);
    let mut turn = x - x.round();
    if turn > 0.25 {
        turn = 0.5 - turn;
    } else if turn < -0.25 {
        turn = -0.5 - turn;
    }
    let angle = turn * TAU;
    let square = angle * angle;
    let mut sum = 1.0;
    for k in [110.0, 72.0, 42.0, 20.0, 6.0] {
        sum = 1.0 - square / k * sum;
    }
    (angle * sum) as f32
}

/// `cos(2π x)`, within 1e-7.
pub(crate) fn cos_turns(x: f32) -> f32 {
    sin_turns(x + 0.25)
}

/// `sin(2π phase)` for `phase` in `[0, 1)`, within 0.002 and in a handful of instructions: for samples,
/// where the error is overtones 60 dB down.
#[inline]
pub(crate) fn quick_sine(phase: f32) -> f32 {
    let x = phase - 0.5;
    let bow = x * (16.0 * x.abs() - 8.0);
    0.225 * (bow * bow.abs() - bow) + bow
}

/// `2^x` for `x` in about `[-1000, 1000]`.
pub(crate) fn exp2(x: f32) -> f32 {
    let x = f64::from(x);
    let whole = x.floor();
    let rest = (x - whole) * LN_2;
    let mut sum = 1.0;
    for k in (1..=9).rev() {
        sum = 1.0 + rest / f64::from(k) * sum;
    }
    let scale = f64::from_bits(((whole as i64 + 1023) as u64) << 52);
    (sum * scale) as f32
}

/// `log₂ x` for a normal positive `x`.
pub(crate) fn log2(x: f32) -> f32 {
    let bits = f64::from(x).to_bits();
    let exponent = ((bits >> 52) as i64 - 1023) as f64;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let mut sum = 0.0;
    for k in (0..12).rev() {
        sum = sum * square + 1.0 / f64::from(2 * k + 1);
    }
    (exponent + 2.0 * z * sum / LN_2) as f32
}

/// The factor that `decibels` are.
pub(crate) fn gain(decibels: f32) -> f32 {
    exp2(decibels / 6.020_6)
}

/// The factor per sample of a decay by 60 dB in `seconds`.
pub(crate) fn decay(seconds: f32) -> f32 {
    exp2(-9.965_784 / (seconds * super::RATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_agrees_to_six_digits() {
        for i in -400..400 {
            let x = i as f32 * 0.013;
            let sine = (f64::from(x) * TAU).sin();
            assert!((f64::from(sin_turns(x)) - sine).abs() < 2e-6, "sin {x}");
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 1e-6, "exp2 {x}");
            let y = exp2(x);
            assert!((log2(y) - x).abs() < 1e-5, "log2 {y}");
            let phase = x - x.floor();
            assert!((f64::from(quick_sine(phase)) - sine).abs() < 2e-3, "{x}");
        }
        assert!((gain(20.0) - 10.0).abs() < 1e-4);
        assert!((decay(1.0).powi(16_000) - 1e-3).abs() < 1e-4);
    }
}

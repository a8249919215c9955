//! Normalisation of rows.

use rayon::prelude::*;

use crate::cpu::each_isa::each_isa;

/// Rows that one task handles.
const TASK_ROWS: usize = 32;

/// RMSNorm (Zhang & Sennrich 2019): `x / √(mean(x²) + eps) ⊙ weight`, row by row of
/// `weight.len()` numbers, into `out`.
///
/// # Panics
///
/// Where `x` and `out` are not the same whole number of rows.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    by_rows(x, weight.len(), out, |x, out| {
        rms_norm_row(x, weight, eps, out)
    });
}

/// LayerNorm (Ba et al. 2016): `(x − mean) / √(variance + eps) ⊙ weight + bias`, row by row.
///
/// # Panics
///
/// As [`rms_norm`], and where `bias` has another length than `weight`.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    assert_eq!(weight.len(), bias.len());
    by_rows(x, weight.len(), out, |x, out| {
        layer_norm_row(x, weight, bias, eps, out)
    });
}

fn by_rows(x: &[f32], cols: usize, out: &mut [f32], row: impl Fn(&[f32], &mut [f32]) + Sync) {
    assert_eq!(x.len(), out.len());
    assert!(
        x.len().is_multiple_of(cols),
        "{} is not rows of {cols}",
        x.len()
    );
    let task = cols * TASK_ROWS;
    x.par_chunks(task)
        .zip(out.par_chunks_mut(task))
        .for_each(|(x, out)| {
            for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
                row(x, out);
            }
        });
}

each_isa! {
    fn rms_norm_row(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        let mean = sum(x, |v| v * v) / x.len() as f32;
        let scale = 1.0 / (mean + eps).sqrt();
        for ((o, x), w) in out.iter_mut().zip(x).zip(weight) {
            *o = w * (x * scale);
        }
    }
}

each_isa! {
    fn layer_norm_row(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
        let mean = sum(x, |v| v) / x.len() as f32;
        let variance = sum(x, |v| (v - mean) * (v - mean)) / x.len() as f32;
        let scale = 1.0 / (variance + eps).sqrt();
        for (((o, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *o = (x - mean) * scale * w + b;
        }
    }
}

/// `Σ f(x)` over sixteen lanes.
#[inline(always)]
pub(crate) fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let (chunks, rest) = x.as_chunks::<16>();
    for chunk in chunks {
        for l in 0..16 {
            lanes[l] += f(chunk[l]);
        }
    }
    let rest: f32 = rest.iter().map(|v| f(*v)).sum();
    let mut width = 8;
    while width > 0 {
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
        width /= 2;
    }
    lanes[0] + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rms_norm_by_hand() {
        let mut out = [0.0; 4];
        rms_norm(&[3.0, 4.0, 0.0, 1.0], &[1.0, 2.0], 0.0, &mut out);
        let (a, b) = (12.5_f32.sqrt(), 0.5_f32.sqrt());
        let want = [3.0 / a, 8.0 / a, 0.0, 2.0 / b];
        assert!(
            out.iter().zip(want).all(|(o, w)| (o - w).abs() < 1e-6),
            "{out:?}"
        );
    }

    #[test]
    fn layer_norm_by_hand() {
        // Mean 2, variance 1; then times 2 plus 1.
        let mut out = [0.0; 2];
        layer_norm(&[1.0, 3.0], &[2.0, 2.0], &[1.0, 1.0], 0.0, &mut out);
        assert_eq!(out, [-1.0, 3.0]);
    }

    #[test]
    fn long_rows_agree_with_double_precision() {
        let x: Vec<f32> = (0..1283)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0 + 100.0)
            .collect();
        let ones = vec![1.0; x.len()];
        let zeros = vec![0.0; x.len()];
        let mut out = vec![0.0; x.len()];
        layer_norm(&x, &ones, &zeros, 1e-5, &mut out);
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / x.len() as f64;
        let var = x
            .iter()
            .map(|v| (f64::from(*v) - mean).powi(2))
            .sum::<f64>()
            / x.len() as f64;
        for (o, x) in out.iter().zip(&x) {
            let want = (f64::from(*x) - mean) / (var + 1e-5).sqrt();
            assert!((f64::from(*o) - want).abs() < 1e-5);
        }
    }
}

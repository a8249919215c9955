//! Of the normalisations.

use rayon::prelude::*;

use crate::cpu::each_isa::each_isa;
use crate::norm::sum;
use crate::pointwise::add_task;

/// Rows that are summed together, before sums are.
const BLOCK_ROWS: usize = 128;

/// Of [`crate::norm::rms_norm`]: adds to `dx`, and to `dweight` where it is wanted.
///
/// With `x̂ = x / √(mean(x²) + eps)` and `g = dy ⊙ weight`: `dx = (g − x̂ mean(g ⊙ x̂)) / √(…)`.
///
/// # Panics
///
/// Where shapes differ.
pub fn rms_norm(
    x: &[f32],
    weight: &[f32],
    eps: f32,
    dy: &[f32],
    dx: &mut [f32],
    dweight: Option<&mut [f32]>,
) {
    let n = weight.len();
    let sums = by_blocks(x, dy, dx, n, |x, dy, dx| {
        let mut dweight = vec![0.0; n];
        rms_norm_rows(x, weight, eps, dy, dx, &mut dweight);
        dweight
    });
    if let Some(dweight) = dweight {
        sums.iter().for_each(|sum| add_task(dweight, sum));
    }
}

/// Of [`crate::norm::layer_norm`]: adds to `dx`, and to `dweight` and `dbias` where they are wanted.
///
/// With `x̂` the normalised row and `g = dy ⊙ weight`: `dx = (g − mean(g) − x̂ mean(g ⊙ x̂)) / σ`.
///
/// # Panics
///
/// Where shapes differ.
pub fn layer_norm(
    x: &[f32],
    weight: &[f32],
    eps: f32,
    dy: &[f32],
    dx: &mut [f32],
    dweight_and_bias: Option<(&mut [f32], &mut [f32])>,
) {
    let n = weight.len();
    let sums = by_blocks(x, dy, dx, n, |x, dy, dx| {
        let (mut dweight, mut dbias) = (vec![0.0; n], vec![0.0; n]);
        layer_norm_rows(x, weight, eps, dy, dx, &mut dweight, &mut dbias);
        (dweight, dbias)
    });
    if let Some((dweight, dbias)) = dweight_and_bias {
        for (weight_sum, bias_sum) in &sums {
            add_task(dweight, weight_sum);
            add_task(dbias, bias_sum);
        }
    }
}

/// Runs `rows` over blocks of rows of `n` numbers; what it returns, in the order of the blocks.
fn by_blocks<S: Send>(
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    n: usize,
    rows: impl Fn(&[f32], &[f32], &mut [f32]) -> S + Sync,
) -> Vec<S> {
    assert!(x.len() == dy.len() && x.len() == dx.len() && x.len().is_multiple_of(n));
    let block = BLOCK_ROWS * n;
    x.par_chunks(block)
        .zip(dy.par_chunks(block))
        .zip(dx.par_chunks_mut(block))
        .map(|((x, dy), dx)| rows(x, dy, dx))
        .collect()
}

each_isa! {
    fn rms_norm_rows(
        x: &[f32],
        weight: &[f32],
        eps: f32,
        dy: &[f32],
        dx: &mut [f32],
        dweight: &mut [f32],
    ) {
        let n = weight.len();
        let mut normed = vec![0.0; n];
        let mut scaled = vec![0.0; n];
        for ((x, dy), dx) in x.chunks_exact(n).zip(dy.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let scale = 1.0 / (sum(x, |v| v * v) / n as f32 + eps).sqrt();
            for i in 0..n {
                normed[i] = x[i] * scale;
                scaled[i] = dy[i] * weight[i] * normed[i];
            }
            let along = sum(&scaled, |v| v) / n as f32;
            for i in 0..n {
                dx[i] += scale * (dy[i] * weight[i] - normed[i] * along);
                dweight[i] += dy[i] * normed[i];
            }
        }
    }
}

each_isa! {
    fn layer_norm_rows(
        x: &[f32],
        weight: &[f32],
        eps: f32,
        dy: &[f32],
        dx: &mut [f32],
        dweight: &mut [f32],
        dbias: &mut [f32],
    ) {
        let n = weight.len();
        let mut normed = vec![0.0; n];
        let mut inner = vec![0.0; n];
        let mut scaled = vec![0.0; n];
        for ((x, dy), dx) in x.chunks_exact(n).zip(dy.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let mean = sum(x, |v| v) / n as f32;
            let variance = sum(x, |v| (v - mean) * (v - mean)) / n as f32;
            let scale = 1.0 / (variance + eps).sqrt();
            for i in 0..n {
                normed[i] = (x[i] - mean) * scale;
                inner[i] = dy[i] * weight[i];
                scaled[i] = inner[i] * normed[i];
            }
            let level = sum(&inner, |v| v) / n as f32;
            let along = sum(&scaled, |v| v) / n as f32;
            for i in 0..n {
                dx[i] += scale * (inner[i] - level - normed[i] * along);
                dweight[i] += dy[i] * normed[i];
                dbias[i] += dy[i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::difference::{check, numbers};
    use super::*;

    const ROWS: usize = 3;
    const N: usize = 21;

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|v| f64::from(*v)).collect()
    }

    #[test]
    fn rms_norm_agrees_with_differences() {
        let (x, weight, dy) = (numbers(ROWS * N, 1), numbers(N, 2), numbers(ROWS * N, 3));
        let forward = |x: &[f64], w: &[f64]| -> Vec<f64> {
            x.chunks(N)
                .flat_map(|row| {
                    let scale =
                        1.0 / (row.iter().map(|v| v * v).sum::<f64>() / N as f64 + 1e-3).sqrt();
                    row.iter()
                        .zip(w)
                        .map(move |(x, w)| x * scale * w)
                        .collect::<Vec<_>>()
                })
                .collect()
        };
        let (mut dx, mut dweight) = (vec![0.0; ROWS * N], vec![0.0; N]);
        rms_norm(&x, &weight, 1e-3, &dy, &mut dx, Some(&mut dweight));
        check("dx", &x, &dy, &dx, |x| forward(x, &wide(&weight)));
        check("dweight", &weight, &dy, &dweight, |w| forward(&wide(&x), w));
    }

    #[test]
    fn layer_norm_agrees_with_differences() {
        let (x, weight, bias, dy) = (
            numbers(ROWS * N, 1),
            numbers(N, 2),
            numbers(N, 4),
            numbers(ROWS * N, 3),
        );
        let forward = |x: &[f64], w: &[f64], b: &[f64]| -> Vec<f64> {
            x.chunks(N)
                .flat_map(|row| {
                    let mean = row.iter().sum::<f64>() / N as f64;
                    let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / N as f64;
                    let scale = 1.0 / (variance + 1e-3).sqrt();
                    (0..N)
                        .map(|i| (row[i] - mean) * scale * w[i] + b[i])
                        .collect::<Vec<_>>()
                })
                .collect()
        };
        let (mut dx, mut dw, mut db) = (vec![0.0; ROWS * N], vec![0.0; N], vec![0.0; N]);
        layer_norm(&x, &weight, 1e-3, &dy, &mut dx, Some((&mut dw, &mut db)));
        check("dx", &x, &dy, &dx, |x| {
            forward(x, &wide(&weight), &wide(&bias))
        });
        check("dweight", &weight, &dy, &dw, |w| {
            forward(&wide(&x), w, &wide(&bias))
        });
        check("dbias", &bias, &dy, &db, |b| {
            forward(&wide(&x), &wide(&weight), b)
        });
    }

    #[test]
    fn gradients_are_added_to_what_is_there() {
        let (x, weight, dy) = (numbers(N, 1), numbers(N, 2), numbers(N, 3));
        let mut once = vec![0.0; N];
        rms_norm(&x, &weight, 1e-6, &dy, &mut once, None);
        let mut added = vec![1.0; N];
        rms_norm(&x, &weight, 1e-6, &dy, &mut added, None);
        assert!(
            once.iter()
                .zip(&added)
                .all(|(a, b)| (a + 1.0 - b).abs() < 1e-6)
        );
    }
}

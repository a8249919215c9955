//! Of convolution along time.

use std::ops::Range;

use rayon::prelude::*;

use crate::conv::{TAPS, output_len};

/// Of [`crate::conv::unfold`]: gathers what each receptive field says of each row, `dx [rows,
/// channels]`.
///
/// # Panics
///
/// Where `dy` is not the shape that `unfold` gives, or a chunk reaches behind `rows`.
pub fn fold(
    dy: &[f32],
    rows: usize,
    channels: usize,
    chunks: &[Range<usize>],
    stride: usize,
) -> Vec<f32> {
    let width = channels * TAPS;
    let outputs: usize = chunks.iter().map(|c| output_len(c.len(), stride)).sum();
    assert_eq!(dy.len(), outputs * width);
    let mut dx = vec![0.0; rows * channels];
    let (mut fields, mut rest, mut done) = (dy, &mut dx[..], 0);
    let mut tasks = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        assert!(chunk.start >= done, "chunks stand one after the other");
        let (_, after) = rest.split_at_mut((chunk.start - done) * channels);
        let (own, after) = after.split_at_mut(chunk.len() * channels);
        let (dy, later) = fields.split_at(output_len(chunk.len(), stride) * width);
        (rest, fields, done) = (after, later, chunk.end);
        tasks.push((dy, own));
    }
    tasks.into_par_iter().for_each(|(dy, dx)| {
        let len = dx.len() / channels;
        for (at, field) in dy.chunks_exact(width).enumerate() {
            for tap in 0..TAPS {
                let Some(t) = (at * stride + tap).checked_sub(1).filter(|t| *t < len) else {
                    continue;
                };
                let dx = &mut dx[t * channels..][..channels];
                for (d, field) in dx.iter_mut().zip(field.chunks_exact(TAPS)) {
                    *d += field[tap];
                }
            }
        }
    });
    dx
}

#[cfg(test)]
mod tests {
    use super::super::difference::numbers;
    use super::*;
    use crate::conv::unfold;

    #[test]
    fn folding_is_the_adjoint_of_unfolding() {
        // ⟨unfold(x), y⟩ = ⟨x, fold(y)⟩ for all x and y says that one is the other's transpose.
        for stride in [1, 2] {
            let chunks = [0..7, 7..8, 8..13];
            let x = numbers(13 * 3, 1);
            let unfolded = unfold(&x, 3, &chunks, stride);
            let y = numbers(unfolded.len(), 2);
            let folded = fold(&y, 13, 3, &chunks, stride);
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b))
                    .sum()
            };
            assert!((dot(&unfolded, &y) - dot(&x, &folded)).abs() < 1e-5);
            assert!(dot(&x, &folded).abs() > 1e-2);
        }
    }
}

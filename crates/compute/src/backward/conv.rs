//! Of convolution along time.

use std::ops::Range;

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
    let outputs: usize = chunks.iter().map(|c| output_len(c.len(), stride)).sum();
    assert_eq!(dy.len(), outputs * channels * TAPS);
    let mut dx = vec![0.0; rows * channels];
    let mut fields = dy.chunks_exact(channels * TAPS);
    for chunk in chunks {
        let dx = &mut dx[chunk.start * channels..chunk.end * channels];
        for at in (0..chunk.len()).step_by(stride) {
            let field = fields.next().expect("as many fields as outputs");
            for tap in 0..TAPS {
                let Some(t) = (at + tap).checked_sub(1).filter(|t| *t < chunk.len()) else {
                    continue;
                };
                for (c, d) in dx[t * channels..][..channels].iter_mut().enumerate() {
                    *d += field[c * TAPS + tap];
                }
            }
        }
    }
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

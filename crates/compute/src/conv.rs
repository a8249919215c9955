//! Convolution along time, as a product: each output position's receptive field becomes a row.

use std::ops::Range;

use rayon::prelude::*;

/// Taps of the kernel: the two convolutions of the audio tower have three, padded by one zero on
/// each side.
pub const TAPS: usize = 3;

/// Output positions of a convolution with three taps, padding 1 and `stride` over `len` positions.
pub fn output_len(len: usize, stride: usize) -> usize {
    len.div_ceil(stride)
}

/// Lays the receptive fields of `x [rows, channels]` out as rows `[outputs, channels · 3]`, channel
/// by channel, as a PyTorch kernel `[out, channels, 3]` read as `[out, channels · 3]` expects.
///
/// Each of `chunks` (ranges of rows) is convolved alone: what lies outside it is zero.
///
/// # Panics
///
/// Where a chunk reaches outside `x`.
pub fn unfold(x: &[f32], channels: usize, chunks: &[Range<usize>], stride: usize) -> Vec<f32> {
    let width = channels * TAPS;
    let outputs: usize = chunks.iter().map(|c| output_len(c.len(), stride)).sum();
    let mut out = vec![0.0; outputs * width];
    let mut rest = &mut out[..];
    let mut tasks = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let (own, after) = rest.split_at_mut(output_len(chunk.len(), stride) * width);
        rest = after;
        tasks.push((&x[chunk.start * channels..chunk.end * channels], own));
    }
    tasks.into_par_iter().for_each(|(x, out)| {
        let len = x.len() / channels;
        for (at, row) in out.chunks_exact_mut(width).enumerate() {
            for tap in 0..TAPS {
                // Tap 1 is centred on the output's position.
                let Some(t) = (at * stride + tap).checked_sub(1).filter(|t| *t < len) else {
                    continue;
                };
                for (fields, v) in row
                    .chunks_exact_mut(TAPS)
                    .zip(&x[t * channels..][..channels])
                {
                    fields[tap] = *v;
                }
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_do_not_see_each_other() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0];
        let rows = unfold(&x, 1, &[0..3, 3..5], 1);
        #[rustfmt::skip]
        assert_eq!(rows, [
            0.0, 1.0, 2.0,
            1.0, 2.0, 3.0,
            2.0, 3.0, 0.0,
            0.0, 4.0, 5.0,
            4.0, 5.0, 0.0,
        ]);
        #[rustfmt::skip]
        assert_eq!(unfold(&x, 1, &[0..3, 3..5], 2), [
            0.0, 1.0, 2.0,
            2.0, 3.0, 0.0,
            0.0, 4.0, 5.0,
        ]);
    }

    #[test]
    fn channels_stand_beside_each_other_with_their_taps() {
        let x = [1.0, 10.0, 2.0, 20.0];
        let whole = std::slice::from_ref(&(0..2));
        assert_eq!(unfold(&x, 2, whole, 2), [0.0, 1.0, 2.0, 0.0, 10.0, 20.0]);
    }
}

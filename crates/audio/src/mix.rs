//! Several channels as one: their mean, in the arithmetic of numpy.

/// Appends the mean over `channels` of each frame of `interleaved` to `mono`.
///
/// Sums in f32 in the order of `numpy.mean` over the channel axis (pairwise summation: one by one
/// below 8 channels, eight running sums above), so that the result is equal bit for bit.
pub(crate) fn mean(interleaved: &[f32], channels: usize, mono: &mut Vec<f32>) {
    if channels == 1 {
        mono.extend_from_slice(interleaved);
        return;
    }
    let count = channels as f32;
    mono.extend(
        interleaved
            .chunks_exact(channels)
            .map(|frame| sum(frame) / count),
    );
}

fn sum(frame: &[f32]) -> f32 {
    let mut eights = frame.chunks_exact(8);
    let Some(first) = eights.next() else {
        return frame.iter().fold(0.0, |sum, x| sum + x);
    };
    let mut sums: [f32; 8] = std::array::from_fn(|i| first[i]);
    for eight in eights.by_ref() {
        for (sum, x) in sums.iter_mut().zip(eight) {
            *sum += x;
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    let whole = ((a + b) + (c + d)) + ((e + f) + (g + h));
    eights.remainder().iter().fold(whole, |sum, x| sum + x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_by_hand() {
        let mut mono = Vec::new();
        mean(&[1.0, 0.0, -0.5, 0.5], 2, &mut mono);
        mean(&[0.3, 0.3, 0.9], 3, &mut mono);
        assert_eq!(mono, [0.5, 0.0, 0.5]);
    }

    #[test]
    fn nine_channels_are_summed_in_numpys_order() {
        // numpy 2: np.mean(np.float32([1e8, 1, -1e8, 1, 3, 5, 7, 11, 13])[:, None], axis=0) * 9
        // pairs first: (1e8 + 1) rounds to 1e8, (-1e8 + 1) to -1e8, then 26, then 13.
        let mut mono = Vec::new();
        mean(
            &[1e8, 1.0, -1e8, 1.0, 3.0, 5.0, 7.0, 11.0, 13.0],
            9,
            &mut mono,
        );
        assert_eq!(mono, [39.0 / 9.0]);
    }
}

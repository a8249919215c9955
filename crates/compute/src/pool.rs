//! Average pooling along time.

/// The mean of each two neighbouring rows of `x [rows, cols]`: `[rows / 2, cols]`. An odd last row
/// is dropped, as the released model's `AvgPool1d(2, 2)` does.
///
/// # Panics
///
/// Where `x` is not whole rows.
pub fn average_pairs(x: &[f32], cols: usize) -> Vec<f32> {
    assert!(
        x.len().is_multiple_of(cols),
        "{} is not rows of {cols}",
        x.len()
    );
    x.chunks_exact(2 * cols)
        .flat_map(|pair| {
            pair[..cols]
                .iter()
                .zip(&pair[cols..])
                .map(|(a, b)| (a + b) * 0.5)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_last_row_is_dropped() {
        assert_eq!(
            average_pairs(&[1.0, 2.0, 3.0, 6.0, 9.0, 9.0], 2),
            [2.0, 4.0]
        );
        assert_eq!(average_pairs(&[1.0, 2.0], 2), [0.0; 0]);
    }
}
